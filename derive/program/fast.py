"""The program of the fast code: from the staged equations, through the passes, to buffers and single operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from derive.mathematics.derivation import Derivation
from derive.program.build import Scope
from derive.program.names import Namer
from derive.program.nodes import Buffer, Function, Loop, Module, Ref, View
from derive.program.passes.layout import laid_out
from derive.program.passes.linearise import Packs, linearised
from derive.program.passes.merge import merged
from derive.program.passes.sums import with_collected_sums, with_split_sums
from derive.program.passes.tanh import with_tanh
from derive.program.passes.views import Views
from derive.program.passes.windows import N_STEPS, in_windows
from derive.program.sizes import Size
from derive.program.staged import build_staged
from derive.program.walk import Node, equations, every, parts


class Fast(NamedTuple):
    """The program of the fast code before and after the passes.

    Attributes:
        values: Its statements are the equations.
        storage: Its statements are single operations on buffers; the function `packed` makes what it needs of weights.
        scope: What each quantity is called.
    """

    values: Module
    storage: Module
    scope: Scope


def fast(derivation: Derivation, namer: Namer) -> Fast:
    """The program of the fast code."""
    scope = Scope(namer)
    values = build_staged(derivation, scope)
    identity = derivation.staged.logistic_as_tanh
    module = with_split_sums(values)
    module = with_tanh(module, identity.number) if identity is not None else module
    module = laid_out(in_windows(module), namer.name)
    module = with_collected_sums(module, namer.name)
    views, packs = Views(namer.name), Packs(namer.name)
    module = merged(linearised(module, views, packs), views, packs)
    used = {place for place in places(module) if isinstance(place, Buffer)}
    body = tuple(pack for buffer, pack in packs.made.items() if buffer in used)
    packed = Function("packed", (), (), body, "What the stages need of the weights, once per call.")
    module = replace(module, functions=(packed, *module.functions))
    return Fast(values, replace(module, equations=equations(module)), scope)


def places(node: Node) -> list[Buffer | View]:
    """The buffers and views that a program uses, in order; a buffer before its views."""
    found: dict[Buffer | View, None] = {}
    for each in every(node):
        if isinstance(each, Ref) and isinstance(each.symbol, Buffer | View):
            if isinstance(each.symbol, View):
                found.setdefault(each.symbol.of)
            found.setdefault(each.symbol)
    return list(found)


def reads_at(node: Node, offset: int) -> list[Buffer | View]:
    """The places that are read so many steps from the step of a loop, or from the window's last."""

    def within(each: Node, index: str) -> Iterator[Buffer | View]:
        if isinstance(each, Ref) and isinstance(each.symbol, Buffer | View) and each.step is not None:
            if each.step - Size.of(index) == Size.of(offset):
                yield each.symbol
        for part in parts(each):
            yield from within(part, each.index if isinstance(each, Loop) else index)

    return list(dict.fromkeys(within(node, N_STEPS)))
