"""The program of the loss and its gradient from moments of the data: sums over them that hold no weight.

| function              | from                       | to                                                          |
|-----------------------|----------------------------|-------------------------------------------------------------|
| `sums_over_sequences` | inputs, targets, totals    | the totals with the products of these sequences added       |
| `moments_of`          | the totals                 | the moments                                                 |
| `table_of`            | the moments                | the coefficients of the polynomials, one polynomial a row   |
| `polynomials`         | table, factor              | the value of each polynomial                                |
| `value_and_gradient`  | weights, moments           | the loss and the gradients                                  |
| `rounding_errors`     | weights, moments           | the sums of their terms without signs, of which errors come |
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

from sympy import Expr, Pow, S

from derive.language.quantities import At, quantity_of
from derive.mathematics.closed_form import m
from derive.mathematics.derivation import Derivation, Equation, Moments
from derive.program.build import Builder, Scope
from derive.program.names import Namer
from derive.program.nodes import (
    BATCH,
    Add,
    Call,
    Dim,
    Dot,
    Expression,
    Fill,
    Function,
    Kind,
    Let,
    Literal,
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
POWERS = STEPS * 2 - 1
"""How many powers of the factor there are."""


class Program(NamedTuple):
    """The program of moments.py, and what its frame needs to know of it.

    Attributes:
        module: The program.
        scope: The symbols.
        parameters: The weights.
        inputs: Those of some sequences, a row of T numbers each.
        target: The targets of these.
        moments: c, b and that of the targets.
        table: The coefficients of the polynomials.
        polynomials: The polynomials.
    """

    module: Module
    scope: Scope
    parameters: Record
    inputs: Symbol
    target: Symbol
    moments: Record
    table: Symbol
    polynomials: tuple[Symbol, ...]


def moments(derivation: Derivation, fixed: Iterable[str] = ()) -> Program | None:
    """The program of the moments of a derivation; nothing where its loss is no polynomial.

    Args:
        derivation: The equations.
        fixed: Names that the module needs for itself.
    """
    form, cell = derivation.moments, derivation.cell
    if form is None:
        return None
    namer = Namer(fixed)
    scope = Scope(namer)
    build = Builder(scope, cell.order)
    parameters = Record("parameters", tuple(map(scope.declare, cell.parameters)))
    target = scope.declare(cell.targets[0])
    rows = scope.local(cell.inputs[0].name, Type((STEPS,), batch=True), Role.INPUT)
    c = scope.declare(form.products[0].lhs.quantity, steps=POWERS, field="c")
    b = scope.declare(form.cross.lhs.quantity, steps=STEPS, field="b")
    tau = scope.declare(form.squares.lhs)
    factor = scope.of(form.factor)
    values = tuple(scope.of(each.lhs) for each in form.polynomials)
    table = scope.local("table", Type((Size.of(len(values)), POWERS)))
    magnitudes = scope.local("magnitudes", table.type)
    of_data = Record("moments", (c, b, tau))
    functions = (
        *_data(form, build, rows, target),
        Function("table_of", (c, b), (table,), (Fill(Ref(table)), *_rows(form, build, table))),
        _polynomials(form, build, table),
        *_results(form, build, parameters, (tau, factor), (table, magnitudes)),
    )
    numbers = frozenset().union(*map(equations, functions))
    module = Module(cell.name, cell.title, functions, numbers)
    verify(module, Level.VALUE)
    return Program(module, scope, parameters, rows, target, of_data, table, values)


def _data(form: Moments, build: Builder, x: Symbol, t: Symbol) -> tuple[Function, Function]:
    """The moments, in two steps: products summed over the sequences, and of these the sums along the steps."""
    scope = build.scope
    products = scope.local("products", Type((STEPS, STEPS)))
    with_targets = scope.local("with_targets", Type((STEPS,)))
    c, b, tau = (scope.of(quantity_of(each.lhs)) for each in (form.products[0], form.cross, form.squares))
    totals = (products, with_targets, tau)

    def entry(of: Symbol, *steps: Expr) -> Expression:
        """The entry for some steps, the first of which is 1."""
        place: Expression = Ref(of)
        for step in steps:
            place = Part(place, 0, scope.size(step) - 1)
        return place

    def bulk(index: Expr, first: Expr, last: Expr, *body: Statement) -> Loop:
        return Loop(index.name, scope.size(first), scope.size(last), False, Kind.ALL, body)

    def pairs(equation: Equation) -> Loop:
        """The sums over j for each m as one over j for all m: row by row of the products."""
        over, total = equation.over[0], equation.rhs.args[0]
        index, first, last = total.limits[0]
        atoms = sorted(total.function.atoms(At), key=lambda atom: len(atom.index.free_symbols))
        line = Add(scope.place(equation.lhs), entry(products, *(atom.index for atom in atoms)), (equation.number,))
        if first.has(m):  # it is something less m
            return bulk(index, first.subs(m, over.last), last, bulk(m, first + m - index, over.last, line))
        return bulk(index, first, last.subs(m, over.first), bulk(m, over.first, last + m - index, line))

    (with_target,), over = form.cross.rhs.atoms(At), form.cross.over[0]
    value = entry(with_targets, with_target.index)
    crossed = bulk(m, over.first, over.last, Let(scope.place(form.cross.lhs), value, (form.cross.number,)))
    sums = (
        Add(Ref(products), Dot(Ref(x), Ref(x), ((BATCH, BATCH),))),
        Add(Ref(with_targets), Dot(Ref(t), Ref(x), ((BATCH, BATCH),))),
        Add(Ref(tau), build.expression(form.squares.rhs), (form.squares.number,)),
    )
    body: tuple[Statement, ...] = (Fill(Ref(c)), *map(pairs, form.products), Fill(Ref(b)), crossed)
    return (
        Function("sums_over_sequences", (x, t, *totals), totals, sums),
        Function("moments_of", (products, with_targets), (c, b), body),
    )


def _rows(form: Moments, build: Builder, table: Symbol) -> tuple[Loop, ...]:
    """The coefficients of each polynomial, each in the place of its power."""
    scope, loops = build.scope, []
    for row, equation in enumerate(form.polynomials):
        term, (index, first, last) = equation.rhs.function, equation.rhs.limits[0]
        power = next(part for part in term.atoms(Pow) if part.exp.has(m))
        place = Part(Part(Ref(table), 0, Size.of(row)), 0, scope.size(power.exp))
        line = Let(place, build.expression(term.xreplace({power: S.One})), (equation.number,))
        loops.append(Loop(index.name, scope.size(first), scope.size(last), False, Kind.ALL, (line,)))
    return tuple(loops)


def _polynomials(form: Moments, build: Builder, table: Symbol) -> Function:
    """The value of each polynomial, from its row of coefficients and the powers of the factor."""
    scope = build.scope
    factor, powers = scope.local("factor", Type()), scope.local("powers", Type(), steps=POWERS)
    place = scope.size(m)
    body: list[Statement] = [
        Fill(Ref(powers)),
        Let(Ref(powers, Size()), Literal.of(1)),
        Loop(
            m.name,
            Size.of(1),
            POWERS - 1,
            False,
            Kind.SCAN,
            (Let(Ref(powers, place), Call("multiply", (Ref(powers, place - 1), Ref(factor)))),),
        ),
    ]
    for row, equation in enumerate(form.polynomials):
        value = Dot(Part(Ref(table), 0, Size.of(row)), Ref(powers), ((0, 0),))
        body.append(Let(scope.place(equation.lhs), value, (equation.number,)))
    values = tuple(scope.of(each.lhs) for each in form.polynomials)
    return Function("polynomials", (table, factor), values, tuple(body))


def _results(
    form: Moments, build: Builder, parameters: Record, known: tuple[Symbol, Symbol], tables: tuple[Symbol, Symbol]
) -> tuple[Function, Function]:
    """The loss and the gradients, and the sums of their terms without signs."""
    scope, (tau, factor), (table, magnitudes) = build.scope, known, tables
    values = tuple(scope.of(each.lhs) for each in form.polynomials)
    of_factor = (build.let(form.of_factor),) if form.of_factor else ()
    results = tuple(map(build.let, (form.loss, *form.gradients.values())))
    size = scope.local("size_of_factor", Type(), meaning="the factor without its sign")
    terms = tuple(scope.local(f"terms_of_{what}", Type()) for what in ("value", "gradient"))
    positive = frozenset((tau, *values))
    of_value, *of_gradients = (without_signs(each.value, positive) for each in results)
    largest = reduce(lambda one, other: Call("maximum", (one, other)), of_gradients)
    found = (*of_factor, Run("polynomials", (table, factor), values), *results)
    rounded: tuple[Statement, ...] = (
        *of_factor,
        Let(Ref(size), Call("absolute", (Ref(factor),))),
        Run("polynomials", (magnitudes, size), values),
        *(Let(Ref(term), value) for term, value in zip(terms, (of_value, largest), strict=True)),
    )
    places = tuple(scope.of(each.lhs) for each in (form.loss, *form.gradients.values()))

    def given(coefficients: Symbol) -> tuple[Record, ...]:
        return (parameters, Record("moments", (tau,)), Record("moments", (coefficients,), unpacked=False))

    return (
        Function("value_and_gradient", given(table), places, found),
        Function("rounding_errors", given(magnitudes), terms, rounded),
    )


def without_signs(expression: Expression, positive: frozenset[Symbol]) -> Expression:
    """The sum of the absolute values of an expression's terms, a bound of what it is with any of their signs.

    Args:
        expression: Sums, products, quotients and powers of numbers.
        positive: Symbols whose values are never negative.
    """
    match expression:
        case Literal(value):
            return Literal(abs(value))
        case Dim():
            return expression
        case Ref(symbol) if symbol in positive:
            return expression
        case Call("negative", (inner,)):
            return without_signs(inner, positive)
        case Call("add" | "subtract", (left, right)):
            return Call("add", (without_signs(left, positive), without_signs(right, positive)))
        case Call("multiply", (left, right)):
            return Call("multiply", (without_signs(left, positive), without_signs(right, positive)))
        case Call("divide", (left, Literal() | Dim() as right)):
            return Call("divide", (without_signs(left, positive), without_signs(right, positive)))
        case Call("power", (base, Literal(value) as exponent)) if value > 0:
            return Call("power", (without_signs(base, positive), exponent))
    return Call("absolute", (expression,))
