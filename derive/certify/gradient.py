"""Proves the derived gradient of a cell of numbers against SymPy's `diff` of its nested loss, symbolically."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Add, Expr, Integer, Sum, preorder_traversal

from derive.language.calculus import DIGITS, derivative, is_zero, vanishes
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.operations import BatchMean, BatchSum
from derive.language.quantities import At, N, T, k
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.unroll import loss_of_steps, right_hand_sides

SYMBOLIC_STEPS = (1, 2, 3, 4)
LARGEST_NESTED = 150
"""A nested loss of more operations is not differentiated by SymPy, which could take hours; T is smaller there."""
LARGEST_BUILT = 100 * LARGEST_NESTED
"""Nor is one put together that would have so many, while what is zero in it is not left out."""


def check_against_diff(derivation: Derivation) -> dict[str, Any]:
    """Compares the derived gradient with the derivative that SymPy takes of the whole nested loss, for one sequence.

    Returns:
        The entry of the certificate: for which numbers of steps the two are proved to be equal, and for which they are
        equal at random points, since a proof would be too large. From the first one on where SymPy's derivative would
        be, the gradient is known by its numerical value alone.

    Raises:
        CertificateError: They differ.
    """
    cell = derivation.cell
    proved: list[int] = []
    at_points: list[int] = []
    for steps in SYMBOLIC_STEPS:
        if size_of_nested(cell, steps) > LARGEST_BUILT:
            break
        nested = _one_sequence(loss_of_steps(cell, steps).xreplace(_nested_states(cell, steps)))
        if nested.count_ops() > LARGEST_NESTED:
            break
        derived = _run_backwards(derivation, steps)
        differences = {weight: gradient - derivative(nested, weight) for weight, gradient in derived.items()}
        unproved = [weight for weight, difference in differences.items() if not is_zero(difference)]
        for weight in unproved:
            if not vanishes(differences[weight]):
                raise CertificateError(
                    f"cell {cell.name!r}, T = {steps}: the derived gradient for {weight} differs from SymPy's diff, "
                    f"{derived[weight]} from {derivative(nested, weight)}"
                )
        (at_points if unproved else proved).append(steps)
    return {
        "statement": "the gradient of one sequence equals SymPy's diff of its whole nested loss, symbolically",
        "steps": proved,
        **({f"steps at random points, to {DIGITS} digits": at_points} if at_points else {}),
        "further steps": f"at random points, to {DIGITS} digits, with the equations",
        "weights": [weight.name for weight in cell.parameters],
    }


def size_of_nested(cell: Cell, steps: int) -> int:
    """How many operations the nested loss has, found without putting it together."""
    sizes: dict[Expr, int] = {state[0]: value.count_ops() for state, value in cell.initial.items()}

    def size(right: Expr) -> int:
        inside = sum(sizes.get(part, 0) for part in preorder_traversal(right) if isinstance(part, At))
        return int(right.count_ops()) + inside

    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            sizes[left] = size(right)
    return size(loss_of_steps(cell, steps))


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
