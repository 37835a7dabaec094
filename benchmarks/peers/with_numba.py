"""The closed form of the linear network, written by hand and compiled with numba, in one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

from benchmarks.contest import Contender, Kind, Prepared
from benchmarks.problems import Case


def contenders(case: Case) -> Iterator[Contender]:
    """One, for the linear cell."""
    if case.problem.cell == "linear":
        data = *case.parameters, case.X, case.t
        yield Contender(
            "numba", "closed form", Kind.BY_HAND, lambda: Prepared(lambda: value_and_gradient(*data), tuple)
        )


@njit(fastmath=True)
def value_and_gradient(Wx, Wrec, X, t):
    """The value and both derivatives; X is N × T and read once."""
    N, T = X.shape
    powers, slopes = np.empty(T, X.dtype), np.empty(T, X.dtype)  # W_rec^(T - k), and its derivative
    power, slope = 1.0, 0.0
    for k in range(T - 1, -1, -1):
        powers[k], slopes[k] = power, slope
        slope = slope * Wrec + power
        power = power * Wrec
    value = slope_Wx = slope_Wrec = 0.0
    for n in range(N):
        count = change = X.dtype.type(0)
        for k in range(T):
            count += powers[k] * X[n, k]
            change += slopes[k] * X[n, k]
        error = Wx * count - t[n]
        value += error * error
        slope_Wx += error * count
        slope_Wrec += error * Wx * change
    return value / N, 2 * slope_Wx / N, 2 * slope_Wrec / N
