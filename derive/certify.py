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
from sympy import Add, Dummy, Expr, Integer, Rational, S, Sum, Symbol, cancel, expand, together

from derive.cell import Cell
from derive.derivation import Derivation, Equation
from derive.errors import CertificateError
from derive.evaluate import Point, Value
from derive.modules import load
from derive.operations import BatchMean, BatchSum
from derive.points import NUDGE, example_point, point_of, random_point, small_sizes, with_rates
from derive.quantities import Label, N, T, bare_of, indexed_of, k
from derive.rules import ADJOINT, Relation
from derive.unroll import MOST_WRITTEN_OUT, loss_of_steps, right_hand_sides

DIGITS = 30
"""To how many digits the two sides of an equation must agree."""
SYMBOLIC_STEPS = (1, 2, 3, 4)
COMPLEX_STEP = 1e-30
CODE_BOUND = 1e-12
LARGEST_LOSS = 1e100
"""A network that grows beyond this within some steps is compared for fewer steps only: floats would overflow."""
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
    if derivation.cell.is_scalar:
        check_against_diff(derivation)
    points = points_for(derivation)
    equations = [check_equation(equation, points) for equation in derivation.equations]
    check_code(derivation.cell, source)
    return {
        "cell": derivation.cell.name,
        "gradient": {
            "statement": "the gradient of one sequence equals SymPy's diff of its whole nested loss, symbolically",
            "steps": list(SYMBOLIC_STEPS) if derivation.cell.is_scalar else [],
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
            if not is_zero(gradient - nested.diff(weight)):
                raise CertificateError(
                    f"cell {cell.name!r}, T = {steps}: the derived gradient for {weight} differs from SymPy's diff, "
                    f"{gradient} from {nested.diff(weight)}"
                )


def is_zero(difference: Expr) -> bool:
    """Whether an expression is zero: expanded, as a fraction in lowest terms, or, where SymPy cannot tell, at points.

    The last is no proof, but fails for two expressions that differ: at three random points, to `DIGITS` digits.
    """
    if expand(difference) == S.Zero:
        return True
    symbols = sorted(indexed_of(difference) | bare_of(difference) | (difference.free_symbols & {N}), key=str)
    names = {symbol: Dummy(positive=True) for symbol in symbols}
    plain = difference.xreplace(names)
    if cancel(together(plain)) == S.Zero:
        return True
    draw = random.Random(0)
    points = ({name: Rational(draw.randint(1, 96), 97) for name in names.values()} for _ in range(3))
    return all(abs(plain.subs(point).evalf(2 * DIGITS)) < Rational(1, 10**DIGITS) for point in points)


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
    """Where the equations are evaluated: for the unrolled ones T is theirs, the others must hold for several T.

    The others are evaluated at the T of the unrolled ones too, unless it is large: they hold for every k, and some of
    them for every two of them.
    """
    cell = derivation.cell
    unrolled = random_point(cell, derivation.steps, sequences=2, seed=1)
    shapes = ((1, 2), (2, 3), (3, 3), (6, 2)) if cell.is_scalar else ((1, 3), (2, 2))
    rolled = [random_point(cell, steps, sequences, seed=steps) for steps, sequences in shapes]
    if cell.is_scalar:
        special = [random_point(cell, 4, 2, seed=10, weight=weight) for weight in (0, -1, 2)]
        rolled += [point for point in special if has_value(point)]
    if derivation.steps <= MOST_WRITTEN_OUT:
        rolled.append(unrolled)
    points = {"unrolled": [unrolled], "rolled": rolled, "example": []}
    if cell.worked_example is not None and cell.worked_example.solution:
        example = example_point(cell, cell.worked_example, mpmath.mpmathify, mpmath.mpf(NUDGE))
        points["example"] = [with_rates(example, random.Random(0))]
    return points


def has_value(point: Point) -> bool:
    """Whether the cell can be evaluated at a point; a division by a weight cannot, where the weight is zero."""
    try:
        return bool(np.isfinite(np.asarray([point.loss(point.trace)], dtype=np.complex128)).all())
    except ZeroDivisionError:
        return False


def check_equation(equation: Equation, points: Mapping[str, list[Point]]) -> dict[str, Any]:
    """Evaluates both sides at every point that fits, and for every value of the indices.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: The sides differ.
    """
    entry: dict[str, Any] = {"number": equation.number, "rule": equation.rule.name}
    if equation.rule.relation is Relation.BECOMES:
        return {**entry, "checked": "nothing: an assignment"}
    if equation.rule == ADJOINT:
        return {**entry, "checked": "nothing: a definition"}
    if equation.at_example:
        chosen = points["example"]
    elif equation.over or (equation.lhs.free_symbols | equation.rhs.free_symbols | equation.rhs.atoms(Symbol)) & {T, k}:
        chosen = points["rolled"]
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
    left, right = (np.asarray(point.value(side, index), dtype=object) for side in (equation.lhs, equation.rhs))
    left, right = map(np.ravel, np.broadcast_arrays(left, right))
    for ours, theirs in zip(left, right, strict=True):
        if agree(ours, theirs):
            continue
        where = ", ".join(
            [f"T = {point.steps}", f"N = {point.sequences}"]
            + [f"{name} = {value}" for name, value in index.items()]
            + [f"{weight} = {_short(point.given[weight])}" for weight in point.cell.parameters]
        )
        both = f"{mpmath.nstr(ours, DIGITS)}, right {mpmath.nstr(theirs, DIGITS)}"
        text = f"equation ({equation.number}) {equation.lhs} = {equation.rhs}: left {both}, at {where}"
        raise CertificateError(f"cell {point.cell.name!r}, {' '.join(text.split())}")
    return len(left)


def agree(ours: Any, theirs: Any) -> bool:
    """Whether two numbers are alike to `DIGITS` digits; a number that is none agrees with nothing."""
    with mpmath.workdps(2 * DIGITS):
        return bool(abs(ours - theirs) <= mpmath.mpf(10) ** -DIGITS * max(1, abs(ours), abs(theirs)))


def _short(value: Any) -> str:
    return mpmath.nstr(value, 8) if np.ndim(value) == 0 else str([mpmath.nstr(entry, 4) for entry in np.ravel(value)])


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
    compared = 0
    for (sequences, steps), seed in product(
        SHAPES if cell.is_scalar else SHAPES[:5], range(3 if cell.is_scalar else 1)
    ):
        parameters, X, t, rates = draw_numbers(cell, network, sequences, steps, np.random.default_rng(seed))
        with np.errstate(all="ignore"):
            if not abs(network.loss(parameters, X, t)) <= LARGEST_LOSS:
                continue
        compared += 1
        point = point_of(cell, parameters, X, t, mpmath.mpf(NUDGE), mpmath.mpf)
        value, gradient = network.value_and_gradient(parameters, X, t)
        moved = [weight - rate * slope for weight, rate, slope in zip(parameters, rates, gradient, strict=True)]
        for what, ours, theirs in (
            ("loss", [network.loss(parameters, X, t), value], [point.loss(point.trace)] * 2),
            ("predict", network.predict(parameters, X), interpreted_output(point)),
            ("value_and_gradient", gradient, complex_step(network, parameters, X, t)),
            ("descend", network.descend(parameters, gradient, rates), moved),
        ):
            ours, theirs = (_flat(numbers) for numbers in (ours, theirs))
            if not np.abs(ours - theirs).max() <= CODE_BOUND * np.abs(theirs).max():
                raise CertificateError(
                    f"cell {cell.name!r}, network.py: {what} gives {ours.tolist()}, and should give {theirs.tolist()}, "
                    f"at N = {sequences}, T = {steps}, {' '.join(str(parameters).split())}"
                )
    if compared == 0:
        raise CertificateError(
            f"cell {cell.name!r}, network.py: no loss is below {LARGEST_LOSS:g}, so nothing was compared"
        )


def draw_numbers(cell: Cell, network: Any, sequences: int, steps: int, draw: np.random.Generator) -> tuple[Any, ...]:
    """Random weights, inputs, targets and learning rates for a generated module.

    The weights are at most 1/2, so that no state overflows within the steps.
    """
    sizes = small_sizes(cell)

    def shape(*dimensions: Any) -> tuple[int, ...]:
        return tuple(sizes.get(size, size) for size in dimensions)

    weights = (draw.uniform(-0.5, 0.5, shape(*weight.dimensions))[()] for weight in cell.parameters)
    X = draw.normal(size=(sequences, steps, *shape(*cell.inputs[0].dimensions)))
    every_step = (steps,) if cell.target_at_every_step else ()
    t = draw.normal(size=(sequences, *every_step, *shape(*cell.targets[0].dimensions)))
    if isinstance(cell.targets[0], Label):
        t = (t > 0).astype(int)
    rates = draw.uniform(0, 1, len(cell.parameters))
    return network.Parameters(*weights), X, t, network.Parameters(*rates)


def interpreted_output(point: Point) -> Value:
    """What `predict` is to return: the output for every sequence, at the last step or at every one."""
    output = point.cell.output
    if output.index == T:
        return point.value(output)
    every_step = [point.value(output, {k: step}) for step in range(1, point.steps + 1)]
    return np.stack(every_step, axis=1)


def _flat(numbers: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(each, dtype=np.float64)) for each in numbers])


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
