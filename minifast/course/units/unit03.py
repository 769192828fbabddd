"""Unit 3, broadcasting: the gradient of a repeated input is a sum."""
from typing import Any

import numpy as np

from ...autograd import Tensor, tape, tensor
from ..unit import Bug, Unit

TAPE = "minifast.autograd.tape"
UNIT = Unit(3, "Broadcasting", {TAPE: ("unbroadcast",)}, bugs=(
    Bug("no sum", TAPE, "total = g.sum(axis=(*range(added), *stretched), keepdims=True) "
        "if added >= 0 else g", "total = g",
        "A bias of shape (3,) added to a batch of shape (2, 3) ends backward() in an error."),
    Bug("first row only", TAPE, "    total = g.sum(axis=(*range(added), *stretched), "
        "keepdims=True) if added >= 0 else g", "    total = g[:1] if added else g.sum("
        "axis=tuple(stretched), keepdims=True)",
        "A bias learns only from the first sample of each batch."),
    Bug("mean for sum", TAPE, "g.sum(axis=(*range(added)", "g.mean(axis=(*range(added)",
        "Biases learn more slowly the larger the batch is."),
    Bug("added axes only", TAPE, "axis=(*range(added), *stretched)", "axis=(*range(added),)",
        "A factor of shape (2, 1) ends backward() in an error; one of shape (3,) does not."),
    Bug("type forgotten", TAPE, "g = g.astype(x.dtype)", "g = g.astype(g.dtype)",
        "The gradients of float32 weights become float64 when the data are float64.")))


@UNIT.property("A gradient that has the input's shape already comes back as it is.",
               "When is there nothing to sum?", "Compare the two shapes first.")
def same_shape(rng: np.random.Generator) -> list[Any]:
    """Return the gradient, and whether it is the same object."""
    g, x = rng.normal(size=(2, 3, 4))[0], rng.normal(size=(3, 4))
    found = tape.unbroadcast(g, x)
    return [found, found is g]


@UNIT.property("An input that was repeated along new axes in front gets the sum over them.",
               "Each copy of the input has a share in the result. How do shares combine?",
               "The number of new axes is the difference of the two numbers of axes; they come "
               "first.")
def new_axes(rng: np.random.Generator) -> list[Any]:
    """Return gradients for inputs with fewer axes."""
    g = rng.normal(size=(4, 2, 3))
    return [tape.unbroadcast(g, np.empty(shape)) for shape in ((2, 3), (3,), ())]


@UNIT.property("An input that was stretched along axes of length 1 gets the sum, and keeps them.",
               "Which axes of (2, 1, 3) are stretched when the result is (2, 4, 3)?",
               "Sum with keepdims=True.")
def stretched_axes(rng: np.random.Generator) -> list[Any]:
    """Return gradients for inputs with axes of length 1."""
    g = rng.normal(size=(4, 2, 3))
    return [tape.unbroadcast(g, np.empty(shape)) for shape in ((4, 1, 3), (1, 2, 1), (1, 1, 1))]


@UNIT.property("Both at once: new axes in front, and stretched ones.",
               "Try (4, 2, 3) for an input of shape (1, 3) on paper.",
               "Stretched axes of the input are counted from its own front; where are they in the "
               "gradient?")
def both(rng: np.random.Generator) -> list[Any]:
    """Return gradients for inputs with fewer axes, some of length 1."""
    g = rng.normal(size=(5, 4, 2, 3))
    return [tape.unbroadcast(g, np.empty(shape)) for shape in ((1, 3), (2, 1), (4, 1, 1), (1,))]


@UNIT.property("The gradient has the type of the input.",
               "What should the gradient of a float32 weight be if the data are float64?",
               "astype.")
def number_type(rng: np.random.Generator) -> list[Any]:
    """Return gradients in the types of their inputs."""
    g = rng.normal(size=(4, 3))
    return [tape.unbroadcast(g, np.empty(shape, np.float32)) for shape in ((4, 3), (3,))]


@UNIT.property("The gradient that came in is not changed.",
               "Does one of your operations write into g?", "Look for `-=`, `+=` and `out=`.")
def unchanged(rng: np.random.Generator) -> list[Any]:
    """Return the gradient that went in."""
    g = rng.normal(size=(4, 1, 3))
    tape.unbroadcast(g, np.empty((1, 3)))
    return [g]


@UNIT.property("Shapes that cannot have been broadcast are refused with a ShapeError.",
               "Which gradients can an input of shape (3,) not have?",
               "Compare the shape of your sum with that of the input before you return it.")
def refused(rng: np.random.Generator) -> list[Any]:
    """Return the names of the errors."""
    names = []
    for shape, of in (((2, 3), (4,)), ((3,), (2, 3)), ((2, 2), (3, 2))):
        try:
            tape.unbroadcast(np.ones(shape), np.empty(of))
            names.append("nothing")
        except ValueError as error:
            names.append(type(error).__name__)
    return names


@UNIT.property("With it, backward() gives the right gradients of a layer and of a normalisation.",
               "Each part works alone, so look at the order of axes in the sum.",
               "Print the shapes of g and x at each call.")
def in_use(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of a bias, of a scale and of a column of factors."""
    x = Tensor(rng.normal(size=(6, 3)))
    bias, scale, rows = (Tensor(rng.normal(size=shape), True) for shape in ((3,), (), (6, 1)))
    (((x * rows + bias) * scale) ** 2).mean().backward()
    return [bias.grad, scale.grad, rows.grad]


@UNIT.property("The same for any shapes.", "Look at the property that failed before this one.",
               "What if an axis has length 1 in the gradient too?")
def any_shape(rng: np.random.Generator) -> list[Any]:
    """Return gradients for random shapes."""
    found = []
    for _ in range(25):
        shape = rng.integers(1, 4, rng.integers(0, 4))
        of = [1 if rng.random() < .4 else int(n) for n in shape[rng.integers(0, len(shape) + 1):]]
        found.append(tape.unbroadcast(rng.normal(size=tuple(shape)), tensor(np.ones(of)).data))
    return found
