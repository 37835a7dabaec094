"""The loss as a polynomial of the weights, whose coefficients are sums over the data: its moments.

For s_T = w Σ_j x_j a^{T-j} and a loss that is a quadratic form of s_T and t, the square multiplied out holds a^m times
what no weight is in. So one pass over the data gives the coefficients, and a step of training needs no data.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sympy import Expr, Poly, S, Sum, expand

from derive.language.cell import Cell
from derive.language.operations import BatchMean, BatchSum, Total
from derive.language.quantities import LOSS, Moment, N, Parameter, SharedAbbreviation, T, k
from derive.mathematics.closed_form import Affine, j, m
from derive.mathematics.derivation import Equation, Moments, Range
from derive.mathematics.ledger import Ledger
from derive.mathematics.one_pass import fresh_letters
from derive.mathematics.rules import DIFFERENTIATE_POLYNOMIAL, MULTIPLY_OUT, NAME_SUM


@dataclass(frozen=True)
class Quadratic:
    """The loss 1/N Σ_n (squared s_T² + mixed s_T t + constant t²) of s_T = weight · Σ_j x_j a^{T-j}.

    Attributes:
        weight: w, an expression of parameters.
        squared: A number.
        mixed: A number.
        constant: A number.
    """

    weight: Expr
    squared: Expr
    mixed: Expr
    constant: Expr


def quadratic(recurrence: Affine, cell: Cell) -> Quadratic | None:
    """The loss in this form; None where it has another one, or where the last state has further terms."""
    x, t, last = cell.inputs[0][k], cell.targets[0], recurrence.state[T]
    weight = recurrence.drive.diff(x)
    others = expand(recurrence.drive - weight * x)
    if recurrence.start != S.Zero or others != S.Zero or weight.has(x, k) or not isinstance(cell.loss, BatchMean):
        return None
    if not cell.loss.args[0].is_polynomial(last, t):
        return None
    terms = dict(Poly(cell.loss.args[0], last, t).terms())
    squared, mixed, constant = (terms.pop(powers, S.Zero) for powers in ((2, 0), (1, 1), (0, 2)))
    if terms or squared == S.Zero or not all(number.is_Rational for number in (squared, mixed, constant)):
        return None
    return Quadratic(weight, squared, mixed, constant)


def unlike(cell: Cell, name: str, latex: str) -> tuple[str, str]:
    """A name in code and on paper, changed where a quantity of the cell goes by it."""
    taken = {each for quantity in cell.quantities for each in (quantity.name, quantity.latex)}
    return (f"{name}_data", rf"\tilde{{{latex}}}") if {name, latex} & taken else (name, latex)


def write_moments(
    recurrence: Affine, form: Quadratic, cell: Cell, closed: Equation, ledger: Ledger, used: Collection[str] = ()
) -> Moments:
    """Writes the moments, the polynomials that they are the coefficients of, the loss and the gradients with them.

    Args:
        recurrence: The recurrence.
        form: The loss.
        cell: The cell.
        closed: The equation of the closed form.
        ledger: Where to write.
        used: Letters that stand for something else already.
    """
    x, t, a, w = cell.inputs[0], cell.targets[0], recurrence.factor, form.weight
    once = (S.Zero, S.Zero)
    factor, of_factor = a, None
    if not isinstance(a, Parameter):  # a power of a product would fall apart into powers of its factors
        letter = next(letter for letter in fresh_letters(cell) if letter not in used)
        factor = SharedAbbreviation(letter, letter, "the factor of the recurrence", ((a, *once),))
        of_factor = ledger.equation(factor, a, NAME_SUM, (closed,))
    # x_i x_j a^{(T-i) + (T-j)}: for the power m it is i = 2T - m - j, and both lie between 1 and T.
    pairs = x[j] * x[2 * T - m - j]
    small, large = BatchSum(Sum(pairs, (j, T - m, T))), BatchSum(Sum(pairs, (j, S.One, 2 * T - m - 1)))
    with_target, square = BatchSum(x[T - m] * t), BatchSum(t**2)
    of_inputs = ((small, S.Zero, T - 1), (large, T, 2 * T - 2))
    c = Moment("c", unlike(cell, "c", "c")[1], "the inputs with themselves", of_inputs, m)
    b = Moment("b", unlike(cell, "b", "b")[1], "the inputs with the targets", ((with_target, S.Zero, T - 1),), m)
    tau = SharedAbbreviation(*unlike(cell, "tau", r"\tau"), "the targets with themselves", ((square, *once),))
    products = tuple(
        ledger.equation(c[m], right, NAME_SUM, (closed,), (Range(m, first, last),)) for right, first, last in of_inputs
    )
    cross = ledger.equation(b[m], with_target, NAME_SUM, (closed,), (Range(m, S.Zero, T - 1),))
    squares = ledger.equation(tau, square, NAME_SUM, (closed,))

    def polynomial(name: str, latex: str, right: Expr, source: Equation) -> tuple[SharedAbbreviation, Equation]:
        named = SharedAbbreviation(*unlike(cell, name, latex), "a polynomial of the factor", ((right, *once),))
        return named, ledger.equation(named, right, NAME_SUM, (source,))

    C, of_C = polynomial("C", "C", Sum(c[m] * factor**m, (m, S.Zero, 2 * T - 2)), products[0])
    B, of_B = polynomial("B", "B", Sum(b[m] * factor**m, (m, S.Zero, T - 1)), cross)
    C_slope, of_C_slope = polynomial("C_slope", "C'", Sum(m * c[m] * factor ** (m - 1), (m, S.One, 2 * T - 2)), of_C)
    B_slope, of_B_slope = polynomial("B_slope", "B'", Sum(m * b[m] * factor ** (m - 1), (m, S.One, T - 1)), of_B)
    value = form.squared * w**2 * C + form.mixed * w * B + form.constant * tau
    loss = ledger.equation(LOSS, value / N, MULTIPLY_OUT, (closed, *products, cross, squares, of_C, of_B))
    by_factor = form.squared * w**2 * C_slope + form.mixed * w * B_slope
    gradients = {
        weight: ledger.equation(
            Total(LOSS, weight),
            (value.diff(weight) + a.diff(weight) * by_factor) / N,
            DIFFERENTIATE_POLYNOMIAL,
            (loss, of_C_slope, of_B_slope),
        )
        for weight in cell.parameters
    }
    polynomials = (of_C, of_B, of_C_slope, of_B_slope)
    return Moments(factor, of_factor, (products[0], products[1]), cross, squares, polynomials, loss, gradients)
