"""Whole numbers: what indices, and the ends of their ranges, stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sympy import Add, Expr, Integer, Max, Mul, Symbol


def whole(expression: Expr, numbers: Mapping[Symbol, int]) -> int | None:
    """A whole number computed from others, None where something else is in it.

    Args:
        expression: A sum, a product or a maximum of symbols and integers.
        numbers: What its symbols stand for.
    """
    match expression:
        case Integer():
            return int(expression)
        case Symbol():
            return numbers.get(expression)
        case Add() | Mul() | Max():
            parts = [whole(part, numbers) for part in expression.args]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            if isinstance(expression, Max):
                return max(known)
            return sum(known) if isinstance(expression, Add) else math.prod(known)
    return None


def step_of(expression: Expr, numbers: Mapping[Symbol, int]) -> int:
    """The step that an index stands for.

    Raises:
        ValueError: It is no whole number.
    """
    step = whole(expression, numbers)
    if step is None:
        raise ValueError(f"{expression} is no step")
    return step
