"""Unit: the tasks of a lesson, the properties that a solution must have, and its bugs."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

Values = Sequence[Any]
Probe = Callable[[np.random.Generator], Values]


@dataclass(frozen=True)
class Property:
    """Something that a solution must do as the library does.

    Parameters
    ----------
    claim : str
        The property in a sentence, as a student reads it.
    hints : tuple of str
        A hint, then stronger ones; never the answer.
    probe : callable
        Gets a random generator and returns arrays, numbers and texts. It must return the same
        with the student's functions as with the library's.
    """

    claim: str
    hints: tuple[str, ...]
    probe: Probe

    @property
    def name(self) -> str:
        """The name of the probe."""
        return self.probe.__name__


@dataclass(frozen=True)
class Bug:
    """A fault of one to three lines in the source of the library.

    Parameters
    ----------
    name : str
        A short name.
    module : str
        The module, such as ``"minifast.optim.steps"``.
    old, new : str
        The text to replace, which occurs once in the module, and the faulty text.
    symptom : str
        What a user sees.
    """

    name: str
    module: str
    old: str
    new: str
    symptom: str

    def apply(self, source: str) -> str:
        """Return the source of the module with the fault.

        Parameters
        ----------
        source : str
            The source without it.

        Returns
        -------
        str
            The faulty source.

        Raises
        ------
        ValueError
            If ``old`` does not occur exactly once.

        Examples
        --------
        >>> Bug("sign", "m", "a + b", "a - b", "sums are wrong").apply("return a + b")
        'return a - b'
        """
        if source.count(self.old) != 1:
            raise ValueError(f"bug {self.name!r}: its text occurs {source.count(self.old)} times "
                             f"in {self.module}, not once")
        return source.replace(self.old, self.new)


@dataclass
class Unit:
    """A unit of the course.

    Parameters
    ----------
    number : int
        Its number, from 1.
    title : str
        Its title.
    tasks : dict of str to tuple of str
        For each module the functions and methods that a student writes, such as
        ``{"minifast.autograd.tape": ("unbroadcast",)}``.
    bugs : tuple of Bug
        The faults that a student hunts.
    properties : list of Property
        What a solution must do, in the order in which it is checked.
    """

    number: int
    title: str
    tasks: dict[str, tuple[str, ...]]
    bugs: tuple[Bug, ...] = ()
    properties: list[Property] = field(default_factory=list)

    def property(self, claim: str, *hints: str) -> Callable[[Probe], Probe]:
        """Return a decorator that adds a property.

        Parameters
        ----------
        claim : str
            The property in a sentence.
        *hints : str
            A hint, then stronger ones.

        Returns
        -------
        callable
            The decorator of the probe.
        """
        def add(probe: Probe) -> Probe:
            self.properties.append(Property(claim, hints, probe))
            return probe
        return add


def numbers() -> list[int]:
    """Return the numbers of the units that exist."""
    package = import_module("minifast.course.units")
    return sorted(int(found.name.removeprefix("unit")) for found in iter_modules(package.__path__)
                  if found.name.startswith("unit"))


def load(number: int) -> Unit:
    """Return a unit.

    Parameters
    ----------
    number : int
        Its number.

    Returns
    -------
    Unit
        The unit.

    Raises
    ------
    ValueError
        If there is no such unit.

    Examples
    --------
    >>> load(3).title
    'Broadcasting'
    """
    if number not in numbers():
        raise ValueError(f"there is no unit {number}; there are {', '.join(map(str, numbers()))}")
    found: Unit = import_module(f"minifast.course.units.unit{number:02d}").UNIT
    return found
