"""Start a program on several ranks: ``python -m minifast.distributed -n 4 program.py ...``."""
import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(args: list[str] | None = None) -> int:
    """Run ``mpiexec`` with this Python.

    Parameters
    ----------
    args : list of str, optional
        The command line, by default that of the process.

    Returns
    -------
    int
        The exit status of mpiexec; 2 if there is none.
    """
    parser = argparse.ArgumentParser(prog="python -m minifast.distributed", description=main.__doc__)
    parser.add_argument("-n", type=int, default=2, help="number of ranks (default: 2)")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="a program and its arguments")
    options = parser.parse_args(args)
    beside = str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if mpiexec is None or not options.program or options.n < 1:
        print("minifast: there is no mpiexec beside this Python or in PATH; install one with: "
              "pip install 'minifast[mpi]'" if mpiexec is None else
              "minifast: give the number of ranks and a program: python -m minifast.distributed "
              "-n 4 program.py", file=sys.stderr)
        return 2
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([mpiexec, "-n", str(options.n), sys.executable, *options.program],
                          env={**threads, **os.environ}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
