"""Entrywise statements that can share one pass over memory become one `Map`.

A language with loops prints a `Map` as one loop, with its values in registers; where only whole arrays can be computed
with, its statements follow one another as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations, product

from derive.program.nodes import Add, Buffer, Let, Loop, Map, Module, Ref, Statement, View, When
from derive.program.types import type_of
from derive.program.verify import is_entrywise, overlap, refs_of


def fused(module: Module) -> Module:
    """The program with neighbouring entrywise statements of one shape in maps.

    Args:
        module: At the level of storage, its expressions whole.
    """
    functions = (replace(function, body=tuple(_body(function.body))) for function in module.functions)
    return replace(module, functions=tuple(functions))


def _body(body: Iterable[Statement]) -> Iterator[Statement]:
    together: list[Let | Add] = []
    for statement in body:
        store = _store(statement)
        if store is None or not _share_a_pass([*together, store]):
            yield from _map(together)
            together = []
        if store is not None:
            together.append(store)
        elif isinstance(statement, When | Loop):
            yield replace(statement, body=tuple(_body(statement.body)))
        else:
            yield statement
    yield from _map(together)


def _map(stores: list[Let | Add]) -> Iterator[Statement]:
    if len(stores) > 1:
        yield Map(tuple(stores), tuple(dict.fromkeys(number for store in stores for number in store.of)))
    else:
        yield from stores


def _store(statement: Statement) -> Let | Add | None:
    """A statement that computes the entries of a place, each from the entries there of other places; else nothing."""
    match statement:
        case Let(Ref(Buffer() | View()), value) | Add(Ref(Buffer() | View()), value) if is_entrywise(value):
            return statement
    return None


def _share_a_pass(stores: list[Let | Add]) -> bool:
    """Whether no entry is read elsewhere than where it is written, and none is written twice."""
    if len({type_of(store.target) for store in stores}) != 1:
        return False
    targets = [store.target for store in stores]
    reads = (ref for store in stores for ref in refs_of(store.value))
    return not any(overlap(one, two) for one, two in combinations(targets, 2)) and not any(
        ref != target and overlap(target, ref) for ref, target in product(reads, targets)
    )
