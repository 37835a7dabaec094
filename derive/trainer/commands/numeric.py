"""Numeric gradients, entry by entry, and what rounding can do to an analytic one."""

import math
import warnings
from typing import Any

import numpy as np

from ..data.sequences import Group, Sequences
from ..errors import InputError
from ..run.first_order import value_and_gradient
from .at_weights import AtWeights

COMPLEX_STEP = 1e-30
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""Of central differences, relative to a weight above 1."""
EPSILON = float(np.finfo(np.float64).eps)
DISTURBANCES, DISTURBANCE = 8, 2.0**-20
ROUNDINGS = 16
"""How many roundings in a row a step is reckoned at."""


def bounds_of_rounding(at: AtWeights, value: float, gradient: Any) -> Any:
    """Bound what rounding can do to each entry of the gradient.

    A rounding changes a number by a part EPSILON of it, as if what it was computed from had been another. So weights
    and inputs are changed at random by a part DISTURBANCE; what this moves an entry by, in proportion, is what one
    rounding of each number can. T steps have ROUNDINGS times T of them in a row. What is lost where numbers within the
    network cancel, as in 1 - tanh² of a large number, no change of the weights shows: so a rounding of the loss counts,
    too, as what a change of the weight by its own size would be to blame for.

    Args:
        at: What is looked at.
        value: The loss.
        gradient: Its gradient, Parameters.

    Returns:
        Parameters.

    Raises:
        InputError: With so changed weights the loss overflows.
    """
    random = np.random.default_rng(at.seed)
    moved = [np.zeros(np.shape(leaf)) for leaf in gradient]
    for _ in range(DISTURBANCES):
        weights = at.weights._make(
            leaf + DISTURBANCE * random.choice([-1, 1], np.shape(leaf)) * np.maximum(np.abs(leaf), 1)
            for leaf in at.weights
        )
        data = Sequences(
            *(Group(X * (1 + DISTURBANCE * random.choice([-1, 1], X.shape)), t) for X, t in at.data.groups)
        )
        close, other = value_and_gradient(at.network, weights, data)
        if not math.isfinite(close):
            raise InputError(f"{at.cell}: the loss overflows close to these weights: choose smaller ones with --init")
        moved = [np.maximum(far, np.abs(new - old)) for far, new, old in zip(moved, other, gradient, strict=True)]
    roundings = ROUNDINGS * max(at.data.lengths) * EPSILON
    return at.weights._make(
        roundings * (far / DISTURBANCE + np.abs(slope) + abs(value) / np.maximum(np.abs(leaf), 1))
        for far, slope, leaf in zip(moved, gradient, at.weights, strict=True)
    )


def complex_step(at: AtWeights, weight: str, place: tuple[int, ...]) -> float:
    """Differentiate the loss numerically, along the imaginary axis."""
    return float(np.imag(_loss(at, weight, place, 1j * COMPLEX_STEP)) / COMPLEX_STEP)


def takes_complex_weights(at: AtWeights) -> bool:
    """Tell whether the network hands an imaginary part on to its loss."""
    weight = at.weights._fields[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy only warns where an imaginary part is dropped
        try:
            return np.iscomplexobj(_loss(at, weight, (0,) * np.ndim(getattr(at.weights, weight)), 1j * COMPLEX_STEP))
        except (TypeError, ValueError, np.exceptions.ComplexWarning):
            return False


def central_difference(at: AtWeights, weight: str, place: tuple[int, ...]) -> tuple[float, float]:
    """Differentiate the loss numerically, by central differences of several step sizes.

    Returns:
        The best of them, which differs least from both its neighbours, and by how much it does.
    """
    scale = max(1.0, abs(float(np.asarray(getattr(at.weights, weight))[place])))
    differences = []
    for step in STEPS:
        h = scale * step
        rise = _loss(at, weight, place, h) - _loss(at, weight, place, -h)
        differences.append(float(rise) / (2 * h))
    spreads = [
        max(abs(differences[i] - differences[i - 1]), abs(differences[i] - differences[i + 1]))
        for i in range(1, len(STEPS) - 1)
    ]
    best = min(range(len(spreads)), key=lambda i: spreads[i] if math.isfinite(spreads[i]) else math.inf)
    return differences[best + 1], spreads[best]


def _loss(at: AtWeights, weight: str, place: tuple[int, ...], change: complex) -> Any:
    """Return the loss after an entry of a weight was changed."""
    leaf = getattr(at.weights, weight)
    moved = np.array(leaf, dtype=np.result_type(np.float64, type(change)))
    moved[place] += change
    weights = at.weights._replace(**{weight: moved if np.ndim(leaf) else moved.item()})
    return sum(share * at.network.loss(weights, *group) for group, share in at.data.shares())
