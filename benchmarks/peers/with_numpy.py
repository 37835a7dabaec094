"""Backpropagation through time as tutorials write it in NumPy: a loop forward, a loop back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.contest import Contender, Kind, Outcome, Prepared
from benchmarks.problems import Case


def contenders(case: Case) -> Iterator[Contender]:
    """A loop for the linear network, another for the vanilla one."""
    written = {"linear": ("tutorial's loop", linear), "vanilla_rnn": ("textbook NumPy", vanilla_rnn)}
    if case.problem.cell in written:
        name, function = written[case.problem.cell]
        data = case.parameters, case.X, case.t
        yield Contender(name, "loop", Kind.BY_HAND, lambda: Prepared(lambda: function(*data), tuple))


def linear(p: Any, X: np.ndarray, t: np.ndarray) -> Outcome:
    """The loop of P. Roelants and J. D. Seo for the network that counts ones; X is N × T."""
    N, T = X.shape
    states = np.zeros((N, T + 1), X.dtype)
    for k in range(T):
        states[:, k + 1] = X[:, k] * p.Wx + states[:, k] * p.Wrec
    error = states[:, -1] - t
    value = np.sum(error**2) / N
    slope = 2 * error / N
    slope_Wx = slope_Wrec = 0
    for k in range(T, 0, -1):
        slope_Wx += np.sum(slope * X[:, k - 1])
        slope_Wrec += np.sum(slope * states[:, k - 1])
        slope = slope * p.Wrec
    return value, slope_Wx, slope_Wrec


def vanilla_rnn(p: Any, X: np.ndarray, t: np.ndarray) -> Outcome:
    """The loop of the textbooks; X is N × T × D, t is N × M."""
    N, T, _ = X.shape
    h = {-1: np.zeros((N, len(p.Wrec)), X.dtype)}
    for k in range(T):
        h[k] = np.tanh(X[:, k] @ p.Wx + h[k - 1] @ p.Wrec + p.b)
    error = h[T - 1] @ p.Wy + p.by - t
    value = np.sum(error**2) / N
    slope_y = 2 * error / N
    slope_Wx, slope_Wrec, slope_b = np.zeros_like(p.Wx), np.zeros_like(p.Wrec), np.zeros_like(p.b)
    slope_h = slope_y @ p.Wy.T
    for k in reversed(range(T)):
        slope_z = slope_h * (1 - h[k] ** 2)
        slope_Wx += X[:, k].T @ slope_z
        slope_Wrec += h[k - 1].T @ slope_z
        slope_b += slope_z.sum(axis=0)
        slope_h = slope_z @ p.Wrec.T
    return value, slope_Wx, slope_Wrec, slope_b, h[T - 1].T @ slope_y, slope_y.sum(axis=0)
