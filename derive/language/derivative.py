"""The derivative that SymPy takes of an expression, in time that grows with its size."""

from __future__ import annotations

from sympy import Dummy, Expr


def derivative(expression: Expr, wrt: Expr) -> Expr:
    """SymPy's `diff` by a quantity, or a quantity at a step.

    By itself SymPy puts a complex number in its place, and then asks every function for its real and its imaginary
    part: of tanh(tanh(…)) these are long, and each level doubles the work.
    """
    name = Dummy(real=True)
    return expression.xreplace({wrt: name}).diff(name).xreplace({name: wrt})
