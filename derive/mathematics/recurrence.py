"""Backpropagation through time: from the equations of a cell to its gradient, for any number of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from sympy import Add, Expr, Function, Max, S, Sum

from derive.language.cell import Cell
from derive.language.errors import CellError
from derive.language.operations import Chain, Partial, SoftmaxCrossEntropy, Total, logistic_cross_entropy
from derive.language.quantities import (
    LOSS,
    Adjoint,
    At,
    Parameter,
    Quantity,
    State,
    T,
    atoms_of,
    bare_of,
    indexed_of,
    k,
    quantity_of,
)
from derive.mathematics.derivation import Backward, Equation, Forward, Range
from derive.mathematics.ledger import Ledger
from derive.mathematics.paths import LocalPartials
from derive.mathematics.pullbacks import partial_of_loss, pullback
from derive.mathematics.rules import (
    ADJOINT,
    ADJOINT_START,
    ADJOINT_STEP,
    CONTRIBUTION,
    LOGISTIC_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY,
    SUM_OVER_TIME,
    Rule,
)


def name_adjoints(cell: Cell) -> dict[Quantity, Adjoint]:
    """δ for a cell that computes one quantity; δ^s, δ^z, … for a cell that computes several."""
    if len(cell.computed) == 1:
        return {q: Adjoint("delta", r"\delta", q) for q in cell.computed}
    return {q: Adjoint(f"delta_{q.name}", rf"\delta^{{{q.latex}}}", q) for q in cell.computed}


Flows: TypeAlias = dict[At, Expr]
"""What flows back into a quantity from each equation that uses it, by the left-hand side of the equation."""


def flows_into(quantity: At, rights: Mapping[At, Expr], adjoints: Mapping[Quantity, Adjoint]) -> Flows:
    """What flows back into `quantity` from the equations in `rights`, those that use it."""
    flows = {
        left: in_its_own_value(pullback(right, quantity, adjoints[left.quantity][left.index]), left, right)
        for left, right in rights.items()
    }
    return {left: flow for left, flow in flows.items() if flow != S.Zero}


def in_its_own_value(flow: Expr, left: At, right: Expr) -> Expr:
    """1 - tanh(z)² as 1 - h², where h = tanh(z) has been computed already."""
    return flow.xreplace({right: left}) if isinstance(right, Function) else flow


def moved(flows: Flows, step: Expr) -> Flows:
    """The same flows at another step than k."""
    return {left.subs(k, step): flow.subs(k, step) for left, flow in flows.items()}


def differentiate(cell: Cell, forward: Forward, local: LocalPartials, ledger: Ledger) -> Backward:
    """Writes the adjoint recurrence, its start at k = T, each step's contribution and the gradients as sums.

    A quantity's adjoint at k is the sum of what flows back from the equations of step k that use it, from those of step
    k + 1 that look back at it, and from the loss.

    Raises:
        CellError: The last step looks back differently from the others, and the initial state is learnt.
    """
    adjoints = name_adjoints(cell)
    learnt = [state for state, value in cell.initial.items() if bare_of(value)]
    definitions: dict[Quantity, Equation] = {}
    for q, adjoint in adjoints.items():
        first = S.Zero if isinstance(q, State) else S.One  # the proof of forward mode asks for that of the start
        place, over = (k, (Range(k, first, T),)) if q in cell.step else (T, ())
        definitions[q] = ledger.equation(adjoint[place], Total(LOSS, q[place]), ADJOINT, over=over)
    every_step = {source.lhs.quantity: source for source in forward.step}
    last_step = every_step | {source.lhs.quantity: source for source in forward.last}

    def source_of(left: At, wrt: At) -> Equation:
        """The equation of ∂left/∂wrt where there is one, as in cells of numbers; else the one that computes `left`."""
        source = (last_step if left.index == T else every_step)[left.quantity]
        return local.get((source.lhs, wrt.quantity[source.lhs.index + wrt.index - left.index]), source)

    def write(wrt: At, flows: Flows, over: tuple[Range, ...] = (), also: Iterable[Equation] = ()) -> Equation:
        """Writes the adjoint of `wrt`; it uses the equations `also` where the same flows back from them."""
        q, direct = wrt.quantity, loss_flow(cell, wrt.quantity, wrt.index)
        uses = [definitions[q], *(source_of(left, wrt) for left in flows), *also]
        if direct != S.Zero:
            uses.append(local.get((LOSS, q[k if cell.loss_at_every_step else T]), forward.loss))
        rule = ADJOINT_STEP if direct == S.Zero else rule_of_loss(cell, q)
        return ledger.equation(adjoints[q][wrt.index], direct + Add(*flows.values()), rule, tuple(uses), over)

    at_T = {q[T]: right for q, right in cell.last_step.items()}
    at_k = {q[k]: right for q, right in cell.step.items()}
    after = {q[k + 1]: right.subs(k, k + 1) for q, right in cell.step.items()}
    backwards = tuple(reversed(cell.step))
    here = {q: flows_into(q[k], at_k, adjoints) for q in backwards}
    from_next = {q: flows_into(q[k], after, adjoints) for q in backwards}
    from_last = {q: flows_into(q[T - 1], at_T, adjoints) for q in backwards}
    looks_back_alike = all(Add(*from_last[q].values()) == Add(*moved(from_next[q], T - 1).values()) for q in backwards)
    if learnt and not looks_back_alike:
        odd = next(
            source
            for source in forward.last
            if source.lhs.quantity in cell.step or any(atom.index == T - 1 for atom in indexed_of(source.rhs))
        )
        problem = (
            f"the last step looks back differently from the others, and the initial state is learnt: {learnt[0]}[0]"
        )
        cure = "name what both steps compute before they differ"
        raise CellError(cell.name, f"equation {odd.lhs} = {odd.rhs}", problem, cure)

    start = tuple(write(q[T], flows_into(q[T], at_T, adjoints)) for q in reversed(cell.last_step))
    before_last: tuple[Equation, ...] = ()
    before_T = T - 1
    if not looks_back_alike:
        only = (Range(k, Max(1, T - 1), T - 1),)  # for T = 1 there is no such step
        before_last = tuple(write(q[T - 1], moved(here[q], T - 1) | from_last[q], only) for q in backwards)
        before_T = T - 2
    over = (Range(k, before_T, S.One, backwards=True),)
    alike = {q: [source_of(left, q[T - 1]) for left in from_last[q] if looks_back_alike] for q in backwards}
    step = tuple(write(q[k], here[q] | from_next[q], over, alike[q]) for q in backwards)
    first = tuple(write(q[0], moved(from_next[q], S.Zero), (), alike[q]) for q in learnt)
    recurrence = (*start, *before_last, *step, *first)
    gradients = {
        weight: write_gradient(cell, weight, adjoints, local, recurrence, forward, ledger) for weight in cell.parameters
    }
    return Backward(adjoints, start, before_last, step, first, gradients)


def rule_of_loss(cell: Cell, quantity: Quantity) -> Rule:
    """What the adjoint of a quantity follows by that the loss flows into directly."""

    def sees(entropy: type[Expr]) -> bool:
        return any(quantity in map(quantity_of, atoms_of(part.args[0])) for part in cell.loss.atoms(entropy))

    if sees(logistic_cross_entropy):
        return LOGISTIC_CROSS_ENTROPY
    return SOFTMAX_CROSS_ENTROPY if sees(SoftmaxCrossEntropy) else ADJOINT_START


def loss_flow(cell: Cell, quantity: Quantity, step: Expr) -> Expr:
    """What flows from the loss directly into a quantity at `step`; nothing into a start, for the loss begins at 1."""
    if step == S.Zero:
        return S.Zero
    if cell.loss_at_every_step:
        return partial_of_loss(cell.loss, quantity[k]).subs(k, step)
    return partial_of_loss(cell.loss, quantity[T]) if step == T else S.Zero


def write_gradient(
    cell: Cell,
    weight: Parameter,
    adjoints: Mapping[Quantity, Adjoint],
    local: LocalPartials,
    recurrence: Iterable[Equation],
    forward: Forward,
    ledger: Ledger,
) -> Equation:
    """Writes what each use of `weight` adds to the derivative with respect to it, and the derivative as the sum."""
    terms, used = [], []
    for source in (*forward.step, *forward.last, *forward.initial):
        adjoint = adjoints[source.lhs.quantity][source.lhs.index]
        term = in_its_own_value(pullback(source.rhs, weight, adjoint), source.lhs, source.rhs)
        if term == S.Zero:
            continue
        mine = [each for each in recurrence if each.lhs.quantity == adjoint.quantity]
        used += [source, *mine]
        if cell.is_scalar:
            slope = Chain(adjoint, Partial(source.lhs, weight))
            uses = (local.get((source.lhs, weight), source), *mine)
            used = [*used, ledger.equation(slope, term.args[0], CONTRIBUTION, uses, source.over)]
        terms.append(Sum(term, (k, source.over[0].first, source.over[0].last)) if source.over else term)
    direct = partial_of_loss(cell.loss, weight)
    if direct != S.Zero:
        terms.append(Sum(direct, (k, S.One, T)) if cell.loss_at_every_step else direct)
        used.append(forward.loss)
    return ledger.equation(Total(LOSS, weight), Add(*terms), SUM_OVER_TIME, tuple(used))
