"""The types of expressions: what each is made of, before anything runs."""

from __future__ import annotations

from functools import cache

from derive.program.nodes import (
    BATCH,
    Axis,
    Buffer,
    Call,
    Compare,
    Concat,
    Constant,
    Dim,
    Dot,
    Expression,
    Identity,
    Literal,
    Part,
    Reduce,
    Ref,
    RowWise,
    Select,
    Solve,
    Symbol,
    Transpose,
    Type,
    View,
)
from derive.program.sizes import Size

NUMBER = Type()
SEQUENCES = Size.of("N")
"""How many sequences there are."""


class ProgramError(Exception):
    """A program that makes no sense; the message names the node and says what does not fit."""


@cache
def type_of(expression: Expression) -> Type:
    """The type of an expression.

    Raises:
        ProgramError: An operation within it does not fit its operands.
    """
    match expression:
        case Literal() | Constant() | Dim():
            return NUMBER
        case Ref(place, step):
            inner = type_of_place(place)
            steps = steps_of(place)
            if step is not None and steps is None:
                raise ProgramError(f"{place.name} has no steps, and is used at {step}")
            if step is None and steps is not None:
                return Type((steps, *inner.axes), inner.batch, inner.label)
            return inner
        case Call(_, args):
            return spread(expression, tuple(map(type_of, args)))
        case Compare(_, left, right):
            return spread(expression, (type_of(left), type_of(right)))
        case Select(condition, then, otherwise):
            return spread(expression, tuple(map(type_of, (condition, then, otherwise))))
        case Dot():
            return _dot(expression)
        case Reduce(_, of, axes):
            inner = type_of(of)
            _require(all(_has(inner, axis) for axis in axes), expression, f"no such axis in {inner}")
            kept = tuple(size for axis, size in enumerate(inner.axes) if axis not in axes)
            return Type(kept, inner.batch and BATCH not in axes)
        case RowWise("softmax", (row,)):
            return type_of(row)
        case RowWise("one_hot", (label, row)):
            _require(type_of(label).label and type_of(row).axes != (), expression, "it takes a label and a row")
            return type_of(row)
        case RowWise("softmax_cross_entropy", (row, label)):
            _require(type_of(label).label and type_of(row).axes != (), expression, "it takes a row and a label")
            return Type(type_of(row).axes[:-1], type_of(row).batch)
        case RowWise(function):
            raise ProgramError(f"{function}: no such function of rows, or not with so many arguments")
        case Concat(parts, axis):
            return _concat(expression, [type_of(part) for part in parts], axis)
        case Part(of, axis, _, size):
            inner = type_of(of)
            _require(axis != BATCH and _has(inner, axis), expression, f"no such axis in {inner}")
            middle = () if size is None else (size,)
            return Type((*inner.axes[:axis], *middle, *inner.axes[axis + 1 :]), inner.batch, inner.label)
        case Solve(matrix, right):
            square, ours = type_of(matrix), type_of(right)
            n = ours.axes[:1]
            fits = n != () and square == Type((*n, *n)) and ours == Type(ours.axes[:2])
            _require(fits, expression, f"a matrix {_in_words(square)} and {_in_words(ours)} on the right")
            return ours
        case Identity(size):
            return Type((size, size))
        case Transpose(of):
            inner = type_of(of)
            _require(len(inner.axes) == 2 and not inner.batch, expression, f"no matrix of weights: {_in_words(inner)}")
            return Type(inner.axes[::-1])
    raise ProgramError(f"{type(expression).__name__} is no expression of a program")


def type_of_place(place: Symbol | Buffer | View) -> Type:
    """The type of one row of a symbol, a buffer or a view."""
    if not isinstance(place, View):
        return place.type
    if place.split is None:
        return Type((place.size, *place.of.type.axes[1:]), place.of.type.batch)
    rows = Size(tuple((name, c // place.split) for name, c in place.size.terms), place.size.constant // place.split)
    if rows * place.split != place.size:
        raise ProgramError(f"view {place.name}: {place.size} rows are not {place.split} blocks")
    return Type((Size.of(place.split), rows, *place.of.type.axes[1:]), place.of.type.batch)


def steps_of(place: Symbol | Buffer | View) -> Size | None:
    """The number of rows of a symbol, a buffer or a view, one for each step; nothing where it has none."""
    return place.of.steps if isinstance(place, View) else place.steps


def _has(inner: Type, axis: Axis) -> bool:
    return inner.batch if axis == BATCH else 0 <= axis < len(inner.axes)


def _require(holds: bool, expression: Expression, problem: str) -> None:
    if not holds:
        raise ProgramError(f"{expression}: {problem}")


def spread(expression: Expression, types: tuple[Type, ...]) -> Type:
    """The type of an operation entry by entry: axes are alike, counted from the last, or one operand has fewer."""
    _require(not any(each.label for each in types), expression, "a label is no number to compute with")
    longest: tuple[Size, ...] = max((each.axes for each in types), key=len, default=())
    for each in types:
        fits = longest[len(longest) - len(each.axes) :] == each.axes
        _require(fits, expression, f"entry by entry with axes {' and '.join(map(_in_words, types))}")
    return Type(longest, any(each.batch for each in types))


def _in_words(each: Type) -> str:
    return f"({', '.join([*(['N'] if each.batch else []), *map(str, each.axes)])})"


def _dot(dot: Dot) -> Type:
    left, right = type_of(dot.left), type_of(dot.right)
    for ours, theirs in dot.contracted:
        _require(_has(left, ours) and _has(right, theirs), dot, f"no such axes in {left} and {right}")
        sizes = [each.axes[axis] for each, axis in ((left, ours), (right, theirs)) if axis != BATCH]
        _require((ours == BATCH) == (theirs == BATCH) and len(set(sizes)) <= 1, dot, f"axes of {left} and {right}")
    gone: tuple[set[Axis], ...] = tuple({pair[side] for pair in dot.contracted} for side in (0, 1))
    kept = (
        tuple(size for axis, size in enumerate(each.axes) if axis not in without)
        for each, without in ((left, gone[0]), (right, gone[1]))
    )
    batch = any(each.batch and BATCH not in without for each, without in ((left, gone[0]), (right, gone[1])))
    return Type(tuple(size for sizes in kept for size in sizes), batch)


def _concat(expression: Concat, types: list[Type], axis: Axis) -> Type:
    rows = [Type((Size.of(1),), each.batch) if not each.axes else each for each in types]
    first = rows[0]

    def others(each: Type) -> tuple[Size, ...]:
        return (*each.axes[:axis], *each.axes[axis + 1 :])

    _require(axis != BATCH, expression, "sequences beside one another")
    _require(all(_has(each, axis) and others(each) == others(first) for each in rows), expression, "parts do not fit")
    _require(len({each.batch for each in rows}) == 1, expression, "parts with sequences beside parts without")
    whole = Size()
    for each in rows:
        whole += each.axes[axis]
    return Type((*first.axes[:axis], whole, *first.axes[axis + 1 :]), first.batch)
