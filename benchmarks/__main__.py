"""Compare the speed of minifast with hand-written NumPy and with other libraries if installed.

    python -m benchmarks                         all families
    python -m benchmarks notebook --repeats 9    one of them
    python -m benchmarks movielens25m --scale .1 a tenth of the rows
    python -m benchmarks --python torch=/venvs/torch/bin/python --python jax=/venvs/jax/bin/python
    python -m benchmarks --save                  writes docs/benchmarks.md and the README's table
    python -m benchmarks --guard                 fails if minifast has become slower
"""
import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import guard, many_ratings, networks, notebook, readme, report, startup
from .contest import Contest, Result
from .families import Family, Options

FAMILIES: dict[str, Family] = {**notebook.FAMILIES, **many_ratings.FAMILIES, **networks.FAMILIES,
                               **startup.FAMILIES}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    res = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    add = res.add_argument
    add("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; default all")
    add("--repeats", type=int, default=5, help="rounds that count (default 5)")
    add("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    add("--libraries", nargs="+", default=[], help="only these: minifast numpy torch fastai "
                                                   "surprise jax")
    add("--python", action="append", default=[], metavar="LIBRARY=PATH",
        help="the interpreter that has a library, if not this one; may be repeated")
    add("--scale", type=float, default=1., help="multiplies the numbers of rows and ratings")
    add("--bs", type=int, nargs="+", default=[], help="batch sizes instead of the families' own")
    add("--steps", type=int, default=0, help="steps of a round, where a round is no epoch")
    add("--save", nargs="?", type=Path, const=readme.REPORT, metavar="FILE",
        help="write the report (default docs/benchmarks.md, and the README's table)")
    add("--guard", action="store_true",
        help="compare the ratios to hand-written NumPy with the stored ones")
    return res


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, checked."""
    p = parser()
    args = p.parse_args(argv)
    for name in args.families:
        if name not in FAMILIES:
            p.error(f"no family {name!r}; choose from {', '.join(FAMILIES)}")
    for pair in args.python:
        if "=" not in pair:
            p.error(f"--python needs LIBRARY=PATH, such as torch=/usr/bin/python3, got {pair!r}")
    if min([args.repeats, *args.threads, *args.bs]) < 1 or args.scale <= 0:
        p.error("repeats, threads, batch sizes and scale must be positive")
    return args


def results(family: Family, contest: Contest, options: Options) -> Iterator[Result]:
    """Yield a family's results; its data are in a temporary folder while they are needed."""
    with tempfile.TemporaryDirectory(prefix="minifast-benchmarks-") as name:
        for case in family.cases(options):
            for old in Path(name).iterdir():
                if old.name != case.data:
                    shutil.rmtree(old)
            yield from contest.run(case, Path(name))
    if family.results:
        yield from family.results(contest, options)


def lines(args: argparse.Namespace, contest: Contest, options: Options) -> Iterator[str]:
    """Yield the lines of the report as they are measured."""
    options_given = [re.sub(r"^((--python=)?\w+)=.*/.*", r"\1=...", a) for a in sys.argv[1:]]
    yield from report.head(" ".join(["python -m benchmarks", *options_given]))
    for name in args.families or FAMILIES:
        family = FAMILIES[name]
        yield from report.table(family, list(results(family, contest, options)))
        yield from family.after(contest, options)
    yield from report.foot(contest.versions, contest.notes)


def guarded(contest: Contest, options: Options) -> int:
    """Print the ratios to hand-written NumPy; return 1 if minifast has become slower."""
    contest.libraries, contest.threads = ["minifast", "numpy"], [1]
    found: dict[str, float] = {}
    for name in guard.FAMILIES:
        found |= guard.ratios(results(FAMILIES[name], contest, options))
    verdicts = list(guard.verdicts(found, guard.stored()))
    for _, sentence in verdicts:
        print(sentence)
    return int(not all(good for good, _ in verdicts))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks, print the report and save it."""
    args = parsed(argv)
    pythons = dict(pair.split("=", 1) for pair in args.python)
    contest = Contest(args.repeats, args.threads, pythons, args.libraries)
    options = Options(args.scale, tuple(args.bs), args.steps)
    if args.guard:
        return guarded(contest, options)
    text = []
    for line in lines(args, contest, options):
        print(line, flush=True)
        text.append(line)
    if args.save:
        args.save.write_text("\n".join(text) + "\n")
        if args.save == readme.REPORT:
            readme.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
