"""The order in which sums and products are written, the same on paper and in code.

SymPy sorts by its own rules (`W_{rec} s_{k-1}`, `-t + s_T`). Here a product runs adjoint, state, input, parameter,
as in δ_k x_k and s_{k-1} W_rec, and a sum has what is subtracted last, as in s_T - t.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, Sum

from derive.language.operations import BatchMean, BatchSum, Chain, Marked, Partial, Total
from derive.language.quantities import At, atoms_of, quantity_of

PLACE_OF_CONSTANT = 0


def place(expression: Expr) -> int:
    """Where an expression stands in a product: the place of its foremost quantity, 0 for a constant."""
    if isinstance(expression, Marked):
        return place(expression.name)
    return min((quantity_of(atom).place for atom in atoms_of(expression)), default=PLACE_OF_CONSTANT)


def ordered_factors(product: Expr) -> list[Expr]:
    """The factors of a product in the order in which they are written; sums last, so that they need no brackets."""

    def key(factor: Expr) -> tuple[bool, bool, int, int, str]:
        return _is_sum(factor), factor.has(Total, Partial), place(factor), _bulk(factor), str(factor)

    return sorted(Mul.make_args(product), key=key)


def ordered_terms(total: Expr) -> list[Expr]:
    """The terms of a sum in the order in which they are written: k - 1, s_T - t, 1 - z."""
    in_an_index = not atoms_of(total)

    def key(term: Expr) -> tuple[bool, bool, int, int, str]:
        return is_negative(term), in_an_index and term.is_number, place(term), -_bulk(term), str(term)

    return sorted(Add.make_args(total), key=key)


def is_negative(term: Expr) -> bool:
    """Whether a term is written with a minus in front."""
    return bool(term.as_coeff_Mul()[0].is_negative) and not isinstance(term, Add)


def _is_sum(expression: Expr) -> bool:
    return expression.has(Sum, BatchSum, BatchMean)


def _bulk(expression: Expr) -> int:
    """How large a part is, by kind: a name before a power, and that before a bracket."""
    if isinstance(expression, Chain) or (expression.has(Add) and not isinstance(expression, At | Pow)):
        return 2
    return 1 if isinstance(expression, Pow) else 0
