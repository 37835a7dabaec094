"""What SymPy does when asked plainly: the loss unrolled, `diff`, `lambdify`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import sympy

from benchmarks.contest import NEVER_READY, Contender, Kind, OutOfTimeError, Prepared
from benchmarks.problems import Case

RECURSION_LIMIT = 10_000
"""Enough for a hundred steps; a larger one overflows the stack of the process."""


def contenders(case: Case) -> Iterator[Contender]:
    """The linear cell, with common subexpressions and without."""
    if case.problem.cell == "linear":
        for cse in (True, False):
            yield Contender(
                "SymPy", "with cse" if cse else "without cse", Kind.SYMBOLIC, lambda cse=cse: prepare(case, cse)
            )


def prepare(case: Case, cse: bool) -> Prepared:
    """One function of the weights and a column a step.

    Raises:
        RecursionError, SyntaxError, MemoryError: The expression is too deep for SymPy, or for Python.
        OutOfTimeError: It took too long, now or before.
    """
    function, columns = attempt(case.X.shape[1], cse), tuple(case.steps)
    if isinstance(function, BaseException):
        raise function
    return Prepared(lambda: [np.mean(each) for each in function(*case.parameters, *columns, case.t)], tuple)


@cache
def attempt(steps: int, cse: bool) -> Callable[..., Any] | BaseException:
    """`lambdified`, or why it does not come to an end: it would not the next time either."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    try:
        return lambdified(steps, cse)
    except (*NEVER_READY, OutOfTimeError) as failure:
        return failure
    finally:
        sys.setrecursionlimit(limit)


def lambdified(steps: int, cse: bool) -> Callable[..., Any]:
    """(W_x, W_rec, x_1 … x_T, t) → the squared error of each sequence and its two derivatives."""
    Wx, Wrec, t, *x = sympy.symbols(f"Wx, Wrec, t, x1:{steps + 1}")
    s = sympy.Integer(0)
    for each in x:
        s = s * Wrec + each * Wx
    error = (s - t) ** 2
    return sympy.lambdify((Wx, Wrec, *x, t), [error, error.diff(Wx), error.diff(Wrec)], "numpy", cse=cse)
