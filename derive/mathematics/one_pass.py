"""The loss and its gradient from one pass over the data: the sums of the closed form, named and computed together.

The closed form reads an input only within sums over the steps, Σ_j f(j) x_j. All of them are one product of the data
with a matrix that holds f(1), …, f(T) for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from sympy import Add, Expr, Mul, S, Sum

from derive.language.cell import Cell
from derive.language.operations import BatchMean, Total
from derive.language.quantities import LOSS, Abbreviation, Parameter, SharedAbbreviation, T, k, varies_by_sequence
from derive.mathematics.closed_form import Affine, batch_sum, geometric, j, pull_out, slope
from derive.mathematics.derivation import Backward, Equation, OnePass
from derive.mathematics.ledger import Ledger
from derive.mathematics.rules import CHAIN_CLOSED_FORM, NAME_SUM, WITH_NAMES

LETTERS = "uvpqghwz"


def adds_up(recurrence: Affine, cell: Cell) -> bool:
    """Whether b_k is a sum of an input times weights, and of weights; and the loss a mean over the sequences."""
    atom = cell.inputs[0][k]
    linear = recurrence.drive.has(atom) and not recurrence.drive.diff(atom).has(atom)
    linear = linear and recurrence.factor.is_polynomial(*cell.parameters)  # 1/a has no powers from 0 up
    return bool(linear) and isinstance(cell.loss.as_coeff_Mul()[1], BatchMean)


def fresh_letters(cell: Cell) -> Iterator[str]:
    """Letters that no quantity of the cell goes by."""
    taken = {name for quantity in cell.quantities for name in (quantity.name, quantity.latex)}
    names = (f"{letter}{number or ''}" for number in count() for letter in LETTERS)
    return (name for name in names if name not in taken)


def apart(expression: Expr, atom: Expr) -> Expr:
    """Every sum over the steps as one with the input times a number, and one without, constant factors in front."""

    def split(total: Sum) -> Expr:
        parts = (total.function.diff(atom) * atom, total.function.xreplace({atom: S.Zero}))
        return Add(*(pull_out(Sum(part, *total.limits)) for part in parts if part != S.Zero))

    return expression.replace(lambda part: isinstance(part, Sum), split)


def write_one_pass(
    recurrence: Affine,
    cell: Cell,
    closed: Equation,
    slopes: Mapping[Parameter, Equation],
    backward: Backward,
    ledger: Ledger,
) -> OnePass:
    """Writes the sums under names of their own, and the last state and the gradients with them."""
    atom = cell.inputs[0][j]
    letters = fresh_letters(cell)
    names: dict[Sum, Abbreviation] = {}
    written = []
    last = apart(geometric(recurrence, T), atom)
    bent = {weight: apart(slope(recurrence, weight, T), atom) for weight in cell.parameters}
    for part, equation in ((last, closed), *((bent[weight], slopes[weight]) for weight in cell.parameters)):
        for total in sorted(part.atoms(Sum) - set(names), key=str):
            letter = next(letters)
            kind = Abbreviation if varies_by_sequence(total) else SharedAbbreviation
            names[total] = kind(letter, letter, "a sum over the steps", ((total, S.Zero, S.Zero),))
            written.append(ledger.equation(names[total], total, NAME_SUM, (equation,)))
    start = backward.start[0]
    state = ledger.equation(recurrence.state[T], last.xreplace(names), WITH_NAMES, (closed, *written))
    delta = backward.adjoints[recurrence.state][T]
    gradients = {
        weight: ledger.equation(
            Total(LOSS, weight),
            batch_sum(Mul(delta, bent[weight].xreplace(names))),
            CHAIN_CLOSED_FORM,
            (start, slopes[weight], *written),
        )
        for weight in cell.parameters
    }
    return OnePass(tuple(written), state, start, gradients)
