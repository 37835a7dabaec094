"""Proves every equation of a derivation: both sides, evaluated on their own, agree at random points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np
from sympy import Symbol

from derive.certify.points import fitting_sample, indices, no_derivative, special_samples
from derive.language.arithmetic import FixedPoint, NoRealNumberError
from derive.language.calculus import DIGITS
from derive.language.errors import CertificateError
from derive.language.evaluate import Point, with_equal_axes
from derive.language.points import example_point
from derive.language.quantities import T, k
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.rules import ADJOINT, LOCAL_PARTIAL, Relation
from derive.mathematics.unroll import MOST_WRITTEN_OUT


def points_for(derivation: Derivation) -> dict[str, list[Point]]:
    """The points at which equations are evaluated: for the unrolled ones T is theirs, others must hold for several T.

    The others are evaluated at the T of the unrolled ones too, unless it is large: they hold for every k, and some of
    them for every two of them.
    """
    cell = derivation.cell
    slopes = [equation for equation in derivation.equations if equation.rule == LOCAL_PARTIAL and equation.over]
    unrolled = fitting_sample(cell, derivation.steps, 2, seed=1, formulas=slopes)
    # What holds for k = T - 2, …, 1 is seen at T = 3 first; the points must not hang on how many steps are displayed.
    shapes = ((1, 2), (2, 3), (3, 3), (6, 2)) if cell.is_scalar else ((1, 3), (2, 2), (3, 2))
    rolled = [fitting_sample(cell, steps, sequences, steps, slopes) for steps, sequences in shapes]
    if cell.is_scalar:
        rolled += special_samples(cell, 4, 2, seed=10, weights=(0, -1, 2), formulas=slopes)
    if derivation.steps <= MOST_WRITTEN_OUT:
        rolled.append(unrolled)
    points = {"unrolled": [unrolled.point], "rolled": [sample.point for sample in rolled], "example": []}
    if cell.worked_example is not None and cell.worked_example.solution:
        points["example"] = [example_point(cell, cell.worked_example, FixedPoint(), unrolled.numbers.rates)]
    return points


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
    compared = sum(compare(equation, point, index) for point in chosen for index in indices(equation, {T: point.steps}))
    if compared == 0:
        raise CertificateError(f"{equation} was never evaluated: no point fits")
    return {**entry, "checked": f"both sides agree to {DIGITS} digits", "values": compared}


def compare(equation: Equation, point: Point, index: Mapping[Symbol, int]) -> int:
    """Compares the two sides at one point.

    Returns:
        How many numbers were compared.
    """
    try:
        left, right = (point.value(side, index) for side in (equation.lhs, equation.rhs))
    except (ZeroDivisionError, NoRealNumberError) as error:  # a root of s[0] - 1e-24, say
        raise no_derivative(point.cell, str(equation)) from error
    except ArithmeticError as error:
        raise CertificateError(f"cell {point.cell.name!r}, {equation}: {error}") from error
    left, right = (each.ravel() for each in np.broadcast_arrays(*with_equal_axes(left, right)))
    exactly = point.arithmetic.exactly
    for ours, theirs in zip(left, right, strict=True):
        if agree(ours, theirs, point.arithmetic.number(1)):
            continue
        where = ", ".join(
            [f"T = {point.steps}", f"N = {point.sequences}"]
            + [f"{name} = {value}" for name, value in index.items()]
            + [f"{weight} = {_short(point, point.given[weight])}" for weight in point.cell.parameters]
        )
        both = f"{mpmath.nstr(exactly(ours), DIGITS)}, right {mpmath.nstr(exactly(theirs), DIGITS)}"
        text = f"{equation}: left {both}, at {where}"
        raise CertificateError(f"cell {point.cell.name!r}, {' '.join(text.split())}")
    return len(left)


def agree(ours: int, theirs: int, one: int) -> bool:
    """Whether two fixed-point numbers are alike to `DIGITS` digits."""
    return bool(abs(ours - theirs) * 10**DIGITS <= max(one, abs(ours), abs(theirs)))


def _short(point: Point, value: Any) -> str:
    numbers = [mpmath.nstr(point.arithmetic.exactly(number), 8) for number in value.flat]
    return numbers[0] if len(numbers) == 1 else str(numbers)
