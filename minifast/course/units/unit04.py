"""Unit 4, modules and initial weights: finding the parameters, and where they start."""
import warnings
from typing import Any

import numpy as np

from ...autograd import Tensor, no_grad
from ...data import ArrayDataset, DataBunch
from ...nn import init, layers, module
from ...train import Learner
from ..unit import Bug, Unit

MODULE, LAYERS, INIT = "minifast.nn.module", "minifast.nn.layers", "minifast.nn.init"
UNIT = Unit(4, "Modules, initial weights", {
    MODULE: ("Module.named_children", "Module.named_modules", "Module._named",
             "Module.parameters"),
    INIT: ("fans", "kaiming_uniform_"),
    LAYERS: ("Linear.__init__", "Linear.forward")}, bugs=(
    Bug("two levels only", MODULE, 'yield from child.named_modules(f"{prefix}.{name}" if prefix '
        'else name)', 'yield f"{prefix}.{name}" if prefix else name, child',
        "An optimizer made from model.parameters() never moves the layers of a block in a block."),
    Bug("prefix lost", MODULE, 'child.named_modules(f"{prefix}.{name}" if prefix else name)',
        "child.named_modules(name)",
        "The saved weights of a deep model hold fewer arrays than the model has parameters."),
    Bug("shared twice", MODULE, "list({id(p): p for _, p in self.named_parameters()}.values())",
        "[p for _, p in self.named_parameters()]",
        "len(model.parameters()) is too large for a model in which two layers share a weight."),
    Bug("buffers trained", MODULE, "if isinstance(value, kinds):", "if isinstance(value, Tensor):",
        "The optimizer is given the running means of batch norm as well."),
    Bug("mode of the root only", MODULE, "for module in self.modules():\n            "
        "module.training = mode", "self.training = mode",
        "After eval() a model with dropout still gives a different answer at each call."),
    Bug("state not copied", MODULE, "np.array(t.numpy())", "t.numpy()",
        "The best weights, kept with state_dict(), turn into the last ones during training."),
    Bug("kernel forgotten", INIT, "kernel = int(np.prod(t.shape[2:]))", "kernel = 1",
        "Deep convolutional networks explode; networks of Linear layers do not."),
    Bug("outputs for inputs", INIT, "sqrt(6 / ((1 + a * a) * fans(t)[0]))",
        "sqrt(6 / ((1 + a * a) * fans(t)[1]))",
        "A layer with many inputs and few outputs starts with huge activations."),
    Bug("variance for bound", INIT, "sqrt(6 / ((1 + a * a)", "sqrt(2 / ((1 + a * a)",
        "Activations die with depth: each layer makes them smaller by the factor 0.58."),
    Bug("root forgotten", INIT, "bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))",
        "bound = 6 / ((1 + a * a) * fans(t)[0])",
        "Wide networks learn nothing at first: their outputs are almost the same for all inputs."),
    Bug("positive biases", LAYERS, "no_wd=True), -bound, bound, rng)",
        "no_wd=True), 0., bound, rng)",
        "The outputs of a new layer have a mean above zero, although its inputs have mean 0."),
    Bug("one seed used twice", LAYERS, "np.float32)), sqrt(5), rng)", "np.float32)), sqrt(5), "
        "seed)", "The biases of a layer with a seed are the same numbers as its first weights."),
    Bug("decayed biases", LAYERS, "np.float32), no_wd=True)", "np.float32))",
        "A learner with bn_wd=False pulls biases towards zero.")))


class _Leaf(module.Module):
    """Two parameters, without the help of the layers that are to be written."""

    def __init__(self, size: int) -> None:
        self.weight = module.Parameter(np.ones((size, size), np.float32))
        self.bias = module.Parameter(np.ones(size, np.float32), no_wd=True)


class _Block(module.Module):
    """A parameter, a buffer, a layer and a list of layers."""

    def __init__(self, size: int) -> None:
        self.layer = _Leaf(size)
        self.scale = module.Parameter(np.ones(size, np.float32))
        self.count, self.name = 3, "block"
        self.mean = module.Buffer(np.zeros(size, np.float32))
        self.more = module.ModuleList([layers.ReLU(), _Leaf(1)])


class _Net(module.Module):
    """A block in a block, and blocks that are shared; as deep as `depth`."""

    def __init__(self, depth: int = 2) -> None:
        self.block = _Block(depth + 1)
        if depth:
            self.inner = _Net(depth - 1)
            self.again = self.inner.block
        self.shift = module.Parameter(np.full(1, depth, np.float32))


class _Empty(module.Module):
    """Nothing."""


def _names(pairs: Any) -> str:
    return " ".join(f"{name or '(root)'}:{type(found).__name__}" for name, found in pairs)


@UNIT.property("The children of a module are the attributes that are modules, with their names.",
               "Where does Python keep the attributes of an object?",
               "vars(self) is a dictionary; which of its values do you want?")
def children(rng: np.random.Generator) -> list[Any]:
    """Return the names of children."""
    return [_names(of.named_children()) for of in (_Net(1), _Block(2), _Empty())]


@UNIT.property("named_modules yields the module itself first, then all below it, depth first; a "
               "module with two names comes under both.",
               "What do you yield for a module without children?",
               "A child can do for its own tree what you do for yours: `yield from`.")
def all_modules(rng: np.random.Generator) -> list[Any]:
    """Return the names of all modules."""
    return [_names(of.named_modules()) for of in (_Net(), _Net(0), layers.ReLU())]


@UNIT.property("Names are joined with dots, a prefix comes in front, and the root has the name ''.",
               "Write down the names for a block in a block in a model that has a prefix.",
               "There is no dot if there is nothing in front of it.")
def prefixes(rng: np.random.Generator) -> list[Any]:
    """Return names with a prefix."""
    return [" ".join(name for name, _ in _Net(1).named_modules("a.b")),
            repr(next(iter(_Net(0).named_modules()))[0])]


@UNIT.property("Parameters and buffers are found in all modules, in the order of the modules, "
               "under their full names; numbers and texts are skipped.",
               "Walk over named_modules, and look at the attributes of each.",
               "`kinds` is a tuple of classes, as isinstance takes it.")
def named_tensors(rng: np.random.Generator) -> list[Any]:
    """Return the names of parameters and of buffers, and of both."""
    net = _Net()
    return [_names(net.named_parameters()), _names(net.named_buffers()),
            " ".join(net.state_dict()), _names(_Empty().named_parameters())]


@UNIT.property("The walks are lazy iterators: `next` gives the first of them.",
               "The annotation says Iterator.", "Use `yield`, or a generator expression.")
def lazy(rng: np.random.Generator) -> list[Any]:
    """Return the first of each walk."""
    net: Any = _Net(1)
    return [next(net.named_modules())[0], next(net.named_children())[0],
            next(net.named_parameters())[0], next(net.named_buffers())[0]]


@UNIT.property("parameters() is a list of the parameters themselves, each once, in the order of "
               "their first names.",
               "A model may use one weight twice. What would an optimizer do with two entries?",
               "Two weights with equal numbers are not the same weight: go by id(), not by ==.")
def each_once(rng: np.random.Generator) -> list[Any]:
    """Return the positions of the parameters among all that were named."""
    net = _Net()
    net.extra = net.inner.shift  # type: ignore[attr-defined]
    named = [p for _, p in net.named_parameters()]
    found = net.parameters()
    return [type(found).__name__, len(found), len(named),
            " ".join(str(next(i for i, p in enumerate(named) if p is q)) for q in found)]


@UNIT.property("Modules and parameters in a plain list, tuple or dict cause a warning, once for "
               "each; a list of numbers, or of modules that are attributes too, does not.",
               "The file has a method that warns. Who should call it, and for which values?",
               "_warn_of_hidden takes the names of the class and of the attribute, such as "
               "'Net.layers', and the container.")
def hidden(rng: np.random.Generator) -> list[Any]:
    """Return how many warnings there are, and whether they name the attribute."""
    net: Any = _Net(1)
    known = [net.block, net.shift]
    counts: list[Any] = []
    for value in ([_Leaf(2)], (module.Parameter(np.ones(2, np.float32)),),
                  {"a": layers.ReLU()}, [1, "two"], known):
        net.inner.held = value
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            names = _names(net.named_parameters())
        counts += [len(caught), all("_Net.held" in str(w.message) for w in caught), names]
    return counts


@UNIT.property("train, eval, freeze, state_dict and the repr work on the whole tree.",
               "They use your walk. Which part of the tree does it leave out, or visit twice?",
               "Print the names that named_modules gives for a model of three levels.")
def whole_tree(rng: np.random.Generator) -> list[Any]:
    """Return what the methods that use the walk do."""
    net = _Net()
    for p in net.parameters():
        p.data[...] = rng.normal(size=p.shape)
    modes = [str([m.training for m in net.train(mode).modules()]) for mode in (False, True)]
    state = net.state_dict()
    net.inner.block.scale.data += 1
    net.freeze("inner.block", "block.layer.bias")
    frozen = [name for name, p in net.named_parameters() if not p.requires_grad]
    missing, _ = net.load_state_dict({"shift": np.full(1, 7.)}, strict=False)
    return [*modes, " ".join(frozen), " ".join(missing), net.shift, repr(net),
            *state.values()]


@UNIT.property("fans gives the numbers of inputs and outputs of a unit, each times the size of "
               "the kernel; a weight with fewer than two axes is a ValueError.",
               "Through how many weights does one output look at the layer below?",
               "The axes are (n_out, n_in, *kernel); the product of no numbers is 1.")
def fan_in_and_out(rng: np.random.Generator) -> list[Any]:
    """Return fans of several shapes, and the names of errors."""
    found: list[Any] = []
    for shape in ((3, 5), (4, 2, 3), (8, 3, 5, 2), (1, 1), (2, 0), (3,), ()):
        try:
            found += init.fans(Tensor(np.zeros(shape)))
        except ValueError:
            found.append("ValueError")
    return found


@UNIT.property("kaiming_uniform_ fills a weight within +-sqrt(6 / ((1 + a^2) fan_in)), with the "
               "numbers that come from its seed.",
               "The variance of a uniform number within +-b is b^2 / 3.",
               "There is a function in the file that fills uniformly, and one that counts inputs.")
def kaiming(rng: np.random.Generator) -> list[Any]:
    """Return weights of several shapes and slopes."""
    seed = int(rng.integers(1000))
    return [init.kaiming_uniform_(Tensor(np.zeros(shape)), a, seed)
            for shape in ((4, 7), (5, 2, 3, 3)) for a in (0., .5, 5 ** .5)] + [
            init.kaiming_uniform_(Tensor(np.zeros((3, 9))), seed=np.random.default_rng(seed))]


@UNIT.property("kaiming_uniform_ writes into the array of the tensor, keeps its type, and returns "
               "the tensor itself.",
               "What should be the same object before and after?",
               "`t.data = ...` gives the tensor a new array; the functions of this file do not.")
def filled_in_place(rng: np.random.Generator) -> list[Any]:
    """Return whether tensor and array are the same objects, and their contents."""
    weight = module.Parameter(np.zeros((3, 4), np.float32))
    array = weight.data
    found = init.kaiming_uniform_(weight, seed=int(rng.integers(1000)))
    return [found is weight, weight.data is array, array, weight.requires_grad]


@UNIT.property("A Linear layer has a float32 weight (n_out, n_in) and bias (n_out,), Parameters "
               "both; weight decay skips the bias; with bias=False the bias is None.",
               "Which attributes does the walk have to find, and in which order?",
               "Parameter has an argument for weight decay.")
def linear_parts(rng: np.random.Generator) -> list[Any]:
    """Return names, shapes, types and flags of the parameters."""
    found: list[Any] = []
    for layer in (layers.Linear(5, 3, seed=1), layers.Linear(2, 4, bias=False, seed=1)):
        named = list(layer.named_parameters())
        found += [_names(named), layer.bias is None, repr(layer),
                  *(" ".join(str(getattr(p, key)) for _, p in named)
                    for key in ("shape", "dtype", "no_wd", "requires_grad"))]
    return found


@UNIT.property("Weight and bias start uniform within +-1 / sqrt(n_in), first the weight and then "
               "the bias, from one generator.",
               "Which slope a gives kaiming_uniform_ the bound 1 / sqrt(n_in)?",
               "Call generator(seed) once, and pass the generator to both functions.")
def linear_start(rng: np.random.Generator) -> list[Any]:
    """Return initial weights and biases from seeds and from a generator that continues."""
    seed, stream = int(rng.integers(1000)), np.random.default_rng(int(rng.integers(1000)))
    made = [layers.Linear(6, 3, seed=seed), layers.Linear(1, 2, seed=seed),
            layers.Linear(4, 2, seed=stream), layers.Linear(4, 2, False, stream),
            layers.Linear(4, 2, True, stream)]
    return [p for layer in made for p in layer.parameters()]


def _double(layer: layers.Linear, rng: np.random.Generator) -> layers.Linear:
    """Give a layer normal float64 weights."""
    for p in layer.parameters():
        p.data = rng.normal(size=p.shape)
    return layer


@UNIT.property("Linear computes x @ weight.T + bias for inputs (..., n_in), also without a bias.",
               "Which axis of the weight belongs to the inputs?",
               "Try a single sample (n_in,), a batch, and a batch of sequences.")
def linear_values(rng: np.random.Generator) -> list[Any]:
    """Return outputs for inputs with one to three axes and for an empty batch."""
    inputs = [Tensor(rng.normal(size=(*shape, 4))) for shape in ((), (5,), (2, 3), (0,))]
    made = [_double(layers.Linear(4, 3, bias), rng) for bias in (True, False)]
    return [layer(x) for layer in made for x in inputs]


@UNIT.property("Gradients of the inputs, the weight and the bias are right, and the input is not "
               "changed.",
               "The output must be made of operations on tensors, not on their arrays.",
               "If you write `.data` or `.numpy()` in forward, the history is lost.")
def linear_gradients(rng: np.random.Generator) -> list[Any]:
    """Return gradients through two layers and the input."""
    found: list[Any] = []
    for bias in (True, False):
        first, second = (_double(layers.Linear(*n, bias), rng) for n in ((4, 3), (3, 2)))
        x = Tensor(rng.normal(size=(2, 5, 4)), requires_grad=True)
        (second(first(x).relu()) ** 2).mean().backward()
        found += [x, x.grad, *(p.grad for p in (*first.parameters(), *second.parameters()))]
    return found


@UNIT.property("With kaiming_uniform_ a deep network of ReLUs keeps the size of its activations.",
               "The parts are right by themselves, so look at which weights are filled.",
               "Print the standard deviation after each layer.")
def by_depth(rng: np.random.Generator) -> list[Any]:
    """Return the root mean square of the activations at several depths."""
    x = Tensor(rng.normal(size=(32, 64)).astype(np.float32))
    sizes = []
    with no_grad():
        for depth in range(20):
            layer = layers.Linear(64, 64, bias=False)
            init.kaiming_uniform_(layer.weight, seed=depth)
            x = layer(x).relu()
            sizes.append((x.data ** 2).mean() ** .5)
    return sizes


@UNIT.property("With them a learner trains a model of nested modules.",
               "Which parameters does the learner's optimizer get?",
               "Compare len(model.parameters()) with what you count in its repr.")
def in_use(rng: np.random.Generator) -> list[Any]:
    """Return losses and final weights of a small model with a shared layer."""
    x = rng.normal(size=(256, 4)).astype(np.float32)
    y = np.abs(x @ np.array([1, -2, 3, .5], np.float32))
    shared, seed = layers.Linear(8, 8, seed=1), int(rng.integers(100))
    model = module.Sequential(
        module.Sequential(layers.Linear(4, 8, seed=seed), layers.ReLU()), shared, layers.ReLU(),
        module.Sequential(shared, layers.ReLU(), module.Sequential(layers.Linear(8, 1, seed=2))))
    data = DataBunch.create(ArrayDataset(x[:192], y[:192]), ArrayDataset(x[192:], y[192:]), bs=32,
                            seed=0)
    learn = Learner(data, model, add_time=False)
    learn.fast = False
    with learn.no_logging():
        learn.fit(2, lr=.01)
    return [*map(np.float32, learn.recorder.val_losses), len(model.parameters()),
            *model.state_dict().values()]
