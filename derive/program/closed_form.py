"""The program of the loss and its gradient from one pass over the data, by the closed form.

| function             | from                           | to                                                       |
|----------------------|--------------------------------|----------------------------------------------------------|
| `factors`            | weights                        | f(1), …, f(T) of every sum Σ_j f(j) x_j, one a row       |
| `sums_over_time`     | inputs, factors                | the sums                                                 |
| `add_up`             | weights, sums, targets, totals | the totals with what these sequences add to them         |
| `value_and_gradient` | weights, inputs, targets       | the loss and the gradients                               |

What `add_up` adds is a sum over sequences, so that they may come a few at a time; N is the number of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr

from derive.language.operations import BatchMean, BatchSum
from derive.language.quantities import Adjoint, At, N
from derive.mathematics.closed_form import j
from derive.mathematics.derivation import Derivation, OnePass
from derive.program.build import Builder
from derive.program.network import Network, network
from derive.program.nodes import (
    Add,
    Dot,
    Fill,
    Function,
    Kind,
    Let,
    Loop,
    Module,
    Part,
    Record,
    Ref,
    Role,
    Run,
    Statement,
    Symbol,
    Type,
)
from derive.program.sizes import Size
from derive.program.verify import Level, verify
from derive.program.walk import equations

STEPS = Size.of("T")


def closed_form(derivation: Derivation, fixed: Iterable[str] = ()) -> Network | None:
    """The program of the closed form of a derivation; nothing where it has none.

    Args:
        derivation: The equations.
        fixed: Names that the module needs for itself.
    """
    form, cell = derivation.one_pass, derivation.cell
    if form is None:
        return None
    program = network(derivation, fixed)
    scope, build = program.scope, Builder(program.scope, derivation.cell.order)
    for last in (form.last.lhs, form.start.lhs):  # of these no other step is needed
        role = Role.ADJOINT if isinstance(last.quantity, Adjoint) else Role.STATE
        scope.put(last, Ref(scope.local(f"{last.quantity.name}_{last.index}", scope.type(last.quantity), role)))
    x, target = scope.of(cell.inputs[0]), scope.of(cell.targets[0])
    factors, sums = _sums(form, cell.inputs[0][j], build, program.parameters)
    of_weights = factors.results[1:]
    gradients = tuple(scope.of(each.lhs) for each in form.gradients.values())
    totals: tuple[Symbol | Record, ...] = (scope.loss(), *gradients)
    share = derivation.forward.loss
    given = (program.parameters, *sums.results, *of_weights, target, *totals)
    added: tuple[Statement, ...] = (
        build.let(form.last),
        build.let(form.start),
        Add(Ref(scope.loss()), build.expression(share.rhs.replace(BatchMean, _mean)), (share.number,)),
        *(Add(Ref(scope.of(e.lhs)), build.expression(e.rhs), (e.number,)) for e in form.gradients.values()),
    )
    whole: tuple[Statement, ...] = (
        *(Fill(Ref(symbol)) for symbol in (scope.loss(), *gradients)),
        *(Run(each.name, each.parameters, each.results) for each in (factors, sums)),
        Run("add_up", given, totals),
    )
    functions = (
        factors,
        sums,
        Function("add_up", given, totals, added),
        Function("value_and_gradient", (program.parameters, x, target), totals, whole),
    )
    numbers = frozenset().union(*map(equations, functions))
    module = Module(cell.name, cell.title, functions, numbers)
    verify(module, Level.VALUE)
    return program._replace(module=module)


def _mean(inside: Expr) -> Expr:
    """The mean over all sequences, as a sum over some of them adds to it."""
    return BatchSum(inside) / N


def _sums(form: OnePass, atom: At, build: Builder, parameters: Record) -> tuple[Function, Function]:
    """The factors of the sums over the steps, and these sums; those without inputs are computed with the factors."""
    scope = build.scope
    x, of_inputs = scope.of(atom.quantity), [each for each in form.sums if each.rhs.has(atom)]
    factors = scope.local("factors", Type((Size.of(len(of_inputs)), STEPS)))
    shared = tuple(scope.of(each.lhs) for each in form.sums if each not in of_inputs)
    loops: dict[tuple[Expr, Expr, Expr], list[Statement]] = {}
    once: list[Statement] = []
    for equation in form.sums:
        term, (index, first, last) = equation.rhs.function, equation.rhs.limits[0]
        number = (equation.number,)
        if equation in of_inputs:
            row = Part(Ref(factors), 0, Size.of(of_inputs.index(equation)))
            place = Part(row, 0, scope.size(index) - 1)
            loops.setdefault((index, first, last), []).append(Let(place, build.expression(term.diff(atom)), number))
        elif term.has(index):
            total = Ref(scope.of(equation.lhs))
            once.append(Fill(total))
            loops.setdefault((index, first, last), []).append(Add(total, build.expression(term), number))
        else:  # Σ_j c = T c
            once.append(Let(scope.place(equation.lhs), build.expression((last - first + 1) * term), number))
    in_bulk = (
        Loop(index.name, scope.size(first), scope.size(last), False, Kind.ALL, tuple(lines))
        for (index, first, last), lines in loops.items()
    )
    rows = Part(Ref(x), 0, Size.of(1), STEPS)
    products = tuple(
        Let(scope.place(each.lhs), Dot(Part(Ref(factors), 0, Size.of(row)), rows, ((0, 0),)), (each.number,))
        for row, each in enumerate(of_inputs)
    )
    results = tuple(scope.of(each.lhs) for each in of_inputs)
    return (
        Function("factors", (parameters,), (factors, *shared), (Fill(Ref(factors)), *once, *in_bulk)),
        Function("sums_over_time", (x, factors), results, products),
    )
