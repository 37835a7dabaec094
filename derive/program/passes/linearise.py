"""Splits expressions into single operations, each into an existing place.

A sum of products becomes `target = a b`, `spare = c d`, `target = target + spare`. What is made of the weights alone is
packed once per call: transposed where it is a factor, in a column where it is added to sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias, cast

from derive.program.nodes import (
    Add,
    Buffer,
    Call,
    Concat,
    Dim,
    Dot,
    Equations,
    Expression,
    Gemm,
    Kind,
    Let,
    Life,
    Literal,
    Loop,
    Map,
    Module,
    Pack,
    Reduce,
    Ref,
    Role,
    RowWise,
    Statement,
    Symbol,
    Transpose,
    Type,
    View,
    When,
)
from derive.program.passes.views import Views, are_neighbours
from derive.program.sizes import Size
from derive.program.types import type_of, type_of_place
from derive.program.walk import every, parts, product, rebuild, terms

Term: TypeAlias = tuple[bool, Expression]
"""Whether it is subtracted, and what."""
MINUS_ONE = Literal(Fraction(-1))


class Packs:
    """The buffers made of the weights, each under one name.

    Args:
        name: Gives a free name.
    """

    def __init__(self, name: Callable[[str], str]) -> None:
        self._name = name
        self.made: dict[Buffer, Pack] = {}
        self._known: dict[tuple[Expression, bool], Buffer] = {}

    def of(self, value: Expression, equations: Equations = (), *, column: bool = False) -> Buffer:
        """The buffer of an expression of weights; spread over the sequences where it is a row in a column."""
        column = column and type_of(value).axes != ()
        if (value, column) not in self._known:
            kind = Type(type_of(value).axes, batch=column)
            buffer = Buffer(self._free(value), kind, Role.PARAMETER, None, Life.CALL)
            self._known[value, column] = buffer
            self.made[buffer] = Pack(Ref(buffer), value, equations)
        return self._known[value, column]

    def _free(self, value: Expression) -> str:
        """A weight as it is keeps its own name; all else is named for what it is made of."""
        stem = _stem(value)
        taken = any(buffer.name == stem for buffer in self.made)
        return stem if isinstance(value, Ref) and not taken else self._name(stem)

    def joined(self, several: list[Buffer], axis: int) -> Buffer:
        """The buffer of several beside one another."""
        packs = [self.made[each] for each in several]
        values = [part for pack in packs for part in _parts_along(pack.value, axis)]
        numbers = dict.fromkeys(number for pack in packs for number in pack.of)
        return self.of(Concat(tuple(values), axis), tuple(numbers), column=several[0].type.batch)


def _parts_along(value: Expression, axis: int) -> tuple[Expression, ...]:
    return value.parts if isinstance(value, Concat) and value.axis == axis else (value,)


def _stem(value: Expression) -> str:
    """A name for what is made of weights: of the first and the last of them."""
    names = list(dict.fromkeys(each.symbol.name for each in every(value) if isinstance(each, Ref)))
    turned = "_T" if any(isinstance(each, Transpose) for each in every(value)) else ""
    return f"{names[0]}_to_{names[-1]}{turned}" if len(names) > 1 else f"{names[0]}{turned}"


class Linear:
    """A program while it is rewritten; holds what its functions share.

    Args:
        views: Names parts of buffers.
        packs: Names what is made of weights.
    """

    def __init__(self, views: Views, packs: Packs) -> None:
        self._views, self._packs = views, packs
        self._spares: dict[tuple[Buffer | Type, bool, int], Buffer] = {}
        self._depth = 0
        self._index: Size | None = None  # of the loop in bulk that is rewritten, if it is one
        self._of: Equations = ()
        self._columns = True  # rows of weights beside sequences are columns
        self._out: list[Statement] = []

    def body(self, body: Iterable[Statement]) -> tuple[Statement, ...]:
        """Statements as single operations."""
        outer, self._out = self._out, []
        for statement in body:
            self._statement(statement)
        outer, self._out = self._out, outer
        return tuple(outer)

    def _statement(self, statement: Statement) -> None:
        match statement:
            case When(_, body):
                self._out.append(replace(statement, body=self.body(body)))
            case Loop(index, _, _, _, kind, body):
                before, self._index = self._index, Size.of(index) if kind is Kind.ALL else None
                self._out.append(replace(statement, body=self.body(body)))
                self._index = before
            case Let(Ref(Buffer() | View()) as target, value, of):
                self._of = of
                self.write(value, target)
            case Let(Ref(Symbol() as symbol), value) | Add(Ref(Symbol() as symbol), value):
                self._columns = symbol.role is not Role.GRADIENT
                self._out.append(replace(statement, value=self._packed_within(value)))
                self._columns = True
            case Add(Ref() as target, value, of):
                self._of = of
                self._add(target, value)
            case Map(stores):
                for store in stores:
                    self._statement(store)
            case _:
                self._out.append(statement)

    def write(self, value: Expression, out: Ref, of: Equations | None = None) -> None:
        """Computes an expression into a place that is no part of it."""
        self._of = self._of if of is None else of
        if self._is_simple(value):
            self._let(out, self._atom(value))
            return
        match value:
            case Call("add" | "subtract"):
                self._sum(self._with_joined_products(terms(value)), out)
            case Call("multiply" | "divide" | "negative"):
                self._product(value, out)
            case Call("power", (base, Literal(Fraction(numerator=2, denominator=1)))):
                where = self._operand(base, out, out)
                self._let(out, Call("multiply", (where, where)))
            case Dot(left):
                product = Dot(self._matrix(value), self._operand(left, None, out), ((1, 0),))
                self._out.append(Gemm(out, product, of=self._of))
            case Call(_, (argument,)):
                self._let(out, replace(value, args=(self._operand(argument, out, out),)))
            case Call(_, args) | RowWise(_, args):
                self._let(out, replace(value, args=self._operands(args, out)))
            case Reduce(_, inside):
                self._let(out, replace(value, of=self._operand(inside, None, out)))
            case _:
                self._let(out, self._packed_within(value))

    def _matrix(self, dot: Dot) -> Ref:
        """The matrix that a product with sequences is, with the sequences last: Wᵀ x for x W."""
        factor = dot.right if dot.contracted[0][1] == 1 else Transpose(dot.right)
        return Ref(self._packs.of(_settled(factor), self._of))

    def _add(self, target: Ref, value: Expression) -> None:
        """Adds to a sum over the windows."""
        match value:
            case Dot(left, right):
                left, right = self._operands((left, right), None)
                value = replace(value, left=left, right=right)
            case Reduce(_, inside):
                value = replace(value, of=self._operand(inside, None, None))
            case _:
                value = self._packed_within(value)
        self._out.append(Add(target, value, self._of))

    def _let(self, out: Ref, value: Expression) -> None:
        self._out.append(Let(out, value, self._of))

    # --- operands ---

    def _is_simple(self, value: Expression) -> bool:
        """Whether a value is somewhere already, or is packed."""
        return isinstance(value, Ref) or not type_of(value).batch

    def _atom(self, value: Expression) -> Expression:
        """The place of a simple value."""
        if type_of(value).batch or not any(isinstance(each, Ref) for each in every(value)):
            return value
        if any(isinstance(each, Dim) for each in every(value)):  # how many sequences there are, the weights do not say
            return self._with_parts_packed(value)
        return Ref(self._packs.of(value, self._of, column=self._columns))

    def _packed_within(self, value: Expression) -> Expression:
        """An expression with what is made of weights packed."""
        if not type_of(value).batch and not any(_is_place(each) for each in every(value)):
            return self._atom(value)
        if isinstance(value, Dot) and not type_of(value.right).batch:
            return Dot(self._matrix(value), self._packed_within(value.left), ((1, 0),))
        return self._with_parts_packed(value)

    def _with_parts_packed(self, value: Expression) -> Expression:
        changes: dict[Expression, Expression] = {}
        for part in parts(value):
            changes[cast(Expression, part)] = self._packed_within(cast(Expression, part))
        return cast(Expression, rebuild(value, lambda each: changes.get(cast(Expression, each), each)))

    def _operand(self, value: Expression, out: Ref | None, target: Ref | None) -> Expression:
        """The place of the value of an expression: computed into `out`, or a spare array, unless it is there."""
        if self._is_simple(value):
            return self._atom(value)
        if out is None or type_of(value) != type_of(out):
            self._depth += 1
            out = self._spare(type_of(value), target)
            self.write(value, out)
            self._depth -= 1
        else:
            self.write(value, out)
        return out

    def _operands(self, values: Iterable[Expression], target: Ref | None) -> tuple[Expression, ...]:
        """The places of several values, all at a time."""
        before, found = self._depth, []
        for value in values:
            found.append(self._operand(value, None, target))
            self._depth += not self._is_simple(value)
        self._depth = before
        return tuple(found)

    def _spare(self, kind: Type, target: Ref | None) -> Ref:
        """An array for a value in between; for a part of a stack the same part of an array beside it."""
        place = target.symbol if target is not None else None
        parallel: Buffer | None = None
        if isinstance(place, View) and place.split is None and type_of_place(place) == kind:
            parallel = place.of
        key = (parallel or kind, self._index is not None, self._depth)
        if key not in self._spares:
            life, steps = (Life.STEP, None) if self._index is None else (Life.BACKWARD, Size.of("T") + 1)
            words = [parallel.name] if parallel else [name for axis in kind.axes for name in axis.names]
            name = self._views.name("_".join(("spare", *words)))
            self._spares[key] = Buffer(name, parallel.type if parallel else kind, Role.LOCAL, steps, life)
        buffer = self._spares[key]
        if parallel is not None:
            view = cast(View, place)
            named = View(f"{buffer.name}_{view.name}", buffer, view.first, view.size)
            return Ref(named, self._index)
        return Ref(buffer, self._index)

    # --- sums and products ---

    def _with_joined_products(self, several: list[Term]) -> list[Term]:
        """A sum with the products of neighbours in a buffer as one product."""
        products = [
            term
            for minus, term in several
            if not minus and isinstance(term, Dot) and isinstance(term.left, Ref) and isinstance(term.left.symbol, View)
        ]
        for first in products:
            step, axis = cast(Ref, first.left).step, first.contracted[0][1]
            alike = {
                cast(View, cast(Ref, each.left).symbol): each
                for each in products
                if cast(Ref, each.left).step == step and each.contracted == first.contracted
            }
            for run in runs(alike):
                if len(run) > 1:
                    members = [alike[view] for view in run]
                    left = Ref(self._views.over(run), step)
                    one = Dot(left, Concat(tuple(each.right for each in members), axis), first.contracted)
                    rest = [(minus, term) for minus, term in several if not any(term is each for each in members)]
                    return self._with_joined_products([(False, one), *rest])
        return several

    def _sum(self, several: list[Term], out: Ref) -> None:
        several = sorted(several, key=lambda pair: (self._is_simple(pair[1]), not _has_dot(pair[1]), pair[0]))
        (minus, head), *others = several
        if self._is_simple(head) and others:
            (less, second), *others = others
            operation = "add" if minus else "subtract" if less else "add"
            self._let(out, Call(operation, (self._atom(head), self._atom(second))))
            if minus:
                self._let(out, Call("negative", (out,)))
        else:
            self.write(head, out)
            if minus:
                position = next((i for i, (less, _) in enumerate(others) if not less), None)
                if position is None:
                    self._let(out, Call("negative", (out,)))
                else:
                    _, term = others.pop(position)
                    self._let(out, Call("subtract", (self._operand(term, None, out), out)))
        for less, term in others:
            self._let(out, Call("subtract" if less else "add", (out, self._operand(term, None, out))))

    def _product(self, value: Expression, out: Ref) -> None:
        over, under = _factors(value)
        weights = [each for each in over if not type_of(each).batch]
        divisors = [each for each in under if not type_of(each).batch]
        arrays = sorted((each for each in over if type_of(each).batch), key=self._is_simple)
        scalar = _quotient(weights, divisors)
        head, *others = arrays or [scalar or Literal(Fraction(1))]
        steps = [("multiply", each) for each in others]
        if scalar is not None and arrays:
            steps.append(("negative" if scalar == MINUS_ONE else "multiply", scalar))
        steps += [("divide", each) for each in under if type_of(each).batch]
        if self._is_simple(head) and steps[0][0] != "negative":
            (operation, second), *steps = steps
            self._let(out, Call(operation, (self._atom(head), self._operand(second, None, out))))
        elif self._is_simple(head):
            steps = steps[1:]
            self._let(out, Call("negative", (self._atom(head),)))
        else:
            self.write(head, out)
        for operation, factor in steps:
            args = (out,) if operation == "negative" else (out, self._operand(factor, None, out))
            self._let(out, Call(operation, args))


def linearised(module: Module, views: Views, packs: Packs) -> Module:
    """The program with single operations in place of expressions."""
    linear = Linear(views, packs)
    functions = tuple(replace(function, body=linear.body(function.body)) for function in module.functions)
    return replace(module, functions=functions)


def runs(wanted: Iterable[View]) -> Iterator[list[View]]:
    """Views as runs of neighbours, in the order of their rows."""
    left = list(wanted)
    heads = [view for view in left if not any(are_neighbours(other, view) for other in left)]
    for head in heads:
        run = [head]
        while following := [view for view in left if are_neighbours(run[-1], view)]:
            run.append(following[0])
        yield run


def _is_place(node: object) -> bool:
    return isinstance(node, Ref) and (isinstance(node.symbol, Buffer | View) or node.symbol.role is not Role.PARAMETER)


def _has_dot(value: Expression) -> bool:
    return any(isinstance(each, Dot) for each in every(value))


def _settled(matrix: Expression) -> Expression:
    """A matrix of weights with its transposes and factors inside, where they make no work."""
    match matrix:
        case Transpose(Transpose(inner)):
            return _settled(inner)
        case Transpose(Call("multiply", (Literal() as factor, inner))):
            return Call("multiply", (factor, _settled(Transpose(inner))))
        case Transpose(Concat(several, axis)):
            return Concat(tuple(_settled(Transpose(each)) for each in several), 1 - axis)
        case Concat(several, axis):
            return Concat(tuple(map(_settled, several)), axis)
    return matrix


def _factors(value: Expression) -> tuple[list[Expression], list[Expression]]:
    """The factors of a product above the line and below it."""
    match value:
        case Call("multiply", (left, right)):
            ours, theirs = _factors(left), _factors(right)
            return ours[0] + theirs[0], ours[1] + theirs[1]
        case Call("divide", (left, right)):
            over, under = _factors(left)
            return over, [*under, right]
        case Call("negative", (inner,)):
            over, under = _factors(inner)
            return [MINUS_ONE, *over], under
    return [value], []


def _quotient(over: list[Expression], under: list[Expression]) -> Expression | None:
    """The product of what is the same for all sequences; None for 1."""
    over = [each for each in over if each != Literal(Fraction(1))]
    if not over and not under:
        return None
    value = product(over) if over else Literal(Fraction(1))
    for each in under:
        value = Call("divide", (value, each))
    return value
