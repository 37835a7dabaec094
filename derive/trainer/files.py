"""Writing files so that at every moment there is the old one or the new one, whole."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .errors import InputError


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file, or leave what is there as it was.

    Args:
        path: The file; it is replaced if it exists.
        write: Writes the content to a stream of bytes.

    Raises:
        OSError: The file could not be written.
    """
    path = path.resolve()  # replace what a link points to, not the link
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened; the file is whole all the same
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def resolved(option: str, path: Path) -> Path:
    """Return the absolute path of a file that may be missing, without links.

    Args:
        option: The option that names it, for the message.
        path: The file.

    Raises:
        InputError: There can be no such file: its name is too long or holds NUL, links lead in a circle, or a folder
            may not be entered.
    """
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
        return path.resolve()
    except OSError as error:
        why = error.strerror
    except RuntimeError:  # from `resolve`, before Python 3.13
        why = "its links lead in a circle"
    except ValueError:
        why = "its name holds NUL"
    raise InputError(f"{option} {path} cannot be used: {why}: name another file")


def check_writable(option: str, path: Path) -> None:
    """Make sure before training that a file can be written after it.

    Args:
        option: The option that names it, for the message.
        path: The file.

    Raises:
        InputError: The path is a folder or a device, its folder is missing or read-only, or no file can be there.
    """
    target = resolved(option, path)
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder: name a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{option} {path} is not a regular file: name another one")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{option} {path} is read-only: name another file, or make it writable")
    if not target.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}: create it first")
    temporary = _temporary(target)
    try:  # the one sure test is to write there
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written: {error.strerror}: name a file elsewhere") from None


def _temporary(path: Path) -> Path:
    """Name a file in the same folder, from which os.replace is a single step; a killed run's is used again."""
    return path.with_name(f".{path.name}.part")
