"""Proves a derivation against what did not produce it, and says so in a certificate.

| what                     | against                                                             | how exactly         |
|--------------------------|---------------------------------------------------------------------|---------------------|
| the gradient             | SymPy's `diff` of the nested loss, T = 1 … 4                        | symbolically        |
| every equation           | both sides on their own, derivatives taken numerically              | 30 digits           |
| the generated code       | the cell, interpreted, and the complex-step derivative of its loss  | 1e-12, relative     |

The induction proofs of the closed form are part of the derivation itself; it stops where one does not go through.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import mpmath
import numpy as np
from sympy import Add, Expr, Integer, S, Sum, Symbol, expand

from derive.cell import Cell
from derive.curvature import example_point
from derive.derivation import Derivation, Equation
from derive.errors import CertificateError
from derive.evaluate import Point, Value
from derive.numpy_code import load
from derive.operations import BatchMean, BatchSum
from derive.quantities import LearningRate, N, T, k
from derive.rules import Relation
from derive.unroll import loss_of_steps, right_hand_sides

DIGITS = 30
"""To how many digits the two sides of an equation must agree."""
WORKING_DIGITS = 110
NUDGE = "1e-28"
"""A central difference is wrong by the square of this, and a second one loses that many digits: either leaves 50."""
SYMBOLIC_STEPS = (1, 2, 3, 4)
COMPLEX_STEP = 1e-30
CODE_BOUND = 1e-12
SHAPES = ((1, 1), (3, 3), (1, 7), (7, 1), (5, 4), (4, 12), (20, 10))
"""(N, T) that the generated code is run with: N = T and N = 1 among them, where a wrong axis would hide elsewhere."""


def certify(derivation: Derivation, source: str) -> dict[str, Any]:
    """Checks everything and returns the certificate, ready for JSON; the same derivation gives the same one.

    Args:
        derivation: What to check.
        source: Its generated module, the text of network.py.

    Raises:
        CertificateError: Something does not hold; with the equation, both values and the point.
    """
    check_against_diff(derivation)
    equations = [
        check_equation(equation, points) for points in [points_for(derivation)] for equation in derivation.equations
    ]
    check_code(derivation.cell, source)
    return {
        "cell": derivation.cell.name,
        "gradient": {
            "statement": "the gradient equals SymPy's diff of the nested loss, symbolically",
            "steps": list(SYMBOLIC_STEPS),
            "weights": [weight.name for weight in derivation.cell.parameters],
        },
        "equations": equations,
        "code": {
            "statement": "loss and predict equal the interpreted cell, value_and_gradient the complex-step derivative",
            "step": COMPLEX_STEP,
            "relative bound": CODE_BOUND,
            "shapes N, T": [list(shape) for shape in SHAPES],
        },
    }


# --- the gradient against SymPy's diff ---


def check_against_diff(derivation: Derivation) -> None:
    """Compares the derived gradient with the derivative that SymPy takes of the whole nested loss, for one sequence."""
    cell = derivation.cell
    for steps in SYMBOLIC_STEPS:
        nested = _one_sequence(loss_of_steps(cell, steps).xreplace(_nested_states(cell, steps)))
        derived = _run_backwards(derivation, steps)
        for weight, gradient in derived.items():
            rest = expand(gradient - nested.diff(weight))
            if rest != S.Zero:
                raise CertificateError(
                    f"cell {cell.name!r}, T = {steps}: the derived gradient for {weight} differs from SymPy's diff by "
                    f"{rest}"
                )


def _one_sequence(expression: Expr) -> Expr:
    """An expression for one sequence of the batch: its share of a mean, its term of a sum."""
    return expression.replace(BatchMean, lambda inside: inside / N).replace(BatchSum, lambda inside: inside)


def _nested_states(cell: Cell, steps: int) -> dict[Expr, Expr]:
    known: dict[Expr, Expr] = {state[0]: value for state, value in cell.initial.items()}
    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            known[left] = right.xreplace(known)
    return known


def _run_backwards(derivation: Derivation, steps: int) -> Mapping[Expr, Expr]:
    """Runs the derived recurrence on symbols."""
    backward = derivation.backward
    known = _nested_states(derivation.cell, steps)

    def put(equation: Equation, step: int) -> None:
        numbers = {T: Integer(steps), k: Integer(step)}
        known[equation.lhs.subs(numbers)] = _one_sequence(equation.rhs).subs(numbers).xreplace(known)

    for equation in backward.start:
        put(equation, steps)
    for step in range(steps - 1, 0, -1):
        for equation in backward.last if backward.last and step == steps - 1 else backward.step:
            put(equation, step)
    for equation in backward.first:
        put(equation, 0)
    gradients = {}
    for weight, equation in backward.gradients.items():
        terms = Add(*(_spread(term, steps) for term in Add.make_args(_one_sequence(equation.rhs))))
        gradients[weight] = terms.xreplace(known)
    return gradients


def _spread(term: Expr, steps: int) -> Expr:
    """A sum over k = 1 … T, written out."""
    if not isinstance(term, Sum):
        return term.subs(T, Integer(steps))
    index, first, last = term.limits[0]
    return Add(*(term.function.subs(index, step) for step in range(int(first), int(last.subs(T, steps)) + 1)))


# --- every equation, at points ---


def points_for(derivation: Derivation) -> dict[str, list[Point]]:
    """Where the equations are evaluated: for the unrolled ones T is theirs, the others must hold for several T."""
    cell = derivation.cell
    mpmath.mp.dps = WORKING_DIGITS
    unrolled = random_point(cell, derivation.steps, sequences=2, seed=1)
    rolled = [random_point(cell, steps, sequences, seed=steps) for steps, sequences in ((1, 2), (2, 3), (3, 3), (6, 2))]
    rolled += [random_point(cell, 4, 2, seed=10, weight=weight) for weight in (0, -1, 2)]
    points = {"unrolled": [unrolled], "rolled": rolled, "example": []}
    if cell.example is not None and cell.example.solution:
        example = example_point(cell, cell.example, cell.example.solution, mpmath.mpmathify, mpmath.mpf(NUDGE))
        points["example"] = [with_rates(example, random.Random(0))]
    return points


def random_point(cell: Cell, steps: int, sequences: int, seed: int, weight: int | None = None) -> Point:
    """A point with random rational data.

    Args:
        cell: The cell.
        steps: T.
        sequences: N.
        seed: Of the random numbers.
        weight: The value of every parameter, where it is not to be random.
    """
    draw = random.Random(seed)

    def number() -> Any:
        return mpmath.mpf(draw.randint(-140, 140)) / 97

    def batch() -> Value:
        return np.array([number() for _ in range(sequences)], dtype=object)

    given: dict[Expr, Value] = {p: number() if weight is None else mpmath.mpf(weight) for p in cell.parameters}
    for quantity in (*cell.inputs, *cell.targets):
        given[quantity] = batch()
        given |= {quantity[step]: batch() for step in range(1, steps + 1)}
    return with_rates(Point(cell, steps, sequences, given, mpmath.mpf(NUDGE)), draw)


def with_rates(point: Point, draw: random.Random) -> Point:
    """The same point, with random learning rates."""
    rates = {LearningRate.of_weight(weight): mpmath.mpf(draw.randint(1, 99)) / 97 for weight in point.cell.parameters}
    return Point(point.cell, point.steps, point.sequences, {**point.given, **rates}, point.nudge, point.number)


def check_equation(equation: Equation, points: Mapping[str, list[Point]]) -> dict[str, Any]:
    """Evaluates both sides at every point that fits, and for every value of the indices.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: The sides differ.
    """
    entry: dict[str, Any] = {"number": equation.number, "rule": equation.rule.name}
    if equation.rule.relation is Relation.BECOMES:
        return {**entry, "checked": "an assignment: there is nothing to compare"}
    if equation.at_example:
        chosen = points["example"]
    elif equation.over or (equation.lhs.free_symbols | equation.rhs.free_symbols | equation.rhs.atoms(Symbol)) & {T, k}:
        chosen = points["rolled"] + points["unrolled"]
    else:
        chosen = points["unrolled"]
    compared = sum(compare(equation, point, index) for point in chosen for index in indices(equation, point))
    if compared == 0:
        raise CertificateError(
            f"equation ({equation.number}) {equation.lhs} = {equation.rhs} was never evaluated: no point fits"
        )
    return {**entry, "checked": f"both sides agree to {DIGITS} digits", "values": compared}


def indices(equation: Equation, point: Point) -> Iterator[dict[Symbol, int]]:
    """Every choice of the indices for which an equation holds, those that depend on others after them."""

    def choose(chosen: dict[Symbol, int], left: tuple[Any, ...]) -> Iterator[dict[Symbol, int]]:
        if not left:
            yield chosen
            return
        over, *others = left
        first, last = (int(point.value(end, chosen)) for end in (over.first, over.last))
        for value in range(last, first + 1) if over.backwards else range(first, last + 1):
            yield from choose({**chosen, over.index: value}, tuple(others))

    yield from choose({}, equation.over)


def compare(equation: Equation, point: Point, index: Mapping[Symbol, int]) -> int:
    """Compares the two sides at one point.

    Returns:
        How many numbers were compared.
    """
    left, right = (
        np.ravel(np.asarray(point.value(side, index), dtype=object)) for side in (equation.lhs, equation.rhs)
    )
    left, right = np.broadcast_arrays(left, right)
    for ours, theirs in zip(left, right, strict=True):
        # Not the other way round: a value that is no number must fail.
        if not abs(ours - theirs) <= mpmath.mpf(10) ** -DIGITS * max(1, abs(ours), abs(theirs)):
            where = ", ".join(
                [f"T = {point.steps}", f"N = {point.sequences}"]
                + [f"{name} = {value}" for name, value in index.items()]
                + [f"{weight} = {mpmath.nstr(point.given[weight], 8)}" for weight in point.cell.parameters]
            )
            both = f"{mpmath.nstr(ours, DIGITS)}, right {mpmath.nstr(theirs, DIGITS)}"
            text = f"equation ({equation.number}) {equation.lhs} = {equation.rhs}: left {both}, at {where}"
            raise CertificateError(f"cell {point.cell.name!r}, {' '.join(text.split())}")
    return len(left)


# --- the generated code ---


def check_code(cell: Cell, source: str) -> None:
    """Runs a generated module for several shapes, and compares what it says.

    | what                   | against                                                        |
    |------------------------|----------------------------------------------------------------|
    | `loss`, `predict`      | the cell's equations, interpreted                              |
    | `value_and_gradient`   | the loss, and its complex-step derivative                      |
    | `descend`              | the weights, less the learning rates times the gradient        |

    Raises:
        CertificateError: Two numbers differ by more than `CODE_BOUND` of the largest one beside them.
    """
    network = load(source, cell.name)
    for (sequences, steps), seed in product(SHAPES, range(3)):
        draw = np.random.default_rng(seed)
        X, t = draw.normal(size=(sequences, steps)), draw.normal(size=sequences)
        # Weights of up to 1/2, so that no state overflows within the steps.
        parameters, rates = (network.Parameters(*draw.uniform(-0.5, 0.5, len(cell.parameters))) for _ in range(2))
        point = point_at(cell, parameters, X, t)
        output = point.value(cell.output.xreplace({T: Integer(steps), k: Integer(steps)}))
        value, gradient = network.value_and_gradient(parameters, X, t)
        moved = [weight - rate * slope for weight, rate, slope in zip(parameters, rates, gradient, strict=True)]
        for what, ours, theirs in (
            ("loss", [network.loss(parameters, X, t), value], [point.loss(point.trace)] * 2),
            ("predict", network.predict(parameters, X), output),
            ("value_and_gradient", gradient, complex_step(network, parameters, X, t)),
            ("descend", network.descend(parameters, gradient, rates), moved),
        ):
            ours, theirs = (np.array([float(number) for number in numbers]) for numbers in (ours, theirs))
            if not np.abs(ours - theirs).max() <= CODE_BOUND * np.abs(theirs).max():
                raise CertificateError(
                    f"cell {cell.name!r}, network.py: {what} gives {ours.tolist()}, and should give {theirs.tolist()}, "
                    f"at N = {sequences}, T = {steps}, {parameters}"
                )


def point_at(cell: Cell, parameters: Any, X: np.ndarray, t: np.ndarray) -> Point:
    """The point with the numbers that a generated module is called with."""
    exactly = np.vectorize(mpmath.mpf, otypes=[object])
    given: dict[Expr, Value] = dict(zip(cell.parameters, map(mpmath.mpf, parameters), strict=True))
    given |= {cell.inputs[0][step]: column for step, column in enumerate(exactly(X).T, start=1)}
    given[cell.targets[0]] = exactly(t)
    return Point(cell, X.shape[1], X.shape[0], given, mpmath.mpf(NUDGE))


def complex_step(network: Any, parameters: Any, X: np.ndarray, t: np.ndarray) -> list[float]:
    """Im f(w + ih) / h for every weight: no difference is taken, so nothing cancels."""
    slopes = []
    for position in range(len(parameters)):
        moved = list(parameters)
        moved[position] = complex(moved[position], COMPLEX_STEP)
        slopes.append(float(np.imag(network.loss(network.Parameters(*moved), X, t)) / COMPLEX_STEP))
    return slopes
