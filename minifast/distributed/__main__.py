"""Run a program on several ranks: ``python -m minifast.distributed -n 4 program.py ...``."""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .communicator import RANKS

ENDED = re.compile(rb"PID (\d+) .*?EXIT CODE: (\d+)", re.S)
"""How MPICH's mpiexec reports a process that was killed."""
RUN = "from minifast.distributed import world; world(); import mpi4py.run; mpi4py.run.main()"
"""What each rank runs: mpi4py's runner, which ends all ranks if one ends with an error."""
NO_MPIEXEC = "mpiexec is neither next to this Python nor in PATH; install it with: " \
             "pip install 'minifast[mpi]'"
NO_PROGRAM = "give a number of ranks above 0 and a program: " \
             "python -m minifast.distributed -n 4 program.py"


def main(args: Sequence[str] | None = None) -> int:
    """Run a program on several ranks with mpiexec and this Python.

    Each rank has one thread, unless ``OMP_NUM_THREADS`` says otherwise.

    Parameters
    ----------
    args : sequence of str, optional
        The command line; by default, that of this process.

    Returns
    -------
    int
        The exit status of mpiexec; 2 if mpiexec is missing or the command line is incomplete.
    """
    parser = argparse.ArgumentParser("python -m minifast.distributed",
                                     usage="%(prog)s [-n N] program.py [argument ...]",
                                     description="Run a program on N ranks with mpiexec.")
    parser.add_argument("-n", type=int, default=2, help="number of ranks (default: 2)")
    given = list(sys.argv[1:] if args is None else args)
    ours = 2 if given[:1] == ["-n"] else int(given[:1] in (["-h"], ["--help"]))
    n, program = parser.parse_args(given[:ours]).n, given[ours:]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None or not program or n < 1:
        print(f"minifast: {NO_PROGRAM if mpiexec else NO_MPIEXEC}", file=sys.stderr)
        return 2
    with TemporaryDirectory() as folder:
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [mpiexec, "-n", str(n), sys.executable, "-c", RUN, *program]
        status, end = run(command, {**threads, **os.environ, RANKS: folder})
        if status and (found := ENDED.search(end)):
            print(f"minifast: {cause(found, Path(folder), n)}", file=sys.stderr)
    return status


def run(command: Sequence[str], env: dict[str, str]) -> tuple[int, bytes]:
    """Run a command and pass on what it prints.

    Any exception, also one from a signal, ends the command.

    Parameters
    ----------
    command : sequence of str
        The command.
    env : dict of str to str
        The environment variables of the command.

    Returns
    -------
    status : int
        Its exit status.
    end : bytes
        The last bytes that it printed to standard output.
    """
    end = b""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        output: Any = process.stdout
        try:
            while some := os.read(output.fileno(), 1 << 16):
                sys.stdout.buffer.write(some)
                sys.stdout.buffer.flush()
                end = (end + some)[-4096:]
        except BrokenPipeError:  # the reader has ended, such as head
            process.terminate()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except BaseException:  # then the context manager waits for the end
            process.terminate()
            raise
    return process.returncode, end


def cause(found: "re.Match[bytes]", folder: Path, n: int) -> str:
    """Return a message about the process that was killed or has failed.

    Parameters
    ----------
    found : Match
        Its process number and its exit code, as mpiexec reports them.
    folder : Path
        The folder with a file for each process; the file contains its rank.
    n : int
        The number of ranks.

    Returns
    -------
    str
        The sentence.
    """
    pid, code = (int(number) for number in found.groups())
    note = folder / str(pid)
    rank = note.read_text(encoding="utf-8") if note.is_file() else "?"
    why = f"was killed by {signal.Signals(code).name}" \
        if code in set(signal.Signals) else f"ended with exit code {code}"
    return f"rank {rank} of {n} (process {pid}) {why}, so all ranks have ended. Saved " \
           "checkpoints are complete, and resume=True continues from the last one."


def leave(number: int, frame: object) -> None:
    """Exit with a shell's status for a program that a signal ended; a signal handler.

    Parameters
    ----------
    number : int
        The signal.
    frame : object
        The frame that it interrupted; not used.

    Raises
    ------
    SystemExit
        Always.
    """
    sys.exit(128 + number)


if __name__ == "__main__":
    for name in {"SIGTERM", "SIGHUP"} & set(signal.Signals.__members__):  # Windows has no SIGHUP
        signal.signal(signal.Signals[name], leave)
    signal.signal(signal.SIGINT, lambda *_: None)  # the ranks also get Ctrl-C, and say so
    sys.exit(main())
