"""Showing how far a command has come, on a terminal or in a log.

stream      shown
terminal    one line, rewritten at most ten times a second and erased at the end
log, pipe   a plain line at epochs 0, 1, 2, 5, 10, 20, 50, …, and at the last
None        nothing; it is what Python has in place of a stream that was closed before it started
"""

import shutil
import time
from collections.abc import Callable
from typing import Self, TextIO

from .printing import on_terminal

REWRITE_SECONDS = 0.1


class Progress:
    """The progress display, called inside a `with` block whenever something more is done: as a rule, an epoch.

    A stream that can no longer be written to ends the display, never what it shows.
    """

    def __init__(self, total: int, stream: TextIO | None, describe: Callable[..., str] | None = None) -> None:
        """Set the display up.

        Args:
            total: How much there is to do.
            stream: Where to show it, as a rule sys.stderr.
            describe: From what the display is called with to its line; of an epoch and its loss unless given.
        """
        self._total = total
        self._stream = stream
        self._describe = describe or self._epoch
        self._terminal = on_terminal(stream)
        self._next_number = 0
        self._next_time = 0.0

    def __enter__(self) -> Self:
        """Return the display itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Erase the line on the terminal, so that what follows starts on a clean one."""
        if self._terminal:
            self._write("\r" + " " * self._width() + "\r")

    def __call__(self, done: int, *facts: float) -> None:
        """Show how much is done, and what else there is to say of it, if a line is due."""
        if self._terminal:
            now = time.monotonic()
            if now >= self._next_time:
                self._next_time = now + REWRITE_SECONDS
                width = self._width()
                self._write("\r" + self._describe(done, *facts)[:width].ljust(width))
        elif done >= self._next_number or done == self._total:
            self._next_number = next_round_number(done)
            self._write(self._describe(done, *facts) + "\n")

    def _epoch(self, epoch: int, loss: float) -> str:
        return f"epoch {epoch} of {self._total}, loss {loss:.6g}"

    @staticmethod
    def _width() -> int:
        return shutil.get_terminal_size().columns - 1  # a full last column would wrap

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            self._stream = None


def next_round_number(number: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … above another number."""
    power = 1
    while 10 * power <= number:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power > number)
