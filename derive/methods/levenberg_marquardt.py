"""Levenberg–Marquardt, a method of second order for sums of squares: its step and its damping, as equations.

With the residuals r and their Jacobian J, a step d makes them about r + J d. The method takes the d for which
|r + J d|² + λ |C d|² is least, where the diagonal matrix C measures every weight by the length of its column of J.
With a small damping λ that is the step of Gauss and Newton, with a large one a short step downhill.
"""

from __future__ import annotations

from sympy import Eq, Max, Piecewise, S

from derive.language.quantities import Dimension, Operation, Parameter, Product, Quantity
from derive.methods.update_rules import Scalar, UpdateRule

weights = Dimension("weights")
"""How many weights there are, the entries of all counted one by one."""


class Damping(Scalar):
    """A number that changes from step to step; it stands behind constants."""

    place = 2


class Values(Parameter):
    """A row or a matrix of numbers."""

    role = "values"
    place = 3


class OfSequences(Values):
    """A number or a row for each sequence."""

    per_sequence = True


class Length(Operation):
    """The length of every column of a matrix: the root of the sum of the squares of its entries."""


class Identity(Operation):
    """The identity matrix, with as many rows as its argument has entries."""


r = OfSequences("residuals", "r", "the residuals: what is squared in the loss, one number a sequence")
J = OfSequences(
    "jacobian",
    "J",
    "the Jacobian: the derivatives of the residuals, a row a sequence and a column a weight",
    (weights,),
)
length = Values("length", r"\ell", "the length of every column of the Jacobian", (weights,))
c = Values("scale", "c", "that length, or 1 for a weight that no residual depends on", (weights,))
A = OfSequences("A", "A", "the Jacobian with columns of length 1", (weights,))
e = Values("e", "e", "the step, each weight measured by its column", (weights,))
d = Values("d", "d", "the step: what is added to each weight", (weights,))
damping = Damping("damping", r"\lambda", "the damping, more than 0")
shrink = Scalar("shrink", r"\nu", "what the damping is divided by after a step that lowered the loss")
grow = Scalar("grow", r"\mu", "what the damping is multiplied by where a step would not lower it")
least = Scalar("least", r"\lambda_{\min}", "the least damping: more than 0, so that the step is always defined")

INDICES: dict[Quantity, str] = {J: "n i", length: "i", c: "i", A: "n i", e: "i", d: "i"}
"""The indices of an array's entries, where an equation is written for one of them: n a sequence, i a weight."""
START = 1e-3
"""The damping of the first step."""
MOST = 1e16
"""The most damping that is tried: with n weights the loss then falls by a part of 2n/MOST at most, lost in rounding.

To first order r^T r falls by 2 r^T A (A^T A + λI)^-1 A^T r, and the columns of A have length 1.
"""

STEP = UpdateRule(
    "step",
    "The step",
    "The step that makes the sum of squares least, if the residuals were linear in the weights, and damped.",
    "K. Levenberg, A method for the solution of certain non-linear problems in least squares (1944); with every weight "
    "measured by its column: D. W. Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963)",
    (
        Eq(length, Length(J)),
        Eq(c, Piecewise((length, length > 0), (S.One, True))),
        Eq(A, J / c),
        Eq(Product(Product(A.T, A) + damping * Identity(c), e), -Product(A.T, r)),
        Eq(d, e / c),
    ),
    takes=(r, J, damping),
)
LOWERED = UpdateRule(
    "lowered",
    "The damping after a step",
    "A step that lowered the loss is taken, and the next one is damped less.",
    STEP.source,
    (Eq(damping, Max(damping / shrink, least)),),
    {shrink: 10, least: 1e-12},
    takes=(damping,),
)
RAISED = UpdateRule(
    "raised",
    "The damping for another try",
    "A step that would not lower the loss is not taken, and the next try is damped more.",
    STEP.source,
    (Eq(damping, grow * damping),),
    {grow: 3},
    takes=(damping,),
)

RULES = (STEP, LOWERED, RAISED)
"""What is printed, in order."""
