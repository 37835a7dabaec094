"""What a user writes: the description of a recurrent cell, checked before anything is derived from it."""

from __future__ import annotations

import builtins
import difflib
import keyword
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import NoReturn

import numpy as np
from sympy import Eq, Expr, Rational, S, Symbol, sympify
from sympy.core.relational import Relational

from derive.errors import CellError
from derive.operations import BatchMean
from derive.quantities import (
    At,
    Input,
    Intermediate,
    N,
    Parameter,
    Quantity,
    State,
    T,
    Target,
    atoms_of,
    bare_of,
    indexed_of,
    k,
    quantity_of,
    varies_by_sequence,
)

# Names that the generated modules use themselves; a quantity of that name would hide them.
RESERVED = frozenset(
    "np k n N T X dtype parameters gradient gradients learning_rates trace value forward loss value_and_gradient predict "
    "descend Parameters Trace delta xi".split()
) | frozenset(dir(builtins))

RESERVED_LATEX = frozenset(["k", "n", "N", "T", "j", "m", r"\xi", r"\delta", r"\eta"])


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
        example: Data and settings to try it with.
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
    example: Example | None = None
    landscape: Landscape | None = None

    def __post_init__(self) -> None:
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
        return ((equation.lhs, sympify(equation.rhs)) for equation in self.equations)

    def _ordered(self, rights: dict[Quantity, Expr]) -> dict[Quantity, Expr]:
        """Sorts equations so that each comes after those it needs; declaration order where there is a choice."""
        sorter: TopologicalSorter[Quantity] = TopologicalSorter()
        for quantity in self.quantities:
            if quantity in rights:
                here = {atom.quantity for atom in indexed_of(rights[quantity]) if atom.index in (k, T)}
                sorter.add(quantity, *(other for other in self.quantities if other in here and other in rights))
        return {quantity: rights[quantity] for quantity in sorter.static_order()}


def check(cell: Cell) -> None:
    """Finds the first mistake in the description of a cell.

    Raises:
        CellError: It names the equation or the quantity, the problem and the cure.
    """

    def wrong(where: str, problem: str, cure: str) -> NoReturn:
        raise CellError(cell.name, where, problem, cure)

    _check_name(cell.name, "its name", wrong)
    _check_quantities(cell.quantities, wrong)
    _check_equations(cell, wrong)
    _check_loss(cell, wrong)
    _check_use(cell, wrong)
    _check_example(cell, wrong)


def _check_name(name: str, where: str, wrong) -> None:
    if not name.isidentifier():
        wrong(
            where, f"{name!r} is no Python identifier", "use letters, digits and _ only, and put the rest into latex="
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        wrong(where, f"{name!r} is a Python keyword", "choose another code name and keep this one in latex=")


def _check_quantities(quantities: Iterable[Quantity], wrong) -> None:
    seen: dict[str, Quantity] = {}
    seen_latex: dict[str, Quantity] = {}
    for quantity in quantities:
        where = f"quantity {quantity.name!r}"
        _check_name(quantity.name, where, wrong)
        if quantity.name in RESERVED or quantity.name.startswith(("_", "delta_", "gradient_")):
            wrong(where, "the generated code uses this name itself", f"call it {quantity.name}1 or the like")
        if quantity.name in seen:
            wrong(where, "two quantities have this name", "give each its own")
        if quantity.latex in seen_latex:
            wrong(
                where, f"{seen_latex[quantity.latex].name!r} has the same LaTeX {quantity.latex}", "give each its own"
            )
        if quantity.latex in RESERVED_LATEX:
            wrong(where, f"the derivation uses {quantity.latex} itself", "give it another latex=")
        seen[quantity.name] = seen_latex[quantity.latex] = quantity


def _check_equations(cell: Cell, wrong) -> None:
    if not cell.equations:
        wrong("equations", "there are none", "write the recurrence, as in Eq(s[k], s[k - 1] * W + x[k])")
    written: set[At] = set()
    for number, equation in enumerate(cell.equations, start=1):
        if not isinstance(equation, Relational) or not isinstance(equation, Eq):
            wrong(
                f"equation {number}",
                f"it is {equation}, not an equation",
                "write Eq(left, right) with two different sides",
            )
        left, right = equation.lhs, sympify(equation.rhs)
        where = f"equation {left} = {right}"
        if not isinstance(left, At) or not isinstance(left.quantity, State | Intermediate):
            wrong(where, f"{left} is not a state or an intermediate at a step", "write s[k], s[T] or s[0] on the left")
        if left.index not in (k, T, S.Zero):
            wrong(where, f"the step {left.index} on the left", "write s[k], s[T] or s[0] there")
        if left in written:
            wrong(where, f"{left} has two equations", "keep one, or name a second quantity")
        written.add(left)
        _check_declared(cell, right + left, where, wrong)
        if left.index == S.Zero:
            _check_initial(left, right, where, wrong)
        else:
            _check_indices(left, right, where, wrong)
    _check_states(cell, written, wrong)


def _check_declared(cell: Cell, expression: Expr, where: str, wrong) -> None:
    known = {quantity.name: quantity for quantity in cell.quantities}
    for quantity in sorted({quantity_of(atom) for atom in atoms_of(expression)}, key=str):
        if known.get(quantity.name) != quantity:
            wrong(where, f"{quantity} is used and not declared", "add it to quantities=")
    for symbol in sorted(expression.atoms(Symbol) - {k, T, N}, key=str):
        close = difflib.get_close_matches(symbol.name, known, 1)
        hint = f"did you mean {close[0]}?" if close else "declare it as Parameter, Input, … and add it to quantities="
        wrong(where, f"{symbol} is used and not declared", hint)


def _check_initial(left: At, right: Expr, where: str, wrong) -> None:
    if not isinstance(left.quantity, State):
        wrong(where, f"{left.quantity} is no state, so it has no value before the first step", "declare it as a State")
    if indexed_of(right) or any(not isinstance(atom, Parameter) for atom in atoms_of(right)):
        wrong(where, "an initial value depends on a step", "make it a number or an expression of parameters")


def _check_indices(left: At, right: Expr, where: str, wrong) -> None:
    here = left.index
    for atom in sorted(indexed_of(right), key=str):
        if atom.index == here - 1:
            if not isinstance(atom.quantity, State):
                wrong(
                    where,
                    f"{atom} looks one step back at what is no state",
                    f"declare {atom.quantity} as a State with an initial value",
                )
        elif atom.index != here:
            cure = f"use {atom.quantity}[{here}] or, for a state, {atom.quantity}[{here - 1}]; a second state can remember more"
            wrong(where, f"{atom} is neither at this step nor at the one before", cure)
        if isinstance(atom.quantity, Target | Parameter):
            wrong(
                where,
                f"{atom.quantity.role} {atom} in a step",
                "a parameter has no step, and a target belongs into the loss",
            )
    for quantity in sorted(bare_of(right), key=str):
        if isinstance(quantity, State | Intermediate | Target):
            wrong(
                where,
                f"{quantity.role} {quantity} without a step",
                f"write {quantity}[{here}] or {quantity}[{here - 1}]",
            )


def _check_states(cell: Cell, written: set[At], wrong) -> None:
    for state in cell.states:
        where = f"state {state.name!r}"
        if state[k] not in written:
            wrong(where, "it is never updated", f"add Eq({state}[k], …)")
        if state[S.Zero] not in written:
            wrong(where, "it has no initial value", f"add Eq({state}[0], 0), or a parameter on the right to learn it")
    try:
        cell.last_step  # noqa: B018  (asking for the order is the check)
    except CycleError as error:
        around = " → ".join(quantity.name for quantity in error.args[1])
        wrong(f"equations of {around}", "each needs the other within one step", "look one step back in one of them")
    for quantity in cell.computed:
        if quantity not in cell.last_step:
            wrong(f"quantity {quantity.name!r}", "no equation computes it", f"add Eq({quantity}[k], …)")


def _check_loss(cell: Cell, wrong) -> None:
    loss = cell.loss
    if not isinstance(loss, Expr) or not loss.has(BatchMean):
        wrong(
            "loss",
            "there is no loss" if loss is None else f"{loss} is no mean over the sequences",
            "write loss=mean((s[T] - t) ** 2) or the like",
        )
    where = f"loss {loss}"
    _check_declared(cell, loss, where, wrong)
    if varies_by_sequence(loss.replace(BatchMean, lambda inside: S.One)):
        wrong(where, "it differs from sequence to sequence", "put all of it inside mean(…)")
    here = k if cell.loss_at_every_step else T
    for atom in sorted(atoms_of(loss), key=str):
        quantity = quantity_of(atom)
        if isinstance(atom, At) and atom.index != here:
            wrong(where, f"{atom} and a value at another step in one loss", f"write all at [{here}]")
        if isinstance(quantity, State | Intermediate) and not isinstance(atom, At):
            wrong(where, f"{quantity} without a step", f"write {quantity}[T] or {quantity}[k]")
    if not any(quantity_of(atom) in cell.computed for atom in atoms_of(loss)):
        wrong(where, "it does not depend on any state", "compare what the cell computes with the target")
    if not isinstance(cell.output, At) or cell.output.quantity not in cell.computed or cell.output.index not in (k, T):
        wrong("output", f"{cell.output} is not a computed quantity at k or T", "write output=s[T] or output=y[k]")


def _check_use(cell: Cell, wrong) -> None:
    rights = [sympify(equation.rhs) for equation in cell.equations] + [cell.loss, cell.output]
    used = {quantity_of(atom) for right in rights for atom in atoms_of(right)}
    for quantity in cell.quantities:
        if quantity not in used:
            wrong(
                f"quantity {quantity.name!r}",
                "it is declared and never used",
                "use it in an equation, or take it out of quantities=",
            )
    for needed, role in ((cell.parameters, "parameter"), (cell.inputs, "input"), (cell.states, "state")):
        if not needed:
            wrong("quantities", f"there is no {role}", f"declare one and use it in an equation")


def _check_example(cell: Cell, wrong) -> None:
    example = cell.example
    if example is None:
        return
    names = {parameter.name for parameter in cell.parameters}
    for what in ("start", "learning_rates", "solution"):
        given = set(getattr(example, what))
        if given != names and not (what == "solution" and not given):
            odd = ", ".join(sorted(given ^ names))
            wrong(f"example, {what}", f"it does not name each weight once: {odd}", f"give {', '.join(sorted(names))}")
    if len(example.X) != len(example.t):
        wrong("example", f"{len(example.X)} sequences and {len(example.t)} targets", "give one target a sequence")


def exact(number: float) -> Rational:
    """The fraction that a decimal number was written as: 0.0006 is 3/5000."""
    return Rational(str(number))
