"""The program of one step of gradient descent on the data of an example, which are folded in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from sympy import Add, Expr, Sum, expand, horner

from derive.language.arithmetic import FRACTIONS
from derive.language.evaluate import Point
from derive.language.exact import exact
from derive.language.points import example_point
from derive.language.quantities import At, N, T
from derive.mathematics.derivation import Derivation
from derive.program.build import Builder, Scope
from derive.program.names import Namer
from derive.program.nodes import Call, Function, Let, Module, Record, Ref, Type
from derive.program.verify import Level, verify
from derive.program.walk import equations


class Program(NamedTuple):
    """The program of descent.py.

    Attributes:
        module: The program: one function, from weights to weights.
        parameters: The weights.
    """

    module: Module
    parameters: Record


def descent(derivation: Derivation, fixed: Iterable[str] = ()) -> Program | None:
    """The program of a step; nothing where there is no example, or the loss is no polynomial.

    Args:
        derivation: The equations.
        fixed: Names that the module needs for itself.
    """
    cell, form = derivation.cell, derivation.moments
    example = cell.worked_example
    if example is None or form is None:
        return None
    # Of the point only the data are used; an example has weights to start from, and not always a solution.
    point = example_point(cell, replace(example, solution=example.start), FRACTIONS)
    known = {equation.lhs: spelt_out(equation.rhs, point) for equation in (*form.polynomials, form.squares)}
    factor = {form.of_factor.lhs: form.of_factor.rhs} if form.of_factor else {}
    scope = Scope(Namer(fixed))
    build = Builder(scope, cell.order)
    parameters = Record("start", tuple(map(scope.declare, cell.parameters)))
    updates = {equation.lhs: equation for equation in derivation.update}
    steps, moves = [], []
    for weight, equation in form.gradients.items():
        slope = equation.rhs.xreplace(known).xreplace(factor).subs(N, point.sequences)
        moved = horner(expand(exact(example.learning_rates[weight.name]) * slope), wrt=cell.parameters)
        step, place = Ref(scope.local(f"step_{weight.name}", Type())), Ref(scope.of(weight))
        steps.append(Let(step, build.expression(moved), (equation.number,)))
        moves.append(Let(place, Call("subtract", (place, step)), (updates[weight].number,)))
    function = Function("descend", (parameters,), parameters.fields, (*steps, *moves))
    module = Module(cell.name, cell.title, (function,), equations(function))
    verify(module, Level.VALUE)
    return Program(module, parameters)


def spelt_out(expression: Expr, point: Point) -> Expr:
    """A polynomial with the moments of the data at a point put in, exactly."""
    if not isinstance(expression, Sum):
        return point.number(expression)
    index, first, last = expression.limits[0]
    places = range(int(first.subs(T, point.steps)), int(last.subs(T, point.steps)) + 1)
    terms = (expression.function.subs(index, place) for place in places)
    return Add(*(term.xreplace({atom: point.number(atom) for atom in term.atoms(At)}) for term in terms))
