"""Unpacking zip archives that are checked before anything is written."""
import stat
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

ENTRY = 46
"""The smallest size in bytes of a member's entry in the archive's directory."""
LONGEST = 100
"""The maximum length of a name with its folders; some systems limit whole paths to 260."""
BROKEN = (ValueError, RuntimeError, EOFError, KeyError, IndexError, OverflowError, struct.error,
          zlib.error)
"""The errors other than BadZipFile that zipfile raises for broken archives."""


def unpack(file: Path, into: Path, folder: str, most: int) -> None:
    """Unpack a zip archive that holds one folder.

    All members are checked before the first one is written.

    Parameters
    ----------
    file : Path
        The archive.
    into : Path
        The place for the folder.
    folder : str
        The name of the folder.
    most : int
        The maximum size in bytes of the unpacked files.

    Raises
    ------
    BadZipFile
        If the archive is damaged, encrypted, or would unpack to more than `most` bytes; if a member
        lies outside the folder, is neither a file nor a folder, or has the name of another one.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp:
    ...     with ZipFile(Path(tmp, "a.zip"), "w") as archive:
    ...         archive.writestr("../evil", "")
    ...     unpack(Path(tmp, "a.zip"), Path(tmp, "new"), "good", 1000)
    Traceback (most recent call last):
    zipfile.BadZipFile: a.zip: '../evil' lies outside 'good'
    """
    try:
        with ZipFile(file) as archive:
            if wrong := fault(archive.infolist(), folder, most):
                raise BadZipFile(wrong)
            archive.extractall(path=into)
    except (BadZipFile, *BROKEN) as error:
        raise BadZipFile(f"{file.name}: {str(error) or type(error).__name__}") from error


def fault(members: Sequence[ZipInfo], folder: str, most: int) -> str:
    """Return why an archive with these members is refused; an empty string if it is not.

    Parameters
    ----------
    members : sequence of ZipInfo
        The members of the archive.
    folder : str
        The folder that must contain all of them.
    most : int
        The maximum size in bytes of the unpacked files.

    Returns
    -------
    str
        The reason.

    Examples
    --------
    >>> fault([ZipInfo("good/a"), ZipInfo("good/A")], "good", 1000)
    "two members have the name 'good/A'"
    """
    names: set[str] = set()
    for member in members:
        if wrong := _fault(member, folder):
            return wrong
        path = str(PurePosixPath(member.filename)).casefold()  # as on Windows and macOS
        if path in names:
            return f"two members have the name {member.filename!r}"
        names.add(path)
    size = sum(member.file_size + ENTRY for member in members)
    return f"{len(members)} members of {size} bytes are more than the data set can be, {most}" \
        if size > most else ""


def _fault(member: ZipInfo, folder: str) -> str:
    """Return what is wrong with one member."""
    name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
    if name != member.orig_filename or len(name) > LONGEST or set(name) & set("\\:"):
        return f"{member.orig_filename!r} is a name that not all systems allow"
    if name.rstrip("/").split("/") != [*PurePosixPath(name).parts] or ".." in name.split("/") \
            or not name.startswith(f"{folder}/"):
        return f"{name!r} lies outside {folder!r}"
    if kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
        return f"{name!r} is neither a file nor a folder"
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return f"{name!r} is compressed with a method other than deflate"
    return f"{name!r} is encrypted" if member.flag_bits & 1 else ""
