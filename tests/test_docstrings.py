"""Public docstrings follow numpydoc: ``python tests/check_docs.py`` prints the problems."""
import inspect
from typing import Any

import check_docs
import pytest

pytestmark = pytest.mark.cpu_only("reads docstrings")
MODULES = list(check_docs.modules())


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_docstrings_follow_numpydoc(module: Any) -> None:
    found = check_docs.violations(module)
    assert not found, "\n".join(f"{where}: {code} {message}" for where, code, message in found)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_modules_say_what_they_hold(module: Any) -> None:
    assert inspect.getdoc(module)


# ------------------------------------------------------------------- the check finds what it should


class Base:
    """A class with a documented method."""

    def run(self, x: int, n: int) -> int:
        """Return x times n.

        Parameters
        ----------
        x, n : int
            The factors.

        Returns
        -------
        int
            The product.

        Raises
        ------
        ValueError
            If n is 0.

        Examples
        --------
        >>> Base().run(2, 3)
        6
        """
        if n == 0:
            raise ValueError("n is 0")
        return x * n

    def small(self, x: int) -> int:
        """Return x."""
        return x


class Derived(Base):
    """A class that overrides and adds methods."""

    def __init__(self, a: int, b: int) -> None:
        self.a, self.b = a, b

    def run(self, x: int, n: int) -> int:
        return n * x

    def undocumented(self) -> None:
        return None

    def two(self, x: int, y: int) -> int:
        """Return y."""
        return y

    def raises(self) -> None:
        """Raise KeyError."""
        raise KeyError(self.a)

    def wrong_names(self, x: int, y: int) -> None:
        """Do nothing.

        Parameters
        ----------
        x : int
            A number.
        z : int
            Another number.
        """

    def wrong_error(self) -> None:
        """Raise KeyError.

        Raises
        ------
        ValueError
            Never.
        """
        raise KeyError(self.b)

    def loose_example(self) -> None:
        """Do nothing.

        >>> print(1)
        1
        """

    def third_person(self) -> None:
        pass

    third_person.__doc__ = "Returns None, but says\nit in two lines"


@pytest.mark.parametrize(("name", "thing", "cls", "codes"), [
    ("Base", Base, None, []), ("Base.run", Base.run, Base, []),
    ("Base.small", Base.small, Base, ["EX00", "PA00", "RE00"]),
    ("Derived", Derived, None, ["EX00", "PA00"]),
    ("Derived.run", Derived.run, Derived, []),
    ("Derived.undocumented", Derived.undocumented, Derived, ["GL08"]),
    ("Derived.two", Derived.two, Derived, ["EX00", "PA00", "RE00"]),
    ("Derived.raises", Derived.raises, Derived, ["RA00"]),
    ("Derived.wrong_names", Derived.wrong_names, Derived, ["EX00", "PR01", "PR02"]),
    ("Derived.wrong_error", Derived.wrong_error, Derived, ["RS01"]),
    ("Derived.loose_example", Derived.loose_example, Derived, ["EX00"]),
    ("Derived.third_person", Derived.third_person, Derived, ["GL02", "SS03", "SS05", "SS06"])])
def test_problems_are_found(name: str, thing: Any, cls: type | None, codes: list[str]) -> None:
    assert sorted({code for code, _ in check_docs.problems(name, thing, cls)}) == sorted(codes)
