"""From the staged equations to the program of the fast code: a function a stage, and every statement an equation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sympy import S, Sum

from derive.language.quantities import At, T, indexed_of, k
from derive.mathematics.derivation import Derivation, Equation
from derive.program.build import STEPS, Builder, Scope
from derive.program.nodes import (
    Add,
    Call,
    Compare,
    Dim,
    Function,
    Kind,
    Literal,
    Loop,
    Module,
    Reduce,
    Statement,
    Symbol,
    When,
)
from derive.program.sizes import Size
from derive.program.walk import equations, free

STAGES = {
    "start": "The state before the first step.",
    "hoisted": "What needs no state, for all steps at once.",
    "run": "The recurrence.",
    "outputs": "What no later step needs, for all steps at once.",
    "finish": "The last step's own equations.",
    "loss_of": "What these steps add to the loss.",
    "hoisted_back": "What needs no adjoint of a later step, for all steps at once.",
    "run_back": "The adjoint recurrence.",
    "sum_over_time": "What these steps add to the gradients.",
    "input_adjoints": "The derivative with respect to the inputs of these steps.",
    "penalties": "What the weights by themselves add to the gradients.",
}
"""The functions of the program, in order, and what each computes."""


def build_staged(derivation: Derivation, scope: Scope) -> Module:
    """The value-level program of the fast code.

    Args:
        derivation: Its staged equations are printed.
        scope: What each quantity is called.
    """
    cell, staged, forward = derivation.cell, derivation.staged, derivation.forward
    for weight in cell.parameters:
        scope.declare(weight)
    stepped = [*cell.inputs, *cell.computed, *(cell.targets if cell.target_at_every_step else ())]
    stepped += [equation.lhs.quantity for equation in _stages(derivation) if isinstance(equation.lhs, At)]
    for quantity in dict.fromkeys(stepped):
        scope.declare(quantity, steps=STEPS)
    build = Builder(scope, derivation.cell.order)
    own_last = cell.has_own_last_step
    forward_last = STEPS - (2 if own_last else 1)  # a last step with equations of its own is computed by itself
    bulk_back = {equation.lhs.quantity for equation in staged.hoisted_back} if not own_last else set()
    own = tuple(equation for equation in staged.start if equation.lhs.quantity not in bulk_back)
    alone, summed = _split_sums(staged.gradients, build)
    bodies: dict[str, tuple[Statement, ...]] = {
        "start": tuple(map(build.let, forward.initial)),
        "hoisted": _loops(staged.hoisted, build, Kind.ALL, forward_last),
        "run": _loops(staged.run, build, Kind.SCAN, forward_last),
        "outputs": _loops(staged.outputs, build, Kind.ALL),
        "finish": tuple(build.at(e, T) if e.over else build.let(e) for e in staged.finish),
        "loss_of": tuple(_loss(forward.loss, build)),
        "hoisted_back": _loops(staged.hoisted_back, build, Kind.ALL, None if own_last else STEPS - 1),
        "run_back": (
            *map(build.let, own),
            *_where_there_is_one(build.at(e, T - 1) if e.over else build.let(e) for e in staged.before_last),
            *_loops(staged.run_back, build, Kind.SCAN),
            *map(build.let, staged.first),
        ),
        "sum_over_time": tuple(summed),
        "input_adjoints": (*_loops(staged.inputs[:1], build, Kind.ALL), *map(build.let, staged.inputs[1:])),
        "penalties": tuple(alone),
    }
    functions = tuple(
        Function(name, symbols_read(body), (scope.loss(),) if name == "loss_of" else (), body, STAGES[name])
        for name, body in bodies.items()
        if body
    )
    module = Module(cell.name, cell.title, functions)
    return replace(module, equations=equations(module))


def symbols_read(body: tuple[Statement, ...]) -> tuple[Symbol, ...]:
    """The symbols that a function must be given: its sums go on from what is there."""
    return tuple(place for place in free(body).read if isinstance(place, Symbol))


def _stages(derivation: Derivation) -> Iterable[Equation]:
    staged = derivation.staged
    forwards = (*staged.hoisted, *staged.run, *staged.outputs, *staged.finish)
    return (*forwards, *staged.hoisted_back, *staged.start, *staged.run_back, *staged.inputs)


def _loops(several: Iterable[Equation], build: Builder, kind: Kind, last: Size | None = None) -> tuple[Statement, ...]:
    """Equations of a step as loops, one for all neighbours with the same steps.

    Args:
        several: The equations.
        build: Makes nodes.
        kind: Of the loops; one in bulk runs upwards.
        last: The last step, where it is not that of the equations.
    """
    loops: list[Loop] = []
    for equation in several:
        loop = build.loop([equation], kind)
        if loop.reverse and kind is Kind.ALL:
            loop = replace(loop, first=loop.last, last=loop.first, reverse=False)
        if last is not None:
            loop = replace(loop, last=last)
        before = loops[-1] if loops else None
        if before and (before.first, before.last, before.reverse) == (loop.first, loop.last, loop.reverse):
            loops[-1] = replace(before, body=before.body + loop.body)
        else:
            loops.append(loop)
    return tuple(loops)


def _where_there_is_one(before_last: Iterable[Statement]) -> Iterator[Statement]:
    """Statements for step T - 1, which there is not for T = 1."""
    if body := tuple(before_last):
        yield When(Compare(">", Dim(Size.of("T")), Literal.of(1)), body)


def _loss(equation: Equation, build: Builder) -> Iterator[Statement]:
    """The loss of the last step, or a sum over all."""
    if not isinstance(equation.rhs, Sum):
        yield build.let(equation)
        return
    value = build.expression(equation.rhs.function)
    target, of = build.scope.place(equation.lhs), (equation.number,)
    if isinstance(value, Reduce) and value.op == "mean":
        total = Reduce("sum", value.of, value.axes)
        line = Add(target, Call("divide", (total, Dim(Size.of("N")))), of)
        yield Loop("k", Size.of(1), STEPS - 1, False, Kind.ALL, (line,))
    else:
        yield Loop("k", Size.of(1), STEPS - 1, False, Kind.SCAN, (Add(target, value, of),))


def _split_sums(gradients: Iterable[Equation], build: Builder) -> tuple[list[Statement], list[Statement]]:
    """The terms of the gradients: those of the weights alone, and those of the steps."""
    alone: list[Statement] = []
    summed: list[Statement] = []
    for equation in gradients:
        target, of = build.scope.place(equation.lhs), (equation.number,)
        for term in build.order.terms(equation.rhs):
            inside = term.function if isinstance(term, Sum) else term
            value = build.expression(inside)
            if not indexed_of(inside):
                times = (
                    (Dim(build.scope.size(term.limits[0][2] - term.limits[0][1] + S.One)),)
                    if isinstance(term, Sum)
                    else ()
                )
                alone.append(Add(target, Call("multiply", (*times, value)) if times else value, of))
            elif isinstance(term, Sum):
                _, first, last = term.limits[0]
                line = Add(target, value, of)
                summed.append(Loop(k.name, build.scope.size(first), build.scope.size(last), False, Kind.SCAN, (line,)))
            else:
                summed.append(Add(target, value, of))
    return alone, summed
