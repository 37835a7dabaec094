"""The shapes of expressions, as NumPy would find them, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import Expr, Sum
from sympy.matrices import MatrixBase

from derive.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.quantities import At, Dimension, Product, Quantity, Shape, Transpose, quantity_of


@dataclass(frozen=True)
class Form:
    """What an expression is worth: one thing for each sequence, or one for all, of a shape.

    Attributes:
        per_sequence: Whether each sequence has its own.
        shape: () a number, (H,) a row, (D, H) a matrix.
    """

    per_sequence: bool
    shape: Shape

    def __str__(self) -> str:
        return f"({', '.join(map(str, (*(['N'] if self.per_sequence else []), *self.shape)))})"


class ShapeError(Exception):
    """Two shapes that do not go together; the message names the operation and both."""


def form_of(expression: Expr) -> Form:
    """The form of an expression.

    Raises:
        ShapeError: An operation within it does not fit its operands.
    """
    match expression:
        case At() | Quantity():
            quantity = quantity_of(expression)
            return Form(quantity.per_sequence, quantity.dimensions)
        case Product():
            return _product(expression)
        case Transpose():
            inner = form_of(expression.args[0])
            if inner.per_sequence or len(inner.shape) != 2:
                raise ShapeError(f"{expression}: only a matrix of weights has a transpose, and this is {inner}")
            return Form(False, inner.shape[::-1])
        case BatchOuter():
            left, right = map(form_of, expression.args)
            return Form(False, (*left.shape, *right.shape))
        case BatchSum():
            return Form(False, form_of(expression.args[0]).shape)
        case BatchMean():
            inner = form_of(expression.args[0])
            if inner.shape:
                raise ShapeError(
                    f"{expression}: a mean is of one number a sequence, and this is {inner}; write total(…)"
                )
            return Form(False, ())
        case Softmax():
            return form_of(expression.args[0])
        case OneHot():
            return form_of(expression.args[1])
        case SoftmaxCrossEntropy():
            row, label = map(form_of, expression.args)
            if len(row.shape) != 1 or label.shape:
                raise ShapeError(f"{expression}: it takes a row and a label, not {row} and {label}")
            return Form(row.per_sequence, ())
        case EntrySum():
            inner = form_of(expression.args[0])
            if not inner.shape:
                raise ShapeError(f"{expression}: total is of the entries of a row, and this is a number; leave it out")
            return Form(inner.per_sequence, ())
        case Sum():
            return form_of(expression.function)
        case MatrixBase():
            return Form(False, ())
    return _elementwise(expression, map(form_of, expression.args))


def _product(product: Product) -> Form:
    left, right = map(form_of, product.args)
    if right.per_sequence or len(right.shape) != 2:
        raise ShapeError(f"product {product}: the right factor must be a matrix of weights, and it is {right}")
    if len(left.shape) != (1 if left.per_sequence else 2) or left.shape[-1] != right.shape[0]:
        raise ShapeError(f"product {product}: {left} times {right}")
    return Form(left.per_sequence, (*left.shape[:-1], right.shape[1]))


def _elementwise(expression: Expr, forms: Iterable[Form]) -> Form:
    """A sum, a product entry by entry, a power, a function: shapes are alike, or one is a number."""
    per_sequence = False
    shape: Shape = ()
    forms = tuple(forms)
    numbers = [form for form in forms if form == Form(True, ())]
    rows = [form for form in forms if form.shape]
    if numbers and rows:
        raise ShapeError(f"{expression}: a number of each sequence, {numbers[0]}, with {rows[0]}, entry by entry")
    for form in forms:
        if form.shape and shape and form.shape != shape:
            raise ShapeError(f"{expression}: {Form(per_sequence, shape)} and {form}, entry by entry")
        per_sequence, shape = per_sequence or form.per_sequence, shape or form.shape
    if per_sequence and len(shape) > 1:
        raise ShapeError(f"{expression}: a matrix of weights, entry by entry with what each sequence has")
    return Form(per_sequence, shape)


def dimensions_of(quantities: Iterable[Quantity]) -> tuple[Dimension, ...]:
    """The named dimensions of quantities, each once, in order of appearance."""
    found = dict.fromkeys(
        size for quantity in quantities for size in quantity.dimensions if isinstance(size, Dimension)
    )
    return tuple(found)
