"""Standard output and standard error, which may be closed, a pipe that nobody reads or a full disk."""

import contextlib
import errno
import os
import sys
from typing import TextIO


def show(text: str) -> OSError | None:
    """Print a text on standard output; return what went wrong."""
    if sys.stdout is None:
        return OSError(errno.EBADF, os.strerror(errno.EBADF))
    return _print(text, sys.stdout)


def say(text: str) -> None:
    """Print a line on standard error. Where that cannot be, nobody is left to tell."""
    if sys.stderr is not None:
        _print(text, sys.stderr)


def on_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is shown on a terminal; None is one that was closed when Python started."""
    return stream is not None and not stream.closed and stream.isatty()


def _print(text: str, stream: TextIO) -> OSError | None:
    """Print a line; return what went wrong."""
    try:
        print(text, file=stream, flush=True)
    except OSError as failure:
        with contextlib.suppress(OSError):  # what is still in the buffer would fail once more when Python exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return failure
    except ValueError as failure:  # it was closed since, or its encoding lacks a character
        return OSError(errno.EBADF, str(failure))
    return None
