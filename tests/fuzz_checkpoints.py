"""Load mutated checkpoints: ``python tests/fuzz_checkpoints.py --n 100000``.

Every mutant is either loaded, and then all numbers are finite and training goes on, or refused with
a CheckpointError, and then the learner has not changed by a bit. Mutants are made of bytes (flips,
cuts, insertions), of the header (types, shapes, offsets, names, lengths), of arrays (NaN, other
types and shapes, names, ranges) and, for saved fits and exported learners, of their JSON.
"""
import argparse
import json
import random
import sys
import tempfile
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load, save
from tiny import fit_quietly, frozen_copy, ratings_data, three_groups

from minifast.checkpoints import CheckpointCallback, durable, load_learner
from minifast.checkpoints.container import digest
from minifast.checkpoints.fit_state import SavedFit
from minifast.checkpoints.random_state import generators, random_state
from minifast.collab import collab_learner
from minifast.train import CheckpointError, Learner
from minifast.train.lr_finder import Snapshot

Arrays = dict[str, np.ndarray[Any, Any]]
ODD = [float("nan"), float("inf"), -float("inf"), -1., 1e300, -1e-30, 0., 2.5, 1e19, 3e38]
JUNK = [None, True, -1, 0, 2 ** 70, 1.5, float("nan"), "", "x", [], {}, [[]], {"array": [1]},
        {"dict": [[1]]}, {"tuple": 3}, {"function": "os.system"}, {"object": "minifast.nn.Linear"},
        "minifast.nn.module.Module", "minifast.train.learner.Learner"]


# ---------------------------------------------------------------- mutations


def of_bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, n = rng.randrange(len(data)), rng.choice([1, 2, 8, 40])
        if rng.random() < .5:  # the header is the smaller part, and the more sensitive one
            at = rng.randrange(min(len(data), 8 + int.from_bytes(content[:8], "little")))
        kind = rng.randrange(6)
        if kind < 2:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at:at + n] = rng.randbytes(n)
        elif kind == 3:
            del data[at:at + n]
        elif kind == 4:
            data[at:at] = rng.randbytes(n)
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def of_header(content: bytes, rng: random.Random) -> bytes:
    n = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + n])
    name = rng.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    kind = rng.randrange(8)
    if kind == 0:
        entry["dtype"] = rng.choice(["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "C64",
                                     "F8_E4M3", "F4", "x", "", None, 3])
    elif kind == 1:
        entry["shape"] = rng.choice([[], [0], [-1], [2 ** 62], [2 ** 62, 4], [0, 2 ** 62], [1.5],
                                     ["3"], None, [1] * 70, [2 ** 70], [0, 2 ** 63 - 1, 2 ** 40]])
    elif kind == 2:
        entry["data_offsets"] = rng.choice([[0, 0], [0, 2 ** 62], [5, 1], [-1, 3], None, [0], "x",
                                            [2 ** 63, 2 ** 64], [0, len(content)]])
    elif kind == 3:
        del header[name]
    elif kind == 4:
        header[rng.choice(["x", "", "model.", "opt.hyper.lr", "é", "opt.0.0.count"])] = \
            header.pop(name)
    elif kind == 5:
        other = rng.choice([key for key in header if key != "__metadata__"])
        header[name], header[other] = header[other], header[name]
    elif kind == 6:
        header["__metadata__"] = rng.choice([
            None, {}, {"kind": "x"}, {"content": "{}"}, 3, "x", {"a": None},
            {"kind": "fit", "content": "", "sha256": ""}])
    text = json.dumps(header).encode()
    lie = rng.choice([0, 0, 0, 1, -1, 2 ** 40, 2 ** 62]) if kind == 7 else 0
    return max(len(text) + lie, 0).to_bytes(8, "little") + text + content[8 + n:]


def of_arrays(content: bytes, rng: random.Random) -> bytes:
    metadata = json.loads(content[8:8 + int.from_bytes(content[:8], "little")]).get("__metadata__")
    arrays = {name: np.array(array) for name, array in load(content).items()}
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        mutate(arrays, rng)
    if metadata and "sha256" in metadata:  # as if it had been written so
        metadata["sha256"] = digest(metadata["kind"], metadata["content"], arrays)
    return save(arrays, metadata)


def mutate(arrays: Arrays, rng: random.Random) -> None:
    """Change one of the arrays."""
    if not arrays:
        return
    small = [name for name, array in arrays.items() if array.size < 4]  # counts, hyper-parameters
    name = rng.choice(small if small and rng.random() < .5 else [*arrays])
    array, kind = arrays[name], rng.randrange(9)
    if kind < 4 and array.size:
        wide = array.real.astype(np.float64) if rng.random() < .5 else array.copy()
        if wide.dtype.kind == "f":
            wide.reshape(-1)[rng.randrange(array.size)] = np.clip(
                rng.choice(ODD), -np.finfo(wide.dtype).max, np.finfo(wide.dtype).max) \
                if rng.random() < .5 else np.array(rng.choice(ODD[:3]))
        else:
            number = np.array(rng.choice([-1, 0, 2 ** 62, -2 ** 62]))
            wide.reshape(-1)[0] = number.astype(wide.dtype)
        arrays[name] = wide
    elif kind == 4:
        types = [np.complex64, np.int64, bool, np.float16, np.float64, np.uint8]
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(types))
    elif kind == 5:
        arrays[name] = rng.choice([array.T, array[None], array.reshape(-1), array.reshape(-1)[:1],
                                   np.zeros(0, array.dtype)])
    elif kind == 6:
        del arrays[name]
    elif kind == 7:
        arrays[rng.choice([f"{name}.x", "x", name[1:], rng.choice([*arrays])])] = arrays.pop(name)
    else:
        other = rng.choice([*arrays])
        arrays[name], arrays[other] = arrays[other], array
    arrays.update({key: np.ascontiguousarray(value).reshape(np.shape(value))
                   for key, value in arrays.items()})


def of_json(content: bytes, rng: random.Random) -> bytes:
    """Change the description of a container, and correct its checksum."""
    metadata = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    arrays = dict(load(content))
    parsed = json.loads(metadata["content"])
    at, parents = parsed, []
    while isinstance(at, (dict, list)) and at and (rng.random() < .75 or not parents):
        key = rng.choice([*at]) if isinstance(at, dict) else rng.randrange(len(at))
        parents.append((at, key))
        at = at[key]
    where, key = parents[-1]
    if rng.random() < .25:
        del where[key]
    else:
        where[key] = rng.choice(JUNK)
    metadata["content"] = json.dumps(parsed)
    metadata["sha256"] = digest(metadata["kind"], metadata["content"], arrays)
    return save(arrays, metadata)


# ---------------------------------------------------------------- what is loaded


class Subject:
    """A learner and a file; ``load`` reads the file, and ``same`` says whether nothing changed."""

    mutations: ClassVar[list[Callable[[bytes, random.Random], bytes]]] = [
        of_bytes, of_header, of_arrays]

    def __init__(self, folder: Path) -> None:
        self.learn, self.path = self.made(folder)
        self.honest, self.snapshot = self.path.read_bytes(), Snapshot(self.learn)

    def made(self, folder: Path) -> tuple[Learner, Path]:
        learn = fit_quietly(three_groups(.3, path=folder), 1, 1e-2)
        path = learn.save("mutant", return_path=True)
        return fit_quietly(learn, 1, 1e-2), path  # what is loaded would change it

    def load(self) -> None:
        self.learn.load("mutant")

    def state(self) -> Any:
        recorder = self.learn.recorder
        return (frozen_copy(self.learn), id(self.learn.opt), recorder.lrs, len(recorder.losses),
                random_state(generators(self.learn)))

    def loaded(self) -> list[np.ndarray[Any, Any]]:
        """Return what must be finite."""
        learn = self.learn
        return [*learn.model.state_dict().values(), *learn.optimizer.state_dict().values()]

    def go_on(self) -> None:
        """Train, then put the learner back."""
        fit_quietly(self.learn, 1, 1e-3)
        self.snapshot.restore(self.learn)


class Ratings(Subject):
    def made(self, folder: Path) -> tuple[Learner, Path]:
        learn = collab_learner(ratings_data(), use_nn=True, layers=[4], seed=0, path=folder)
        fit_quietly(learn, 1, 1e-2)
        path = learn.save("mutant", return_path=True)
        return fit_quietly(learn, 1, 1e-2), path


class Fit(Subject):
    """A saved fit: read and checked, then restored."""

    mutations: ClassVar[Any] = [*Subject.mutations, of_json]

    def made(self, folder: Path) -> tuple[Learner, Path]:
        learn = three_groups(.3, path=folder)
        self.saver = CheckpointCallback(learn, every=3, unit="batch", name="mutant")
        fit_quietly(learn, 1, 1e-2, callbacks=[self.saver])
        path, self.description = self.saver.path, self.saver.fit
        return fit_quietly(learn, 1, 1e-2), path

    def load(self) -> None:
        saved = SavedFit(self.path, self.learn, self.saver.callbacks, self.description)
        with self.learn.no_logging():
            saved.restore(self.saver.smoothener)


class Exported(Subject):
    """An exported learner; the learner here cannot change, the one made there has to be finite."""

    mutations: ClassVar[Any] = [*Subject.mutations, of_json]

    def made(self, folder: Path) -> tuple[Learner, Path]:
        learn = collab_learner(ratings_data(), use_nn=True, layers=[4], seed=0, path=folder)
        fit_quietly(learn, 1, 1e-2)
        learn.export("mutant.safetensors")
        return learn, folder / "mutant.safetensors"

    def load(self) -> None:
        self.there = load_learner(self.path.parent, self.path.name)

    def loaded(self) -> list[np.ndarray[Any, Any]]:
        return [*self.there.model.state_dict().values()]

    def go_on(self) -> None:
        pass


SUBJECTS = {"checkpoint": Subject, "ratings": Ratings, "fit": Fit, "export": Exported}


# ---------------------------------------------------------------- the experiment


def peak_memory(subject: Subject) -> int:
    """Return the bytes that are allocated at most while the file is loaded."""
    tracemalloc.start()
    with warnings.catch_warnings(), suppress(CheckpointError):
        warnings.simplefilter("ignore")
        subject.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def attempt(subject: Subject, content: bytes) -> str:
    """Load one mutant and say what came of it; all words but two of them are faults."""
    subject.path.write_bytes(content)
    before = subject.state()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            subject.load()
        except CheckpointError:
            return "refused" if subject.state() == before else "CHANGED BY A REFUSED FILE"
        except Exception as error:
            return f"UNDOCUMENTED {type(error).__name__}: {error}"
        if not all(np.isfinite(array).all() for array in subject.loaded()) and not said:
            return "NOT FINITE"
        try:
            subject.go_on()
        except Exception as error:
            return f"TRAINING STOPS AFTERWARDS {type(error).__name__}: {error}"
    return "loaded"


def fuzz(kind: str, n: int, seed: int, folder: Path) -> Counter[str]:
    """Return how many of n mutants of a kind came to what end."""
    subject, found = SUBJECTS[kind](folder / kind), Counter[str]()
    honest = peak_memory(subject)
    subject.snapshot.restore(subject.learn)
    for i in range(n):
        rng = random.Random(f"{seed} {i}")
        mutation = rng.choice(subject.mutations)
        content = mutation(subject.honest, rng)
        if mutation is of_header and i % 10 == 0:
            subject.path.write_bytes(content)
            found[f"MEMORY (mutant {i})"] += peak_memory(subject) > 2 * honest
            subject.snapshot.restore(subject.learn)
        end = attempt(subject, content)
        found[end if end.islower() else f"{end} (mutant {i})"] += 1
        if not end.islower():
            subject.snapshot.restore(subject.learn)
    return +found


def main(options: list[str]) -> int:
    """Print the figures, and return whether there is a fault among them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=400, help="mutants of each kind")
    parser.add_argument("--kind", choices=SUBJECTS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(options)
    faults, durable.sync = 0, lambda path: None  # thousands of files that need not last
    for kind in args.kind or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(kind, args.n, args.seed, Path(folder))
        faults += sum(count for end, count in found.items() if not end.islower())
        print(f"{kind}: {dict(found.most_common(20))}")
    print(f"faults: {faults}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
