"""Showing how far training has come, on a terminal or in a log.

stream      shown
terminal    one line, rewritten at most ten times a second and erased at the end
log, pipe   a plain line at epochs 0, 1, 2, 5, 10, 20, 50, …, and at the last
"""

import shutil
import time
from typing import Self, TextIO

REWRITE_SECONDS = 0.1


class Progress:
    """The progress display, called once an epoch inside a `with` block.

    A stream that can no longer be written to ends the display, never the training.
    """

    def __init__(self, epochs: int, stream: TextIO) -> None:
        """Set the display up.

        Args:
            epochs: How many epochs the whole run has.
            stream: Where to show it, as a rule sys.stderr.
        """
        self._epochs = epochs
        self._stream = stream
        self._terminal = stream.isatty()
        self._next_epoch = 0
        self._next_time = 0.0
        self._broken = False

    def __enter__(self) -> Self:
        """Return the display itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Erase the line on the terminal, so that what follows starts on a clean one."""
        if self._terminal:
            self._write("\r" + " " * self._width() + "\r")

    def __call__(self, epoch: int, loss: float) -> None:
        """Show the loss after `epoch` updates, if a line is due."""
        if self._terminal:
            now = time.monotonic()
            if now >= self._next_time:
                self._next_time = now + REWRITE_SECONDS
                width = self._width()
                self._write("\r" + self._line(epoch, loss)[:width].ljust(width))
        elif epoch >= self._next_epoch or epoch == self._epochs:
            self._next_epoch = next_round_number(epoch)
            self._write(self._line(epoch, loss) + "\n")

    def _line(self, epoch: int, loss: float) -> str:
        return f"epoch {epoch} of {self._epochs}, loss {loss:.6g}"

    @staticmethod
    def _width() -> int:
        return shutil.get_terminal_size().columns - 1  # a full last column would wrap

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._broken = True


def next_round_number(epoch: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … above `epoch`."""
    power = 1
    while 10 * power <= epoch:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power > epoch)
