"""A program: functions of assignments and loops over time, each line carrying the number of its equation.

Immutable data between the derivation and what prints or runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sympy import Expr

from derive.language.cell import Cell
from derive.language.quantities import Quantity


@dataclass(frozen=True)
class Assign:
    """`target = value`.

    Attributes:
        target: A quantity at a step, the loss, or the gradient with respect to a weight.
        value: An expression of parameters and of quantities at steps.
        equation: The number of the equation that this line is.
    """

    target: Expr
    value: Expr
    equation: int


@dataclass(frozen=True)
class Accumulate:
    """`target += value`: one term of a sum over the steps, inside a `ForTime`."""

    target: Expr
    value: Expr
    equation: int


@dataclass(frozen=True)
class ForTime:
    """A loop over steps, forwards where `first` is below `last`, and backwards else.

    Attributes:
        first: The first value of k.
        last: The last one, itself included.
        backwards: The direction.
        body: What is done at each step.
    """

    first: Expr
    last: Expr
    backwards: bool
    body: tuple[Assign | Accumulate, ...]


@dataclass(frozen=True)
class Allocate:
    """Room for a quantity at all steps 0 … T and all sequences."""

    quantity: Quantity


@dataclass(frozen=True)
class Zero:
    """Starts a sum: the gradient with respect to a weight."""

    target: Expr


Statement: TypeAlias = Assign | Accumulate | ForTime | Allocate | Zero


@dataclass(frozen=True)
class Program:
    """The calculation of one cell.

    Attributes:
        cell: The cell.
        forward: Fills in every state and intermediate.
        loss: Gives the loss, from those at the last step or at every step.
        backward: Fills in the adjoints.
        gradients: Sums up the gradients.
        update: Gives the new weights, one assignment each.
    """

    cell: Cell
    forward: tuple[Statement, ...]
    loss: tuple[Statement, ...]
    backward: tuple[Statement, ...]
    gradients: tuple[Statement, ...]
    update: tuple[Assign, ...]
