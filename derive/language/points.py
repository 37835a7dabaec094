"""The points at which a cell has given weights and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sympy import Expr

from derive.language.cell import Cell
from derive.language.evaluate import Point, Value
from derive.language.exact import exact
from derive.language.example import Example
from derive.language.quantities import Dimension, Shape

NUDGE = "1e-28"
"""A central difference is wrong by the square of this, and a second one loses that many digits: either leaves 50."""


def point_of(
    cell: Cell, weights: Iterable[Value], X: Value, t: Value, nudge: Any, number: Callable[[Any], Any]
) -> Point:
    """The point with these weights and these data.

    Args:
        cell: The cell.
        weights: One value a parameter: a number, or an array of its shape.
        X: The inputs, N × T, and the entries of a row.
        t: The targets, N or N × T, and the entries of a row.
        nudge: See `Point`.
        number: Makes a number of what is given.
    """
    exactly = np.vectorize(number, otypes=[object])
    inputs, targets = exactly(X), exactly(t)
    given: dict[Expr, Value] = {}
    sizes: dict[Dimension, int] = {}
    for weight, value in zip(cell.parameters, weights, strict=True):
        given[weight] = exactly(value) if weight.dimensions else number(value)
        sizes |= _sizes(weight.dimensions, np.shape(value))
    x, target = cell.inputs[0], cell.targets[0]
    sizes |= _sizes(x.dimensions, inputs.shape[2:])
    sequences, steps = inputs.shape[:2]
    given |= {x[step]: inputs[:, step - 1] for step in range(1, steps + 1)}
    if cell.target_at_every_step:
        given |= {target[step]: targets[:, step - 1] for step in range(1, steps + 1)}
    else:
        given[target] = targets
    return Point(cell, steps, sequences, given, nudge, number, sizes)


def _sizes(dimensions: Shape, shape: tuple[int, ...]) -> dict[Dimension, int]:
    return {name: size for name, size in zip(dimensions, shape, strict=True) if isinstance(name, Dimension)}


def example_point(cell: Cell, example: Example, number: Callable[[Any], Any], nudge: Any) -> Point:
    """The example's data at its solution; decimals count as the fractions that they were written as."""
    weights = [example.solution[weight.name] for weight in cell.parameters]

    def of(value: Any) -> Any:
        return number(exact(value))

    return point_of(cell, weights, np.array(example.X, dtype=object), np.array(example.t, dtype=object), nudge, of)
