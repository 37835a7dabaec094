"""Cuts the steps into windows: a loop over all steps becomes one over a window, a single step becomes a condition.

Within a window the steps are 1, …, n. The last step of all is the window's n where `last` is 1, and in no other window.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from typing import cast

from derive.program.nodes import Compare, Dim, Expression, Function, Literal, Loop, Module, Ref, Statement, When
from derive.program.sizes import Size
from derive.program.walk import Node, every, rebuild

N_STEPS, LAST, FIRST = "window.n", "window.last", "window.first"
"""How many steps a window has; 1 in the last window and in the first one, else 0. No dimension can have such a name."""


def in_windows(module: Module) -> Module:
    """The program for one window.

    Args:
        module: At the level of values, for steps 1, …, T.
    """
    return replace(module, functions=tuple(map(_in_window, module.functions)))


def _in_window(function: Function) -> Function:
    if function.name in ("start", "penalties"):  # they are run once
        return function
    body = [(_condition(statement), _local(statement)) for statement in function.body]
    merged: list[Statement] = []
    for conditions, several in groupby(body, key=lambda pair: pair[0]):
        inside: tuple[Statement, ...] = tuple(statement for _, statement in several)
        for condition in reversed(conditions):
            inside = (When(condition, inside),)
        merged += inside
    return replace(function, body=tuple(merged))


def _condition(statement: Statement) -> tuple[Expression, ...]:
    """Which window a statement that is for one step belongs to."""
    if isinstance(statement, Loop):
        return ()
    steps = [node.step for node in every(statement) if isinstance(node, Ref) and node.step is not None]
    if not any("T" in step.names for step in steps):
        return (Dim(Size.of(FIRST)),) if steps else (Dim(Size.of(LAST)),)
    target = getattr(statement, "target", None)
    before_last = isinstance(target, Ref) and target.step is not None and target.step == Size.of("T") - 1
    several = (Compare(">", Dim(Size.of(N_STEPS)), Literal(Fraction(1))),) if before_last else ()
    return (Dim(Size.of(LAST)), *several)


def _local(statement: Statement) -> Statement:
    """The statement with the window's steps; the end of a loop is n where it goes on in the next window."""

    def change(node: Node) -> Node:
        match node:
            case Ref(_, Size() as step) if "T" in step.names:
                return replace(node, step=step.at({"T": N_STEPS}))
            case Loop(_, first, last):
                return replace(node, first=_end(first), last=_end(last))
        return node

    return cast(Statement, rebuild(statement, change))


def _end(bound: Size) -> Size:
    if "T" not in bound.names:
        return bound
    return Size.of(N_STEPS) + Size.of(LAST) * bound.constant
