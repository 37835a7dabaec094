"""The points at which a cell has given weights and data."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sympy import Expr

from derive.language.arithmetic import Arithmetic, Value
from derive.language.cell import Cell
from derive.language.evaluate import Point
from derive.language.exact import exact
from derive.language.example import Example
from derive.language.quantities import Dimension, LearningRate, Shape


def point_of(
    cell: Cell, weights: Iterable[Value], X: Value, t: Value, arithmetic: Arithmetic, rates: Iterable[Value] = ()
) -> Point:
    """The point with these weights and these data.

    Args:
        cell: The cell.
        weights: One value a parameter: a number, or an array of its shape.
        X: The inputs, N × T, and the entries of a row.
        t: The targets, N or N × T, and the entries of a row.
        arithmetic: The kind of numbers to evaluate in.
        rates: The learning rates, where they matter.
    """
    inputs, targets = arithmetic.array(X), arithmetic.array(t)
    given: dict[Expr, Value] = {}
    sizes: dict[Dimension, int] = {}
    for weight, value in zip(cell.parameters, weights, strict=True):
        given[weight] = arithmetic.array(value)[None, None]
        sizes |= _sizes(weight.dimensions, np.shape(value))
    x, target = cell.inputs[0], cell.targets[0]
    sizes |= _sizes(x.dimensions, inputs.shape[2:])
    sequences, steps = inputs.shape[:2]
    given |= {x[step]: inputs[None, :, step - 1] for step in range(1, steps + 1)}
    if cell.target_at_every_step:
        given |= {target[step]: targets[None, :, step - 1] for step in range(1, steps + 1)}
    else:
        given[target] = targets[None]
    for weight, rate in zip(cell.parameters, rates, strict=False):
        given[LearningRate.of_weight(weight)] = arithmetic.array(rate)[None, None]
    return Point(cell, steps, sequences, given, arithmetic, sizes)


def _sizes(dimensions: Shape, shape: tuple[int, ...]) -> dict[Dimension, int]:
    return {name: size for name, size in zip(dimensions, shape, strict=True) if isinstance(name, Dimension)}


def example_point(cell: Cell, example: Example, arithmetic: Arithmetic, rates: Iterable[Value] = ()) -> Point:
    """The example's data at its solution; decimals count as the fractions that they were written as."""
    weights = [exact(example.solution[weight.name]) for weight in cell.parameters]
    X, t = (np.vectorize(exact, otypes=[object])(np.array(data, dtype=object)) for data in (example.X, example.t))
    return point_of(cell, weights, X, t, arithmetic, rates)
