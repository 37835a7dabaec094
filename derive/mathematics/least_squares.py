"""Losses that are sums of squares: what is squared, and how it depends on the weights, sequence by sequence."""

from __future__ import annotations

from sympy import Add, Expr, Pow, S

from derive.language.cell import Cell
from derive.language.operations import BatchMean, Total
from derive.language.quantities import LOSS, Abbreviation, N, indexed_of
from derive.mathematics.closed_form import batch_sum
from derive.mathematics.derivation import Equation, Forward, LeastSquares, Tangents
from derive.mathematics.forward_mode import at_last_step
from derive.mathematics.ledger import Ledger
from derive.mathematics.pullbacks import partial
from derive.mathematics.rules import GRADIENT_OF_SQUARES, JACOBIAN, RESIDUAL, SUM_OF_SQUARES


def squared(cell: Cell) -> tuple[Expr, Expr] | None:
    """The loss of a cell of numbers as c/N Σ_n r²: the number c and the residual r of one sequence.

    Returns:
        None where the loss is no mean of squares, or is taken at every step.
    """
    if not cell.is_scalar or cell.loss_at_every_step:
        return None
    scale, average = cell.loss.as_coeff_Mul()
    if not isinstance(average, BatchMean):
        return None
    inner, square = average.args[0].as_coeff_Mul()
    if not (isinstance(square, Pow) and square.exp == 2 and (scale * inner).is_positive):
        return None
    return scale * inner, square.base


def write_least_squares(cell: Cell, forward: Forward, tangents: Tangents, ledger: Ledger) -> LeastSquares:
    """Writes the residual, the loss with it, its derivatives by the weights, and the gradient with them.

    Args:
        cell: A cell whose loss is `squared`.
        forward: Its equations.
        tangents: Its forward mode.
        ledger: Where to write.
    """
    form = squared(cell)
    assert form is not None  # asked for by the pipeline before
    scale, inside = form
    latex = "r" if "r" not in {quantity.latex for quantity in cell.quantities} else r"\tilde{r}"
    r = Abbreviation("residuals", latex, "the residual of a sequence", ((inside, S.Zero, S.Zero),))
    residual = ledger.equation(r, inside, RESIDUAL, (forward.loss,))
    loss = ledger.equation(LOSS, scale * BatchMean(r**2), SUM_OF_SQUARES, (forward.loss, residual))
    known = at_last_step(tangents)
    jacobian: dict[Expr, Equation] = {}
    for weight in cell.parameters:
        terms, used = [partial(inside, weight)], [residual]
        for atom in sorted(indexed_of(inside), key=str):
            if (tangent := Total(atom, weight)) in known:
                terms.append(partial(inside, atom) * tangent)
                used.append(known[tangent])
        jacobian[weight] = ledger.equation(Total(r, weight), Add(*terms), JACOBIAN, tuple(used))
    gradients = {
        weight: ledger.equation(
            Total(LOSS, weight),
            2 * scale / N * batch_sum(r, Total(r, weight)),
            GRADIENT_OF_SQUARES,
            (loss, jacobian[weight]),
        )
        for weight in cell.parameters
    }
    return LeastSquares(residual, loss, jacobian, gradients)
