"""Proves the derived gradient of a cell of numbers against SymPy's `diff` of its nested loss, symbolically."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from sympy import Add, Dummy, Expr, Integer, Mul, Pow, Rational, S, Sum, cancel, expand, together

from derive.certify.equations import DIGITS
from derive.language.cell import Cell
from derive.language.derivative import derivative
from derive.language.errors import CertificateError
from derive.language.operations import BatchMean, BatchSum
from derive.language.quantities import N, T, bare_of, indexed_of, k
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.unroll import loss_of_steps, right_hand_sides

SYMBOLIC_STEPS = (1, 2, 3, 4)
LARGEST_NESTED = 150
"""A nested loss of more operations is not differentiated by SymPy, which could take hours; T is smaller there."""
LARGEST_DIFFERENCE = 700
"""An expression of more operations is not simplified; it is evaluated."""
LARGEST_EXPANDED = 2500
"""Nor is one of more terms, once it is multiplied out."""
LARGEST_FRACTION = 300
"""One of more operations is not made a fraction in lowest terms, for which SymPy may take hours."""


def check_against_diff(derivation: Derivation) -> list[int]:
    """Compares the derived gradient with the derivative that SymPy takes of the whole nested loss, for one sequence.

    Returns:
        The numbers of steps for which they were compared; from the first one on where that would be too large, the
        gradient is known by its numerical value alone.
    """
    cell = derivation.cell
    compared: list[int] = []
    for steps in SYMBOLIC_STEPS:
        nested = _one_sequence(loss_of_steps(cell, steps).xreplace(_nested_states(cell, steps)))
        if nested.count_ops() > LARGEST_NESTED:
            break
        derived = _run_backwards(derivation, steps)
        differences = {weight: gradient - derivative(nested, weight) for weight, gradient in derived.items()}
        if not all(map(is_small, differences.values())):
            break
        compared.append(steps)
        for weight, difference in differences.items():
            if not is_zero(difference):
                raise CertificateError(
                    f"cell {cell.name!r}, T = {steps}: the derived gradient for {weight} differs from SymPy's diff, "
                    f"{derived[weight]} from {derivative(nested, weight)}"
                )
    return compared


def is_zero(difference: Expr) -> bool:
    """Whether an expression is zero: expanded, as a fraction in lowest terms, or, where SymPy cannot tell, at points.

    The last is no proof, but fails for two expressions that differ: at three random points, to `DIGITS` digits. It is
    all that is done with an expression that is not `is_small`.
    """
    if (small := is_small(difference)) and expand(difference) == S.Zero:
        return True
    symbols = sorted(indexed_of(difference) | bare_of(difference) | (difference.free_symbols & {N}), key=str)
    names = {symbol: Dummy(positive=True) for symbol in symbols}
    plain = difference.xreplace(names)
    if small and plain.count_ops() <= LARGEST_FRACTION and cancel(together(plain)) == S.Zero:
        return True
    draw = random.Random(0)
    points = ({name: Rational(draw.randint(1, 96), 97) for name in names.values()} for _ in range(3))
    return all(abs(plain.subs(point).evalf(2 * DIGITS)) < Rational(1, 10**DIGITS) for point in points)


def is_small(expression: Expr) -> bool:
    """Whether an expression is simplified; a large one is evaluated."""
    return expression.count_ops() <= LARGEST_DIFFERENCE and expanded_size(expression) <= LARGEST_EXPANDED


def expanded_size(expression: Expr) -> int:
    """How many terms an expression has at most once it is multiplied out, found without doing it."""
    match expression:
        case Add():
            return sum(map(expanded_size, expression.args))
        case Mul():
            return math.prod(map(expanded_size, expression.args))
        case Pow() if isinstance(expression.exp, Integer) and expression.exp > 0:
            return expanded_size(expression.base) ** min(int(expression.exp), LARGEST_EXPANDED)
    return max(map(expanded_size, expression.args), default=1)


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
        for equation in backward.before_last if backward.before_last and step == steps - 1 else backward.step:
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
