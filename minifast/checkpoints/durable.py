"""Files that survive a kill: written whole, waited for, and no left-overs."""
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp


def write(path: Path, content: bytes) -> None:
    """Replace a file by new content, in one step, and wait until it is on the disk.

    If the process is killed meanwhile, or the disk is full, the old file is still there. What a
    killed process has left in the folder is removed by the next call.

    Parameters
    ----------
    path : Path
        The file. Its folder exists.
    content : bytes
        What it is to hold.

    Raises
    ------
    OSError
        If it cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder, "file"), b"new")
    ...     Path(folder, "file").read_bytes()
    b'new'
    """
    with temporary_folder(path.parent, ".saving-") as folder:
        part = folder / path.name
        part.write_bytes(content)
        sync(part)
        os.replace(part, path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the list of the files in a folder, is on the disk.

    Only on POSIX systems; elsewhere nothing is done.
    """
    if os.name == "posix":
        with ExitStack() as stack:
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            os.fsync(descriptor)


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that is gone at the end, or at the next call if the process is killed.

    A living process holds a lock on its folder, so a folder without a lock is left over. Where
    folders cannot be locked, as on Windows, left-over ones stay.

    Parameters
    ----------
    parent : Path
        Where to make it; this folder is made too if it is not there.
    prefix : str
        How its name begins. Nothing else in `parent` may have a name that begins so.

    Yields
    ------
    Path
        The folder.

    Examples
    --------
    >>> from tempfile import gettempdir
    >>> with temporary_folder(Path(gettempdir(), "minifast-example"), ".saving-") as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(parent, wait=True):  # nobody else cleans up until the new folder is locked
            for left in parent.glob(f"{prefix}*"):
                with _locked(left) as unused:
                    if unused:
                        rmtree(left, ignore_errors=True)
            folder = Path(mkdtemp(dir=parent, prefix=prefix))
            stack.callback(rmtree, folder, ignore_errors=True)
            stack.enter_context(_locked(folder))
        yield folder


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a folder if possible, and yield whether it is held."""
    with ExitStack() as stack:
        try:
            import fcntl  # not on Windows
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except (ImportError, OSError):
            held = False
        yield held
