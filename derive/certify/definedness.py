"""Proves that an equation speaks only of what is defined, at every step for which it claims to hold.

A quantity is defined at the steps at which an equation gives it: one of the cell's description, or one that introduces
a name. Numerical values alone do not show that a name is used beyond its range, since an interpreter may know it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sympy import Expr, Sum, Symbol

from derive.certify.points import indices
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.quantities import (
    At,
    Input,
    LearningRate,
    Parameter,
    Quantity,
    T,
    Target,
    k,
)
from derive.language.whole import step_of
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.rules import GIVEN, Relation

LENGTHS = range(1, 7)
"""The T for which all steps are gone through: enough for what begins or ends up to three steps from either end."""

Place = tuple[Quantity, int | None]
"""A quantity at a step, or without one."""


def check_definedness(derivation: Derivation) -> dict[str, object]:
    """Goes through every step of every equation.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: Something is used where nothing defines it.
    """
    for steps in sorted({*LENGTHS, derivation.steps}):
        defined = defined_places(derivation, steps)
        for equation in derivation.equations:
            if steps not in (LENGTHS if for_every_length(equation) else (derivation.steps,)) or equation.at_example:
                continue
            for chosen in indices(equation, {T: steps}):
                for quantity, step in uses(equation, {T: steps, **chosen}):
                    if (quantity, step) not in defined:
                        where = ", ".join(f"{name} = {value}" for name, value in {T: steps, **chosen}.items())
                        place = quantity if step is None else f"{quantity}[{step}]"
                        raise CertificateError(
                            f"cell {derivation.cell.name!r}, equation ({equation.number}) {equation.lhs} = "
                            f"{equation.rhs}: {place} is not defined, at {where}"
                        )
    return {
        "statement": "every equation uses what is defined at all steps for which it holds",
        "T": list(LENGTHS),
    }


def for_every_length(equation: Equation) -> bool:
    """Whether an equation holds for every T; the others are written for the T of the unrolled display."""
    symbols = {k, T}
    return bool(equation.over) or bool(
        (equation.lhs.free_symbols | equation.rhs.free_symbols | equation.rhs.atoms(Symbol)) & symbols
    )


def defined_places(derivation: Derivation, steps: int) -> set[Place]:
    """Every quantity at every step at which it is given or gets its name, for T = `steps`."""
    defined = set(data_places(derivation.cell, steps))
    for equation in derivation.equations:
        if equation.rule != GIVEN and equation.rule.relation is not Relation.DEFINES:
            continue
        for chosen in indices(equation, {T: steps}):
            defined |= set(places_of(equation.lhs, {T: steps, **chosen}))
    return defined


def data_places(cell: Cell, steps: int) -> Iterator[Place]:
    """The weights, their learning rates, the inputs and the targets."""
    for quantity in cell.quantities:
        if isinstance(quantity, Parameter):
            yield quantity, None
            yield LearningRate.of_weight(quantity), None
        elif isinstance(quantity, Input | Target):
            yield quantity, None
            yield from ((quantity, step) for step in range(1, steps + 1))


def uses(equation: Equation, numbers: Mapping[Symbol, int]) -> Iterator[Place]:
    """The places that an equation's right-hand side uses, at these indices."""
    yield from places_of(equation.rhs, numbers)


def places_of(expression: Expr, numbers: Mapping[Symbol, int]) -> Iterator[Place]:
    """Every quantity in an expression with its step, each term of a sum on its own."""
    if isinstance(expression, At):
        yield expression.quantity, step_of(expression.index, numbers)
    elif isinstance(expression, Quantity):
        yield expression, None
    elif isinstance(expression, Sum):
        index, first, last = expression.limits[0]
        for value in range(step_of(first, numbers), step_of(last, numbers) + 1):
            yield from places_of(expression.function, {**numbers, index: value})
    else:
        for part in expression.args:
            yield from places_of(part, numbers)
