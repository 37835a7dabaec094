"""How a long calculation says what it is at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Report: TypeAlias = Callable[[str], None]
"""Told, in a few words, what comes next: `proving equation 40 of 153`."""


def silent(what: str) -> None:
    """The report that nobody reads."""
