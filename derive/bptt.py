"""Backpropagation through time: from the equations of a cell to its gradient, for any number of steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Add, Expr, Function, Integer, S, Sum

from derive.adjoints import partial, partial_of_loss, pullback
from derive.cell import Cell
from derive.derivation import Backward, Equation, Forward, Ledger, Range
from derive.errors import CellError
from derive.operations import BatchSum, Chain, Partial, SoftmaxCrossEntropy, Total, logistic_cross_entropy
from derive.quantities import LOSS, Adjoint, At, Parameter, Quantity, T, bare_of, indexed_of, k
from derive.rules import (
    ADJOINT,
    ADJOINT_START,
    ADJOINT_STEP,
    CHAIN,
    CONTRIBUTION,
    LOCAL_PARTIAL,
    LOGISTIC_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY,
    SUM_OF_PATHS,
    SUM_OVER_TIME,
    Rule,
)
from derive.unroll import elided, loss_of_steps, right_hand_sides


@dataclass(frozen=True)
class Path:
    """One path from the loss back to a use of a weight.

    Attributes:
        weight: Where it ends.
        through: The quantities on it, the loss first.
        factors: The partial derivatives on it, from the loss backwards, the last one with respect to the weight.
    """

    weight: Parameter
    through: tuple[Expr, ...]
    factors: tuple[Expr, ...]

    @property
    def step(self) -> int:
        """The step at which the weight is used."""
        return int(self.through[-1].index)

    @property
    def derivatives(self) -> Chain:
        """The path as a product of derivatives that are not yet taken."""
        below = (*self.through[1:], self.weight)
        return Chain(*(Partial(above, wrt) for above, wrt in zip(self.through, below, strict=True)))


def paths(cell: Cell, steps: int) -> Iterator[Path]:
    """Every path from the loss of `steps` steps back to a use of a weight, weight by weight, the last step first."""
    rights = {
        left: right for step in range(1, steps + 1) for left, right in right_hand_sides(cell, step, steps).items()
    }
    rights |= {state[0]: value for state, value in cell.initial.items()}
    loss = loss_of_steps(cell, steps)

    def back(node: Expr, through: tuple[Expr, ...], factors: tuple[Expr, ...]) -> Iterator[Path]:
        right = loss if node is LOSS else rights.get(node)
        if right is None:
            return
        slope = partial_of_loss if node is LOSS else partial
        for weight in cell.parameters:
            if node is not LOSS and (factor := slope(right, weight)) != S.Zero:
                yield Path(weight, (*through, node), (*factors, factor))
        for atom in sorted(indexed_of(right), key=lambda atom: -int(atom.index)):
            if atom.quantity in cell.computed and (factor := slope(right, atom)) != S.Zero:
                yield from back(atom, (*through, node), (*factors, factor))

    found = list(back(LOSS, (), ()))
    for weight in cell.parameters:
        yield from sorted((path for path in found if path.weight == weight), key=lambda path: -path.step)


def number_of_paths(cell: Cell, steps: int) -> int:
    """The most paths that lead from the loss to one quantity at one step; 1 where the cell is a chain."""
    counts: dict[Expr, int] = {}
    for left, right in [
        (LOSS, loss_of_steps(cell, steps)),
        *(item for step in range(steps, 0, -1) for item in reversed(right_hand_sides(cell, step, steps).items())),
    ]:
        for atom in indexed_of(right):
            if atom.quantity in cell.computed:
                counts[atom] = counts.get(atom, 0) + (1 if left is LOSS else counts.get(left, 0))
    return max(counts.values())


LocalPartials: TypeAlias = dict[tuple[Expr, Expr], Equation]
"""The equation of each ∂q/∂p, by q and p as they stand in it: (s[k], s[k - 1]), (s[T], W)."""


def write_local_partials(cell: Cell, steps: int, forward: Forward, ledger: Ledger) -> LocalPartials:
    """Writes the partial derivatives of the loss and of every equation of a step."""
    written: LocalPartials = {}
    for atom in sorted(indexed_of(cell.loss), key=str):
        if atom.quantity in cell.computed:
            over = (Range(k, S.One, T),) if cell.loss_at_every_step else ()
            here, slope = (part.subs(T, Integer(steps)) for part in (atom, partial_of_loss(cell.loss, atom)))
            written[LOSS, atom] = ledger.equation(Partial(LOSS, here), slope, LOCAL_PARTIAL, (forward.loss,), over)
    for source in (*forward.step, *forward.last, *forward.initial):
        inner = sorted((atom for atom in indexed_of(source.rhs) if atom.quantity in cell.computed), key=str)
        weights = [weight for weight in cell.parameters if source.rhs.has(weight)]
        for wrt in [*inner, *weights]:
            slope = partial(source.rhs, wrt)
            equation = ledger.equation(Partial(source.lhs, wrt), slope, LOCAL_PARTIAL, (source,), over=source.over)
            written[source.lhs, wrt] = equation
    return written


def local_partial_of(cell: Cell, steps: int, local: LocalPartials, above: Expr, below: Expr) -> Equation:
    """The rolled equation that ∂above/∂below, at numbered steps, is a case of."""
    if above == LOSS:
        place = k if cell.loss_at_every_step else T
        return local[LOSS, below.quantity[place]]
    if above.index == 0:
        return local[above, below]
    for place in (T, k) if above.index == steps else (k,):
        back = below if not isinstance(below, At) else below.quantity[place + below.index - above.index]
        if (above.quantity[place], back) in local:
            return local[above.quantity[place], back]
    raise KeyError((above, below))


def write_chain(
    cell: Cell,
    steps: int,
    local: LocalPartials,
    marked: Mapping[Path, Expr],
    unrolled: tuple[Equation, ...],
    ledger: Ledger,
) -> dict[Path, Equation]:
    """Writes the chain rule out, path by path, for every weight.

    Args:
        cell: A cell with one path to each use of a weight.
        steps: How many steps.
        local: The local partial derivatives.
        marked: The product of each path, with its repeating terms marked.
        unrolled: The equations of all steps and of the loss.
        ledger: Where to write.

    Returns:
        The equation of each path.
    """
    written: dict[Path, Equation] = {}
    for weight in cell.parameters:
        mine = [path for path in marked if path.weight == weight]
        total = Total(LOSS, weight)
        terms = [BatchSum(path.derivatives) for path in mine]
        if partial_of_loss(cell.loss, weight) != S.Zero:
            terms.append(Partial(LOSS, weight))
        whole = ledger.equation(total, Add(*terms, evaluate=False), SUM_OF_PATHS, unrolled)
        for path in mine:
            pairs = itertools.pairwise((*path.through, weight))
            used = {local_partial_of(cell, steps, local, above, below) for above, below in pairs}
            uses = (whole, *used)
            written[path] = ledger.equation(
                path.derivatives, marked[path], CHAIN, uses, elided=elided(path.step, steps)
            )
    return written


def name_adjoints(cell: Cell) -> dict[Quantity, Adjoint]:
    """δ for a cell that computes one quantity; δ^s, δ^z, … for a cell that computes several."""
    if len(cell.computed) == 1:
        return {q: Adjoint("delta", r"\delta", q) for q in cell.computed}
    return {q: Adjoint(f"delta_{q.name}", rf"\delta^{{{q.latex}}}", q) for q in cell.computed}


def flow_into(quantity: At, rights: Mapping[At, Expr], adjoints: Mapping[Quantity, Adjoint]) -> Expr:
    """The sum of what flows back into `quantity` from every equation in `rights` that uses it."""
    flows = (
        in_its_own_value(pullback(right, quantity, adjoints[left.quantity][left.index]), left, right)
        for left, right in rights.items()
    )
    return Add(*flows)


def in_its_own_value(flow: Expr, left: At, right: Expr) -> Expr:
    """1 - tanh(z)² as 1 - h², where h = tanh(z) has been computed already."""
    return flow.xreplace({right: left}) if isinstance(right, Function) else flow


def differentiate(cell: Cell, forward: Forward, local: LocalPartials, ledger: Ledger) -> Backward:
    """Writes the adjoint recurrence, its start at k = T, each step's contribution and the gradients as sums.

    A quantity's adjoint at k is the sum of what flows back from the equations of step k that use it, from those of step
    k + 1 that look back at it, and from the loss.

    Raises:
        CellError: The last step looks back differently from the others, and the initial state is learnt.
    """
    adjoints = name_adjoints(cell)
    definitions: dict[Quantity, Equation] = {}
    for q, adjoint in adjoints.items():
        place, over = (k, (Range(k, S.One, T),)) if q in cell.step else (T, ())
        definitions[q] = ledger.equation(adjoint[place], Total(LOSS, q[place]), ADJOINT, over=over)
    sources = (*forward.step, *forward.last)

    def write(q: Quantity, step: Expr, right: Expr, over: tuple[Range, ...] = ()) -> Equation:
        direct = loss_flow(cell, q, step) != S.Zero
        rule = rule_of_loss(cell) if direct else ADJOINT_STEP
        partials = tuple(each for (_, wrt), each in local.items() if isinstance(wrt, At) and wrt.quantity == q)
        uses = (definitions[q], *((forward.loss,) if direct else ()), *(partials or using(q, sources)))
        return ledger.equation(adjoints[q][step], right, rule, uses, over)

    at_T = {q[T]: right for q, right in cell.last_step.items()}
    at_k = {q[k]: right for q, right in cell.step.items()}
    after = {q[k + 1]: right.subs(k, k + 1) for q, right in cell.step.items()}
    here = {q: loss_flow(cell, q, k) + flow_into(q[k], at_k, adjoints) for q in cell.step}
    start = tuple(
        write(q, T, loss_flow(cell, q, T) + flow_into(q[T], at_T, adjoints)) for q in reversed(cell.last_step)
    )
    from_last = {q: flow_into(q[T - 1], at_T, adjoints) for q in cell.step}
    looks_back_alike = all(from_last[q] == flow_into(q[k], after, adjoints).subs(k, T - 1) for q in cell.step)
    last = (
        ()
        if looks_back_alike
        else tuple(
            write(q, T - 1, here[q].subs(k, T - 1) + from_last[q], (Range(k, T - 1, T - 1),))
            for q in reversed(cell.step)
        )
    )
    over = (Range(k, T - 1 if looks_back_alike else T - 2, S.One, backwards=True),)
    step = tuple(write(q, k, here[q] + flow_into(q[k], after, adjoints), over) for q in reversed(cell.step))
    learnt = [state for state, value in cell.initial.items() if bare_of(value)]
    if learnt and not looks_back_alike:
        problem = "the last step looks back differently from the others, and the initial state is learnt"
        raise CellError(
            cell.name, f"state {learnt[0].name!r}", problem, "name what both steps compute before they differ"
        )
    first = tuple(
        write(q, S.Zero, flow_into(q[0], {a.subs(k, 0): r.subs(k, 0) for a, r in after.items()}, adjoints))
        for q in learnt
    )
    recurrence = (*start, *last, *step, *first)
    gradients = {
        weight: write_gradient(cell, weight, adjoints, local, recurrence, forward, ledger) for weight in cell.parameters
    }
    return Backward(adjoints, start, last, step, first, gradients)


def rule_of_loss(cell: Cell) -> Rule:
    """What an adjoint follows by that the loss flows into directly."""
    if cell.loss.has(logistic_cross_entropy):
        return LOGISTIC_CROSS_ENTROPY
    return SOFTMAX_CROSS_ENTROPY if cell.loss.has(SoftmaxCrossEntropy) else ADJOINT_START


def loss_flow(cell: Cell, quantity: Quantity, step: Expr) -> Expr:
    """What flows from the loss directly into a quantity at `step`."""
    if cell.loss_at_every_step:
        return partial_of_loss(cell.loss, quantity[k]).subs(k, step)
    return partial_of_loss(cell.loss, quantity[T]) if step == T else S.Zero


def using(quantity: Quantity, sources: Iterable[Equation]) -> tuple[Equation, ...]:
    """The equations that have `quantity` on the right."""
    return tuple(each for each in sources if quantity in {atom.quantity for atom in indexed_of(each.rhs)})


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
        term = pullback(source.rhs, weight, adjoint)
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
