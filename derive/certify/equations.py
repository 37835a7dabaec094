"""Proves every equation of a derivation: both sides, evaluated on their own, agree at random points."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import mpmath
import numpy as np
from sympy import Symbol

from derive.certify.points import fitting_point, is_real, random_point, starts, with_rates
from derive.language.cell import Cell
from derive.language.errors import CellError, CertificateError
from derive.language.evaluate import Point
from derive.language.points import NUDGE, example_point
from derive.language.quantities import T, k
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.rules import ADJOINT, LOCAL_PARTIAL, Relation
from derive.mathematics.unroll import MOST_WRITTEN_OUT

DIGITS = 30
"""To how many digits the two sides of an equation must agree."""


def points_for(derivation: Derivation) -> dict[str, list[Point]]:
    """Where the equations are evaluated: for the unrolled ones T is theirs, the others must hold for several T.

    The others are evaluated at the T of the unrolled ones too, unless it is large: they hold for every k, and some of
    them for every two of them.
    """
    cell = derivation.cell
    unrolled = fitting_point(cell, derivation.steps, sequences=2, seed=1)
    # What holds for k = T - 2, …, 1 is seen at T = 3 first; the points must not hang on how many steps are displayed.
    shapes = ((1, 2), (2, 3), (3, 3), (6, 2)) if cell.is_scalar else ((1, 3), (2, 2), (3, 2))
    rolled = [fitting_point(cell, steps, sequences, seed=steps) for steps, sequences in shapes]
    if cell.is_scalar:
        special = [random_point(cell, 4, 2, seed=10, weight=weight) for weight in (0, -1, 2)]
        rolled += [point for point in special if is_real(point) and has_slopes(derivation, point)]
    if derivation.steps <= MOST_WRITTEN_OUT:
        rolled.append(unrolled)
    points = {"unrolled": [unrolled], "rolled": rolled, "example": []}
    if cell.worked_example is not None and cell.worked_example.solution:
        example = example_point(cell, cell.worked_example, mpmath.mpmathify, mpmath.mpf(NUDGE))
        points["example"] = [with_rates(example, random.Random(0))]
    return points


def has_slopes(derivation: Derivation, point: Point) -> bool:
    """Whether the partial derivatives exist at a point; that of a root of a weight does not where it is zero."""
    slopes = [equation for equation in derivation.equations if equation.rule == LOCAL_PARTIAL and equation.over]
    try:
        values = [
            point.value(side, index)
            for equation in slopes
            for index in indices(equation, point)
            for side in (equation.lhs, equation.rhs)
        ]
    except ZeroDivisionError:
        return False
    return not any(isinstance(number, mpmath.mpc) for value in values for number in np.ravel(value))


def check_equation(equation: Equation, points: Mapping[str, list[Point]]) -> dict[str, Any]:
    """Evaluates both sides at every point that fits, and for every value of the indices.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: The sides differ.
    """
    entry: dict[str, Any] = {"number": equation.number, "rule": equation.rule.name}
    if equation.rule.relation is Relation.BECOMES:
        return {**entry, "checked": "nothing: an assignment"}
    if equation.rule == ADJOINT:
        return {**entry, "checked": "nothing: a definition"}
    if equation.at_example:
        chosen = points["example"]
    elif equation.over or (equation.lhs.free_symbols | equation.rhs.free_symbols | equation.rhs.atoms(Symbol)) & {T, k}:
        chosen = points["rolled"]
    else:
        chosen = points["unrolled"]
    compared = sum(compare(equation, point, index) for point in chosen for index in indices(equation, point))
    if compared == 0:
        raise CertificateError(
            f"equation ({equation.number}) {equation.lhs} = {equation.rhs} was never evaluated: no point fits"
        )
    return {**entry, "checked": f"both sides agree to {DIGITS} digits", "values": compared}


def indices(equation: Equation, point: Point) -> Iterator[dict[Symbol, int]]:
    """Every choice of the indices for which an equation holds, those that depend on others after them."""

    def choose(chosen: dict[Symbol, int], left: tuple[Any, ...]) -> Iterator[dict[Symbol, int]]:
        if not left:
            yield chosen
            return
        over, *others = left
        first, last = (int(point.value(end, chosen)) for end in (over.first, over.last))
        for value in range(last, first + 1) if over.backwards else range(first, last + 1):
            yield from choose({**chosen, over.index: value}, tuple(others))

    yield from choose({}, equation.over)


def compare(equation: Equation, point: Point, index: Mapping[Symbol, int]) -> int:
    """Compares the two sides at one point.

    Returns:
        How many numbers were compared.
    """
    claim = f"equation ({equation.number}) {equation.lhs} = {equation.rhs}"
    try:
        left, right = (np.asarray(point.value(side, index), dtype=object) for side in (equation.lhs, equation.rhs))
    except ZeroDivisionError as error:
        raise no_derivative(point.cell, claim) from error
    left, right = map(np.ravel, np.broadcast_arrays(left, right))
    for ours, theirs in zip(left, right, strict=True):
        if agree(ours, theirs):
            continue
        if isinstance(ours, mpmath.mpc) or isinstance(theirs, mpmath.mpc):  # a root of s[0] - 1e-28, say
            raise no_derivative(point.cell, claim)
        where = ", ".join(
            [f"T = {point.steps}", f"N = {point.sequences}"]
            + [f"{name} = {value}" for name, value in index.items()]
            + [f"{weight} = {_short(point.given[weight])}" for weight in point.cell.parameters]
        )
        both = f"{mpmath.nstr(ours, DIGITS)}, right {mpmath.nstr(theirs, DIGITS)}"
        text = f"{claim}: left {both}, at {where}"
        raise CertificateError(f"cell {point.cell.name!r}, {' '.join(text.split())}")
    return len(left)


def no_derivative(cell: Cell, claim: str) -> CellError:
    """The error for a formula that divides by zero where the cell itself is a real number."""
    problem = f"the derivative does not exist{starts(cell)}"
    return CellError(cell.name, claim, problem, "start elsewhere, or keep what is divided or under a root from 0")


def agree(ours: Any, theirs: Any) -> bool:
    """Whether two numbers are alike to `DIGITS` digits; a number that is none agrees with nothing."""
    with mpmath.workdps(2 * DIGITS):
        return bool(abs(ours - theirs) <= mpmath.mpf(10) ** -DIGITS * max(1, abs(ours), abs(theirs)))


def _short(value: Any) -> str:
    return mpmath.nstr(value, 8) if np.ndim(value) == 0 else str([mpmath.nstr(entry, 4) for entry in np.ravel(value)])
