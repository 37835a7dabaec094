"""Alike operations on neighbouring rows of buffers become one operation on all of them: longer vectors, fewer calls.

This is what compilers know as superword-level parallelism: statements of one form, independent of one another, whose
operands are neighbours or the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from derive.program.nodes import (
    Buffer,
    Call,
    Dim,
    Dot,
    Expression,
    Gemm,
    Kind,
    Let,
    Life,
    Literal,
    Loop,
    Module,
    Ref,
    Statement,
    View,
    When,
)
from derive.program.passes.linearise import Packs
from derive.program.passes.views import Views, are_neighbours
from derive.program.sizes import Size
from derive.program.walk import every


def merged(module: Module, views: Views, packs: Packs) -> Module:
    """The program with alike operations on neighbours as one.

    Args:
        module: Of single operations.
        views: Names parts of buffers.
        packs: Names what is made of weights.
    """
    merger = _Merger(views, packs)
    return replace(module, functions=tuple(replace(f, body=merger.body(f.body)) for f in module.functions))


@dataclass(frozen=True)
class _Operation:
    """A statement as what it computes, and from which places into which."""

    form: tuple[object, ...]
    target: Ref
    operands: tuple[Expression, ...]


class _Merger:
    def __init__(self, views: Views, packs: Packs) -> None:
        self._views, self._packs, self._kind = views, packs, Kind.SCAN

    def body(self, body: tuple[Statement, ...], kind: Kind = Kind.SCAN) -> tuple[Statement, ...]:
        """Statements, each with those after it that can join it; `kind` is that of the loop that they are in."""
        self._kind = kind
        left = [self._within(statement) for statement in body]
        out: list[Statement] = []
        while left:
            head, left = left[0], left[1:]
            group = self._group(head, left)
            out.append(self._join(group) if len(group) > 1 else head)
            left = [each for each in left if not any(each is other for other in group)]
        return tuple(out)

    def _within(self, statement: Statement) -> Statement:
        outer = self._kind
        if isinstance(statement, Loop | When):
            kind = statement.kind if isinstance(statement, Loop) else outer
            statement = replace(statement, body=self.body(statement.body, kind))
        self._kind = outer
        return statement

    def _group(self, head: Statement, others: list[Statement]) -> list[Statement]:
        """The longest run of neighbours around a statement that can be moved to it."""
        first = _operation(head)
        if first is None or not isinstance(first.target.symbol, View):
            return [head]
        able = [head]
        for position, other in enumerate(others):
            operation = _operation(other)
            if operation is None or operation.form != first.form:
                continue
            between = [each for each in others[:position] if not any(each is one for one in able)]
            if not any(_conflict(other, each) for each in (*between, *able)):
                able.append(other)
        group = [head]
        grown = True
        while grown:
            grown = False
            for other in able:
                if any(other is each for each in group):
                    continue
                for candidate in ([*group, other], [other, *group]):
                    if self._fit(candidate):
                        group, grown = candidate, True
                        break
        return group

    def _fit(self, group: list[Statement]) -> bool:
        """Whether statements in this order work on neighbours, or on the same."""
        operations = [cast(_Operation, _operation(each)) for each in group]
        columns = list(zip(*((each.target, *each.operands) for each in operations), strict=True))
        if not _are_run(columns[0]):
            return False
        shared = False
        for column in columns[1:]:
            if len(set(column)) == 1:
                shared = shared or _is_array(column[0])
            elif not (_are_run(column) or self._are_packs(column)):
                return False
        if isinstance(group[0], Gemm) or not shared:
            return True
        # In equal blocks, of which all read the same; in bulk the steps would stand before the blocks.
        sizes = {cast(View, each.target.symbol).size for each in operations}
        return len(sizes) == 1 and self._kind is Kind.SCAN

    def _are_packs(self, column: tuple[Expression, ...]) -> bool:
        return all(
            isinstance(each, Ref)
            and isinstance(each.symbol, Buffer)
            and each.symbol.life is Life.CALL
            and len(each.symbol.type.axes) > 0
            for each in column
        )

    def _join(self, group: list[Statement]) -> Statement:
        operations = [cast(_Operation, _operation(each)) for each in group]
        columns = list(zip(*((each.target, *each.operands) for each in operations), strict=True))
        is_product = isinstance(group[0], Gemm)
        shared = any(len(set(column)) == 1 and _is_array(column[0]) for column in columns[1:])
        split = len(group) if shared and not is_product else None
        target, *operands = (
            self._joined(column, split, is_matrix=is_product and number == 1) for number, column in enumerate(columns)
        )
        of = tuple(dict.fromkeys(number for each in group for number in each.of))
        if is_product:
            contracted = cast(Gemm, group[0]).value.contracted
            return Gemm(cast(Ref, target), Dot(operands[0], operands[1], contracted), of=of)
        call = cast(Call, cast(Let, group[0]).value)
        return Let(cast(Ref, target), replace(call, args=tuple(operands)), of)

    def _joined(self, column: tuple[Expression, ...], split: int | None, *, is_matrix: bool = False) -> Expression:
        if len(set(column)) == 1 and not is_matrix:
            return column[0]
        refs = [cast(Ref, each) for each in column]
        if self._are_packs(column):
            buffer = self._packs.joined([cast(Buffer, each.symbol) for each in refs], 0)
            whole = View(f"{buffer.name}_blocks", buffer, buffer.type.axes[0] * 0, buffer.type.axes[0], split)
            return Ref(whole if split else buffer)
        return Ref(self._views.over([cast(View, each.symbol) for each in refs], split), refs[0].step)


def _operation(statement: Statement) -> _Operation | None:
    """A single operation; None for another statement."""
    match statement:
        case Let(Ref() as target, Call(function, args)) if all(map(_is_atom, args)):
            literals = tuple(each if not isinstance(each, Ref) else None for each in args)
            steps = tuple(each.step if isinstance(each, Ref) else None for each in (target, *args))
            return _Operation((function, literals, steps), target, args)
        case Gemm(Ref() as target, Dot(Ref() as matrix, Ref() as right, contracted), False):
            return _Operation(("product", right, contracted, target.step), target, (matrix, right))
    return None


def _is_atom(value: Expression) -> bool:
    return isinstance(value, Ref | Literal | Dim)


def _is_array(value: Expression) -> bool:
    """Whether a value has rows of its own, so that several blocks cannot share it as it is."""
    return isinstance(value, Ref) and len(value.symbol.type.axes if isinstance(value.symbol, Buffer) else (0,)) > 0


def _are_run(column: tuple[Expression, ...]) -> bool:
    views = [each.symbol if isinstance(each, Ref) else None for each in column]
    if not all(isinstance(each, View) for each in views):
        return False
    several = cast(list[View], views)
    return all(are_neighbours(one, other) for one, other in pairwise(several))


def _conflict(one: Statement, other: Statement) -> bool:
    """Whether the order of two statements matters."""
    ours, theirs = list(_touched(one)), list(_touched(other))
    return any((writes or also) and _overlap(place, another) for place, writes in ours for another, also in theirs)


def _touched(statement: Statement) -> Iterator[tuple[Ref, bool]]:
    """The places in a statement, each with whether it is written."""
    target = getattr(statement, "target", None)
    for each in every(statement):
        if isinstance(each, Ref):
            yield each, each is target or isinstance(statement, Loop | When)


def _overlap(one: Ref, other: Ref) -> bool:
    """Whether two places may have entries in common; different steps have none within a step's statements."""
    buffers = [each.symbol.of if isinstance(each.symbol, View) else each.symbol for each in (one, other)]
    if buffers[0] != buffers[1] or (one.step is not None and other.step is not None and one.step != other.step):
        return False
    views = [each.symbol for each in (one, other) if isinstance(each.symbol, View)]
    if len(views) < 2:
        return True
    (a, b) = views
    ends = (a.first + a.size, b.first + b.size)
    return not (_at_most(ends[0], b) or _at_most(ends[1], a))


def _at_most(end: Size, view: View) -> bool:
    """Whether an end is certainly not behind the first row of a view."""
    gap = view.first - end
    return gap.constant >= 0 and all(c >= 0 for _, c in gap.terms)
