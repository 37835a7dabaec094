"""Prints a program as a NumPy module that reads as if it were written by hand."""

from __future__ import annotations

from sympy import Add, Expr, Function, Integer, Max, Mul, Pow, Rational, S, Symbol
from sympy.printing.printer import Printer

from derive.language.cell import Cell
from derive.language.operations import (
    ELEMENTWISE,
    BatchMean,
    BatchOuter,
    BatchSum,
    EntrySum,
    Marked,
    OneHot,
    Softmax,
    SoftmaxCrossEntropy,
    Total,
)
from derive.language.order import BY_ROLE, Order, is_negative
from derive.language.quantities import (
    LOSS,
    At,
    Dimension,
    LearningRate,
    N,
    Product,
    Quantity,
    T,
    Transpose,
    atoms_of,
    varies_by_sequence,
)
from derive.language.shapes import form_of


class Code(Printer):
    """One method a node; no mathematics. Values of all sequences at one step are an array of N.

    Args:
        gradient: What the derivative with respect to a weight is called, with `{}` for the weight's name.
        order: The order of terms and factors.
    """

    def __init__(self, gradient: str = "gradient_{}", order: Order = BY_ROLE) -> None:
        super().__init__()
        self._gradient, self._order = gradient, order

    def emptyPrinter(self, node: Expr) -> str:
        """SymPy calls this where there is no method for a node."""
        raise NotImplementedError(
            f"no code for {type(node).__name__}; add a method to derive/backends/numpy/numpy_code.py"
        )

    def _print_Quantity(self, quantity: Quantity) -> str:
        return "value" if quantity == LOSS else quantity.name

    def _print_LearningRate(self, rate: LearningRate) -> str:
        return f"learning_rates.{rate.of.name}"

    def _print_At(self, atom: At) -> str:
        return f"{atom.quantity.name}[{self._print(atom.index)}]"

    def _print_Symbol(self, symbol: Symbol) -> str:
        return symbol.name

    def _print_Integer(self, number: Integer) -> str:
        return str(number)

    def _print_Rational(self, number: Rational) -> str:
        return f"{number.p} / {number.q}"

    def _print_Pi(self, number: Expr) -> str:
        return "np.pi"

    def _print_Exp1(self, number: Expr) -> str:
        return "np.e"

    def _print_Max(self, largest: Max) -> str:
        return f"max({', '.join(map(self._print, largest.args))})"

    def _print_Marked(self, marked: Marked) -> str:
        return self._print(marked.expression)

    def _print_Total(self, total: Total) -> str:
        return self._gradient.format(total.args[1].name)

    def _print_BatchMean(self, average: BatchMean) -> str:
        return f"np.mean({self._print(average.args[0])})"

    def _print_EntrySum(self, total: EntrySum) -> str:
        axis = ", axis=-1" if form_of(total).per_sequence else ""
        return f"np.sum({self._print(total.args[0])}{axis})"

    def _print_Softmax(self, softmax: Softmax) -> str:
        return f"softmax({self._print(softmax.args[0])})"

    def _print_OneHot(self, onehot: OneHot) -> str:
        return f"one_hot({', '.join(map(self._print, onehot.args))})"

    def _print_SoftmaxCrossEntropy(self, entropy: SoftmaxCrossEntropy) -> str:
        return f"softmax_cross_entropy({', '.join(map(self._print, entropy.args))})"

    def _print_Product(self, product: Product) -> str:
        return " @ ".join(map(self._operand, product.args))

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        left, right = map(self._operand, outer.args)
        return f"{left}.T @ {right}"

    def _print_Transpose(self, transpose: Transpose) -> str:
        return f"{self._operand(transpose.args[0])}.T"

    def _operand(self, factor: Expr) -> str:
        """A factor of a matrix product."""
        simple = isinstance(factor, At | Quantity | Transpose | Function)
        return self._print(factor) if simple else f"({self._print(factor)})"

    def _print_BatchSum(self, total: BatchSum) -> str:
        """A product of two numbers a sequence is a dot product."""
        if form_of(total).shape:
            return f"np.sum({self._print(total.args[0])}, axis=0)"
        if isinstance(total.args[0], EntrySum):
            return f"np.sum({self._print(total.args[0].args[0])})"
        factors = self._order.factors(total.args[0])
        arrays = [factor for factor in factors if varies_by_sequence(factor)]
        if len(arrays) == len(factors) == 2:
            return " @ ".join(map(self._factor, factors))
        return f"np.sum({self._print(total.args[0])})"

    def _print_Function(self, call: Function) -> str:
        text = f"{ELEMENTWISE[call.func]}({', '.join(map(self._print, call.args))})"
        # NumPy's own float64 would make float64 of a float32 beside it, and Python's float does not.
        return text if atoms_of(call) else f"float({text})"

    def _print_Add(self, total: Add) -> str:
        first, *others = self._terms(total)
        text = self._print(first)
        for term in others:
            text += f" - {self._term(-term)}" if is_negative(term) else f" + {self._term(term)}"
        return text

    def _terms(self, total: Add) -> list[Expr]:
        return self._order.terms(total)

    def _term(self, term: Expr) -> str:
        return f"({self._print(term)})" if isinstance(term, Add) else self._print(term)

    def _print_Mul(self, product: Mul) -> str:
        if is_negative(product):
            return f"-{self._factor(-product)}"
        text = ""
        for factor in self._order.factors(product):
            if isinstance(factor, Pow) and factor.exp == S.NegativeOne:
                text = f"{text or '1'} / {self._factor(factor.base)}"
            else:
                text = f"{text} * {self._factor(factor)}" if text else self._factor(factor)
        return text

    def _factor(self, factor: Expr) -> str:
        needs_brackets = isinstance(factor, Add | Product | BatchOuter) or (
            isinstance(factor, Rational) and not isinstance(factor, Integer)
        )
        return f"({self._print(factor)})" if needs_brackets else self._print(factor)

    def _print_Pow(self, power: Pow) -> str:
        base = power.base
        text = self._print(base)
        is_root = power.exp == S.Half
        if is_root and atoms_of(base):
            return f"np.sqrt({text})"
        if power.exp == S.NegativeOne:
            return f"1 / {self._factor(base)}"
        brackets = Add | Mul | Pow | Rational | Product | BatchOuter
        if isinstance(base, brackets) and not (isinstance(base, Integer) and base >= 0):
            text = f"({text})"
        exponent = "0.5" if is_root else self._print(power.exp)
        simple = is_root or (isinstance(power.exp, Integer | Symbol | Quantity) and not power.exp.is_negative)
        return f"{text} ** {exponent if simple else f'({exponent})'}"


OWN_OPERATIONS = {Softmax: "softmax", OneHot: "one_hot", SoftmaxCrossEntropy: "softmax_cross_entropy"}
"""The operations that are functions of a generated module."""


def shape_of_targets(cell: Cell) -> tuple[Expr | int, ...]:
    """The shape of the targets that a caller passes."""
    return (N, *([T] if cell.target_at_every_step else []), *cell.targets[0].dimensions)


def classes_of(cell: Cell) -> tuple[Dimension | int, ...]:
    """How many classes a label may name: as many as each row of scores that the loss compares it with has entries.

    Returns:
        A size for each kind of row, none where the targets are no labels.
    """
    rows = {form_of(entropy.args[0]).shape[0] for entropy in cell.loss.atoms(SoftmaxCrossEntropy)}
    return tuple(sorted(rows, key=str))
