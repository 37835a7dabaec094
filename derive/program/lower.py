"""From a derivation to a program: every line of it is an equation, with its number."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Add, Expr, S, Sum

from derive.language.quantities import LOSS, T
from derive.mathematics.derivation import Derivation, Equation
from derive.program.program import Accumulate, Allocate, Assign, ForTime, Program, Statement, Zero


def lower(derivation: Derivation) -> Program:
    """Puts the equations of a derivation into the order in which they can be computed."""
    return Program(
        derivation.cell,
        forward_pass(derivation),
        loss_value(derivation),
        backward_pass(derivation),
        gradient_sums(derivation),
        tuple(assign(equation) for equation in derivation.update),
    )


def assign(equation: Equation) -> Assign:
    """An equation as a line of code."""
    return Assign(equation.lhs, equation.rhs, equation.number)


def loop(equations: Iterable[Equation]) -> ForTime:
    """Equations that hold for the same range of k, as a loop over it."""
    equations = tuple(equations)
    over = equations[0].over[0]
    return ForTime(over.first, over.last, over.backwards, tuple(assign(equation) for equation in equations))


def forward_pass(derivation: Derivation) -> tuple[Statement, ...]:
    """The states and intermediates of every step; the last one by itself where it has equations of its own."""
    cell, forward = derivation.cell, derivation.forward
    start: tuple[Statement, ...] = (
        *(Allocate(quantity) for quantity in cell.computed),
        *(assign(equation) for equation in forward.initial),
    )
    every_step = tuple(assign(equation) for equation in forward.step)
    own = {equation.lhs.quantity: equation.number for equation in forward.last}
    if not cell.has_own_last_step:
        outputs = (Assign(q[T], right, own[q]) for q, right in cell.last_step.items() if q in own)
        return (*start, ForTime(S.One, T, False, every_step), *outputs)
    numbers = {equation.lhs.quantity: equation.number for equation in forward.step} | own
    last_step = (Assign(q[T], right, numbers[q]) for q, right in cell.last_step.items())
    return (*start, ForTime(S.One, T - 1, False, every_step), *last_step)


def loss_value(derivation: Derivation) -> tuple[Statement, ...]:
    """The loss: of the last step, or summed over all."""
    equation = derivation.forward.loss
    if not derivation.cell.loss_at_every_step:
        return (assign(equation),)
    return Zero(LOSS), ForTime(S.One, T, False, (Accumulate(LOSS, equation.rhs.function, equation.number),))


def backward_pass(derivation: Derivation) -> tuple[Statement, ...]:
    """The adjoints from the last step to the first."""
    backward = derivation.backward
    return (
        *(Allocate(adjoint) for adjoint in backward.adjoints.values()),
        *(assign(equation) for equation in backward.start),
        *((loop(backward.before_last),) if backward.before_last else ()),
        loop(backward.step),
        *(assign(equation) for equation in backward.first),
    )


def gradient_sums(derivation: Derivation) -> tuple[Statement, ...]:
    """The gradients: what each step adds, in one loop a range of steps, and what is added once."""
    gradients = tuple(derivation.backward.gradients.values())
    once: list[Statement] = []
    loops: dict[tuple[Expr, Expr], list[Accumulate]] = {}
    for equation in gradients:
        for term in Add.make_args(equation.rhs):
            inner = term.function if isinstance(term, Sum) else term
            line = Accumulate(equation.lhs, inner, equation.number)
            if isinstance(term, Sum):
                loops.setdefault(term.limits[0][1:], []).append(line)
            else:
                once.append(line)
    return (
        *(Zero(equation.lhs) for equation in gradients),
        *(ForTime(first, last, False, tuple(lines)) for (first, last), lines in loops.items()),
        *once,
    )
