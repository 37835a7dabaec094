"""One update of the weights, by any method."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .protocols import Method, Network

Memory: TypeAlias = tuple[tuple[Any, ...], ...]
"""What a method keeps from one update to the next: for each weight some numbers, or arrays of its shape."""


def first_memory(start: NamedTuple, method: Method | None) -> Memory:
    """Return what a method keeps before the first update."""
    return tuple((0.0,) * (method.state if method else 0) for _ in start)


def move(
    network: Network, method: Method | None, parameters: Any, gradient: Any, learning_rates: Any, memory: Memory
) -> tuple[Any, Memory]:
    """Update every weight; return the parameters and what the method keeps of each."""
    if method is None:
        return network.descend(parameters, gradient, learning_rates), memory
    moved = [
        method.update(*leaves, *kept)
        for *leaves, kept in zip(parameters, gradient, learning_rates, memory, strict=True)
    ]
    return parameters._make(weight for weight, *_ in moved), tuple(tuple(kept) for _, *kept in moved)


def largest_entry(gradient: NamedTuple) -> float:
    """Return the largest absolute value of any entry of the gradient."""
    return max(float(np.max(np.abs(leaf))) for leaf in gradient)
