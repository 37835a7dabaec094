"""The generated modules, and the parts of the work that nobody can do without."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.contest import Contender, Kind, Outcome, Prepared
from benchmarks.problems import Case

BLOCK_BYTES = 600_000
"""A part of X that a core's own cache holds."""


def module(cell: str, name: str) -> ModuleType | None:
    """A generated module of a cell; None where the cell has none of this name."""
    full = f"generated.{cell}.{name}"
    return importlib.import_module(full) if find_spec(full) else None


def expected(case: Case) -> Outcome:
    """The value and the gradient of the very same numbers, in float64."""
    parameters, X, t = case.parameters, case.X, case.t
    exact = parameters._make(np.asarray(each, np.float64)[()] for each in parameters)
    return flat(case.network.value_and_gradient(exact, X.astype(np.float64), t.astype(np.float64)))


def flat(found: tuple[Any, Sequence[Any]]) -> Outcome:
    """A value and a gradient in one row."""
    value, gradient = found
    return value, *gradient


def contenders(case: Case) -> Iterator[Contender]:
    """What is generated for this cell."""
    cell, data = case.problem.cell, (case.parameters, case.X, case.t)

    def called(function: Callable[..., Any], *arguments: Any) -> Prepared:
        return Prepared(lambda: function(*arguments), flat)

    yield Contender("ours", "plain", Kind.OURS, lambda: called(case.network.value_and_gradient, *data))
    if fast := module(cell, "network_fast"):
        yield Contender("ours", "fast", Kind.OURS, lambda: called(fast.value_and_gradient, *data, fast.Workspace()))
    if closed_form := module(cell, "closed_form"):
        yield Contender("ours", "closed form", Kind.OURS, lambda: called(closed_form.value_and_gradient, *data))
    if moments := module(cell, "moments"):
        yield Contender(
            "ours",
            "moments",
            Kind.FOLDED,
            lambda: called(moments.value_and_gradient, case.parameters, moments.Moments.of(case.X, case.t)),
        )


def floors(case: Case) -> Iterator[Contender]:
    """What cannot be done without: of a cell with rows its products, and NumPy's calls; of another reading X."""
    if case.has_rows:
        yield Contender("products alone", "NumPy", Kind.FLOOR, lambda: products(case), work=operations(case))
        if fast := module(case.problem.cell, "network_fast"):
            yield Contender("calls alone", "NumPy", Kind.FLOOR, lambda: calls(case, fast))
    else:
        entries = case.X.ravel()
        yield Contender(
            "reading X", "NumPy", Kind.FLOOR, lambda: Prepared(lambda: entries @ entries, None), case.X.nbytes
        )
        yield Contender("two sums", "NumPy", Kind.FLOOR, lambda: two_sums(case), case.X.nbytes)


def calls(case: Case, fast: ModuleType) -> Prepared:
    """What as many steps cost where there is nothing to calculate: one sequence, and 1 for every size."""
    one = case.parameters._make(np.ones((1,) * np.ndim(each), case.problem.dtype) for each in case.parameters)
    X, t = np.ones((1, case.X.shape[1], 1), case.problem.dtype), np.ones((1, 1), case.problem.dtype)
    space = fast.Workspace()
    return Prepared(lambda: fast.value_and_gradient(one, X, t, space), None)


def two_sums(case: Case) -> Prepared:
    """Two sums over the steps of every sequence, NumPy's product of a matrix with a vector, block by block."""
    rows = max(1, BLOCK_BYTES // (case.X.shape[1] * case.X.itemsize))
    blocks = [case.X[first : first + rows] for first in range(0, len(case.X), rows)]
    factors = np.ones((2, case.X.shape[1]), case.problem.dtype)
    sums = np.empty((2, rows), case.problem.dtype)

    def run() -> None:
        for block in blocks:
            block.dot(factors[0], sums[0, : len(block)])
            block.dot(factors[1], sums[1, : len(block)])

    return Prepared(run, None)


def products(case: Case) -> Prepared:
    """All matrix products of value and gradient on shapes (N, T, D, H), the gates fused, every operand contiguous."""
    (N, T, D, H), width, dtype = case.problem.sizes, case.gates * case.states, case.problem.dtype
    generator = np.random.default_rng(seed=1)

    def block(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(dtype)

    W_x, W_h, W_h_transposed = block(D, width), block(H, width), block(width, H)
    x, x_transposed, h, h_transposed = block(T * N, D), block(D, T * N), block(T, N, H), block(H, T * N)
    delta = block(T, N, width)
    all_deltas = delta.reshape(T * N, width)
    inputs, forward, backward = np.empty_like(all_deltas), np.empty_like(delta[0]), np.empty_like(h[0])
    gradient_W_x, gradient_W_h = np.empty_like(W_x), np.empty_like(W_h)

    def run() -> None:
        np.dot(x, W_x, inputs)
        for k in range(T):
            np.dot(h[k], W_h, forward)
        for k in range(T):
            np.dot(delta[k], W_h_transposed, backward)
        np.dot(h_transposed, all_deltas, gradient_W_h)
        np.dot(x_transposed, all_deltas, gradient_W_x)

    return Prepared(run, None)


def operations(case: Case) -> int:
    """The floating-point operations of `products`: a multiplication and an addition each."""
    N, T, D, H = case.problem.sizes
    return 2 * N * T * case.gates * H * (3 * H + 2 * D)
