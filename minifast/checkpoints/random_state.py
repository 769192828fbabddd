"""The states of all random generators that a fit uses: reading and setting them."""
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .container import from_json, to_json


def generators(learn: Any, callbacks: Iterable[Any] = ()) -> dict[str, np.random.Generator]:
    """Return the random generators of a fit by their paths.

    They are found as attributes of layers, loaders, their data sets, callbacks and the loss.

    Parameters
    ----------
    learn : Learner
        The learner.
    callbacks : iterable of Callback
        The callbacks of the fit.

    Returns
    -------
    dict of str to Generator
        The generators.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Dropout
    >>> from minifast.train import Learner
    >>> data = DataBunch.create(ArrayDataset(np.zeros((8, 2)), np.zeros(8)), bs=4)
    >>> list(generators(Learner(data, Dropout(.5))))
    ['model.rng', 'train_dl.rng', 'fix_dl.rng']
    """
    return {f"{place}.{name}": value for place, owner in _owners(learn, callbacks)
            for name, value in getattr(owner, "__dict__", {}).items()
            if isinstance(value, np.random.Generator)}


def _owners(learn: Any, callbacks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    yield from learn.model.named_modules("model")
    yield "loss", learn.loss_func
    for kind in ("train", "valid", "fix", "test"):
        dl = getattr(learn.data, f"{kind}_dl")
        yield f"{kind}_dl", dl
        yield f"{kind}_ds", getattr(dl, "dataset", None)
    for i, callback in enumerate(callbacks):
        yield f"callback {i}", callback


def random_state(found: Mapping[str, np.random.Generator]) -> dict[str, Any]:
    """Return the states of generators, and of NumPy's and Python's global ones, for JSON.

    Parameters
    ----------
    found : mapping of str to Generator
        The generators.

    Returns
    -------
    dict of str to object
        The states by name, of JSON types.

    Examples
    --------
    >>> sorted(random_state({"mine": np.random.default_rng(0)}))
    ['mine', 'numpy', 'python']
    """
    states = {name: to_json(rng.bit_generator.state) for name, rng in found.items()}
    return {**states, "numpy": to_json(np.random.get_state(legacy=False)),
            "python": to_json(random.getstate())}


def set_random_state(found: Mapping[str, np.random.Generator], states: Mapping[str, Any]) -> None:
    """Set all generators to states that `random_state` returned.

    Parameters
    ----------
    found : mapping of str to Generator
        The generators.
    states : mapping of str to object
        Their states.

    Examples
    --------
    >>> found = {"mine": np.random.default_rng(0)}
    >>> states, drawn = random_state(found), found["mine"].random()
    >>> set_random_state(found, states)
    >>> found["mine"].random() == drawn
    True
    """
    for name, rng in found.items():
        rng.bit_generator.state = from_json(states[name])
    np.random.set_state(from_json(states["numpy"]))
    random.setstate(from_json(states["python"]))


def check_random_state(found: Mapping[str, np.random.Generator], states: Mapping[str, Any]) -> None:
    """Raise an error if `set_random_state` would raise one.

    Parameters
    ----------
    found : mapping of str to Generator
        The generators.
    states : mapping of str to object
        Their states.

    Raises
    ------
    ValueError
        If the generators differ. An invalid state raises the error of the generator.

    Examples
    --------
    >>> found = {"mine": np.random.default_rng(0)}
    >>> check_random_state(found, random_state(found))
    >>> check_random_state({}, random_state(found))
    Traceback (most recent call last):
    ValueError: random generators differ: mine
    """
    if others := {*found, "numpy", "python"} ^ {*states}:
        raise ValueError(f"random generators differ: {', '.join(sorted(others))}")
    copies = {name: np.random.Generator(type(rng.bit_generator)()) for name, rng in found.items()}
    for name, rng in copies.items():
        rng.bit_generator.state = from_json(states[name])
    np.random.RandomState().set_state(from_json(states["numpy"]))
    random.Random().setstate(from_json(states["python"]))
