"""Opening the files that the user names, with one line about those that cannot be read."""

from io import BufferedReader
from pathlib import Path

from ..errors import InputError


def open_bytes(path: Path) -> BufferedReader:
    """Open a file that is not empty.

    Raises:
        InputError: The file is missing, a folder, not readable or empty.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check its name and folder") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: name a file in it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}: name another file") from None
    except ValueError:
        raise InputError(f"{path} cannot be read: its name holds NUL: name another file") from None
    if not file.peek(1):
        file.close()
        raise InputError(_is_empty(path))
    return file


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        InputError: The file is missing, a folder, not readable or empty.
    """
    with open_bytes(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}: name another file") from None


def read_text(path: Path) -> str:
    """Return the text in a file, each line ended by a newline alone.

    Raises:
        InputError: The file is missing, a folder, not readable, empty or not in UTF-8.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 without its mark decodes as UTF-8, but every other character is NUL
        raise InputError(f"{path} is not UTF-8 text (is it UTF-16?): save it in UTF-8")
    if not text:  # but for the mark
        raise InputError(_is_empty(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_empty(path: Path) -> str:
    return f"{path} is empty: name a file that holds data"
