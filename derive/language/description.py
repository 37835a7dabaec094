"""The description of a recurrent cell as it was given, and what can be read off it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from sympy import Eq, Expr, S, sympify

from derive.language.exact import with_fractions
from derive.language.example import Example, Landscape, TaskExample
from derive.language.quantities import (
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
from derive.language.shapes import dimensions_of


@dataclass(frozen=True, eq=False)
class Description:
    """The quantities, the equations of one step, the output and the loss of a recurrent cell, not yet checked.

    `Cell` says what each field holds.
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
