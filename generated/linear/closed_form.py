"""The linear network that counts ones: its loss and its gradient in one pass over the data, by the closed form.

Written by `make derive` from the description of the cell `linear`.
The derivation beside this file proves the closed form: the number behind a line is that of its equation there.

The functions take what those of `network.py` take and return the same, within rounding. X is read once, in blocks that
fit the cache; it may be a memory-mapped file. No array beside it is as large.
Where a power of the factor overflows, the result does, even where the inputs there are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .network import Parameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .network import Array, Number

BLOCK_BYTES = 600_000
"""How much of X is read at a time. It has to fit the cache from which a core reads it again for every sum."""
CHUNK = 8192
"""How many sequences the loss and the gradient are added up for at a time."""


def loss(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Number:
    """The loss on the data; see `value_and_gradient`."""
    return value_and_gradient(parameters, X, t)[0]


def value_and_gradient(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.

    Raises:
        ValueError: X or t has another shape.
    """
    Wx, Wrec = parameters
    sequences, targets, dtype = as_data(X, t, parameters)
    N, T = sequences.shape
    factors = np.zeros((2, T), dtype)
    j = np.arange(1, T + 1)
    factors[0, j - 1] = power(Wrec, T - j)  # (62)
    j = np.arange(1, T)
    factors[1, j - 1] = (T - j) * power(Wrec, T - j - 1)  # (63)
    value: Number = 0
    gradient_Wx = 0
    gradient_Wrec = 0
    for first in range(0, N, CHUNK):
        u, v = sums_over_time(sequences[first : first + CHUNK], factors)
        t = targets[first : first + CHUNK].astype(dtype, copy=False)
        s_T = Wx * u  # (64)
        delta_T = 2 / N * (s_T - t)  # (25)
        value += 1 / N * np.sum((s_T - t) ** 2)  # (3)
        gradient_Wx += delta_T @ u  # (65)
        gradient_Wrec += Wx * (delta_T @ v)  # (66)
    return value, Parameters(gradient_Wx, gradient_Wrec)


def sums_over_time(sequences: Array, factors: Array) -> Array:
    """Σ_j f(j) x_j of every sequence, for each row f of factors.

    Returns:
        One row for each of theirs, one number a sequence.
    """
    N, T = sequences.shape
    sums = np.empty((len(factors), N), factors.dtype)
    rows = max(1, BLOCK_BYTES // (T * factors.itemsize))
    for first in range(0, N, rows):
        block = sequences[first : first + rows]
        if block.dtype != factors.dtype:
            block = block.astype(factors.dtype)
        # One product of the block with all factors would take longer: BLAS copies a block before such a product.
        for row, total in zip(factors, sums, strict=True):
            block.dot(row, total[first : first + rows])
    return sums


def power(base: Number, exponents: Array) -> Array:
    """The powers of a number with exponents from 0 up, by repeated multiplication, which complex steps survive."""
    powers = np.full(np.max(exponents, initial=0) + 1, base, np.result_type(base, np.float64))
    powers[0] = 1
    table: Array = np.multiply.accumulate(powers)
    return table[exponents]


def as_data(X: ArrayLike, t: ArrayLike, parameters: Parameters) -> tuple[Array, Array, np.dtype[Any]]:
    """The sequences and targets as they are, and the floating point to compute with: complex where a parameter is."""
    sequences, targets = np.asarray(X), np.asarray(t)
    for name, array in (("X", sequences), ("t", targets)):
        if array.dtype.kind not in "biufc":
            raise ValueError(f"{name} holds numbers; its dtype is {array.dtype}")
    if sequences.ndim != 2 or sequences.size == 0:
        raise ValueError(f"X holds N sequences of T steps, N × T; its shape is {sequences.shape}")
    if targets.shape != sequences.shape[:1]:
        raise ValueError(f"t holds one target a sequence, {len(sequences)} of them; its shape is {targets.shape}")
    floating = sequences.dtype if sequences.dtype.kind in "fc" else np.dtype(np.float64)
    return sequences, targets, np.result_type(floating, *parameters)
