"""The equations of a cell at a step: symbolic k for every T, or numbers 1 … T for display."""

from __future__ import annotations

from sympy import Add, Expr, Integer, S, Sum, preorder_traversal

from derive.language.cell import Cell
from derive.language.quantities import LOSS, At, T, k
from derive.language.shapes import form_of
from derive.mathematics.derivation import Equation, Forward, Range
from derive.mathematics.ledger import Ledger
from derive.mathematics.rules import GIVEN, SUBSTITUTE, UNROLL

SHOWN_STEPS = 3
"""An unrolled display shows this many steps at each end and dots between."""
MOST_WRITTEN_OUT = 20
"""The gradient of more steps than this is not written out path by path: all paths together grow as their square."""
LARGEST_NESTED = 100
"""A nested expression with more names than this is not written down."""


def right_hand_sides(cell: Cell, step: int, steps: int) -> dict[At, Expr]:
    """The equations of one numbered step, in computing order.

    Args:
        cell: The cell.
        step: Which step, 1 … steps.
        steps: How many there are; at the last one the cell's own last step holds.
    """
    rights = cell.last_step if step == steps else cell.step
    return {q[step]: right.subs({k: Integer(step), T: Integer(steps)}) for q, right in rights.items()}


def elided(step: int, steps: int) -> bool:
    """Whether the display of this step may be dots."""
    return SHOWN_STEPS < step <= steps - SHOWN_STEPS and steps > 2 * SHOWN_STEPS


def left_out(step: int, steps: int) -> bool:
    """Whether what the gradient has of this step is not made at all, because only dots would be shown of it."""
    return steps > MOST_WRITTEN_OUT and elided(step, steps)


def describe(cell: Cell, ledger: Ledger) -> Forward:
    """Writes down the cell itself: the rolled equations, which hold for every T."""
    last_only = T - 1 if cell.has_own_last_step else T
    initial = tuple(ledger.equation(state[0], value, GIVEN) for state, value in cell.initial.items())
    step = tuple(
        ledger.equation(
            q[k],
            right,
            GIVEN,
            over=(
                Range(k, Integer(1), last_only if q in cell.last_step and cell.last_step[q] != right.subs(k, T) else T),
            ),
        )
        for q, right in cell.step.items()
    )
    last = tuple(
        ledger.equation(q[T], right, GIVEN)
        for q, right in cell.last_step.items()
        if q not in cell.step or right != cell.step[q].subs(k, T)
    )
    whole = Sum(cell.loss, (k, Integer(1), T)) if cell.loss_at_every_step else cell.loss
    loss = ledger.equation(LOSS, whole, GIVEN)
    return Forward(initial, step, last, loss)


def unroll(cell: Cell, steps: int, forward: Forward, ledger: Ledger) -> dict[At, Equation]:
    """Writes the equations of steps 1 … `steps` one below the other.

    Returns:
        The equation of every quantity at every step, the initial states included.
    """
    written: dict[At, Equation] = {equation.lhs: equation for equation in forward.initial}
    sources = {equation.lhs.quantity: equation for equation in forward.step}
    last_sources = sources | {equation.lhs.quantity: equation for equation in forward.last}
    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            source = (last_sources if step == steps else sources)[left.quantity]
            written[left] = ledger.equation(left, right, UNROLL, (source,), elided=elided(step, steps))
    return written


def nest(cell: Cell, steps: int) -> Expr:
    """The output after `steps` steps as one expression of the inputs and the weights.

    It grows with every step, for some cells exponentially; use it for the few steps that are shown or checked by it.
    """
    output = cell.output.xreplace({T: Integer(steps), k: Integer(steps)})
    known: dict[Expr, Expr] = {
        state[0]: value for state, value in cell.initial.items() if _can_replace(state[0], value)
    }
    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            value = right.xreplace(known)
            if left == output or _can_replace(left, value):
                known[left] = value
    return known[output]


def _can_replace(left: At, value: Expr) -> bool:
    """Whether a value may stand for its name in a matrix product: not a number, or one row for all, but for zero."""
    return value == S.Zero or form_of(value) == form_of(left) or not form_of(left).shape


def nested_size(cell: Cell, steps: int) -> int:
    """The number of names in the nested output, found without building it."""
    sizes: dict[Expr, int] = {}
    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            sizes[left] = sum(sizes.get(part, 1) for part in preorder_traversal(right) if isinstance(part, At))
    return sizes[cell.output.xreplace({T: Integer(steps), k: Integer(steps)})]


def show_nested(cell: Cell, steps: int, unrolled: dict[At, Equation], ledger: Ledger) -> Equation:
    """Writes the output as one nested expression."""
    output = cell.output.xreplace({T: Integer(steps), k: Integer(steps)})
    nested = nest(cell, steps)
    uses = tuple(equation for left, equation in unrolled.items() if not nested.has(left))
    return ledger.equation(output, nested, SUBSTITUTE, uses)


def unroll_loss(cell: Cell, steps: int, forward: Forward, ledger: Ledger) -> Equation:
    """Writes the loss of `steps` steps."""
    return ledger.equation(LOSS, loss_of_steps(cell, steps), UNROLL, (forward.loss,))


def loss_of_steps(cell: Cell, steps: int) -> Expr:
    """The loss of so many steps: that of the last one, or the sum of all."""
    if not cell.loss_at_every_step:
        return cell.loss.subs(T, Integer(steps))
    return Add(*(cell.loss.subs({k: Integer(step), T: Integer(steps)}) for step in range(1, steps + 1)))
