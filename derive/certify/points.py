"""Random points at which a cell is worth real numbers."""

from __future__ import annotations

import random
from typing import Any

import mpmath
import numpy as np

from derive.language.cell import Cell
from derive.language.errors import CellError
from derive.language.evaluate import DIGITS, Point, Value
from derive.language.operations import SoftmaxCrossEntropy
from derive.language.points import NUDGE, point_of
from derive.language.quantities import Dimension, Label, LearningRate
from derive.language.shapes import form_of

LARGEST = 1e100
"""Where a state grows beyond this, floats overflow soon, and a numerical derivative has no digits left."""

ATTEMPTS = 8
"""How many points are drawn before a cell counts as one that has no real value."""


def random_point(
    cell: Cell, steps: int, sequences: int, seed: int, weight: int | None = None, *, positive: bool = False
) -> Point:
    """A point with random fractions, and dimensions that all differ.

    Args:
        cell: The cell.
        steps: T.
        sequences: N.
        seed: Of the random numbers.
        weight: The value of every parameter, where it is not to be random.
        positive: Whether no number is to be negative.
    """
    draw = random.Random(seed)
    sizes = small_sizes(cell)

    def numbers(*shape: Any) -> Value:
        whole = tuple(sizes.get(size, size) for size in shape)
        flat = [mpmath.mpf(draw.randint(0 if positive else -140, 140)) / 97 for _ in range(int(np.prod(whole)))]
        return np.array(flat, dtype=object).reshape(whole)

    with mpmath.workdps(DIGITS):
        weights = [numbers(*p.dimensions) for p in cell.parameters]
        if weight is not None:
            weights = [np.full(value.shape, mpmath.mpf(weight)) for value in weights]
        X = numbers(sequences, steps, *cell.inputs[0].dimensions)
        t = numbers(sequences, *([steps] if cell.target_at_every_step else []), *cell.targets[0].dimensions)
        if isinstance(cell.targets[0], Label):
            t = np.vectorize(lambda _: draw.randrange(number_of_classes(cell)), otypes=[int])(t)
        point = point_of(cell, [value[()] for value in weights], X, t, mpmath.mpf(NUDGE), mpmath.mpf)
        return with_rates(point, draw)


def fitting_point(cell: Cell, steps: int, sequences: int, seed: int) -> Point:
    """A random point at which the cell is worth real numbers; see `random_point`.

    Raises:
        CellError: None is found.
    """
    for attempt in range(ATTEMPTS):
        # Every other point has no negative number, for a root of a weight.
        point = random_point(cell, steps, sequences, seed + 1000 * attempt, positive=attempt % 2 == 1)
        if is_real(point):
            return point
    raise CellError(
        cell.name,
        "equations",
        f"the loss is no real number below {LARGEST:g} at any of {ATTEMPTS} random points: it grows, something is "
        f"divided by zero, or a root, power or logarithm is taken of what is negative, perhaps{starts(cell)}",
        "keep it positive, as in log(1 + z**2), or start elsewhere",
    )


def is_real(point: Point) -> bool:
    """Whether everything that the cell computes at a point is a real number, its loss included, and none is huge."""
    try:
        values = [point.loss(point.trace), *point.trace.values()]
    except (ArithmeticError, ValueError, MemoryError):  # a division by zero, the logarithm of zero, a tower of powers
        return False
    numbers = (number for value in values for number in np.ravel(value))
    return all(not isinstance(number, mpmath.mpc) and abs(number) <= LARGEST for number in numbers)


def starts(cell: Cell) -> str:
    """Where the states start that are given a number, in words to put behind a problem: ` at s[0] = 0`."""
    numbers = [f"{state}[0] = {value}" for state, value in cell.initial.items() if value.is_number]
    return f" at {', '.join(numbers)}" if numbers else ""


def number_of_classes(cell: Cell) -> int:
    """How many classes the scores have that the loss compares with labels, in the small sizes."""
    rows = [form_of(entropy.args[0]).shape for entropy in cell.loss.atoms(SoftmaxCrossEntropy)]
    sizes = small_sizes(cell)
    return min(sizes[size] if isinstance(size, Dimension) else size for (size,) in rows)


def small_sizes(cell: Cell) -> dict[Dimension, int]:
    """A small number for each dimension, no two alike."""
    return {dimension: size for size, dimension in enumerate(cell.dimensions, start=2)}


def with_rates(point: Point, draw: random.Random) -> Point:
    """The same point, with random learning rates."""
    rates = {LearningRate.of_weight(weight): mpmath.mpf(draw.randint(1, 99)) / 97 for weight in point.cell.parameters}
    given = {**point.given, **rates}
    return Point(point.cell, point.steps, point.sequences, given, point.nudge, point.number, point.sizes)
