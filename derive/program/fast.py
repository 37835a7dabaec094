"""The program of the fast code: from the staged equations, through the passes, to buffers and single operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from derive.mathematics.derivation import Derivation
from derive.program.build import Scope
from derive.program.interpret import Pass
from derive.program.names import Namer
from derive.program.nodes import Buffer, Function, Loop, Module, Ref, View
from derive.program.passes.fuse import fused
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
    for level, each in passes_of(derivation, namer.name):
        module = _verified(each(module), level)
    return Fast(values, module, scope)


def passes_of(derivation: Derivation, name: Callable[[str], str]) -> Iterator[tuple[Level, Pass]]:
    """The passes from the staged equations to buffers, in order, each with the level of what it returns.

    Args:
        derivation: Its staged equations are the program.
        name: Gives a free name.
    """
    views, packs, identity = Views(name), Packs(name), derivation.staged.logistic_as_tanh

    def tanh(module: Module) -> Module:
        return with_tanh(module, identity.number) if identity is not None else module

    def layout(module: Module) -> Module:
        return laid_out(module, name)

    def collect(module: Module) -> Module:
        return with_collected_sums(module, name)

    def linearise(module: Module) -> Module:
        return _with_packs(linearised(module, views, packs), packs)

    def merge(module: Module) -> Module:
        return _with_packs(merged(module, views, packs), packs)

    yield from ((Level.VALUE, each) for each in (with_split_sums, tanh, in_windows))
    yield from ((Level.STORAGE, each) for each in (layout, collect, fused, linearise, merge))


def _verified(module: Module, level: Level) -> Module:
    """A program that makes sense, what its functions are given told; no pass has lost an equation."""
    module = with_parameters(module)
    verify(module, level)
    return replace(module, equations=equations(module))


def with_parameters(module: Module) -> Module:
    """The program with what each function is given, as its body says."""
    functions = (replace(function, parameters=symbols_read(function.body)) for function in module.functions)
    return replace(module, functions=tuple(functions))


def _with_packs(module: Module, packs: Packs) -> Module:
    """The program with a first function, `packed`, that makes what the others need of the weights."""
    stages = tuple(function for function in module.functions if function.name != "packed")
    used = {place for stage in stages for place in places(stage) if isinstance(place, Buffer)}
    body = tuple(pack for buffer, pack in packs.made.items() if buffer in used)
    packed = Function("packed", (), (), body, "What the stages need of the weights, once per call.")
    return replace(module, functions=(packed, *stages))


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
