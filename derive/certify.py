"""Proves a derivation against what did not produce it, and says so in a certificate.

| what                     | against                                                             | how exactly         |
|--------------------------|---------------------------------------------------------------------|---------------------|
| the gradient             | SymPy's `diff` of the nested loss, T = 1 … 4, of a cell of numbers  | symbolically        |
| every equation           | both sides on their own, derivatives taken numerically              | 30 digits           |
| the generated code       | the cell, interpreted, and the complex-step derivative of its loss  | 1e-12, relative     |

The induction proofs of the closed form are part of the derivation itself; it stops where one does not go through.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import mpmath
import numpy as np
from sympy import Add, Dummy, Expr, Integer, Rational, S, Sum, Symbol, cancel, expand, together

from derive.cell import Cell
from derive.derivation import Derivation, Equation
from derive.errors import CellError, CertificateError, DeriveError
from derive.evaluate import Point, Value
from derive.modules import load, load_package, print_example
from derive.operations import BatchMean, BatchSum
from derive.points import (
    ATTEMPTS,
    NUDGE,
    example_point,
    fitting_point,
    is_real,
    number_of_classes,
    point_of,
    random_point,
    small_sizes,
    starts,
    with_rates,
)
from derive.quantities import Label, N, T, bare_of, indexed_of, k
from derive.rules import ADJOINT, LOCAL_PARTIAL, Relation
from derive.unroll import MOST_WRITTEN_OUT, loss_of_steps, right_hand_sides

DIGITS = 30
"""To how many digits the two sides of an equation must agree."""
SYMBOLIC_STEPS = (1, 2, 3, 4)
LARGEST_NESTED = 150
"""A nested loss of more operations is not differentiated by SymPy, which could take hours; T is smaller there."""
COMPLEX_STEP = 1e-30
DIGITS_OF_A_FLOAT = 16
CODE_BOUND = 1e-12
ROUNDINGS = 64 * float(np.finfo(np.float64).eps)
"""What a few roundings of numbers about 1 add up to."""
SHAPES = ((1, 1), (3, 3), (1, 7), (7, 1), (5, 4), (4, 12), (20, 10))
"""(N, T) that the generated code is run with: N = T and N = 1 among them, where a wrong axis would hide elsewhere."""


def certify(derivation: Derivation, source: str, others: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Checks everything and returns the certificate, ready for JSON; the same derivation gives the same one.

    Args:
        derivation: What to check.
        source: Its generated module, the text of network.py.
        others: The texts of the modules beside it that compute the same another way, by file name.

    Raises:
        CertificateError: Something does not hold; with the equation, both values and the point.
    """
    cell = derivation.cell
    points = points_for(derivation)
    gradient: dict[str, Any] = {}
    if cell.is_scalar:
        with in_one_line(f"cell {cell.name!r}, the gradient"):
            steps = check_against_diff(derivation)
        gradient = {
            "statement": "the gradient of one sequence equals SymPy's diff of its whole nested loss, symbolically",
            "steps": steps,
            "weights": [weight.name for weight in cell.parameters],
        }
    equations = []
    for equation in derivation.equations:
        with in_one_line(f"cell {cell.name!r}, equation ({equation.number}) {equation.lhs} = {equation.rhs}"):
            equations.append(check_equation(equation, points))
    with in_one_line(f"cell {cell.name!r}, network.py"):
        shapes = check_code(cell, source)
    for name in others or {}:
        with in_one_line(f"cell {cell.name!r}, {name}"):
            check_beside(cell, source, name, others or {})
    return {
        "cell": cell.name,
        **({"gradient": gradient} if gradient.get("steps") else {}),
        "equations": equations,
        "code": {
            "statement": "loss and predict equal the interpreted cell, value_and_gradient the complex-step derivative",
            "step": COMPLEX_STEP,
            "relative bound": CODE_BOUND,
            "shapes N, T": [list(shape) for shape in shapes],
            **({"proved equal to it": sorted(others)} if others else {}),
        },
    }


@contextmanager
def in_one_line(where: str) -> Iterator[None]:
    """Makes one line of anything that goes wrong: what cannot be evaluated is not proved."""
    try:
        yield
    except DeriveError:
        raise
    except Exception as error:
        raise CertificateError(
            f"{where}: it cannot be checked: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


# --- the gradient against SymPy's diff ---


def check_against_diff(derivation: Derivation) -> list[int]:
    """Compares the derived gradient with the derivative that SymPy takes of the whole nested loss, for one sequence.

    Returns:
        The numbers of steps for which they were compared.
    """
    cell = derivation.cell
    compared = []
    for steps in SYMBOLIC_STEPS:
        nested = _one_sequence(loss_of_steps(cell, steps).xreplace(_nested_states(cell, steps)))
        if nested.count_ops() > LARGEST_NESTED:
            break
        compared.append(steps)
        derived = _run_backwards(derivation, steps)
        for weight, gradient in derived.items():
            if not is_zero(gradient - nested.diff(weight)):
                raise CertificateError(
                    f"cell {cell.name!r}, T = {steps}: the derived gradient for {weight} differs from SymPy's diff, "
                    f"{gradient} from {nested.diff(weight)}"
                )
    return compared


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
    unrolled = fitting_point(cell, derivation.steps, sequences=2, seed=1)
    # What holds for k = T - 2, …, 1 is seen at T = 3 first; the points must not hang on how many steps are displayed.
    shapes = ((1, 2), (2, 3), (3, 3), (6, 2)) if cell.is_scalar else ((1, 3), (2, 2), (3, 2))
    rolled = [fitting_point(cell, steps, sequences, seed=steps) for steps, sequences in shapes]
    if cell.is_scalar:
        special = [random_point(cell, 4, 2, seed=10, weight=weight) for weight in (0, -1, 2)]
        rolled += [point for point in special if is_real(point) and has_slopes(derivation, point)]
    if derivation.steps <= MOST_WRITTEN_OUT:
        rolled.append(unrolled)
    points = {"unrolled": [unrolled], "rolled": rolled, "example": []}
    if cell.worked_example is not None and cell.worked_example.solution:
        example = example_point(cell, cell.worked_example, mpmath.mpmathify, mpmath.mpf(NUDGE))
        points["example"] = [with_rates(example, random.Random(0))]
    return points


def has_slopes(derivation: Derivation, point: Point) -> bool:
    """Whether the partial derivatives exist at a point; that of a root of a weight does not where it is zero."""
    slopes = [equation for equation in derivation.equations if equation.rule == LOCAL_PARTIAL and equation.over]
    try:
        values = [
            point.value(side, index)
            for equation in slopes
            for index in indices(equation, point)
            for side in (equation.lhs, equation.rhs)
        ]
    except ZeroDivisionError:
        return False
    return not any(isinstance(number, mpmath.mpc) for value in values for number in np.ravel(value))


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
    claim = f"equation ({equation.number}) {equation.lhs} = {equation.rhs}"
    try:
        left, right = (np.asarray(point.value(side, index), dtype=object) for side in (equation.lhs, equation.rhs))
    except ZeroDivisionError as error:
        raise no_derivative(point.cell, claim) from error
    left, right = map(np.ravel, np.broadcast_arrays(left, right))
    for ours, theirs in zip(left, right, strict=True):
        if agree(ours, theirs):
            continue
        if isinstance(ours, mpmath.mpc) or isinstance(theirs, mpmath.mpc):  # a root of s[0] - 1e-28, say
            raise no_derivative(point.cell, claim)
        where = ", ".join(
            [f"T = {point.steps}", f"N = {point.sequences}"]
            + [f"{name} = {value}" for name, value in index.items()]
            + [f"{weight} = {_short(point.given[weight])}" for weight in point.cell.parameters]
        )
        both = f"{mpmath.nstr(ours, DIGITS)}, right {mpmath.nstr(theirs, DIGITS)}"
        text = f"{claim}: left {both}, at {where}"
        raise CertificateError(f"cell {point.cell.name!r}, {' '.join(text.split())}")
    return len(left)


def no_derivative(cell: Cell, claim: str) -> CellError:
    """The error for a formula that divides by zero where the cell itself is a real number."""
    problem = f"the derivative does not exist{starts(cell)}"
    return CellError(cell.name, claim, problem, "start elsewhere, or keep what is divided or under a root from 0")


def agree(ours: Any, theirs: Any) -> bool:
    """Whether two numbers are alike to `DIGITS` digits; a number that is none agrees with nothing."""
    with mpmath.workdps(2 * DIGITS):
        return bool(abs(ours - theirs) <= mpmath.mpf(10) ** -DIGITS * max(1, abs(ours), abs(theirs)))


def _short(value: Any) -> str:
    return mpmath.nstr(value, 8) if np.ndim(value) == 0 else str([mpmath.nstr(entry, 4) for entry in np.ravel(value)])


# --- the generated code ---


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


def check_beside(cell: Cell, source: str, name: str, others: Mapping[str, str]) -> None:
    """Runs a module that computes what network.py does another way, and compares it with what that was compared with.

    | it has               | against                                                                       |
    |----------------------|-------------------------------------------------------------------------------|
    | `value_and_gradient` | the interpreted cell, and the complex-step derivative of network.py's loss    |
    | and `Moments`        | the same; it takes those of the data in place of the data                     |
    | `descend`            | updates of the example's weights, by network.py's gradient                    |

    Raises:
        CertificateError: Two numbers differ by more than `CODE_BOUND` of the largest one beside them.
    """
    example = {"example.py": print_example(cell, cell.worked_example)} if cell.worked_example else {}
    modules = load_package({"network.py": source, **example, **others}, cell.name)
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
