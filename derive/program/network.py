"""The program of a network: its trace, its loss, the adjoints, the gradients and the update, as the equations say.

| function        | from                         | to                                  |
|-----------------|------------------------------|-------------------------------------|
| `forward`       | weights, inputs              | the trace: every state of each step |
| `loss_of`       | weights, trace, targets      | the loss                            |
| `backward`      | weights, trace, targets      | the adjoints                        |
| `sum_over_time` | weights, trace, adjoints     | the gradients                       |
| `descend`       | weights, gradients, rates    | the new weights                     |
"""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import NamedTuple

from sympy import Expr, Sum

from derive.language.operations import SoftmaxCrossEntropy, Total
from derive.language.quantities import LOSS, Dimension, LearningRate, Quantity, T, indexed_of
from derive.language.shapes import form_of
from derive.mathematics.derivation import Derivation, Equation
from derive.program.build import STEPS, Builder, Scope
from derive.program.names import Namer
from derive.program.nodes import (
    Add,
    Compare,
    Dim,
    Fill,
    Function,
    Kind,
    Let,
    Literal,
    Loop,
    Module,
    Record,
    Ref,
    Statement,
    Symbol,
    When,
)
from derive.program.sizes import Size
from derive.program.verify import Level, verify
from derive.program.walk import equations


class Names(NamedTuple):
    """What a caller passes, by the names that it has in code; all are kept apart from the user's."""

    parameters: str
    trace: str
    adjoints: str
    gradient: str
    learning_rates: str
    X: str
    t: str
    dtype: str


class Network(NamedTuple):
    """The program of a network, and what a frame needs to know of it.

    Attributes:
        module: The program.
        names: What is passed to its functions.
        parameters: The weights.
        trace: The inputs and all that a forward pass computes.
        adjoints: What a backward pass computes.
        from_start: The fields of both that have a value at k = 0.
        shape_of_targets: The shape of the targets as a caller passes them.
        classes: How many classes a label may name, one size for each kind of row of scores that the loss compares it
            with; none where the targets are no labels.
        scope: The symbols of all quantities, and the names that are taken.
        namer: Gives names that nothing has yet.
    """

    module: Module
    names: Names
    parameters: Record
    trace: Record
    adjoints: Record
    from_start: frozenset[Symbol]
    shape_of_targets: tuple[Size, ...]
    classes: tuple[Size, ...]
    scope: Scope
    namer: Namer


def network(derivation: Derivation, fixed: Iterable[str] = ()) -> Network:
    """The program of a derivation.

    Args:
        derivation: The equations.
        fixed: Names that the module needs for itself, and cannot give up: its public functions.
    """
    cell = derivation.cell
    namer = Namer((*fixed, "k", "T", "N"))
    scope = Scope(namer)
    for quantity in cell.quantities:
        kept = quantity in (*cell.inputs, *cell.computed) or (quantity in cell.targets and cell.target_at_every_step)
        scope.declare(quantity, steps=STEPS if kept else None)
    for dimension in cell.dimensions:
        scope.size(dimension)
    for adjoint in derivation.backward.adjoints.values():
        scope.declare(adjoint, steps=STEPS)
    # A target of the user's that has the argument's name is that argument, read.
    wanted = Names(*Names._fields)
    names = Names(*(name if _is_target(name, cell.targets) else namer.name(name) for name in wanted))
    parameters = Record(names.parameters, tuple(scope.of(weight) for weight in cell.parameters))
    trace = Record(names.trace, tuple(scope.of(q) for q in (*cell.inputs, *cell.computed)))
    adjoints = Record(names.adjoints, tuple(scope.of(q) for q in derivation.backward.adjoints.values()))
    build = Builder(scope, cell.order)
    functions = (
        _forward(derivation, build, parameters, trace),
        _loss(derivation, build, parameters, trace),
        _backward(derivation, build, parameters, trace, adjoints),
        _gradients(derivation, build, parameters, trace, adjoints),
        _descend(derivation, build, parameters, names),
    )
    numbers = frozenset().union(*(equations(function) for function in functions))
    module = Module(cell.name, cell.title, functions, numbers)
    verify(module, Level.VALUE)
    start = {*_starts(functions)} | {scope.of(state) for state in cell.states}
    steps = (Size.of("T"),) if cell.target_at_every_step else ()
    targets = (Size.of("N"), *steps, *map(scope.size, cell.targets[0].dimensions))
    classes = tuple(map(scope.size, rows_of_scores(derivation.forward.loss)))
    return Network(module, names, parameters, trace, adjoints, frozenset(start), targets, classes, scope, namer)


def rows_of_scores(loss: Equation) -> tuple[Dimension | int, ...]:
    """The sizes of the rows that a loss compares with labels, each once; none where the targets are no labels."""
    rows = {form_of(entropy.args[0]).shape[0] for entropy in loss.rhs.atoms(SoftmaxCrossEntropy)}
    return tuple(sorted(rows, key=str))


def _is_target(name: str, targets: Iterable[Quantity]) -> bool:
    return name == "t" and any(target.name == "t" for target in targets)


def _starts(functions: Iterable[Function]) -> Iterable[Symbol]:
    """The symbols that are computed at k = 0."""
    for function in functions:
        for statement in function.body:
            match statement:
                case Let(Ref(Symbol() as symbol, step)) if step == Size():
                    yield symbol


def _fill(record: Iterable[Symbol]) -> tuple[Fill, ...]:
    return tuple(Fill(Ref(symbol)) for symbol in record)


def _forward(derivation: Derivation, build: Builder, parameters: Record, trace: Record) -> Function:
    """The states and intermediates of every step; the last one by itself where it has equations of its own."""
    cell, forward = derivation.cell, derivation.forward
    inputs = tuple(build.scope.of(x) for x in cell.inputs)
    body: list[Statement] = [*_fill(field for field in trace.fields if field not in inputs)]
    body += map(build.let, forward.initial)
    own = {equation.lhs.quantity for equation in forward.last}
    last_differs = any(equation.over[0].last != T for equation in forward.step)
    at_T: dict[Quantity, Expr] = {equation.lhs.quantity: equation.rhs for equation in forward.last}
    if last_differs:
        # Then the last step is computed by itself, all of it: what holds at every step holds there, too.
        body.append(build.loop(forward.step))
        at_T |= {e.lhs.quantity: e.rhs.subs(e.over[0].index, T) for e in forward.step if e.lhs.quantity not in own}
        numbered = {e.lhs.quantity: e for e in (*forward.step, *forward.last)}
        lets = {q: build.let(numbered[q]) if q in own else build.at(numbered[q], T) for q in at_T}
    else:
        body.append(build.loop(forward.step))
        lets = {equation.lhs.quantity: build.let(equation) for equation in forward.last}
    body += (lets[q] for q in in_computing_order(at_T, cell.quantities))
    return Function("forward", (parameters, *inputs), (trace,), tuple(body), "Runs the network over all steps.")


def in_computing_order(rights: dict[Quantity, Expr], declared: Iterable[Quantity]) -> tuple[Quantity, ...]:
    """The quantities of one step, each after those that it needs, else as declared."""
    sorter: TopologicalSorter[Quantity] = TopologicalSorter()
    for quantity in declared:
        if quantity in rights:
            here = {atom.quantity for atom in indexed_of(rights[quantity]) if atom.index == T}
            sorter.add(quantity, *(other for other in declared if other in here and other in rights))
    return tuple(sorter.static_order())


def _loss(derivation: Derivation, build: Builder, parameters: Record, trace: Record) -> Function:
    """The loss: of the last step, or summed over all."""
    equation, scope = derivation.forward.loss, build.scope
    targets = tuple(scope.of(target) for target in derivation.cell.targets)
    place, numbers = Ref(scope.loss()), (equation.number,)
    if isinstance(equation.rhs, Sum):
        index, first, last = equation.rhs.limits[0]
        term = Add(place, build.expression(equation.rhs.function), numbers)
        over = Loop(index.name, scope.size(first), scope.size(last), False, Kind.SCAN, (term,))
        body: tuple[Statement, ...] = (Fill(place), over)
    else:
        body = (build.let(equation),)
    meaning = "The loss of what a forward pass computed."
    return Function("loss_of", (parameters, trace, *targets), (scope.loss(),), body, meaning)


def _backward(derivation: Derivation, build: Builder, parameters: Record, trace: Record, adjoints: Record) -> Function:
    """The adjoints from the last step to the first."""
    backward = derivation.backward
    targets = tuple(build.scope.of(target) for target in derivation.cell.targets)
    body: list[Statement] = [*_fill(adjoints.fields), *map(build.let, backward.start)]
    if backward.before_last:  # for T = 1 there is no such step
        at_step = tuple(map(build.let, backward.before_last))
        body.append(When(Compare(">", Dim(Size.of("T")), Literal.of(1)), at_step))
    body += (build.loop(backward.step), *map(build.let, backward.first))
    meaning = "Runs back through time, from the loss to the first step."
    return Function("backward", (parameters, trace, *targets), (adjoints,), tuple(body), meaning)


def _gradients(derivation: Derivation, build: Builder, parameters: Record, trace: Record, adjoints: Record) -> Function:
    """The gradients: what each step adds, and what is added once."""
    sums = tuple(derivation.backward.gradients.values())
    gradients = tuple(build.scope.of(equation.lhs) for equation in sums)
    body = (*_fill(gradients), *build.sums(sums))
    targets = tuple(build.scope.of(target) for target in derivation.cell.targets)
    meaning = "The gradient: what every step of every sequence contributes, added up."
    return Function("sum_over_time", (parameters, trace, adjoints, *targets), gradients, body, meaning)


def _descend(derivation: Derivation, build: Builder, parameters: Record, names: Names) -> Function:
    """The new weights, one assignment each."""
    weights, scope = derivation.cell.parameters, build.scope
    gradient = Record(names.gradient, tuple(scope.of(Total(LOSS, weight)) for weight in weights), unpacked=False)
    rates = tuple(scope.declare(LearningRate.of_weight(weight), field=weight.name) for weight in weights)
    learning_rates = Record(names.learning_rates, rates, unpacked=False)
    body = tuple(map(build.let, derivation.update))
    meaning = "The weights after one step of gradient descent."
    return Function("descend", (parameters, gradient, learning_rates), parameters.fields, body, meaning)
