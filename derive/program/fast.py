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
from derive.program.staged import build_staged, symbols_read
from derive.program.verify import Level, verify
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
    """The program of the fast code, verified after every pass."""
    scope = Scope(namer)
    values = module = _verified(build_staged(derivation, scope), Level.VALUE)
    identity = derivation.staged.logistic_as_tanh
    module = _verified(with_split_sums(module), Level.VALUE)
    if identity is not None:
        module = _verified(with_tanh(module, identity.number), Level.VALUE)
    module = _verified(in_windows(module), Level.VALUE)
    module = _verified(laid_out(module, namer.name), Level.STORAGE)
    module = _verified(with_collected_sums(module, namer.name), Level.STORAGE)
    views, packs = Views(namer.name), Packs(namer.name)
    module = linearised(module, views, packs)
    _verified(_with_packs(module, packs), Level.STORAGE)
    module = merged(module, views, packs)
    return Fast(values, _verified(_with_packs(module, packs), Level.STORAGE), scope)


def _verified(module: Module, level: Level) -> Module:
    """The program with what each function is given, as its body says; no pass has lost an equation."""
    functions = tuple(replace(function, parameters=symbols_read(function.body)) for function in module.functions)
    module = replace(module, functions=functions)
    verify(module, level)
    return replace(module, equations=equations(module))


def _with_packs(module: Module, packs: Packs) -> Module:
    """The program with a first function that makes what the others need of the weights."""
    used = {place for place in places(module) if isinstance(place, Buffer)}
    body = tuple(pack for buffer, pack in packs.made.items() if buffer in used)
    packed = Function("packed", (), (), body, "What the stages need of the weights, once per call.")
    return replace(module, functions=(packed, *module.functions))


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
        match each:
            case Ref(Buffer() | View() as place, Size() as step) if step - index == Size.of(offset):
                yield place
        for part in parts(each):
            yield from within(part, each.index if isinstance(each, Loop) else index)

    return list(dict.fromkeys(within(node, N_STEPS)))
