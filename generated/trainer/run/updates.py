"""One update of the weights, by any method, and what may be done to the gradient before it."""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..cells import method_module
from .protocols import Method, Network

Memory: TypeAlias = tuple[tuple[Any, ...], ...]
"""What a method keeps from one update to the next: for each weight some numbers, or arrays of its shape."""


def first_memory(start: NamedTuple, learning_rates: NamedTuple, method: Method | None) -> Memory:
    """Return what a method keeps before the first update."""
    return tuple(method.start(*leaves) if method else () for leaves in zip(start, learning_rates, strict=True))


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


def clip(gradient: Any, bound: float) -> Any:
    """Shorten a gradient whose norm is larger than `bound`; its direction stays.

    Args:
        gradient: Parameters, all finite.
        bound: The largest norm that is left as it is, more than 0.

    Returns:
        The gradient, as Parameters of the same types.
    """
    length = norm(gradient)
    clip_leaf = method_module("update_rules").clip
    return gradient._make(clip_leaf(leaf, length, bound) for leaf in gradient)


def norm(gradient: NamedTuple) -> float:
    """Return the Euclidean norm of a gradient: over all entries of all weights together."""
    largest = largest_entry(gradient)
    if largest == 0:
        return 0.0
    # Divided by the largest entry no square overflows, as that of an exploding gradient could.
    return largest * math.sqrt(sum(float(np.sum((leaf / largest) ** 2)) for leaf in gradient))


def largest_entry(gradient: NamedTuple) -> float:
    """Return the largest absolute value of any entry of the gradient; NaN if one of them is NaN."""
    largest = 0.0
    for leaf in gradient:
        # NumPy is slow on single numbers, and a run over two weights has many epochs.
        entry = abs(leaf) if isinstance(leaf, float) else float(np.max(np.abs(leaf)))
        if entry > largest or math.isnan(entry):  # nothing is larger than NaN, so that stays
            largest = entry
    return largest


def all_finite(*leaves: Any) -> bool:
    """Tell whether neither a number nor an entry of an array is NaN or infinite."""
    return all(math.isfinite(leaf) if isinstance(leaf, float) else np.all(np.isfinite(leaf)) for leaf in leaves)
