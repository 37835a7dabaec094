"""Standard output and standard error, which may be a pipe that nobody reads, a full disk, or closed."""

import contextlib
import os
import sys


def show(text: str) -> OSError | None:
    """Print a text on standard output; return what went wrong."""
    try:
        print(text, flush=True)
    except OSError as failure:
        # What is still in the buffer would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failure
    return None


def say(text: str) -> None:
    """Print a line on standard error, or nowhere if that cannot be written to."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
