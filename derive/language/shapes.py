"""The shapes of expressions, as NumPy would find them, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sympy import Expr, Mul, Sum
from sympy.matrices import MatrixBase

from derive.language.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.language.quantities import At, Dimension, Product, Quantity, Shape, Transpose, quantity_of


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
    """Two shapes that do not go together; the message names the operation and both.

    Args:
        problem: The message.
        cure: What to write instead.
    """

    def __init__(self, problem: str, cure: str = "mend a shape= or a factor") -> None:
        super().__init__(problem)
        self.cure = cure


@cache
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
                raise ShapeError(
                    f"{expression}: total is of the entries of a row, and this is a number", "leave total out"
                )
            return Form(inner.per_sequence, ())
        case Sum():
            return form_of(expression.function)
        case MatrixBase():
            return Form(False, ())
    return _elementwise(expression)


def _product(product: Product) -> Form:
    left, right = map(form_of, product.args)
    if right.per_sequence or len(right.shape) != 2:
        problem = f"product {product}: the right factor must be a matrix of weights, and it is {right}"
        raise ShapeError(problem, *_swapped(*product.args))
    if not left.per_sequence and len(left.shape) == 1:
        row, matrix = product.args
        raise ShapeError(
            f"product {product}: {row} is a row of weights, {left}, and a product takes what each sequence has",
            f"name it first, with an Intermediate z: Eq(z[k], {row}), and write z[k] @ {matrix}",
        )
    if len(left.shape) != (1 if left.per_sequence else 2) or left.shape[-1] != right.shape[0]:
        raise ShapeError(f"product {product}: {left} times {right}")
    return Form(left.per_sequence, (*left.shape[:-1], right.shape[1]))


def _swapped(matrix: Expr, row: Expr) -> tuple[str, ...]:
    """The cure where a matrix of weights meets a row that fits it, but not as row @ matrix; else nothing."""
    ours, theirs = form_of(matrix), form_of(row)
    fits = theirs.per_sequence and len(theirs.shape) == 1 and len(ours.shape) == 2 and not ours.per_sequence
    if not fits or theirs.shape[0] not in ours.shape:
        return ()
    return (f"write {row} @ {matrix}{'' if theirs.shape[0] == ours.shape[0] else '.T'}",)


def _elementwise(expression: Expr) -> Form:
    """A sum, a product entry by entry, a power, a function: shapes are alike, or one is a number."""
    result = Form(False, ())
    seen: list[tuple[Expr, Form]] = []
    for part in expression.args:
        form = form_of(part)
        for before, other in seen:
            if form.shape == other.shape or (not (form.shape and other.shape) and Form(True, ()) not in (form, other)):
                continue
            both = f"{expression}: {before} is {other} and {part} is {form}, entry by entry"
            if Form(True, ()) in (form, other):
                cure = "give the number shape=(1,), and take it @ a matrix of weights (1, H) to each entry"
                raise ShapeError(f"{both}: a number of each sequence with a row or a matrix", cure)
            is_product = isinstance(expression, Mul)
            raise ShapeError(both, *(_swapped(before, part) or _swapped(part, before) if is_product else ()))
        seen.append((part, form))
        result = Form(result.per_sequence or form.per_sequence, result.shape or form.shape)
    if result.per_sequence and len(result.shape) > 1:
        raise ShapeError(f"{expression}: a matrix of weights, entry by entry with what each sequence has")
    return result


def dimensions_of(quantities: Iterable[Quantity]) -> tuple[Dimension, ...]:
    """The named dimensions of quantities, each once, in order of appearance."""
    found = dict.fromkeys(
        size for quantity in quantities for size in quantity.dimensions if isinstance(size, Dimension)
    )
    return tuple(found)
