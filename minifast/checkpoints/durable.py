"""Files that survive a killed process: replaced in one step, flushed to disk, no leftovers."""
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file in one step, and flush it to disk.

    If the process is killed meanwhile, or the disk is full, the old file is still there. The next
    call removes what a killed process left in the folder.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        The new content.

    Raises
    ------
    OSError
        If the file cannot be written.

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
    """Flush a file, or the entries of a folder, to disk; do nothing if the system is not POSIX.

    Parameters
    ----------
    path : Path
        The file or folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     sync(Path(folder))
    """
    if os.name == "posix":
        with ExitStack() as stack:
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            os.fsync(descriptor)


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that is removed at the end, or by the next call if the process is killed.

    A running process holds a lock on its folder, so a folder without a lock is a leftover. Where
    folders cannot be locked, as on Windows, leftovers stay.

    Parameters
    ----------
    parent : Path
        The enclosing folder, which is created if it does not exist.
    prefix : str
        The beginning of the name. No other names in `parent` may begin with it.

    Yields
    ------
    Path
        The new folder.

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
    """Lock a folder if possible, and yield whether the lock is held."""
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
