"""Gives every value a place in arrays made once, and stacks values for common products.

Stacked values are blocks of rows of one buffer, and each is a view of it. Stacked are

- sums with products of the same left factor in the loop over the steps, and beside them what the inputs add to them,
- the functions of those sums: σ first, so that its rows are neighbours,
- adjoints whose products make up the gradients, those first that are multiples of the same adjoint, and their factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from derive.program.nodes import (
    BATCH,
    Add,
    Buffer,
    Call,
    Dot,
    Expression,
    Function,
    Kind,
    Let,
    Life,
    Loop,
    Module,
    Ref,
    Role,
    Statement,
    Symbol,
    Type,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.walk import Node, every, rebuild, terms, total

FORWARD = ("start", "hoisted", "run", "outputs", "finish")
"""The functions whose results the backward pass reads."""


def laid_out(module: Module, name: Callable[[str], str]) -> Module:
    """The program with a buffer or a view in place of each symbol of a step.

    Args:
        module: For one window.
        name: Gives a free name.
    """
    planner = _Planner(module)
    for stem, members in planner.stacks():
        if stem == "sums" and len({planner.life[member] for member in members}) > 1:
            for member in members:
                if planner.life[member] is not Life.STEP:
                    module = _with_product_apart(module, member, name)
    planner = _Planner(module)
    places: dict[Symbol, Buffer | View] = {}
    for stem, members in planner.stacks():
        kept = [planner.life[member] for member in members]
        life = next((each for each in kept if each is not Life.STEP), Life.STEP)
        rows = Size()
        for member in members:
            rows += member.type.axes[0]
        steps = members[0].steps if life is not Life.STEP else None
        buffer = Buffer(name(stem), Type((rows,), batch=True), Role.LOCAL, steps, life)
        first = Size()
        for member in members:
            places[member] = View(member.name, buffer, first, member.type.axes[0])
            first += member.type.axes[0]
    for symbol, life in planner.life.items():
        if symbol not in places:
            steps = None if life is Life.STEP else symbol.steps
            places[symbol] = Buffer(symbol.name, symbol.type, symbol.role, steps, life, symbol.meaning)

    def change(node: Node) -> Node:
        if isinstance(node, Ref) and isinstance(node.symbol, Symbol) and node.symbol in places:
            place = places[node.symbol]
            steps = place.of.steps if isinstance(place, View) else place.steps
            return Ref(place, node.step if steps is not None else None)
        return node

    return cast(Module, rebuild(module, change))


def _with_product_apart(module: Module, kept: Symbol, name: Callable[[str], str]) -> Module:
    """The program with the product in a kept sum by itself, so that it can be stacked with those of other sums."""
    product = Symbol(name(f"{kept.name}_product"), kept.type, Role.LOCAL, kept.steps)

    def split(statement: Statement) -> tuple[Statement, ...]:
        if isinstance(statement, Loop) and statement.kind is Kind.SCAN:
            return (replace(statement, body=tuple(part for each in statement.body for part in split(each))),)
        if isinstance(statement, Let) and isinstance(statement.target, Ref) and statement.target.symbol == kept:
            several = terms(statement.value)
            first = next((term for minus, term in several if isinstance(term, Dot) and not minus), None)
            if first is not None:
                place = Ref(product, statement.target.step)
                rest = [(minus, place if term is first else term) for minus, term in several]
                return Let(place, first, statement.of), replace(statement, value=total(rest))
        return (statement,)

    functions = tuple(
        replace(function, body=tuple(part for statement in function.body for part in split(statement)))
        if function.name == "run"
        else function
        for function in module.functions
    )
    return replace(module, functions=functions)


@dataclass(frozen=True)
class _Block:
    """Statements that run one after another, and the function that they are in."""

    function: str
    kind: Kind
    body: tuple[Statement, ...]


class _Planner:
    def __init__(self, module: Module) -> None:
        self._blocks = [block for function in module.functions for block in _blocks(function)]
        self._functions = {function.name: function for function in module.functions}
        self.life = self._lives()

    # --- how long a value is kept ---

    def _lives(self) -> dict[Symbol, Life]:
        """How long each symbol of a step must be kept."""
        forward: set[Symbol] = set()
        kept: dict[Symbol, bool] = {}
        for block in self._blocks:
            written: set[Ref] = set()
            for statement in block.body:
                if isinstance(statement, When | Loop):
                    continue
                target = statement.target if isinstance(statement, Let | Add) else None
                for ref in _stepped(statement):
                    symbol = cast(Symbol, ref.symbol)
                    if block.function in FORWARD or symbol.role in (Role.INPUT, Role.TARGET):
                        forward.add(symbol)
                    local = ref == target or ref in written
                    kept[symbol] = kept.get(symbol, False) or block.kind is Kind.ALL or not local
                if isinstance(target, Ref):
                    written.add(target)
        return {
            symbol: (Life.WINDOW if symbol in forward else Life.BACKWARD) if keep else Life.STEP
            for symbol, keep in kept.items()
        }

    # --- what is stacked ---

    def stacks(self) -> Iterable[tuple[str, list[Symbol]]]:
        """The stacks, each with a word for its members."""
        values = self._values()
        sums = self._by_left_factor("run")
        taken: set[Symbol] = set()
        for stack in sums:
            stack.sort(key=lambda z: self._order(z, values))
            inputs: dict[Expression, list[Symbol]] = {}
            gates: dict[str, list[Symbol]] = {}
            for z in stack:
                for left, part in self._input_parts(z):
                    inputs.setdefault(left, []).append(part)
                if z in values:
                    q, function, _ = values[z]
                    gates.setdefault(function, []).append(q)
            groups = [("sums", stack), *(("inputs", each) for each in inputs.values())]
            for stem, members in (*groups, *(("gates", each) for each in gates.values())):
                members = [each for each in dict.fromkeys(members) if each not in taken]
                taken.update(members)
                if len(members) > 1:
                    yield stem, members
        for stack in self._deltas():
            stack = [each for each in stack if each not in taken]
            slopes = [slope for delta in stack if (slope := self._slope_of(delta)) is not None]
            taken.update((*stack, *slopes))
            for stem, members in (("deltas", stack), ("slopes", list(dict.fromkeys(slopes)))):
                if len(members) > 1:
                    yield stem, members

    def _lets(self, function: str, kind: Kind) -> list[Let]:
        return [
            statement
            for block in self._blocks
            if block.function == function and block.kind is kind
            for statement in block.body
            if isinstance(statement, Let)
        ]

    def _by_left_factor(self, function: str) -> list[list[Symbol]]:
        """What has products with the same left factor in a loop over the steps; overlapping groups are one."""
        groups: dict[Expression, list[Symbol]] = {}
        for let in self._lets(function, Kind.SCAN):
            for _, term in terms(let.value):
                if isinstance(term, Dot) and _is_row(let.target):
                    groups.setdefault(term.left, []).append(_symbol(let.target))
        return _joined(groups.values())

    def _values(self) -> dict[Symbol, tuple[Symbol, str, bool]]:
        """The q of each z with q = f(z), the function that computes it, and whether it is σ."""
        lets = self._lets("run", Kind.SCAN)
        found: dict[Symbol, tuple[Symbol, str, bool]] = {}
        for let in lets:
            calls = [node for node in every(let.value) if isinstance(node, Call) and len(node.args) == 1]
            refs = _stepped(let.value)
            if len(calls) == 1 and len(refs) == 1 and _is_row(let.target):
                z = _symbol(refs[0])
                once = sum(_symbol(ref) == z for each in lets for ref in _stepped(each.value)) == 1
                if once and refs[0].step == _step(let.target) and calls[0].function != "negative":
                    found[z] = _symbol(let.target), calls[0].function, let.value != calls[0]
        return found

    def _order(self, z: Symbol, values: dict[Symbol, tuple[Symbol, str, bool]]) -> tuple[bool, bool, str, bool]:
        """σ before tanh, both beside one another, and what is of no such form before all."""
        _, function, is_logistic = values.get(z, (z, "", False))
        return z in values, bool(list(self._input_parts(z))), function, not is_logistic

    def _input_parts(self, z: Symbol) -> Iterable[tuple[Expression, Symbol]]:
        """What the inputs add to z as a product, with its left factor."""
        hoisted = {_symbol(let.target): let.value for let in self._lets("hoisted", Kind.ALL)}
        for let in self._lets("run", Kind.SCAN):
            if _symbol(let.target) == z:
                for _, term in terms(let.value):
                    part = term.symbol if isinstance(term, Ref) else None
                    if isinstance(part, Symbol) and part in hoisted:
                        lefts = [each.left for _, each in terms(hoisted[part]) if isinstance(each, Dot)]
                        yield from ((left, part) for left in lefts[:1])

    def _deltas(self) -> list[list[Symbol]]:
        """The adjoints that make up the gradients with the same left factor, those of one source side by side."""
        groups: dict[Expression, list[Symbol]] = {}
        for block in self._blocks:
            if block.function != "sum_over_time" or block.kind is not Kind.ALL:
                continue
            for statement in block.body:
                if isinstance(statement, Add) and isinstance(statement.value, Dot):
                    left, right = statement.value.left, statement.value.right
                    if statement.value.contracted == ((BATCH, BATCH),) and self._is_adjoint(right):
                        groups.setdefault(left, []).append(_symbol(right))
        sources: dict[Symbol, list[Symbol]] = {}
        for let in self._lets("run_back", Kind.SCAN):
            if (source := self._source(let)) is not None:
                sources.setdefault(source, []).append(_symbol(let.target))
        together = [set(each) for each in (*groups.values(), *sources.values())]
        return [_side_by_side(group, together) for group in _joined(groups.values())]

    def _is_adjoint(self, place: Expression) -> bool:
        return isinstance(place, Ref) and self.life.get(_symbol(place)) is Life.BACKWARD and _is_row(place)

    def _source(self, let: Let) -> Symbol | None:
        """The δ' where a statement is δ = λ δ', with λ from a loop in bulk."""
        match let.value:
            case Call("multiply", (Ref(Symbol() as one), Ref(Symbol() as other))):
                bulk = {_symbol(each.target) for each in self._lets("hoisted_back", Kind.ALL)}
                return one if other in bulk else other if one in bulk else None
        return None

    def _slope_of(self, delta: Symbol) -> Symbol | None:
        """The λ where a statement is δ = λ δ'."""
        for let in self._lets("run_back", Kind.SCAN):
            source = self._source(let) if _symbol(let.target) == delta else None
            if source is not None:
                return next(_symbol(ref) for ref in _stepped(let.value) if _symbol(ref) != source)
        return None


def _blocks(function: Function) -> Iterable[_Block]:
    """The bodies of a function: of each loop, of each condition, and its own."""

    def within(body: tuple[Statement, ...], kind: Kind) -> Iterable[_Block]:
        yield _Block(function.name, kind, body)
        for statement in body:
            if isinstance(statement, When):
                yield from within(statement.body, kind)
            elif isinstance(statement, Loop):
                yield from within(statement.body, statement.kind)

    return within(function.body, Kind.SCAN)


def _joined(groups: Iterable[Sequence[Symbol]]) -> list[list[Symbol]]:
    """Groups, with those that have members in common as one; each member once, in order."""
    joined: list[list[Symbol]] = []
    for group in groups:
        overlapping = [each for each in joined if set(each) & set(group)]
        joined = [each for each in joined if each not in overlapping]
        joined.append(list(dict.fromkeys([*(one for each in overlapping for one in each), *group])))
    return joined


def _side_by_side(members: list[Symbol], together: Iterable[set[Symbol]]) -> list[Symbol]:
    """Members in an order in which each of some sets is a run of neighbours, as far as there is one.

    Blocks are split by one set after another, so that its part of the first block and of the last one face each other.
    """
    blocks = [members]
    for chosen in together:
        touched = [number for number, block in enumerate(blocks) if chosen & set(block)]
        for number in reversed(touched):
            inside = [each for each in blocks[number] if each in chosen]
            outside = [each for each in blocks[number] if each not in chosen]
            parts = [outside, inside] if number == touched[0] else [inside, outside]
            blocks[number : number + 1] = [part for part in parts if part]
    return [each for block in blocks for each in block]


def _stepped(node: Node) -> list[Ref]:
    """The symbols of a step in a node, each time."""
    return [
        each
        for each in every(node)
        if isinstance(each, Ref) and isinstance(each.symbol, Symbol) and each.symbol.steps is not None
    ]


def _symbol(place: Expression) -> Symbol:
    """The symbol of a place."""
    return cast(Symbol, cast(Ref, place).symbol)


def _step(place: Expression) -> Size | None:
    return cast(Ref, place).step


def _is_row(place: Expression) -> bool:
    """Whether a place holds a row for each sequence."""
    return len(_symbol(place).type.axes) == 1 and _symbol(place).type.batch
