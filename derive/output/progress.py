"""Says what a cell is at that takes long, on standard error.

| stream    | shown after ten seconds                          |
|-----------|--------------------------------------------------|
| terminal  | one line, rewritten every second, erased at the end |
| log, pipe | a line every ten seconds                         |
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from typing import Self, TextIO

PATIENCE = 10.0
"""For how many seconds nothing is said, and how long a plain line has to do."""
REWRITE = 1.0
"""How many seconds a line on a terminal stays."""


class Progress:
    """What a cell is at, shown from a thread of its own, so that one long step is named while it lasts.

    Several processes may share a terminal: each writes over the line of the other.

    Args:
        name: The cell's.
        stream: Where to show it; None, which Python has in place of a closed one, for nowhere.
        wait: Waits for so many seconds, or until all is done; whether it is. The clock, but for tests.
    """

    def __init__(self, name: str, stream: TextIO | None, wait: Callable[[float], bool] | None = None) -> None:
        self._name = name
        self._stream = stream
        self._done = threading.Event()
        self._wait = wait or self._done.wait
        self._at = ""
        self._width = 0
        self._thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> Self:
        """Begins to wait."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Ends it, and leaves a clean line on a terminal."""
        self._done.set()
        self._thread.join()
        self._write("\r" + " " * self._width + "\r" if self._width else "")

    def __call__(self, what: str) -> None:
        """Notes what comes next; see `Report`."""
        self._at = what

    def watch(self) -> None:
        """Shows what it is at, again and again, until all is done."""
        on_terminal = self._stream is not None and self._stream.isatty()
        pause = PATIENCE
        while not self._wait(pause):
            line = f"{self._name}: {self._at} …"
            if on_terminal:
                pause = REWRITE
                self._width = shutil.get_terminal_size().columns - 1  # a full last column would wrap
                self._write("\r" + line[: self._width].ljust(self._width))
            else:
                self._write(line + "\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
