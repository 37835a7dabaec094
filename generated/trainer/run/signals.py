"""Ctrl-C and SIGTERM: work may be interrupted by them, and what is written afterwards may not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self, TypeVar

Found = TypeVar("Found")


class Signals:
    """Catches SIGINT and SIGTERM in a `with` block; they raise KeyboardInterrupt in `interruptible` work alone."""

    def __init__(self) -> None:
        """Set it up; nothing is caught yet."""
        self.received: int | None = None
        """The first signal that came, if one did."""
        self._raises = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Catch both, but leave one alone that the system was told to ignore, as under nohup."""
        if threading.current_thread() is threading.main_thread():  # only there Python hears of signals
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave them to whom they were left before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def interruptible(self, work: Callable[[], Found]) -> Found | None:
        """Do something that a signal interrupts, once; return what it returns, or None if it was interrupted."""
        try:
            self._raises = True
            found = work()
            self._raises = False
            return found
        except KeyboardInterrupt:
            return None
        finally:
            self._raises = False

    def uninterrupted(self, work: Callable[[Found], None]) -> Callable[[Found], None]:
        """Return a part of interruptible work that a signal interrupts only after its end."""

        def whole(argument: Found) -> None:
            self._raises = False
            work(argument)
            self._raises = self.received is None
            if not self._raises:
                raise KeyboardInterrupt

        return whole

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, and interrupt if that is allowed."""
        if self.received is None:
            self.received = number
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
