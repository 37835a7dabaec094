"""Sums gradients over steps and sequences at once: Σ_k Lᵀ δ_k is one product for all L and δ with common factors.

The left factors are laid on one another, with a row of ones below them, which makes the sums of the adjoints themselves
part of the product. What is left is a function that puts the gradients together when all windows are done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from derive.program.nodes import (
    BATCH,
    Add,
    Buffer,
    Call,
    Dot,
    Equations,
    Expression,
    Function,
    Gemm,
    Kind,
    Let,
    Life,
    Loop,
    Module,
    Part,
    Reduce,
    Ref,
    Role,
    Statement,
    Symbol,
    Transpose,
    Type,
    View,
    When,
)
from derive.program.passes.linearise import runs
from derive.program.sizes import Size
from derive.program.types import type_of
from derive.program.walk import terms, total

STEPS, INDEX = Size.of("T") + 1, Size.of("k")


@dataclass(frozen=True)
class _Outer:
    """One gradient Σ_k Lᵀ δ_k, or Σ_k δ_k without a left factor."""

    gradient: Symbol
    left: Expression | None
    delta: Expression
    of: Equations


@dataclass
class _Sums:
    """The gradients, each with the terms that it is put together of, and the arrays that the terms are in."""

    name: Callable[[str], str]
    terms: dict[Symbol, list[Expression]] = field(default_factory=dict)
    numbers: dict[Symbol, dict[int, None]] = field(default_factory=dict)
    totals: dict[Symbol, Buffer] = field(default_factory=dict)

    def total(self, gradient: Symbol, of: Equations) -> Ref:
        """The sum over the windows that a gradient has by itself."""
        if gradient not in self.totals:
            name = self.name(f"total_{gradient.field}")
            self.totals[gradient] = Buffer(name, gradient.type, Role.GRADIENT, None, Life.TOTAL)
            self.note(gradient, Ref(self.totals[gradient]), of)
        return Ref(self.totals[gradient])

    def note(self, gradient: Symbol, term: Expression, of: Equations) -> None:
        """A term of a gradient."""
        self.terms.setdefault(gradient, []).append(term)
        self.numbers.setdefault(gradient, {}).update(dict.fromkeys(of))


def with_collected_sums(module: Module, name: Callable[[str], str]) -> Module:
    """The program with one product for all gradients that share factors, and the function `gradient`.

    Args:
        module: With buffers in place of what is kept.
        name: Gives a free name.
    """
    sums = _Sums(name)
    functions = []
    for function in module.functions:
        if function.name == "penalties":
            for add in function.body:
                if isinstance(add, Add) and isinstance(add.target, Ref) and isinstance(add.target.symbol, Symbol):
                    gradient = add.target.symbol
                    if type_of(add.value) != gradient.type:
                        sums.total(gradient, add.of)
                    sums.note(gradient, add.value, add.of)
        elif function.name == "sum_over_time":
            functions.append(replace(function, body=_collected(function.body, sums)))
        else:
            functions.append(function)
    body = tuple(
        Let(Ref(gradient), total((False, term) for term in terms), tuple(sums.numbers[gradient]))
        for gradient, terms in sums.terms.items()
    )
    functions.append(Function("gradient", (), tuple(sums.terms), body, "The gradients, when all steps are summed."))
    return replace(module, functions=tuple(functions))


def with_split_sums(module: Module) -> Module:
    """The program with each term of a gradient added by itself, in bulk where it is a sum over the sequences.

    Args:
        module: At the level of values.
    """

    def split(statement: Statement) -> Iterable[Statement]:
        match statement:
            case Loop(_, _, _, _, _, (Add() as add,)):
                for term in _terms(add.value):
                    kind = Kind.ALL if _is_over_batch(term) else Kind.SCAN
                    yield replace(statement, kind=kind, body=(replace(add, value=term),))
            case Add(_, value):
                yield from (replace(statement, value=term) for term in _terms(value))
            case _:
                yield statement

    functions = [
        replace(function, body=tuple(part for statement in function.body for part in split(statement)))
        if function.name == "sum_over_time"
        else function
        for function in module.functions
    ]
    return replace(module, functions=tuple(functions))


def _terms(value: Expression) -> Iterable[Expression]:
    """The terms of a gradient; what is subtracted or transposed is so in its factors."""
    for minus, term in terms(value):
        match term:
            case Transpose(inner):
                for part in _terms(Call("negative", (inner,)) if minus else inner):
                    if isinstance(part, Dot) and part.contracted == ((BATCH, BATCH),):
                        yield Dot(part.right, part.left, part.contracted)
                    else:
                        yield Transpose(part)
            case Dot(_, right) if minus:
                yield replace(term, right=Call("negative", (right,)))
            case Reduce(_, inner) if minus:
                yield replace(term, of=Call("negative", (inner,)))
            case _:
                yield Call("negative", (term,)) if minus else term


def _is_over_batch(value: Expression) -> bool:
    match value:
        case Dot(_, _, contracted):
            return contracted == ((BATCH, BATCH),)
        case Reduce("sum", _, axes):
            return BATCH in axes
    return False


def _collected(body: Iterable[Statement], sums: _Sums) -> tuple[Statement, ...]:
    out: list[Statement] = []
    outers: dict[tuple[Size, Size], list[_Outer]] = {}
    others: dict[tuple[Size, Size, Kind], list[Statement]] = {}
    for statement in body:
        match statement:
            case Loop(_, first, last, _, kind, (Add(Ref(Symbol() as gradient), value, of) as add,)):
                outer = _outer(gradient, value, of) if kind is Kind.ALL else None
                if outer is not None:
                    outers.setdefault((first, last), []).append(outer)
                else:
                    line = replace(add, target=sums.total(gradient, of))
                    others.setdefault((first, last, kind), []).append(line)
            case When(_, inside):
                out.append(replace(statement, body=_retargeted(inside, sums)))
            case _:
                out.append(statement)
    loops: list[Statement] = []
    for (first, last), several in outers.items():
        made, left_over = _products(several, sums)
        loops.append(Loop("k", first, last, False, Kind.ALL, made))
        others.setdefault((first, last, Kind.ALL), [])[:0] = left_over
    loops += [Loop("k", *key[:2], False, key[2], tuple(lines)) for key, lines in others.items() if lines]
    return (*loops, *out)


def _retargeted(body: Iterable[Statement], sums: _Sums) -> tuple[Statement, ...]:
    return tuple(
        replace(each, target=sums.total(each.target.symbol, each.of))
        if isinstance(each, Add) and isinstance(each.target, Ref) and isinstance(each.target.symbol, Symbol)
        else replace(each, body=_retargeted(each.body, sums))
        if isinstance(each, When)
        else each
        for each in body
    )


def _outer(gradient: Symbol, value: Expression, of: Equations) -> _Outer | None:
    """A term Lᵀ δ or δ of rows, summed over the sequences; None for another."""
    match value:
        case Dot(left, delta, ((-1, -1),)) if len(type_of(left).axes) == len(type_of(delta).axes) == 1:
            return _Outer(gradient, left, delta, of)
        case Reduce("sum", delta, (-1,)) if len(type_of(delta).axes) == 1:
            return _Outer(gradient, None, delta, of)
    return None


def _products(outers: list[_Outer], sums: _Sums) -> tuple[tuple[Statement, ...], list[Statement]]:
    """The products of some gradients, and what is summed by itself."""
    lefts_of: dict[tuple[Expression, ...], list[Expression]] = {}
    for left in dict.fromkeys(each.left for each in outers if each.left is not None):
        mine = {each.delta: each for each in outers if each.left == left}
        for members in _runs(list(mine)):
            lefts_of.setdefault(tuple(members), []).append(left)
    bare = {each.delta for each in outers if each.left is None}
    statements: list[Statement] = []
    done: list[_Outer] = []
    rights: dict[Expression, Buffer] = {}
    for run, lefts in lefts_of.items():
        source = _whole(run[0])
        if source not in rights:
            kind = type_of(source)
            rights[source] = Buffer(sums.name("right"), kind, Role.LOCAL, STEPS, Life.BESIDE)
            statements.append(Let(Ref(rights[source], INDEX), source))
        with_ones = bool(bare & set(run))
        bare -= set(run)
        statements += _product(run, lefts, with_ones, outers, done, rights[source], sums)
    left_over: list[Statement] = []
    for each in outers:
        if each not in done:
            value: Expression = Reduce("sum", each.delta, (BATCH,))
            if each.left is not None:
                value = Dot(each.left, each.delta, ((BATCH, BATCH),))
            left_over.append(Add(sums.total(each.gradient, each.of), value, each.of))
    return tuple(statements), left_over


def _product(
    run: tuple[Expression, ...],
    lefts: list[Expression],
    with_ones: bool,
    outers: list[_Outer],
    done: list[_Outer],
    right: Buffer,
    sums: _Sums,
) -> Iterable[Statement]:
    """One product of left factors with neighbouring adjoints."""
    row_of, height = _blocks(lefts)
    column_of, width = _blocks(run)
    rows = Type((height + 1 if with_ones else height,), batch=True)
    left_buffer = Buffer(sums.name("left"), rows, Role.LOCAL, STEPS, Life.BESIDE)
    products = Buffer(sums.name("products"), Type((rows.axes[0], width)), Role.GRADIENT, None, Life.TOTAL)
    for left in lefts:
        stem = left.symbol.name if isinstance(left, Ref) else "factor"
        yield Let(Ref(View(sums.name(f"left_{stem}"), left_buffer, *row_of[left]), INDEX), left)
    numbers: list[int] = []
    for each in outers:
        if each.delta in column_of and each not in done and (each.left in row_of or (each.left is None and with_ones)):
            done.append(each)
            numbers += each.of
            top, size = row_of[each.left] if each.left is not None else (height, None)
            left_part = Part(Ref(products), 0, top, size)
            term = Part(left_part, 0 if size is None else 1, *column_of[each.delta])
            sums.note(each.gradient, term, each.of)
    columns = _within(run, right, width, sums)
    value = Dot(Ref(left_buffer, INDEX), Ref(columns, INDEX), ((BATCH, BATCH),))
    yield Gemm(Ref(products), value, add=True, of=tuple(numbers))


def _blocks(several: Iterable[Expression]) -> tuple[dict[Expression, tuple[Size, Size]], Size]:
    """Where each of some rows begins when they are laid on one another, with its size; and their whole height."""
    found, first = dict[Expression, tuple[Size, Size]](), Size()
    for each in several:
        size = type_of(each).axes[0]
        found[each] = first, size
        first += size
    return found, first


def _within(run: tuple[Expression, ...], right: Buffer, width: Size, sums: _Sums) -> Buffer | View:
    """The rows of the right factor that some neighbours are copied to."""
    first = run[0].symbol if isinstance(run[0], Ref) else None
    if not isinstance(first, View) or width == right.type.axes[0]:
        return right
    return View(sums.name(f"{right.name}_{first.name}"), right, first.first, width)


def _whole(delta: Expression) -> Expression:
    """The buffer that an adjoint is a part of, at its step; itself where it is no part."""
    if isinstance(delta, Ref) and isinstance(delta.symbol, View):
        return Ref(delta.symbol.of, delta.step)
    return delta


def _runs(deltas: list[Expression]) -> Iterable[list[Expression]]:
    """Adjoints as runs of neighbours."""
    views = {each.symbol: each for each in deltas if isinstance(each, Ref) and isinstance(each.symbol, View)}
    yield from ([each] for each in deltas if not any(each is view for view in views.values()))
    for run in runs(view for view in views if isinstance(view, View)):
        yield [views[view] for view in run]
