"""Decimal numbers as the fractions that they were written as."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Float, Rational


def with_fractions(expression: Expr) -> Expr:
    """An expression with the decimal numbers in it as the fractions that they were written as."""
    return expression.xreplace({number: exact(number) for number in expression.atoms(Float)})


def exact(number: Any) -> Rational:
    """The fraction that a decimal number was written as: 0.0006 is 3/5000."""
    return Rational(str(number))
