"""σ(z) = ½ + ½ tanh(z / 2): one tanh serves the gates of both kinds, and ½ is a factor of the weights."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import cast

from derive.program.nodes import (
    Add,
    Call,
    Dot,
    Expression,
    Function,
    Let,
    Literal,
    Module,
    Ref,
    Role,
    Statement,
    Symbol,
    Type,
)
from derive.program.types import type_of
from derive.program.walk import Node, every, rebuild, terms, total

HALF = Literal(Fraction(1, 2))
SIGMA = Call("logistic", (Ref(Symbol("z", Type(), Role.LOCAL)),))
"""σ of some z."""


def with_tanh(module: Module, identity: int) -> Module:
    """The program with tanh in place of σ.

    Args:
        module: At the level of values; the loss stays as it is written.
        identity: The number of the equation that says so.
    """

    def change(node: Node) -> Node:
        if isinstance(node, Let | Add) and _logistic_in(node.value):
            value = cast(Expression, rebuild(node.value, as_tanh))
            return replace(node, value=value, of=(*node.of, identity))
        return node

    functions = tuple(
        function if function.name == "loss_of" else cast(Function, rebuild(function, change))
        for function in module.functions
    )
    module = replace(module, functions=functions)
    for symbol in _halved(module):
        module = _fold(module, symbol, identity)
    return module


def _logistic_in(expression: Expression) -> bool:
    return any(isinstance(node, Call) and node.function == "logistic" for node in every(expression))


def as_tanh(node: Node) -> Node:
    """A node; if it is σ of something, by tanh."""
    match node:
        case Call("logistic", (argument,)):
            tanh = Call("tanh", (Call("multiply", (HALF, argument)),))
            return Call("add", (HALF, Call("multiply", (HALF, tanh))))
    return node


def _halved(module: Module) -> list[Symbol]:
    """What is halved within a tanh, in order."""
    return [
        symbol
        for node in every(module)
        if isinstance(node, Call) and node.function == "tanh"
        for symbol in _half_of(node.args[0])
    ]


def _half_of(argument: Expression) -> list[Symbol]:
    match argument:
        case Call("multiply", (half, Ref(Symbol() as symbol))) if half == HALF:
            return [symbol]
    return []


def _fold(module: Module, symbol: Symbol, identity: int) -> Module:
    """The program with half of a symbol in its place, where every term of it can take the factor."""
    definitions = _halvable(module, symbol)
    if definitions is None:
        return module
    inner = {id(each) for each in definitions}

    def change(node: Node) -> Node:
        if isinstance(node, Let) and id(node) in inner:
            halves = [(minus, _half(term, definitions)) for minus, term in terms(node.value)]
            return replace(node, value=total(halves), of=(*node.of, identity))
        if isinstance(node, Call) and node.function == "tanh" and _half_of(node.args[0]) == [symbol]:
            return replace(node, args=cast(Call, node.args[0]).args[1:])
        return node

    return cast(Module, rebuild(module, change))


def _halvable(module: Module, symbol: Symbol) -> list[Let] | None:
    """The definition of a symbol and those of its terms that must be halved with it; None if it cannot be."""
    writes = [node for node in every(module) if isinstance(node, Let) and _symbol(node.target) == symbol]
    uses = [node for node in every(module) if _symbol(node) == symbol]
    if len(writes) != 1 or len(uses) != 2:  # written once and read once
        return None
    found = [writes[0]]
    for _, term in terms(writes[0].value):
        match term:
            case Dot() | Call("multiply", (_, Dot())):
                continue
            case Ref(Symbol() as inner) if type_of(term).batch:
                deeper = _halvable(module, inner)
                if deeper is None:
                    return None
                found += deeper
            case _ if not type_of(term).batch:
                continue
            case _:
                return None
    return found


def _half(term: Expression, definitions: list[Let]) -> Expression:
    """Half of a term: of its weights, or of what has been halved where it is defined."""
    match term:
        case Dot(_, weight):
            return replace(term, right=Call("multiply", (HALF, weight)))
        case Ref(symbol) if any(_symbol(each.target) == symbol for each in definitions):
            return term
    return Call("multiply", (HALF, term))


def _symbol(node: Node | Statement) -> Symbol | None:
    return node.symbol if isinstance(node, Ref) and isinstance(node.symbol, Symbol) else None
