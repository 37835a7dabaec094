"""Standard output, which may be a pipe that nobody reads or a full disk."""

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
