"""What commands say, as tests compare it."""

from __future__ import annotations


def without_progress(said: str) -> str:
    """What another process said on standard error, but for the lines that a slow machine adds."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.endswith(" …\n"))
