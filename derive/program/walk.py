"""Traversal of a program: its parts, its reads and writes, and the one function for rewriting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from derive.program.nodes import (
    Add,
    Buffer,
    Call,
    Compare,
    Concat,
    Constant,
    Dim,
    Dot,
    Expression,
    Fill,
    Function,
    Gemm,
    Identity,
    Let,
    Literal,
    Loop,
    Map,
    Module,
    Pack,
    Part,
    Record,
    Reduce,
    Ref,
    RowWise,
    Run,
    Select,
    Solve,
    Statement,
    Symbol,
    Transpose,
    View,
    When,
)
from derive.program.sizes import Size

Node: TypeAlias = Expression | Statement | Function | Module
Place: TypeAlias = Symbol | Buffer | View

PARTS: dict[type[Any], tuple[str, ...]] = {
    Literal: (),
    Constant: (),
    Dim: (),
    Ref: (),
    Identity: (),
    Run: (),
    Call: ("args",),
    RowWise: ("args",),
    Dot: ("left", "right"),
    Reduce: ("of",),
    Concat: ("parts",),
    Part: ("of",),
    Compare: ("left", "right"),
    Select: ("condition", "then", "otherwise"),
    Solve: ("matrix", "right"),
    Transpose: ("of",),
    Let: ("target", "value"),
    Add: ("target", "value"),
    Fill: ("target",),
    When: ("condition", "body"),
    Loop: ("body",),
    Gemm: ("target", "value"),
    Map: ("stores",),
    Pack: ("target", "value"),
    Function: ("body",),
    Module: ("functions",),
}
"""The fields of each node with nodes in them, single or in a tuple."""


def _part_names(node: Node) -> tuple[str, ...]:
    try:
        return PARTS[type(node)]
    except KeyError:
        raise TypeError(f"{type(node).__name__} is no node of a program, or is missing from walk.PARTS") from None


def parts(node: Node) -> Iterator[Node]:
    """The nodes directly below a node, in order."""
    for name in _part_names(node):
        below = getattr(node, name)
        yield from below if isinstance(below, tuple) else (below,)


def every(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, in preorder."""
    yield node
    for part in parts(node):
        yield from every(part)


def rebuild(node: Node, change: Callable[[Node], Node]) -> Node:
    """A copy of a node in which `change` has been applied to every node, the innermost first.

    A node in which nothing changes is returned as it is.

    Raises:
        TypeError: A node is unknown; no rewriting skips one silently.
    """
    changes: dict[str, Any] = {}
    for name in _part_names(node):
        below = getattr(node, name)
        if isinstance(below, tuple):
            made: Any = tuple(rebuild(part, change) for part in below)
            same = all(one is other for one, other in zip(made, below, strict=True))
        else:
            made = rebuild(below, change)
            same = made is below
        if not same:
            changes[name] = made
    return change(replace(cast(Any, node), **changes) if changes else node)


def at_step(node: Node, index: str, step: Size | int) -> Node:
    """A copy of a node with a step substituted for the index of a loop, in steps and sizes."""
    values = {index: Size.of(step)}

    def change(each: Node) -> Node:
        match each:
            case Ref(_, Size() as at) if index in at.names:
                return replace(each, step=at.at(values))
            case Dim(size) if index in size.names:
                return replace(each, size=size.at(values))
            case Part(_, _, first, size):
                return replace(each, first=first.at(values), size=size and size.at(values))
            case Loop(_, first, last):
                return replace(each, first=first.at(values), last=last.at(values))
        return each

    return rebuild(node, change)


@dataclass(frozen=True)
class Free:
    """The free places, sizes and functions of statements, each in order of first use.

    Attributes:
        read: The places read before they are written.
        written: The places written, wholly or at some steps.
        sizes: The names of sizes.
        functions: The functions of entries and of rows.
    """

    read: tuple[Place, ...]
    written: tuple[Place, ...]
    sizes: tuple[str, ...]
    functions: tuple[str, ...]


def free(body: Iterable[Node]) -> Free:
    """The reads, writes and calls of a body: the one source for whatever code needs around it.

    A symbol with steps, written at one step and read at another, counts as read too, unless it is filled first. So does
    one written in part, under a condition, or in a loop (which may have no steps), and read afterwards.
    """
    read: dict[Place, None] = {}
    written: dict[Place, None] = {}
    whole: set[Place] = set()
    sizes: dict[str, None] = {}
    functions: dict[str, None] = {}
    bound: list[str] = []

    def size(form: Size | None) -> None:
        sizes.update(dict.fromkeys(name for name in (form.names if form else ()) if name not in bound))

    def target(place: Expression, in_part: bool = False) -> None:
        match place:
            case Ref(symbol, step):
                size(step)
                written[symbol] = None
                if step is None and not in_part:
                    whole.add(symbol)
            case Part(of, _, first, count):
                size(first)
                size(count)
                target(of, in_part=True)

    def within(node: Node) -> None:
        """Visits the body of a loop or condition; it may never run, so it writes nothing for certain."""
        before = set(whole)
        for part in parts(node):
            look(part)
        whole.intersection_update(before)

    def look(node: Node) -> None:
        match node:
            case Ref(symbol, step):
                size(step)
                if symbol not in whole and not (isinstance(symbol, View) and symbol.of in whole):
                    read[symbol] = None
                return
            case Dim(form) | Identity(form):
                size(form)
            case Part(_, _, first, count):
                size(first)
                size(count)
            case Call(function) | RowWise(function):
                functions[function] = None
            case Let(place, value) | Pack(place, value):
                look(value)
                target(place)
                return
            case Add(place, value) | Gemm(place, value, True):
                look(value)
                look(place)
                target(place)
                return
            case Gemm(place, value):
                look(value)
                target(place)
                return
            case Fill(Ref(symbol)):
                size(symbol.steps if isinstance(symbol, Symbol | Buffer) else None)
                for axis in _axes(symbol):
                    size(axis)
                if symbol.type.batch if not isinstance(symbol, View) else symbol.of.type.batch:
                    size(Size.of("N"))
                written[symbol] = None
                whole.add(symbol)
                return
            case Loop(index, first, last):
                size(first)
                size(last)
                bound.append(index)
                within(node)
                bound.pop()
                return
            case When():
                within(node)
                return
            case Run(_, arguments, results):
                for each in symbols_of(arguments):
                    if each not in whole:
                        read[each] = None
                for each in symbols_of(results):
                    written[each] = None
                    whole.add(each)
        for part in parts(node):
            look(part)

    for each in body:
        look(each)
    return Free(tuple(read), tuple(written), tuple(sizes), tuple(functions))


def _axes(place: Place) -> tuple[Size, ...]:
    return place.of.type.axes if isinstance(place, View) else place.type.axes


def symbols_of(parameters: Iterable[Symbol | Record]) -> Iterator[Symbol]:
    """The symbols in parameters or results, one by one."""
    for each in parameters:
        yield from each.fields if isinstance(each, Record) else (each,)


def equations(node: Node) -> frozenset[int]:
    """The numbers of the equations computed by a node."""
    numbers = (getattr(each, "of", ()) for each in every(node))  # of a sum or a part, `of` is an expression
    return frozenset(number for each in numbers if isinstance(each, tuple) for number in each)


def terms(expression: Expression) -> list[tuple[bool, Expression]]:
    """The terms of a sum in order, each with a flag for subtraction."""
    match expression:
        case Call("add", (left, right)):
            return [*terms(left), *terms(right)]
        case Call("subtract", (left, right)):
            return [*terms(left), *((not minus, term) for minus, term in terms(right))]
        case Call("negative", (inner,)):
            return [(not minus, term) for minus, term in terms(inner)]
    return [(False, expression)]


def total(summands: Iterable[tuple[bool, Expression]]) -> Expression:
    """The sum of terms in order, the inverse of `terms`.

    Raises:
        ValueError: There are none.
    """
    value: Expression | None = None
    for minus, term in summands:
        if value is None:
            value = Call("negative", (term,)) if minus else term
        else:
            value = Call("subtract" if minus else "add", (value, term))
    if value is None:
        raise ValueError("a sum of no terms")
    return value


def factors(expression: Expression) -> list[Expression]:
    """The factors of a product, entry by entry, in order."""
    match expression:
        case Call("multiply", (left, right)):
            return [*factors(left), *factors(right)]
    return [expression]


def product(several: Iterable[Expression]) -> Expression:
    """The product of factors in order, the inverse of `factors`.

    Raises:
        ValueError: There are none.
    """
    value: Expression | None = None
    for factor in several:
        value = factor if value is None else Call("multiply", (value, factor))
    if value is None:
        raise ValueError("a product of no factors")
    return value
