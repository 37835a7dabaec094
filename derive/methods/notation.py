"""The order of terms and the form of numbers in update rules, the same on paper and in code."""

from __future__ import annotations

from sympy import Add, Expr, Max, Min, Mul

from derive.language.order import is_negative
from derive.language.quantities import Quantity
from derive.methods.update_rules import Scalar, n


def terms_of_update(total: Expr) -> list[Expr]:
    """The terms of a sum in their usual order, β m + (1 - β) g: by what is averaged, not by its factors."""

    def key(term: Expr) -> tuple[bool, bool, int, int]:
        places = (quantity.place for quantity in term.atoms(Quantity) if not isinstance(quantity, Scalar))
        is_last = (not term.is_number and is_scalar(term)) or (term.is_number and total.has(n))
        return is_negative(term), is_last, min(places, default=0), len(Mul.make_args(term))

    return sorted(Add.make_args(total), key=key)


def operands(extreme: Min | Max) -> list[Expr]:
    """What the smaller or the larger one is taken of, constants last."""
    return sorted(extreme.args, key=lambda operand: (is_scalar(operand), str(operand)))


def is_scalar(expression: Expr) -> bool:
    """Whether it is one number for all entries."""
    return all(isinstance(quantity, Scalar) for quantity in expression.atoms(Quantity))


def number(value: float) -> str:
    """1e-8, which Python would write 1e-08."""
    return repr(value).replace("e-0", "e-")


def short_number(value: float) -> str:
    """1e-3 and 1e12, which Python would write 0.001 and 1000000000000.0."""
    return f"{value:g}".replace("e-0", "e-").replace("e+", "e")
