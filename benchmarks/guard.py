"""Check that minifast has not become slower, by ratios to hand-written NumPy."""
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from .contest import Result

STORED = Path(__file__).with_name("guard.toml")
FAMILIES = ("notebook", "mlp", "digits")


def stored(path: Path = STORED) -> dict[str, Any]:
    """Return the stored ``margin`` and ``ratios``."""
    return tomllib.loads(path.read_text())


def ratios(results: Iterable[Result]) -> Iterator[tuple[str, float]]:
    """Yield the ratio of minifast to hand-written NumPy for each contestant: the rounds' median."""
    every = list(results)
    floors = {(r.case, r.contestant.optimizer): r for r in every
              if r.contestant.library == "numpy"}
    for r in every:
        floor = floors.get((r.case, r.contestant.optimizer))
        if r.contestant.library == "minifast" and floor:
            pairs = zip(r.seconds, floor.seconds, strict=True)
            yield f"{r.case}: {r.contestant.name}", median(a / b for a, b in pairs)


def verdicts(found: Mapping[str, float], known: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield for each stored ratio whether it still holds, and a sentence."""
    for name, ratio in known["ratios"].items():
        limit = ratio * known["margin"]
        if name not in found:
            yield False, f"{name} was not measured, but guard.toml has a ratio for it"
        elif found[name] > limit:
            yield False, f"{name} takes {found[name]:.2f} times as long as NumPy by hand; it was " \
                         f"{ratio:.2f}, and at most {limit:.2f} is allowed"
        else:
            yield True, f"{name}: {found[name]:.2f} times NumPy by hand, at most {limit:.2f}"
    for name in found.keys() - known["ratios"].keys():
        yield False, f"{name}: {found[name]:.2f} times NumPy by hand, not in guard.toml yet"
