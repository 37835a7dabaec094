"""A derivation: numbered equations with the rule that produced each, in sections with remarks, tables and figures.

Immutable data. Nothing here knows how it is printed or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sympy import Expr

from derive.language.cell import Cell
from derive.language.quantities import Adjoint, Parameter, Quantity
from derive.mathematics.rules import Rule


@dataclass(frozen=True)
class Range:
    """The values of an index for which an equation holds: first, …, last, up or down."""

    index: Expr
    first: Expr
    last: Expr
    backwards: bool = False


@dataclass(frozen=True)
class Equation:
    """One numbered equation.

    Attributes:
        number: Its number, from 1, the same on paper and in code.
        lhs: Left-hand side.
        rhs: Right-hand side.
        rule: What it follows by.
        uses: The numbers of the equations that it follows from.
        over: The indices for which it holds.
        at_example: Whether it is a statement about the example's data at the example's solution, not about all data.
    """

    number: int
    lhs: Expr
    rhs: Expr
    rule: Rule
    uses: tuple[int, ...] = ()
    over: tuple[Range, ...] = ()
    at_example: bool = False

    def __str__(self) -> str:
        return f"equation ({self.number}) {self.lhs} = {self.rhs}"


@dataclass(frozen=True)
class Remark:
    """A paragraph: a template with fields in braces, filled with expressions, equations or plain words."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table whose cells are expressions, equations or words.

    Attributes:
        header: The column titles, of the same kinds as the cells.
        rows: One tuple a row.
    """

    header: tuple[Any, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A picture, drawn by `derive.documents.figures` under this name.

    Attributes:
        name: The file's name without its ending, and the key of the function that draws it.
        caption: What it shows.
    """

    name: str
    caption: str


@dataclass(frozen=True)
class Dots:
    """Stands for equations like those around it that are not made."""


@dataclass(frozen=True)
class Work:
    """Stands for how much work a step is, which is counted in the program of the equations."""


Entry: TypeAlias = Equation | Remark | Table | Figure | Dots | Work


@dataclass(frozen=True)
class Section:
    """A titled run of entries. `elided` equations are there and are checked, but a reader is shown dots."""

    title: str
    entries: tuple[Entry, ...]
    elided: frozenset[int] = frozenset()

    @property
    def shown_equations(self) -> tuple[Equation, ...]:
        """The equations of the section that are not elided."""
        return tuple(e for e in self.entries if isinstance(e, Equation) and e.number not in self.elided)


@dataclass(frozen=True)
class Backward:
    """The equations of a derivation that the gradient is computed by.

    Attributes:
        start: δ_T.
        before_last: δ_{T-1}, where the last step looks back differently from the others; else nothing.
        step: δ_k from δ_{k+1}.
        first: δ_0 of the states whose initial value is learnt.
        gradients: One a parameter.
    """

    adjoints: Mapping[Quantity, Adjoint]
    start: tuple[Equation, ...]
    before_last: tuple[Equation, ...]
    step: tuple[Equation, ...]
    first: tuple[Equation, ...]
    gradients: Mapping[Parameter, Equation]


@dataclass(frozen=True)
class Forward:
    """The equations that a cell was described by.

    Attributes:
        initial: The states at k = 0.
        step: What holds at every step.
        last: What holds at the last step instead, or in addition.
        loss: The loss.
    """

    initial: tuple[Equation, ...]
    step: tuple[Equation, ...]
    last: tuple[Equation, ...]
    loss: Equation


@dataclass(frozen=True)
class Staged:
    """The equations of a derivation in the order in which the fast code computes them.

    Attributes:
        hoisted: For all steps at once, before the loop: quantities that need no state, and the input's part of others.
        run: In the loop over the steps.
        outputs: For all steps at once, after it: what no later step needs.
        finish: At the last step by itself, in place of `run` or in addition; one that holds for every k is read at T.
        hoisted_back: For all steps at once, before the backward loop: adjoints and factors that need no adjoint of a
            later step.
        start: The adjoints at T.
        before_last: Those at T - 1, where they differ; else nothing.
        run_back: Those of a step, in the backward loop.
        first: Those at 0.
        gradients: The gradients, one a parameter.
        inputs: The derivative with respect to the input of a step, for who asks for it; at T too, where it differs.
        logistic_as_tanh: What σ is computed by, where there is one.
    """

    hoisted: tuple[Equation, ...]
    run: tuple[Equation, ...]
    outputs: tuple[Equation, ...]
    finish: tuple[Equation, ...]
    hoisted_back: tuple[Equation, ...]
    start: tuple[Equation, ...]
    before_last: tuple[Equation, ...]
    run_back: tuple[Equation, ...]
    first: tuple[Equation, ...]
    gradients: tuple[Equation, ...]
    inputs: tuple[Equation, ...]
    logistic_as_tanh: Equation | None = None


@dataclass(frozen=True)
class OnePass:
    """The equations that give the loss and its gradient from sums over the steps of every sequence.

    Attributes:
        sums: What each sum is, named.
        last: The last state.
        start: δ_T, one of the equations of backpropagation.
        gradients: One a parameter.
    """

    sums: tuple[Equation, ...]
    last: Equation
    start: Equation
    gradients: Mapping[Parameter, Equation]


@dataclass(frozen=True)
class Moments:
    """The equations that give the loss and its gradient from sums over the data that hold no weight.

    Attributes:
        factor: What the polynomials are polynomials of: a weight, or the name of an expression.
        of_factor: That expression, where it is one.
        products: The moments c_m of the inputs with themselves, for small m and for large.
        cross: Those of the inputs with the targets, b_m.
        squares: That of the targets.
        polynomials: The polynomials whose coefficients they are, and their derivatives.
        loss: The loss.
        gradients: One a parameter.
    """

    factor: Expr
    of_factor: Equation | None
    products: tuple[Equation, Equation]
    cross: Equation
    squares: Equation
    polynomials: tuple[Equation, ...]
    loss: Equation
    gradients: Mapping[Parameter, Equation]


@dataclass(frozen=True)
class Tangents:
    """The equations of forward mode: the total derivative of what a step computes, by each weight that it depends on.

    Attributes:
        initial: Those of the states at k = 0.
        step: Those of a step, in an order in which they can be computed.
        last: Those of the last step, where it has others or more; one that holds for every k is read at T.
        weights: The weights that some state before the last depends on.
    """

    initial: tuple[Equation, ...]
    step: tuple[Equation, ...]
    last: tuple[Equation, ...]
    weights: tuple[Parameter, ...]


@dataclass(frozen=True)
class LeastSquares:
    """The equations that give the loss and its gradient from one residual a sequence and its derivatives.

    Attributes:
        residual: What a residual is.
        loss: The loss.
        jacobian: The derivative of the residual, one equation a weight.
        gradients: Those of the loss, one a weight.
    """

    residual: Equation
    loss: Equation
    jacobian: Mapping[Parameter, Equation]
    gradients: Mapping[Parameter, Equation]


@dataclass(frozen=True)
class Derivation:
    """Backpropagation through time for one cell, from its description to the update of its weights.

    Attributes:
        cell: The cell.
        steps: For how many steps the unrolled display is written.
        sections: Everything, in reading order.
        forward: The equations that the forward pass runs.
        backward: Those that the gradient runs.
        update: Those of gradient descent, one a parameter.
        staged: The same gradient in the order of the fast code.
        repeats: In how many products of the unrolled gradient each adjoint occurs that is counted, by what it is the
            adjoint of; for the loss, how many products there are.
        one_pass: Those that read the data once, where the recurrence is affine.
        moments: Those that need no data but some sums, where the loss is a polynomial too.
        tangents: Those of forward mode, where the loss is one of least squares.
        least_squares: Those of the residuals and their Jacobian, there.
        by_numbers: The claims whose proofs would be too large, which numbers at random points speak for.
    """

    cell: Cell
    steps: int
    sections: tuple[Section, ...]
    forward: Forward
    backward: Backward
    update: tuple[Equation, ...]
    staged: Staged
    repeats: Mapping[Expr, int]
    one_pass: OnePass | None = None
    moments: Moments | None = None
    tangents: Tangents | None = None
    least_squares: LeastSquares | None = None
    by_numbers: tuple[str, ...] = ()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All numbered equations, in order."""
        return tuple(entry for section in self.sections for entry in section.entries if isinstance(entry, Equation))
