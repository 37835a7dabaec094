"""The operations of a derivation that SymPy does not have: means over the batch, partial and total derivatives, marks.

Each is a SymPy expression and does nothing but hold its arguments: printers print it, `evaluate` computes it.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, Function
from sympy.printing.printer import Printer

from derive.language.quantities import Operation
from derive.language.written import Operand


class logistic(Operand, Function):
    """σ(z) = 1 / (1 + exp(-z)); its derivative is written in terms of itself, σ (1 - σ), which never overflows."""

    def fdiff(self, argindex: int = 1) -> Expr:
        """σ'."""
        return self * (1 - self)


class softplus(Operand, Function):
    """log(1 + exp(z)); its derivative is σ(z)."""

    def fdiff(self, argindex: int = 1) -> Expr:
        """σ."""
        return logistic(*self.args)


class logistic_cross_entropy(Operand, Function):
    """-t log σ(y) - (1 - t) log(1 - σ(y)), for an output y before the logistic function; its derivative is σ(y) - t.

    In code it is softplus(y) - t y, which no y makes overflow.
    """

    def fdiff(self, argindex: int = 1) -> Expr:
        """σ(y) - t with respect to y, and -y with respect to t."""
        y, t = self.args
        return logistic(y) - t if argindex == 1 else -y


class BatchMean(Operation):
    """1/N Σ_n of an expression that differs from sequence to sequence; code: `np.mean`."""

    def _sympystr(self, printer: Printer) -> str:
        return f"mean({printer._print(self.args[0])})"


class BatchSum(Operation):
    """Σ_n of an expression that differs from sequence to sequence; code: `np.sum`, or `@` for a product of two."""


class BatchOuter(Operation):
    """Σ_n aᵀ b for a row a and a row b of every sequence: Aᵀ B, with one sequence a row; code: `a.T @ b`."""


class Softmax(Operation):
    """exp(y_i) / Σ_j exp(y_j) for each sequence's row y."""

    def _sympystr(self, printer: Printer) -> str:
        return f"softmax({printer._print(self.args[0])})"


class OneHot(Operation):
    """`OneHot(t, y)`: for each sequence a row like y, 1 where its label t is and 0 elsewhere."""


class SoftmaxCrossEntropy(Operation):
    """`SoftmaxCrossEntropy(y, t)`: -log softmax(y)_t for each sequence's row y and label t, a number 0, 1, ….

    Its derivative with respect to y is softmax(y) - onehot(t).
    """

    def _sympystr(self, printer: Printer) -> str:
        return f"softmax_cross_entropy({', '.join(map(printer._print, self.args))})"


class EntrySum(Operation):
    """The sum of the entries of each sequence's row."""

    def _sympystr(self, printer: Printer) -> str:
        return f"total({printer._print(self.args[0])})"


class Partial(Operation):
    """∂q/∂p, the local partial derivative: of the one equation that computes q, all else in it held fixed."""


class Total(Operation):
    """dq/dp, the total derivative, through every path from p to q; `Total(q, p, r)` is the second derivative."""


class Chain(Operation):
    """A product of derivatives in the order in which the chain rule multiplies them, from the loss backwards."""


class Marked(Operation):
    """`Marked(expression, name)`: an expression shown with its name wherever it occurs; its value is unchanged."""

    @property
    def expression(self) -> Expr:
        """What is marked."""
        return self.args[0]

    @property
    def name(self) -> Expr:
        """The name it is known by."""
        return self.args[1]


def mean(expression: Any) -> BatchMean:
    """The mean over the N sequences of the batch, as in `mean((s[T] - t) ** 2)`."""
    return BatchMean(expression)


def softmax_cross_entropy(y: Any, t: Any) -> SoftmaxCrossEntropy:
    """-log softmax(y)_t for a row y and a label t, as in `mean(softmax_cross_entropy(y[k], t[k]))`."""
    return SoftmaxCrossEntropy(y, t)


def total(expression: Any) -> EntrySum:
    """The sum of the entries of a row, as in `mean(total((y[T] - t) ** 2))`."""
    return EntrySum(expression)


class Hessian(Operation):
    """The matrix of second derivatives of the loss with respect to the given weights, at the example's solution."""


class Eigenvalue(Operation):
    """`Eigenvalue(i, matrix)`: the i-th eigenvalue of a symmetric matrix, counted from the smallest, from 1."""


class Determinant(Operation):
    """The determinant of the sum of its arguments, which are matrices."""


class UpdateJacobian(Operation):
    """The derivative of one gradient-descent update W - η dξ/dW with respect to the weights W.

    Its arguments are the pairs (weight, learning rate); it is taken at the example's solution.
    """


class SpectralRadius(Operation):
    """The largest absolute value of an eigenvalue of a matrix."""


class Rounded(Operation):
    """`Rounded(exact, digits)`: an exact number that is printed with so many significant digits."""
