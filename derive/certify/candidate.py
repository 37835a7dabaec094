"""Proves code of any backend: its loss and its derivatives against the cell itself, interpreted with many digits.

A backend hands over a `Candidate`: functions that take and return arrays. Nothing is asked of how they compute, so code
that no complex number goes through is checked like any other. A gradient is compared along a random direction for each
weight, with the numerical derivative of the interpreted loss along it. Every entry of a direction is at least 1/2 in
size, so that one wrong entry is found if it is off by twice the bound; several that are wrong could hide each other
only by adding up to zero along every direction drawn, which has probability zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from sympy import Expr

from derive.certify.points import ATTEMPTS, Numbers, Sample, draw_numbers, sample_of, trouble_with
from derive.language.arithmetic import FixedPoint
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.operations import Total
from derive.language.points import point_of
from derive.language.quantities import LOSS, T, k

Array: TypeAlias = Any
"""A number or an array of the code's dtype."""
Weights: TypeAlias = Sequence[Array]
"""One array a weight, in the order of the cell's parameters."""

CODE_BOUND = 1e-12
"""The relative error that code in double precision may have."""
ROUNDINGS = 64
"""How many roundings of numbers about 1 are allowed where what is added up cancels."""
MOST_LOST = 1e-6
"""Where code says that its result is less exact than this, it is not compared."""
SHAPES = ((1, 1), (3, 3), (1, 7), (7, 1), (5, 6), (4, 12), (20, 10))
"""(N, T) that code is run with: N = T and N = 1 among them, where a wrong axis would hide elsewhere, and one where both
differ from each other and from all sizes of rows."""
SHAPES_OF_ROWS = SHAPES[:5]
SEEDS = range(2)
"""Numbers are drawn so often for each shape, in a cell of numbers."""
EPOCHS = 20
"""How many updates of gradient descent are followed."""


@dataclass(frozen=True)
class Claim:
    """A further result of a candidate.

    Attributes:
        what: What it is, for messages.
        expression: What it stands for, one number a sequence.
        compute: The function, of the weights, X and t.
        at_every_step: Whether it has a column for each step, where the expression is of step k.
    """

    what: str
    expression: Expr
    compute: Callable[[Weights, Array, Array], Array]
    at_every_step: bool = False


@dataclass(frozen=True)
class Candidate:
    """Code for a cell, to be checked.

    Attributes:
        name: What it is, for messages: a file's name, and how it is called.
        value_and_gradient: Of the weights, X and t: the loss, and its derivative for each weight, and for X if it has.
        loss: The loss by itself, where there is such a function.
        descend: The weights after an update, from the weights, the gradient and the learning rates, where there is.
        claims: What else it computes.
        dtype: The kind of floats that it computes in.
        bound: The relative error that it may have.
        estimate: Its own estimates of the relative errors of the loss and the gradient, where it may lose digits.
    """

    name: str
    value_and_gradient: Callable[[Weights, Array, Array], tuple[Array, Weights]]
    loss: Callable[[Weights, Array, Array], Array] | None = None
    descend: Callable[[Weights, Weights, Sequence[float]], Weights] | None = None
    claims: tuple[Claim, ...] = ()
    dtype: type[np.floating[Any]] = np.float64
    bound: float = CODE_BOUND
    estimate: Callable[[Weights, Array, Array], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Descent:
    """Code that trains by itself, to be checked.

    Attributes:
        name: What it is, for messages.
        start: The weights that it starts from.
        run: The weights after so many updates.
    """

    name: str
    start: Weights
    run: Callable[[int], Weights]


def samples_for(cell: Cell) -> list[Sample]:
    """The points at which code is compared, of every shape; for a long sequence a state may grow too large for floats.

    Raises:
        CertificateError: No point suits.
    """
    shapes, seeds = (SHAPES, SEEDS) if cell.is_scalar else (SHAPES_OF_ROWS, SEEDS[:1])
    found = []
    for (sequences, steps), seed in product(shapes, seeds):
        drawn = (sample_of(cell, draw_numbers(cell, sequences, steps, seed, attempt)) for attempt in range(ATTEMPTS))
        if (sample := next((each for each in drawn if trouble_with(each) is None), None)) is not None:
            found.append(sample)
    if not found:
        raise CertificateError(
            f"cell {cell.name!r}: at none of the points drawn is the loss a real number that floats can tell, so no "
            "code was compared"
        )
    return found


def check_candidate(candidate: Candidate, samples: Iterable[Sample]) -> dict[str, Any]:
    """Runs a candidate at every point, and compares what it says.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: Two numbers differ by more than its bound; with both, and the point.
    """
    shapes: dict[tuple[int, int], bool] = {}
    for sample in samples:
        numbers = in_dtype(sample.numbers, candidate.dtype)
        lost = candidate.estimate(numbers.weights, numbers.X, numbers.t) if candidate.estimate else (0.0, 0.0)
        if not max(lost) <= MOST_LOST:
            continue
        shapes[sample.point.sequences, sample.point.steps] = True
        with np.errstate(all="ignore"):
            for problem in problems(candidate, sample, numbers, lost):
                where = f"N = {sample.point.sequences}, T = {sample.point.steps}, {named(sample, numbers.weights)}"
                text = f"cell {sample.point.cell.name!r}, {candidate.name}: {problem}, at {where}"
                raise CertificateError(" ".join(text.split()))
    if not shapes:
        raise CertificateError(f"{candidate.name}: at none of the points drawn can it be compared")
    return {
        "code": candidate.name,
        "checked": "the loss, and its derivative along a random direction for each weight"
        + "".join(f", {each.what}" for each in candidate.claims)
        + (", an update" if candidate.descend else ""),
        "relative bound": candidate.bound,
        "shapes N, T": [list(shape) for shape in shapes],
    }


def problems(candidate: Candidate, sample: Sample, numbers: Numbers, lost: tuple[float, float]) -> Iterable[str]:
    """The faults of what a candidate says at a point, in words."""
    weights, X, t = numbers.weights, numbers.X, numbers.t
    parameters = sample.point.cell.parameters
    floor = ROUNDINGS * float(np.finfo(candidate.dtype).eps) * max(1, abs(float(sample.loss)))
    of_loss, of_gradient = (max(candidate.bound, each) for each in lost)

    def compared(what: str, ours: Any, theirs: Any, bound: float, size: float | None = None) -> Iterable[str]:
        if not alike(ours, theirs, bound, floor, size):
            yield f"{what} gives {ours}, and should give {theirs}"

    value, gradient = candidate.value_and_gradient(weights, X, t)
    yield from compared("the loss of value_and_gradient", value, sample.loss, of_loss)
    if candidate.loss is not None:
        yield from compared("loss", candidate.loss(weights, X, t), sample.loss, of_loss)
    if len(gradient) not in (len(parameters), len(parameters) + 1):
        yield f"value_and_gradient gives {len(gradient)} derivatives for {len(parameters)} weights"
    whole = max((float(np.abs(each).max()) for each in gradient), default=0.0) if candidate.estimate else None
    named_parts = zip((*parameters, "X"), (*weights, X), gradient, numbers.directions, sample.slopes, strict=False)
    for name, weight, slope, direction, expected in named_parts:
        if np.shape(slope) != np.shape(weight):
            yield f"value_and_gradient gives an array of shape {np.shape(slope)} for {name} of shape {np.shape(weight)}"
            continue
        ours = math.fsum(np.ravel(np.asarray(slope, dtype=np.float64) * direction))
        size = whole if whole is not None else float(np.abs(slope).max())
        what = f"along a random direction value_and_gradient, for {name}, "
        yield from compared(what, ours, expected, of_gradient, size)
    for claim in candidate.claims:
        ours = claim.compute(weights, X, t)
        yield from compared(claim.what, ours, claimed(claim, sample), candidate.bound)
    if candidate.descend is not None:
        updated = candidate.descend(weights, gradient, numbers.rates)
        for name, ours, weight, rate, slope in zip(parameters, updated, weights, numbers.rates, gradient, strict=True):
            yield from compared(f"descend, for {name},", ours, weight - rate * slope, candidate.bound)


def alike(ours: Any, theirs: Any, bound: float, floor: float, size: float | None = None) -> bool:
    """Whether two numbers or arrays have one shape, and differ by rounding only; nan agrees with nothing.

    Args:
        ours: What the code gives.
        theirs: What it should give.
        bound: The relative error that is allowed.
        floor: The rounding of what they are sums of. Where these cancel, as in 1 - tanh² for a large argument, it is
            what is left, and no part of the result is a measure for it.
        size: What the error is relative to, where it is not the largest entry.
    """
    if np.shape(ours) != np.shape(theirs):
        return False
    got, expected = (np.asarray(each, dtype=np.float64) for each in (ours, theirs))
    size = float(np.abs(expected).max()) if size is None else size
    return bool(np.abs(got - expected).max() <= bound * size + floor)


def claimed(claim: Claim, sample: Sample) -> np.ndarray:
    """The value of a claim, interpreted: one row a sequence, with a column for each step where it has one."""
    point = sample.point
    places = [{k: step} for step in range(1, point.steps + 1)] if claim.at_every_step else [{}]
    values = [point.value(claim.expression, index)[0] for index in places]
    floats = [np.vectorize(lambda number: float(point.arithmetic.exactly(number)))(value) for value in values]
    return np.stack(floats, axis=1) if claim.at_every_step else floats[0]


def output_of(cell: Cell, predict: Callable[[Weights, Array], Array]) -> Claim:
    """The claim that `predict` returns the cell's output: at the last step, or at every one."""
    return Claim("predict", cell.output, lambda weights, X, _: predict(weights, X), cell.output.index != T)


def check_descent(cell: Cell, descent: Descent) -> dict[str, Any]:
    """Follows some updates of gradient descent, with the derivatives of the interpreted cell.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: The weights differ by more than `CODE_BOUND`.
    """
    example = cell.worked_example
    if example is None:
        raise CertificateError(f"cell {cell.name!r}, {descent.name}: there is no example to train on")
    weights = [float(weight) for weight in descent.start]
    rates = [example.learning_rates[weight.name] for weight in cell.parameters]
    for _ in range(EPOCHS):
        point = point_of(cell, weights, np.array(example.X), np.array(example.t), FixedPoint())
        slopes = [float(point.number(Total(LOSS, weight))) for weight in cell.parameters]
        weights = [weight - rate * slope for weight, rate, slope in zip(weights, rates, slopes, strict=True)]
    for name, ours, theirs in zip(cell.parameters, descent.run(EPOCHS), weights, strict=True):
        if not alike(ours, theirs, CODE_BOUND, ROUNDINGS * float(np.finfo(np.float64).eps)):
            raise CertificateError(
                f"cell {cell.name!r}, {descent.name}: after {EPOCHS} updates it gives {name} = {ours}, and should give "
                f"{theirs}"
            )
    return {"code": descent.name, "checked": f"{EPOCHS} updates of the example", "relative bound": CODE_BOUND}


def in_dtype(numbers: Numbers, dtype: type[np.floating[Any]]) -> Numbers:
    """The same numbers as floats of a kind, which hold them exactly."""
    weights = tuple(np.asarray(weight, dtype=dtype)[()] for weight in numbers.weights)
    t = numbers.t if numbers.t.dtype.kind in "iu" else numbers.t.astype(dtype)
    return Numbers(weights, numbers.X.astype(dtype), t, numbers.rates, numbers.directions)


def named(sample: Sample, weights: Weights) -> str:
    """Weights with their names, for messages."""
    pairs = zip(sample.point.cell.parameters, weights, strict=True)
    return ", ".join(f"{name} = {np.asarray(weight).tolist()}" for name, weight in pairs)
