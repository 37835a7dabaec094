"""What a user writes: the description of a recurrent cell, checked before anything is derived from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from sympy import Eq, Expr, Float, Rational, S, sympify

from derive.cell_checks import check
from derive.quantities import (
    At,
    Dimension,
    Input,
    Intermediate,
    Parameter,
    Quantity,
    State,
    T,
    Target,
    indexed_of,
    k,
)
from derive.shapes import dimensions_of


@dataclass(frozen=True)
class Example:
    """Data and settings to try a cell with: what `make train` runs, and where the derivation puts numbers in.

    Attributes:
        title: Where it comes from.
        X: The inputs, one sequence a row: N × T numbers.
        t: The targets, N numbers.
        start: The weights that training starts from, by code name.
        learning_rates: One a weight, by code name.
        epochs: How many updates.
        solution: Weights at which the loss is smallest, by code name, where they are known exactly; the derivation
            checks that the gradient is zero there.
    """

    title: str
    X: tuple[tuple[float, ...], ...]
    t: tuple[float, ...]
    start: Mapping[str, float]
    learning_rates: Mapping[str, float]
    epochs: int
    solution: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskExample:
    """A task to try a cell with whose weights are rows and matrices: what `make train` runs.

    Attributes:
        title: What is learnt.
        task: The name of a function in derive/trainer/data/tasks.py, which makes the data.
        arguments: Its arguments, by name.
        sizes: The size of each dimension that the data do not tell, by name.
        learning_rate: One for all weights.
        epochs: How many passes over the data.
        method: The update rule, a name in derive/optimizers.py.
        batch: How many sequences an update sees; all unless given.
        start: Weights that do not start as usual, by code name: one number for all entries.
        seed: For the weights to start from, and for the order of the sequences.
    """

    title: str
    task: str
    arguments: Mapping[str, int]
    sizes: Mapping[str, int]
    learning_rate: float
    epochs: int
    method: str = "gradient_descent"
    batch: int | None = None
    start: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Landscape:
    """What the figures of a cell with two weights show.

    Attributes:
        inputs: The inputs, N × T.
        targets: The targets, N.
        points: Weights to mark, as pairs in the order of the cell's parameters.
        windows: Half-open views (low, high) of both axes, one figure each.
    """

    inputs: np.ndarray
    targets: np.ndarray
    points: tuple[tuple[float, float], ...]
    windows: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell: its quantities, the equations of one step, its output and its loss.

    An equation is `Eq(left, right)` where the left-hand side is a state or an intermediate:

    | left     | holds                                                                              |
    |----------|------------------------------------------------------------------------------------|
    | `s[0]`   | before the first step: a number, or a parameter (a learnt initial state)           |
    | `s[k]`   | at every step k = 1 … T, from values at k and states at k - 1                      |
    | `s[T]`   | at the last step only; it replaces `s[k]` there, or adds an output that is read once |

    The loss is a mean over the sequences, of values at T (`mean((s[T] - t) ** 2)`), or at every step
    (`mean((y[k] - t[k]) ** 2)`, then summed over k).

    Attributes:
        name: The cell's code name, an identifier.
        title: Its name for readers.
        quantities: Every quantity that the equations use.
        equations: As above, in any order.
        output: What `predict` returns, `s[T]` or `y[k]`.
        loss: As above.
        about: A sentence or two for the top of the derivation.
        references: Where the cell comes from.
        example: Data, or a task that makes them, and settings to try it with.
        landscape: What to draw, for a cell with two weights.

    Raises:
        CellError: The description has a mistake; the message names the equation and the cure.
    """

    name: str
    title: str
    quantities: tuple[Quantity, ...]
    equations: tuple[Eq, ...]
    output: At
    loss: Expr
    about: str = ""
    references: tuple[str, ...] = ()
    example: Example | TaskExample | None = None
    landscape: Landscape | None = None

    def __post_init__(self) -> None:
        if isinstance(self.loss, Expr):
            object.__setattr__(self, "loss", with_fractions(self.loss))
        check(self)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The weights, in the order of declaration."""
        return self._of_role(Parameter)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in the order of declaration."""
        return self._of_role(Input)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets, in the order of declaration."""
        return self._of_role(Target)

    @property
    def states(self) -> tuple[State, ...]:
        """The states, in the order of declaration."""
        return self._of_role(State)

    @property
    def computed(self) -> tuple[Quantity, ...]:
        """States and intermediates: what a forward pass computes."""
        return tuple(q for q in self.quantities if isinstance(q, State | Intermediate))

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The named dimensions of all quantities."""
        return dimensions_of(self.quantities)

    @property
    def is_scalar(self) -> bool:
        """Whether every quantity is a number."""
        return not any(quantity.dimensions for quantity in self.quantities)

    @property
    def worked_example(self) -> Example | None:
        """The example whose data and weights stand in the description, if it is of that kind."""
        return self.example if isinstance(self.example, Example) else None

    @property
    def target_at_every_step(self) -> bool:
        """Whether there is a target for each step of a sequence, not one for the whole."""
        return any(isinstance(atom.quantity, Target) for atom in indexed_of(self.loss))

    @property
    def loss_at_every_step(self) -> bool:
        """Whether the loss has a term at each step, not only at the last."""
        return k in self.loss.free_symbols

    @cached_property
    def initial(self) -> dict[State, Expr]:
        """The value at k = 0 of each state."""
        return {left.quantity: right for left, right in self._sides() if left.index == S.Zero}

    @cached_property
    def step(self) -> dict[Quantity, Expr]:
        """The right-hand sides that hold for every k, in an order in which they can be computed."""
        return self._ordered({left.quantity: right for left, right in self._sides() if left.index == k})

    @cached_property
    def last_step(self) -> dict[Quantity, Expr]:
        """The right-hand sides at k = T, those written for T in place of those for k, in computing order."""
        at_T = {left.quantity: right for left, right in self._sides() if left.index == T}
        return self._ordered({quantity: right.subs(k, T) for quantity, right in self.step.items()} | at_T)

    @property
    def has_own_last_step(self) -> bool:
        """Whether an equation written for T replaces one written for k."""
        return any(left.index == T and left.quantity in self.step for left, _ in self._sides())

    def _of_role(self, role: type[Quantity]) -> tuple[Quantity, ...]:
        return tuple(quantity for quantity in self.quantities if isinstance(quantity, role))

    def _sides(self) -> Iterator[tuple[At, Expr]]:
        return ((equation.lhs, with_fractions(sympify(equation.rhs))) for equation in self.equations)

    def _ordered(self, rights: dict[Quantity, Expr]) -> dict[Quantity, Expr]:
        """Sorts equations so that each comes after those it needs; declaration order where there is a choice."""
        sorter: TopologicalSorter[Quantity] = TopologicalSorter()
        for quantity in self.quantities:
            if quantity in rights:
                here = {atom.quantity for atom in indexed_of(rights[quantity]) if atom.index in (k, T)}
                sorter.add(quantity, *(other for other in self.quantities if other in here and other in rights))
        return {quantity: rights[quantity] for quantity in sorter.static_order()}


def with_fractions(expression: Expr) -> Expr:
    """An expression with the decimal numbers in it as the fractions that they were written as."""
    return expression.xreplace({number: exact(number) for number in expression.atoms(Float)})


def exact(number: Any) -> Rational:
    """The fraction that a decimal number was written as: 0.0006 is 3/5000."""
    return Rational(str(number))
