"""Numbers as a reader likes them."""

from __future__ import annotations


def seconds(value: float) -> str:
    """In the unit that suits: 2.5 µs, 13 ms, 4.1 s."""
    unit, scale = ("s", 1.0) if value >= 1 else ("ms", 1e-3) if value >= 1e-4 else ("µs", 1e-6)
    return f"{significant(value / scale)} {unit}"


def significant(value: float) -> str:
    """Two digits below a hundred, whole numbers above."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
