"""Proves the derived gradient of a cell of numbers against SymPy's `diff` of its nested loss, symbolically."""

from __future__ import annotations

import random
from collections.abc import Mapping

from sympy import Add, Dummy, Expr, Integer, Rational, S, Sum, cancel, expand, together

from derive.certify.equations import DIGITS
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.operations import BatchMean, BatchSum
from derive.language.quantities import N, T, bare_of, indexed_of, k
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.unroll import loss_of_steps, right_hand_sides

SYMBOLIC_STEPS = (1, 2, 3, 4)
LARGEST_NESTED = 150
"""A nested loss of more operations is not differentiated by SymPy, which could take hours; T is smaller there."""


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
