"""What SymPy is asked of an expression: its derivative, and whether it is zero, within bounds on its size.

A bound is a number of operations or terms, never a time: what is proved, and what is evaluated instead, is the same on
every machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import mpmath
from sympy import Add, Dummy, Expr, Float, Integer, Mul, Pow, Rational, S, Sum, cancel, expand, together

from derive.language.arithmetic import OWN_FUNCTIONS
from derive.language.operations import Partial, Total
from derive.language.quantities import N, T, bare_of, indexed_of, k

DIGITS = 30
"""To how many digits numbers must agree where they take the place of a proof."""
LARGEST_DIFFERENCE = 700
"""An expression of more operations is not simplified; it is evaluated."""
LARGEST_EXPANDED = 2500
"""Nor is one of more terms, once it is multiplied out."""
LARGEST_FRACTION = 300
"""One of more operations is not made a fraction in lowest terms, for which SymPy may take hours."""
POINTS = 3
"""At how many random points an expression is evaluated."""
PLACES = {T: Integer(7), k: Integer(3)}
"""The steps for which one that speaks of any is evaluated."""


def derivative(expression: Expr, wrt: Expr) -> Expr:
    """SymPy's `diff` by a quantity, or a quantity at a step, in time that grows with the size of the expression.

    By itself SymPy puts a complex number in its place, and then asks every function for its real and its imaginary
    part: of tanh(tanh(…)) these are long, and each level doubles the work.
    """
    name = Dummy(real=True)
    return expression.xreplace({wrt: name}).diff(name).xreplace({name: wrt})


def is_zero(expression: Expr) -> bool:
    """Whether an expression is proved to be zero: multiplied out, or as a fraction in lowest terms."""
    if not is_small(expression):
        return False
    if expand(expression) == S.Zero:
        return True
    plain = _with_names(expression)
    return bool(plain.count_ops() <= LARGEST_FRACTION and cancel(together(plain)) == S.Zero)


def vanishes(expression: Expr) -> bool:
    """Whether an expression is zero to `DIGITS` digits at random points: no proof, but two that differ fail it."""
    plain = _with_names(_written_out(expression.subs(PLACES)))
    names = sorted(plain.atoms(Dummy), key=lambda name: name.dummy_index)
    draw = random.Random(0)
    points = ({name: Float(Rational(draw.randint(1, 96), 97), 2 * DIGITS) for name in names} for _ in range(POINTS))
    return all(abs(_number(plain, point).evalf(2 * DIGITS)) < Rational(1, 10**DIGITS) for point in points)


def _number(expression: Expr, known: dict[Expr, Expr]) -> Expr:
    """The value of an expression, each of its parts evaluated once.

    SymPy's own `evalf` evaluates a part wherever it appears, and all of them again with more digits where they cancel.

    Args:
        expression: The expression.
        known: The values of its names; those of its parts are added.
    """
    if expression not in known:
        if expression.args:
            known[expression] = _applied(expression, [_number(part, known) for part in expression.args])
        else:  # a whole exponent stays one
            known[expression] = expression if isinstance(expression, Rational) else expression.evalf(2 * DIGITS)
    return known[expression]


def _applied(expression: Expr, values: Sequence[Expr]) -> Expr:
    """An operation on numbers; SymPy does not know the values of our own functions."""
    own = OWN_FUNCTIONS.get(type(expression).__name__)
    if own is None:
        return expression.func(*values)
    with mpmath.workdps(2 * DIGITS):
        return Float(own(*(mpmath.mpmathify(value.evalf(2 * DIGITS)) for value in values)), 2 * DIGITS)


def is_small(expression: Expr) -> bool:
    """Whether an expression is simplified; a large one is evaluated."""
    return expression.count_ops() <= LARGEST_DIFFERENCE and expanded_size(expression) <= LARGEST_EXPANDED


def expanded_size(expression: Expr) -> int:
    """A bound on the number of terms of an expression once it is multiplied out, found without doing it."""
    match expression:
        case Add():
            return sum(map(expanded_size, expression.args))
        case Mul():
            return math.prod(map(expanded_size, expression.args))
        case Pow() if isinstance(expression.exp, Integer) and expression.exp > 0:
            return expanded_size(expression.base) ** min(int(expression.exp), LARGEST_EXPANDED)
    return max(map(expanded_size, expression.args), default=1)


def _with_names(expression: Expr) -> Expr:
    """The expression with a positive number in place of each quantity and each derivative."""
    derivatives = expression.atoms(Total, Partial)
    symbols = derivatives | indexed_of(expression) | bare_of(expression) | (expression.free_symbols & {N})
    return expression.xreplace({symbol: Dummy(positive=True) for symbol in sorted(symbols, key=str)})


def _written_out(expression: Expr) -> Expr:
    """The expression with every sum over steps that are numbers written out."""

    def terms(total: Sum) -> Expr:
        index, first, last = total.limits[0]
        return Add(*(total.function.subs(index, step) for step in range(int(first), int(last) + 1)))

    return expression.replace(lambda part: isinstance(part, Sum), terms)
