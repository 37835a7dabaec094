"""The one source of points for every check: random numbers at which a cell, and its derivatives, are real numbers.

The numbers are multiples of 2^-20, so a float holds them exactly, and generated code is compared at the same points as
the equations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from sympy import Expr, Symbol

from derive.language.arithmetic import FLOATS, FixedPoint, Value
from derive.language.cell import Cell
from derive.language.errors import CellError
from derive.language.evaluate import Point
from derive.language.operations import SoftmaxCrossEntropy
from derive.language.points import point_of
from derive.language.quantities import LOSS, Dimension, Label, T
from derive.language.shapes import form_of
from derive.language.whole import step_of
from derive.mathematics.derivation import Equation, Range

LARGEST = 10**100
"""Where a state grows beyond this, floats overflow soon, and a numerical derivative has no digits left."""
FLOAT_BOUND = 1e-13
"""How much of the loss and of its slopes rounding may cost in floats, at a point where generated code is run."""
COMPLEX_STEP = 1e-30
ATTEMPTS = 12
"""How many points are drawn before a cell counts as one that has no real value."""
GRID = 1 << 20
"""One over the distance between two numbers that may be drawn."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers for a cell, and directions to differentiate along.

    Attributes:
        weights: One array a parameter, in their order.
        X: The inputs, N × T, and the entries of a row.
        t: The targets, N or N × T, and the entries of a row.
        rates: A learning rate for each weight.
        directions: For each weight and, last, for X, an array of its shape. Every entry is between 1/2 and 1 in size,
            so that an error in one entry of a gradient shows in the directional derivative, by half of it or more.
    """

    weights: tuple[np.ndarray, ...]
    X: np.ndarray
    t: np.ndarray
    rates: tuple[float, ...]
    directions: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """Numbers, and the cell interpreted there with many digits."""

    numbers: Numbers
    point: Point

    @cached_property
    def loss(self) -> Any:
        """The loss."""
        return self.point.number(LOSS)

    @cached_property
    def slopes(self) -> tuple[Any, ...]:
        """The derivative of the loss along each direction: one for each weight, and one for the inputs."""
        return tuple(map(self.point.arithmetic.exactly, self.point.directional(self._directions(self.point))))

    def in_floats(self) -> np.ndarray:
        """The loss and its slopes, interpreted in floats: the slopes by the complex step."""
        point = point_of(self.point.cell, self.numbers.weights, self.numbers.X, self.numbers.t, FLOATS)
        with np.errstate(all="ignore"):
            losses = point.losses_along(self._directions(point), COMPLEX_STEP * 1j)
        return np.array([losses[0].real, *losses.imag / COMPLEX_STEP])

    def _directions(self, point: Point) -> list[dict[Expr, Value]]:
        *of_weights, of_inputs = map(point.arithmetic.array, self.numbers.directions)
        inputs = {point.cell.inputs[0][step]: of_inputs[:, step - 1] for step in range(1, point.steps + 1)}
        return [*({weight: each} for weight, each in zip(point.cell.parameters, of_weights, strict=True)), inputs]


class Trouble(IntEnum):
    """Why a point is not taken, in the order in which it is found out."""

    VALUE = 0
    SLOPE = 1
    FLOATS = 2


def draw_numbers(
    cell: Cell,
    sequences: int,
    steps: int,
    seed: int,
    attempt: int = 0,
    sizes: Mapping[Dimension, int] | None = None,
) -> Numbers:
    """Random numbers, below 1 in size, the weights smaller at each other attempt.

    Args:
        cell: The cell.
        sequences: N.
        steps: T.
        seed: Of the random numbers.
        attempt: Every other one has no negative number, for a root of a weight.
        sizes: Of the dimensions; `small_sizes` unless given.
    """
    draw = np.random.default_rng([seed, attempt])
    sizes = small_sizes(cell) if sizes is None else sizes

    def numbers(*shape: Any) -> np.ndarray:
        whole = tuple(sizes.get(size, size) for size in shape)
        found = draw.integers(1, GRID + 1, whole) / GRID
        return found if attempt % 2 else found * draw.choice([-1, 1], whole)

    scale = 2.0 ** -(attempt // 2)
    weights = tuple(scale * numbers(*weight.dimensions) for weight in cell.parameters)
    X = 2 * numbers(sequences, steps, *cell.inputs[0].dimensions)
    size = (sequences, *([steps] if cell.target_at_every_step else []), *cell.targets[0].dimensions)
    t: np.ndarray = 2 * numbers(*size)
    if isinstance(cell.targets[0], Label):
        t = draw.integers(0, number_of_classes(cell, sizes), size)
    rates = tuple(float(rate) for rate in draw.integers(1, GRID + 1, len(cell.parameters)) / GRID)
    directions = tuple(
        draw.integers(GRID // 2, GRID + 1, np.shape(each)) / GRID * draw.choice([-1, 1], np.shape(each))
        for each in (*weights, X)
    )
    return Numbers(weights, X, t, rates, directions)


def sample_of(cell: Cell, numbers: Numbers) -> Sample:
    """The cell interpreted at some numbers."""
    return Sample(numbers, point_of(cell, numbers.weights, numbers.X, numbers.t, FixedPoint(), numbers.rates))


def trouble_with(sample: Sample, formulas: Iterable[Equation] = ()) -> Trouble | None:
    """Why a point does not suit; None where it does.

    Args:
        sample: The point.
        formulas: Equations whose two sides must exist there.
    """
    point = sample.point
    try:
        largest = max(abs(int(number)) for value in (*point.trace.values(), point.value(LOSS)) for number in value.flat)
        if largest > point.arithmetic.number(LARGEST):
            return Trouble.VALUE
    except (ArithmeticError, MemoryError):  # a division by zero, the logarithm of zero, a tower of powers
        return Trouble.VALUE
    try:
        _ = sample.slopes
        for formula in formulas:
            for index in indices(formula, {T: point.steps}):
                _ = point.value(formula.lhs, index), point.value(formula.rhs, index)
    except (ArithmeticError, MemoryError):
        return Trouble.SLOPE
    exact = np.array([sample.loss, *sample.slopes], dtype=np.float64)
    suits = np.abs(sample.in_floats() - exact) <= FLOAT_BOUND * np.maximum(1, np.abs(exact))
    return None if suits.all() else Trouble.FLOATS


def fitting_sample(cell: Cell, steps: int, sequences: int, seed: int, formulas: Sequence[Equation] = ()) -> Sample:
    """A point that suits; see `trouble_with`.

    Raises:
        CellError: None is found.
    """
    found = Trouble.VALUE
    for attempt in range(ATTEMPTS):
        sample = sample_of(cell, draw_numbers(cell, sequences, steps, seed, attempt))
        trouble = trouble_with(sample, formulas)
        if trouble is None:
            return sample
        found = max(found, trouble)
    raise no_point(cell, found)


def special_samples(
    cell: Cell, steps: int, sequences: int, seed: int, weights: Iterable[int], formulas: Sequence[Equation] = ()
) -> Iterator[Sample]:
    """Points at which every parameter has the same value, those of them that suit."""
    for weight in weights:
        drawn = draw_numbers(cell, sequences, steps, seed)
        same = tuple(np.full(np.shape(each), float(weight)) for each in drawn.weights)
        sample = sample_of(cell, replace(drawn, weights=same))
        if trouble_with(sample, formulas) is None:
            yield sample


def no_point(cell: Cell, trouble: Trouble) -> CellError:
    """The error for a cell for which no point is found, by what was the matter with the best one drawn."""
    match trouble:
        case Trouble.VALUE:
            return CellError(
                cell.name,
                "equations",
                f"the loss is no real number below {float(LARGEST):g} at any of {ATTEMPTS} random points: it grows, "
                "something is divided by zero, or a root, power or logarithm is taken of what is negative, perhaps"
                f"{starts(cell)}",
                "keep it positive, as in log(1 + z**2), or start elsewhere",
            )
        case Trouble.SLOPE:
            return no_derivative(cell, "equations")
        case Trouble.FLOATS:
            return CellError(
                cell.name,
                "equations",
                f"at none of {ATTEMPTS} random points are the loss and its slopes in floats right to {FLOAT_BOUND:g}",
                "keep the states from growing, and differences of large terms out of the equations",
            )


def no_derivative(cell: Cell, claim: str) -> CellError:
    """The error for a formula that divides by zero where the cell itself is a real number."""
    problem = f"the derivative does not exist{starts(cell)}"
    return CellError(cell.name, claim, problem, "start elsewhere, or keep what is divided or under a root from 0")


def starts(cell: Cell) -> str:
    """The starts of the states that are given a number, in words to put behind a problem: ` at s[0] = 0`."""
    numbers = [f"{state}[0] = {value}" for state, value in cell.initial.items() if value.is_number]
    return f" at {', '.join(numbers)}" if numbers else ""


def number_of_classes(cell: Cell, sizes: Mapping[Dimension, int]) -> int:
    """The number of classes of the scores that the loss compares with labels."""
    rows = [form_of(entropy.args[0]).shape for entropy in cell.loss.atoms(SoftmaxCrossEntropy)]
    return min(sizes[size] if isinstance(size, Dimension) else size for (size,) in rows)


def small_sizes(cell: Cell) -> dict[Dimension, int]:
    """A small number for each dimension, no two alike."""
    return {dimension: size for size, dimension in enumerate(cell.dimensions, start=2)}


def indices(equation: Equation, numbers: Mapping[Symbol, int]) -> Iterator[dict[Symbol, int]]:
    """Every choice of the indices for which an equation holds, those that depend on others after them.

    Args:
        equation: The equation.
        numbers: What T stands for.
    """

    def choose(chosen: dict[Symbol, int], left: tuple[Range, ...]) -> Iterator[dict[Symbol, int]]:
        if not left:
            yield chosen
            return
        over, *others = left
        first, last = (step_of(end, {**numbers, **chosen}) for end in (over.first, over.last))
        for value in range(last, first + 1) if over.backwards else range(first, last + 1):
            yield from choose({**chosen, over.index: value}, tuple(others))

    yield from choose({}, equation.over)
