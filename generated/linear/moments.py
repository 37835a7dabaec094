"""The linear network that counts ones: its loss as a polynomial of the weights, from moments of the data.

Written by `make derive` from the description of the cell `linear`.
The derivation beside this file proves every line: the number behind it is that of its equation there.

    moments = Moments.of(X, t)                                  one pass over the data, once
    value, gradient = value_and_gradient(parameters, moments)   O(T), however many sequences there are

What is small is a difference of large terms here. Against arithmetic of 50 digits (T = 10 to 300, inputs 0 or 1 and
normal ones, 20 sequences), the largest relative error is:

| where                                                      | loss    | gradient |
|------------------------------------------------------------|---------|----------|
| far from the optimum, the factor from -1.05 to 1.3         | 2e-14   | 2e-14    |
| a weight 1e-4 from an exact fit                            | 3e-8    | 5e-12    |
| a weight 1e-8 from it                                      | 4       | 5e-8     |

The large ones are of the loss: it loses mean(t²) / loss of its precision. A negative factor costs the gradient up to
two digits, since the terms alternate. Long sequences and large factors cost what repeated multiplication does.
`relative_errors` estimates both; where they are too large, `closed_form.py` computes the same from the residuals.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from .network import Parameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .network import Array, Number

BLOCK_BYTES = 8_000_000
"""How much of X is read at a time, as float64."""
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Moments:
    """What the loss knows of the data. The moments of two data sets add up to those of both together.

    Attributes:
        N: The number of sequences.
        T: The number of steps.
        c: Of the inputs with themselves, 2 T - 1 numbers.
        b: Of the inputs with the targets, T numbers.
        tau: Of the targets with themselves.
    """

    N: int
    T: int
    c: Array
    b: Array
    tau: float

    @classmethod
    def of(cls, X: ArrayLike, t: ArrayLike, progress: Callable[[int, int], None] = lambda done, N: None) -> Moments:
        """Reads the data once, block by block; they may be memory-mapped and larger than memory.

        Args:
            X: The inputs, N × T, of any integer or floating-point dtype.
            t: The targets, N.
            progress: Called after each block with how many sequences are done, and how many there are.

        Raises:
            ValueError: X or t has another shape or holds no real numbers.
        """
        sequences, targets = np.asanyarray(X), np.asanyarray(t)
        if sequences.ndim != 2 or sequences.size == 0:
            raise ValueError(f"X holds N sequences of T steps, N × T; its shape is {sequences.shape}")
        N, T = sequences.shape
        if targets.shape != (N,):
            raise ValueError(f"t holds one target a sequence, {N} of them; its shape is {targets.shape}")
        for name, array in (("X", sequences), ("t", targets)):
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{name} holds real numbers; its dtype is {array.dtype}")
        products, with_targets, tau = np.zeros((T, T)), np.zeros(T), 0.0
        rows = rows_of_a_block(T)
        for first in range(0, N, rows):
            x = np.asarray(sequences[first : first + rows], np.float64)
            t = np.asarray(targets[first : first + rows], np.float64)
            products += x.T @ x
            with_targets += t @ x
            tau += t @ t  # (70)
            forget(sequences)
            forget(targets)
            progress(first + len(x), N)
        c = np.zeros((2 * T - 1,), np.float64)
        for j in range(1, T + 1):
            m = np.arange(T - j, T)
            c[m] += products[j - 1, 2 * T - j - m - 1]  # (67)
        for j in range(1, T):
            m = np.arange(T, 2 * T - j)
            c[m] += products[j - 1, 2 * T - j - m - 1]  # (68)
        b = np.zeros((T,), np.float64)
        m = np.arange(0, T)
        b[m] = with_targets[T - m - 1]  # (69)
        return cls(N, T, c, b, float(tau))

    def __add__(self, other: Moments) -> Moments:
        """The moments of both data sets together.

        Raises:
            ValueError: Their sequences differ in length.
        """
        if self.T != other.T:
            raise ValueError(f"moments add up for sequences of the same length, not of {self.T} and {other.T} steps")
        return Moments(self.N + other.N, self.T, self.c + other.c, self.b + other.b, self.tau + other.tau)

    @cached_property
    def table(self) -> Array:
        """The coefficients of C, B, C_slope, B_slope, one polynomial a row, one power a column."""
        T, c, b = self.T, self.c, self.b
        table = np.zeros((4, 2 * T - 1), np.float64)
        m = np.arange(0, 2 * T - 1)
        table[0, m] = c[m]  # (71)
        m = np.arange(0, T)
        table[1, m] = b[m]  # (72)
        m = np.arange(1, 2 * T - 1)
        table[2, m - 1] = m * c[m]  # (73)
        m = np.arange(1, T)
        table[3, m - 1] = m * b[m]  # (74)
        return table

    @cached_property
    def magnitudes(self) -> Array:
        """The table without signs."""
        return np.abs(self.table)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes them to an .npz file."""
        with open(path, "wb") as file:  # given a path, NumPy would write to another one where the ending is missing
            np.savez(file, N=self.N, T=self.T, c=self.c, b=self.b, tau=self.tau)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Moments:
        """Reads what `save` wrote."""
        with np.load(path) as saved:
            return cls(int(saved["N"]), int(saved["T"]), saved["c"], saved["b"], float(saved["tau"]))


def value_and_gradient(parameters: Parameters, moments: Moments) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        moments: Those of the data.
    """
    Wx, Wrec = map(as_number, parameters)
    N, tau = moments.N, moments.tau
    C, B, C_slope, B_slope = polynomials(moments.table, Wrec)
    value = 1 / N * (Wx * Wx * C + tau - 2 * Wx * B)  # (75)
    gradient_Wx = 1 / N * (2 * Wx * C - 2 * B)  # (76)
    gradient_Wrec = 1 / N * (Wx * Wx * C_slope - 2 * Wx * B_slope)  # (77)
    return value, Parameters(gradient_Wx, gradient_Wrec)


def loss(parameters: Parameters, moments: Moments) -> Number:
    """The loss on the data; see `value_and_gradient`."""
    return value_and_gradient(parameters, moments)[0]


def relative_errors(parameters: Parameters, moments: Moments) -> tuple[float, float]:
    """Estimates the relative rounding errors of the loss and of the gradient: of this, for its largest entry.

    Returns:
        Both; infinite where a sum is zero or no number.
    """
    value, gradient = value_and_gradient(parameters, moments)
    sizes = abs(value), max(map(abs, gradient))
    errors = (
        error / size if 0 < size < math.inf and error < math.inf else math.inf
        for error, size in zip(rounding_errors(parameters, moments), sizes, strict=True)
    )
    of_value, of_gradient = map(float, errors)
    return of_value, of_gradient


def rounding_errors(parameters: Parameters, moments: Moments) -> tuple[float, float]:
    """Estimates the rounding errors of the loss and of each entry of the gradient, as a rule from above.

    An error is the machine's precision times the sum of the terms without their signs: for the gradient the largest of
    these sums. The powers bring their own, those of repeated multiplications.

    Returns:
        Both; infinite or NaN where a sum overflows.
    """
    Wx, Wrec = map(as_number, parameters)
    N, tau = moments.N, moments.tau
    size_of_factor = abs(Wrec)
    C, B, C_slope, B_slope = polynomials(moments.magnitudes, size_of_factor)
    terms_of_value = 1 / N * (abs(Wx) * abs(Wx) * C + tau + 2 * abs(Wx) * B)
    terms_of_gradient = max(
        1 / N * (2 * abs(Wx) * C + 2 * B), 1 / N * (abs(Wx) * abs(Wx) * C_slope + 2 * abs(Wx) * B_slope)
    )
    # The moments themselves are sums over N sequences: within a block they are added eight at a time or more, then
    # the blocks one after the other.
    rows = rows_of_a_block(moments.T)
    added = min(moments.N, rows) / 8 + moments.N / rows
    precision = EPSILON * (math.sqrt(moments.table.shape[1]) + added)
    return precision * terms_of_value, precision * terms_of_gradient


def rows_of_a_block(T: int) -> int:
    """How many sequences are read at a time."""
    return max(1, BLOCK_BYTES // (8 * T))


def as_number(weight: Number) -> Number:
    """A weight as a number of Python's, which calculates fastest: as exact as the moments, whatever its type."""
    if isinstance(weight, float):
        return float(weight)
    return complex(weight) if np.iscomplexobj(weight) else float(weight)


def polynomials(table: Array, factor: Number) -> list[Number]:
    """The value of each polynomial, from its row of coefficients."""
    powers = np.empty(table.shape[1], type(factor))
    powers.fill(factor)
    powers[0] = 1
    values: list[Number] = table.dot(np.multiply.accumulate(powers)).tolist()
    return values


def forget(array: Array) -> None:
    """Gives the memory back that a memory-mapped file was read into; the file still has it."""
    # A copy-on-write map has changes that no file has.
    if not isinstance(array, np.memmap) or array.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
