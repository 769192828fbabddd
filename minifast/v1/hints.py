"""What to write instead of torch's and v1's attributes; importing this adds it to the classes."""
from typing import Any, NoReturn

from ..autograd import Tensor
from ..data import ArrayDataset, DataBunch, DataLoader
from ..nn import Module
from ..optim import Optimizer

OPERATORS = {"add": "x + y", "sub": "x - y", "mul": "x * y", "div": "x / y", "pow": "x ** n",
             "neg": "-x", "eq": "x == y", "ne": "x != y", "lt": "x < y", "le": "x <= y",
             "gt": "x > y", "ge": "x >= y",
             **dict.fromkeys(("mm", "bmm", "matmul", "dot"), "x @ y")}
NUMPYS = ("sin", "cos", "floor", "ceil", "sign", "log1p", "log2", "round", "sort", "cumsum",
          "median", "unique", "nonzero")
TENSOR = {"sub_": "p.data -= lr * p.grad, and then p.grad = None", "add_": "x.data += other",
          "mul_": "x.data *= other", "div_": "x.data /= other", "zero_": "x.data[...] = 0",
          "fill_": "x.data[...] = value", "copy_": "x.data[...] = array",
          "uniform_": "x.data[...] = np.random.uniform(low, high, x.shape)",
          "normal_": "x.data[...] = np.random.normal(mean, std, x.shape)",
          "clamp_": "x.data.clip(low, high, out=x.data)", "unsqueeze_": "x = x.unsqueeze(axis)",
          "cuda": "x.to('cuda')", "dim": "x.ndim", "type": "x.dtype, or x.astype(dtype)",
          "half": "x.astype(np.float16)", "double": "x.astype(np.float64)",
          "int": "x.astype(np.int32)", "bool": "x.astype(bool)", "type_as": "x.astype(y.dtype)",
          **OPERATORS, **{name: f"np.{name}(x)" for name in NUMPYS},
          "clamp": "x.clip(low, high)", "clamp_min": "np.maximum(x, low)",
          "permute": "x.transpose(0, 2, 1)", "contiguous": "x itself",
          "view_as": "x.reshape(y.shape)", "expand_as": "np.broadcast_to(x, y.shape)",
          **dict.fromkeys(("expand", "repeat"), "np.broadcast_to(x, shape)"),
          "softmax": "nn.softmax(x)", "log_softmax": "nn.softmax(x).log()",
          "norm": "(x ** 2).sum() ** .5", "topk": "np.argsort(-x.data)[:k]",
          **dict.fromkeys(("split", "chunk", "unbind"), "x[:n], x[n:]"),
          **dict.fromkeys(("gather", "index_select"), "x[rows]"),
          "masked_fill": "where(mask, value, x)", "masked_select": "x[mask]",
          "is_cuda": "x.device == 'cuda'", "detach_": "x = x.detach()",
          "new_zeros": "tensor(np.zeros(shape, np.float32))"}
HINTS: dict[type, dict[str, str]] = {
    Tensor: TENSOR,
    Optimizer: {"opt": "learn.opt itself", "opt_func": "learn.opt_func",
                "param_groups": "opt.groups for the parameters, opt.hypers for their rates"},
    ArrayDataset: {**dict.fromkeys(("classes", "c"), "data.classes, data.c"),
                   **dict.fromkeys(("inner_df", "items"), "ds.x and ds.y, which are arrays; a "
                                   "frame is not kept"),
                   "tfmargs": "padding_mode= of ImageDataBunch",
                   "new": "TransformedImages(ds.source, tfms) of minifast.vision.augment"},
    DataLoader: {"dl": "the loader itself", "add_tfm": "data.add_tfm(function)",
                 "new": "DataLoader(dl.dataset, bs, shuffle=...)"},
    DataBunch: {**dict.fromkeys(("x", "y", "items"), "data.train_ds.x, data.train_ds.y"),
                "label_list": "data.train_ds, data.valid_ds",
                "c2i": "data.classes.index(name)"}}
"""Attributes that objects of torch and v1 have, and what to write instead."""


def missing_attribute(x: Any, name: str) -> Any:
    """Raise an error that says what to write instead of a name of torch's or v1's.

    Parameters
    ----------
    x : object
        An object of one of the classes in ``HINTS``.
    name : str
        The attribute that it does not have.

    Returns
    -------
    object
        Nothing, except if another thread has just added the attribute.

    Raises
    ------
    AttributeError
        Always, apart from that.

    Examples
    --------
    >>> Tensor([1., 2.]).zero_()
    Traceback (most recent call last):
    AttributeError: 'Tensor' object has no attribute 'zero_'; write x.data[...] = 0...
    """
    hints = next((hints for kind, hints in HINTS.items() if isinstance(x, kind)), {})
    if name not in hints:  # Python's own error, or that of a property
        return object.__getattribute__(x, name)
    raise AttributeError(f"{type(x).__name__!r} object has no attribute {name!r}; write "
                         f"{hints[name]}", name=name, obj=x)


def no_assignment(x: Tensor, rows: Any, value: Any) -> NoReturn:
    """Raise an error that says how to change items.

    Parameters
    ----------
    x : Tensor
        The tensor.
    rows, value : object
        The items and what to assign to them.

    Raises
    ------
    TypeError
        Always.

    Examples
    --------
    >>> Tensor([1., 2.])[0] = 3.
    Traceback (most recent call last):
    TypeError: items of a Tensor cannot be assigned: its history would be wrong; ...
    """
    raise TypeError("items of a Tensor cannot be assigned: its history would be wrong; write "
                    "x.data[rows] = array before x is used, or where(condition, value, x)")


def cpu(module: Module) -> Module:
    """Move a model to the CPU: torch's ``model.cpu()``.

    Parameters
    ----------
    module : Module
        The model.

    Returns
    -------
    Module
        The same model.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> Linear(2, 1).cpu().weight.device
    'cpu'
    """
    return module.to("cpu")


def cuda(module: Module) -> Module:
    """Move a model to the GPU: torch's ``model.cuda()``.

    Parameters
    ----------
    module : Module
        The model.

    Returns
    -------
    Module
        The same model.

    Examples
    --------
    >>> from minifast.nn import ReLU
    >>> ReLU().cuda()  # no parameters to move, so this works without a GPU
    ReLU()
    """
    return module.to("cuda")


for _cls in HINTS:
    setattr(_cls, "__getattr__", missing_attribute)  # noqa: B010
setattr(Tensor, "__setitem__", no_assignment)  # noqa: B010
for _method in (cpu, cuda):
    setattr(Module, _method.__name__, _method)
