"""Proves generated modules against the interpreted cell, and their gradients against the complex-step derivative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import mpmath
import numpy as np

from derive.certify.points import ATTEMPTS, is_real, number_of_classes, small_sizes
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.evaluate import Point, Value
from derive.language.points import NUDGE, point_of
from derive.language.quantities import Label, T, k
from derive.program.loading import load, load_package

COMPLEX_STEP = 1e-30
DIGITS_OF_A_FLOAT = 16
CODE_BOUND = 1e-12
ROUNDINGS = 64 * float(np.finfo(np.float64).eps)
"""What a few roundings of numbers about 1 add up to."""
SHAPES = ((1, 1), (3, 3), (1, 7), (7, 1), (5, 4), (4, 12), (20, 10))
"""(N, T) that the generated code is run with: N = T and N = 1 among them, where a wrong axis would hide elsewhere."""


def check_code(cell: Cell, source: str) -> list[tuple[int, int]]:
    """Runs a generated module for several shapes, and compares what it says.

    | what                   | against                                                        |
    |------------------------|----------------------------------------------------------------|
    | `loss`, `predict`      | the cell's equations, interpreted                              |
    | `value_and_gradient`   | the loss, and its complex-step derivative                      |
    | `descend`              | the weights, less the learning rates times the gradient        |

    Returns:
        The shapes (N, T) for which they were compared; for a long sequence a state may grow beyond what floats hold.

    Raises:
        CertificateError: A weight's gradient, say, is off by more than `CODE_BOUND` of its largest entry.
    """
    network = load(source, cell.name)
    compared = {}  # the shapes, in order
    for (sequences, steps), seed in product(
        SHAPES if cell.is_scalar else SHAPES[:5], range(3 if cell.is_scalar else 1)
    ):
        drawn = mild_numbers(cell, network, sequences, steps, seed)
        if drawn is None:
            continue
        compared[sequences, steps] = True
        point, (parameters, X, t, rates) = drawn
        loss = point.loss(point.trace)
        value, gradient = network.value_and_gradient(parameters, X, t)
        moved = [weight - rate * slope for weight, rate, slope in zip(parameters, rates, gradient, strict=True)]
        for what, ours, theirs in (
            ("loss", [network.loss(parameters, X, t), value], [loss, loss]),
            ("predict", [network.predict(parameters, X)], [interpreted_output(point)]),
            ("value_and_gradient", gradient, complex_step(network, parameters, X, t)),
            ("descend", network.descend(parameters, gradient, rates), moved),
        ):
            wrong = [
                f"{what} gives {got}, and should give {expected}"
                for got, expected in zip(ours, theirs, strict=True)
                if not alike(got, expected, ROUNDINGS * max(1, abs(float(loss))))
            ]
            if wrong:
                where = f"N = {sequences}, T = {steps}, {parameters}"
                text = f"cell {cell.name!r}, network.py: {wrong[0]}, at {where}"
                raise CertificateError(" ".join(text.split()))
    if not compared:
        raise CertificateError(
            f"cell {cell.name!r}, network.py: at none of the points drawn is the loss a real number that floats "
            f"can tell, so nothing was compared"
        )
    return list(compared)


def alike(ours: Any, theirs: Any, floor: float) -> bool:
    """Whether two numbers or arrays have one shape, and differ by rounding only.

    Args:
        ours: What the generated code gives.
        theirs: What it should give.
        floor: The rounding of what they are sums of. Where these cancel, as in 1 - tanh² for a large argument, it is
            what is left, and no part of the result is a measure for it.
    """
    if np.shape(ours) != np.shape(theirs):
        return False
    got, expected = (np.asarray(each, dtype=np.float64) for each in (ours, theirs))
    return bool(np.abs(got - expected).max() <= CODE_BOUND * np.abs(expected).max() + floor)


def mild_numbers(
    cell: Cell, network: Any, sequences: int, steps: int, seed: int
) -> tuple[Point, tuple[Any, ...]] | None:
    """Numbers to run a generated module with, and their point; None where those drawn do not suit floats.

    They suit where the cell, interpreted, is real, and where its loss is the same when it is interpreted with no more
    digits than a float has, as it is not close to a pole. The generated module itself has no say in it.
    """
    for attempt in range(ATTEMPTS):
        draw = np.random.default_rng([seed, attempt])
        parameters, X, t, rates = draw_numbers(cell, network, sequences, steps, draw, positive=attempt % 2 == 1)
        point = point_of(cell, parameters, X, t, mpmath.mpf(NUDGE), mpmath.mpf)
        rounded = replace(point, digits=DIGITS_OF_A_FLOAT)
        if is_real(point) and is_real(rounded):
            loss = point.loss(point.trace)
            if abs(rounded.loss(rounded.trace) - loss) <= CODE_BOUND / 10 * max(1, abs(loss)):
                return point, (parameters, X, t, rates)
    return None


def check_beside(cell: Cell, source: str, name: str, others: Mapping[str, str], example: str | None = None) -> None:
    """Runs a module that computes what network.py does another way, and compares it with what that was compared with.

    | it has               | against                                                                       |
    |----------------------|-------------------------------------------------------------------------------|
    | `value_and_gradient` | the interpreted cell, and the complex-step derivative of network.py's loss    |
    | and `Moments`        | the same; it takes those of the data in place of the data                     |
    | `descend`            | updates of the example's weights, by network.py's gradient                    |

    Raises:
        CertificateError: Two numbers differ by more than `CODE_BOUND` of the largest one beside them.
    """
    given_data = {"example.py": example} if example else {}
    modules = load_package({"network.py": source, **given_data, **others}, cell.name)
    network, module = modules["network.py"], modules[name]

    def compare_numbers(what: str, ours: Any, theirs: Any, where: str) -> None:
        for got, expected in zip(ours, theirs, strict=True):
            if not alike(got, expected, ROUNDINGS * max(map(abs, map(float, theirs)))):
                raise CertificateError(
                    f"cell {cell.name!r}, {name}: {what} gives {got}, and should give {expected}, {where}"
                )

    if not hasattr(module, "value_and_gradient"):
        given = modules["example.py"]
        parameters, epochs = given.START, 100
        for _ in range(epochs):
            gradient = network.gradients(parameters, given.X, given.t)
            parameters = network.descend(parameters, gradient, given.LEARNING_RATES)
        compare_numbers("descend", module.descend(epochs), parameters, f"after {epochs} epochs")
        return
    for (sequences, steps), seed in product(SHAPES, range(3)):
        parameters, X, t, _ = draw_numbers(cell, network, sequences, steps, np.random.default_rng(seed))
        where = f"at N = {sequences}, T = {steps}, {' '.join(str(parameters).split())}"
        point = point_of(cell, parameters, X, t, mpmath.mpf(NUDGE), mpmath.mpf)
        data = (module.Moments.of(X, t),) if hasattr(module, "Moments") else (X, t)
        value, gradient = module.value_and_gradient(parameters, *data)
        compare_numbers("loss", [value, module.loss(parameters, *data)], [point.loss(point.trace)] * 2, where)
        compare_numbers("value_and_gradient", gradient, complex_step(network, parameters, X, t), where)


def draw_numbers(
    cell: Cell, network: Any, sequences: int, steps: int, draw: np.random.Generator, *, positive: bool = False
) -> tuple[Any, ...]:
    """Random weights, inputs, targets and learning rates for a generated module.

    The weights are at most 1/2, so that no state overflows within the steps; `positive` numbers suit roots.
    """
    sizes = small_sizes(cell)

    def shape(*dimensions: Any) -> tuple[int, ...]:
        return tuple(sizes.get(size, size) for size in dimensions)

    weights = [draw.uniform(0 if positive else -0.5, 0.5, shape(*weight.dimensions))[()] for weight in cell.parameters]
    X = draw.normal(size=(sequences, steps, *shape(*cell.inputs[0].dimensions)))
    X = np.abs(X) if positive else X
    every_step = (steps,) if cell.target_at_every_step else ()
    size = (sequences, *every_step, *shape(*cell.targets[0].dimensions))
    of_classes = isinstance(cell.targets[0], Label)
    t: np.ndarray = draw.integers(0, number_of_classes(cell), size) if of_classes else draw.normal(size=size)
    rates = draw.uniform(0, 1, len(cell.parameters))
    return network.Parameters(*weights), X, t, network.Parameters(*rates)


def interpreted_output(point: Point) -> Value:
    """What `predict` is to return: the output for every sequence, at the last step or at every one."""
    output = point.cell.output
    if output.index == T:
        return point.value(output)
    every_step = [point.value(output, {k: step}) for step in range(1, point.steps + 1)]
    return np.stack(every_step, axis=1)


def complex_step(network: Any, parameters: Any, X: np.ndarray, t: np.ndarray) -> list[np.ndarray]:
    """Im f(w + ih) / h for every entry of every weight: no difference is taken, so nothing cancels."""
    slopes = []
    for position, weight in enumerate(parameters):
        slope = np.zeros(np.shape(weight))
        for place in np.ndindex(slope.shape):
            moved = np.array(weight, dtype=np.complex128)
            moved[place] += 1j * COMPLEX_STEP
            changed = [*parameters[:position], moved[()], *parameters[position + 1 :]]
            slope[place] = np.imag(network.loss(network.Parameters(*changed), X, t)) / COMPLEX_STEP
        slopes.append(slope)
    return slopes


def complex_step_of_inputs(network: Any, parameters: Any, X: np.ndarray, t: np.ndarray) -> tuple[np.ndarray]:
    """The same for every entry of the inputs."""
    slope = np.zeros(X.shape)
    for place in np.ndindex(X.shape):
        moved = X.astype(np.complex128)
        moved[place] += 1j * COMPLEX_STEP
        slope[place] = np.imag(network.loss(parameters, moved, t)) / COMPLEX_STEP
    return (slope,)
