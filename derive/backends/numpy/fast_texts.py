"""Expressions as code for network_fast.py: the sequences last, and one step of a quantity or all steps of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sympy import Dummy, Expr

from derive.backends.numpy.numpy_code import Code
from derive.language.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.language.quantities import LOSS, At, Parameter, Product, Quantity, Target
from derive.language.shapes import form_of

if TYPE_CHECKING:
    from derive.backends.numpy.fast_calls import Calls


class Texts(Code):
    """Expressions as code, sequences last.

    Args:
        calls: The function that they stand in.
        bulk: Whether a quantity is all steps of a window or one.
    """

    def __init__(self, calls: Calls, *, bulk: bool) -> None:
        super().__init__("totals.gradient_{}", calls.order)
        self._calls, self._bulk = calls, bulk

    def _print_At(self, atom: At) -> str:
        return self._calls.place(atom, bulk=self._bulk)

    def _print_Quantity(self, quantity: Quantity) -> str:
        if isinstance(quantity, Parameter):
            return self._calls.weight(quantity)
        if isinstance(quantity, Target):
            return "t"
        return "value" if quantity == LOSS else quantity.name

    def _print_Dummy(self, symbol: Dummy) -> str:
        return self._calls.named[symbol]

    def _print_BatchMean(self, average: BatchMean) -> str:
        if self._bulk:
            return f"np.sum({self._print(average.args[0])}) / N"
        return f"np.mean({self._print(average.args[0])})"

    def _print_EntrySum(self, total: EntrySum) -> str:
        if not form_of(total).per_sequence:
            return f"np.sum({self._print(total.args[0])})"
        return f"np.sum({self._print(total.args[0])}, axis=-2)"

    def _rows(self, expression: Expr) -> str:
        """With the entries of a sequence in a row, as the functions of network.py have them."""
        return f"np.swapaxes({self._print(expression)}, -1, -2)"

    def _print_Softmax(self, softmax: Softmax) -> str:
        return f"np.swapaxes(softmax({self._rows(softmax.args[0])}), -1, -2)"

    def _print_OneHot(self, onehot: OneHot) -> str:
        return f"np.swapaxes(one_hot({self._print(onehot.args[0])}, {self._rows(onehot.args[1])}), -1, -2)"

    def _print_SoftmaxCrossEntropy(self, entropy: SoftmaxCrossEntropy) -> str:
        return f"softmax_cross_entropy({self._rows(entropy.args[0])}, {self._print(entropy.args[1])})"

    def _print_Product(self, product: Product) -> str:
        return f"np.matmul({self._calls.operand(product.args[1])}, {self._print(product.args[0])})"

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        left, right = map(self._operand, outer.args)
        if self._bulk:
            return f"columns({left}).dot(columns({right}).T)"
        return f"{left}.dot({right}.T)"

    def _print_BatchSum(self, total: BatchSum) -> str:
        inside = total.args[0]
        if form_of(total).shape:
            return f"np.sum({self._print(inside)}, axis={'(0, -1)' if self._bulk else '-1'})"
        if isinstance(inside, EntrySum):
            return f"np.sum({self._print(inside.args[0])})"
        factors = self._order.factors(inside)
        if len(factors) == 2 and all(isinstance(factor, At) for factor in factors):
            left, right = map(self._print, factors)
            return f"{left}.ravel().dot({right}.ravel())" if self._bulk else f"{left}.dot({right})"
        return f"np.sum({self._print(inside)})"


class Itself(Code):
    """Expressions of weights alone, each weight in its own shape."""

    def _print_Quantity(self, quantity: Quantity) -> str:
        return f"weights.{quantity.name}_itself"
