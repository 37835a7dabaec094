"""Which cells are measured at which sizes, and the numbers that every contender is given."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

DTYPES = ("float64", "float32")
OUTPUTS = 1
"""M: one number a sequence, as in the adding problem."""
SIZES = {
    "linear": ((3, 3), (20, 10), (1_000, 100), (100_000, 100), (1_000, 1_000)),
    "vanilla_rnn": ((1, 200, 16, 64), (32, 50, 16, 32), (64, 100, 32, 128), (256, 100, 64, 256)),
    "gru": ((1, 200, 16, 64), (32, 50, 16, 32), (64, 100, 32, 128), (256, 50, 64, 256)),
    "lstm": ((1, 200, 16, 64), (32, 50, 16, 32), (64, 100, 32, 128), (256, 50, 64, 256)),
}
"""Of every cell: N sequences of T steps; with D inputs a step and H states where a step has rows."""
QUICK_SIZES = {"linear": ((3, 3),), "vanilla_rnn": ((2, 3, 4, 5),), "gru": ((2, 3, 4, 5),), "lstm": ((2, 3, 4, 5),)}
"""To see that everything runs; the times mean nothing."""


class Problem(NamedTuple):
    """What is to be computed: the value and the gradient of this cell's loss, once."""

    cell: str
    sizes: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.cell} {', '.join(map(str, self.sizes))} {self.dtype}"


class Case(NamedTuple):
    """A problem with its numbers, in the problem's dtype.

    Attributes:
        problem: What is to be computed.
        network: The generated module of the cell.
        parameters: The weights; Python's floats where a weight is a number.
        X: The inputs, N × T or N × T × D.
        t: The targets, N or N × M.
    """

    problem: Problem
    network: ModuleType
    parameters: Any
    X: np.ndarray
    t: np.ndarray

    @property
    def states(self) -> int:
        """H; 1 for a cell whose state is a number."""
        return self.problem.sizes[3] if self.has_rows else 1

    @property
    def has_rows(self) -> bool:
        """Whether a step has rows and matrices."""
        return self.X.ndim == 3

    @property
    def gates(self) -> int:
        """How many H × H matrices the cell has."""
        return sum(shape == ("H", "H") for shape in self.network.SHAPES.values())

    @property
    def steps(self) -> np.ndarray:
        """The inputs with time first, T × N or T × N × D, contiguous: as the peers like them best."""
        return np.ascontiguousarray(np.swapaxes(self.X, 0, 1))


def problems(cells: tuple[str, ...], quick: bool) -> Iterator[Problem]:
    """All problems of these cells."""
    for cell in cells:
        for sizes in (QUICK_SIZES if quick else SIZES)[cell]:
            for dtype in DTYPES:
                yield Problem(cell, sizes, dtype)


def draw(problem: Problem) -> Case:
    """A problem's numbers, the same in every process.

    A cell of numbers is given zeros and ones to count, near the solution. Rows are normal, weights as well, with a
    variance of one over the number of rows that they sum, so that states neither vanish nor saturate.
    """
    network = importlib.import_module(f"generated.{problem.cell}.network")
    generator = np.random.default_rng(seed=1)
    entries = dict(zip("NTDH", problem.sizes, strict=False)) | {"M": OUTPUTS}

    def normal(shape: tuple[str, ...], deviation: float = 1) -> np.ndarray:
        drawn = deviation * generator.normal(size=tuple(entries[size] for size in shape))
        return drawn.astype(problem.dtype)

    if len(problem.sizes) == 2:
        X = generator.integers(0, 2, problem.sizes).astype(problem.dtype)
        return Case(problem, network, network.Parameters(Wx=0.9, Wrec=1.01), X, X.sum(axis=1))
    parameters = network.Parameters(
        *(normal(shape, entries[shape[0]] ** -0.5) for shape in network.SHAPES.values()),
    )
    return Case(problem, network, parameters, *(normal(shape) for shape in network.DATA_SHAPES.values()))
