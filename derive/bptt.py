"""Backpropagation through time: from the equations of a cell to its gradient, for any number of steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, Integer, S, Sum

from derive.adjoints import partial, partial_of_loss, pullback
from derive.cell import Cell
from derive.derivation import Backward, Equation, Forward, Ledger, Range
from derive.operations import BatchSum, Chain, Partial, Total
from derive.quantities import LOSS, Adjoint, At, Parameter, Quantity, T, indexed_of, k
from derive.rules import (
    ADJOINT,
    ADJOINT_START,
    ADJOINT_STEP,
    CHAIN,
    CONTRIBUTION,
    LOCAL_PARTIAL,
    SUM_OF_PATHS,
    SUM_OVER_TIME,
)
from derive.unroll import elided, right_hand_sides


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
    loss = cell.loss.subs(T, Integer(steps))

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
        (LOSS, cell.loss.subs(T, Integer(steps))),
        *(item for step in range(steps, 0, -1) for item in reversed(right_hand_sides(cell, step, steps).items())),
    ]:
        for atom in indexed_of(right):
            if atom.quantity in cell.computed:
                counts[atom] = counts.get(atom, 0) + (1 if left is LOSS else counts.get(left, 0))
    return max(counts.values())


def write_local_partials(
    cell: Cell, steps: int, forward: Forward, ledger: Ledger
) -> dict[tuple[Quantity, Quantity], Equation]:
    """Writes the partial derivatives of the loss and of every equation of a step.

    Returns:
        Each equation by (what is differentiated, with respect to what).
    """
    written: dict[Any, Equation] = {}
    for atom in sorted(indexed_of(cell.loss), key=str):
        if atom.quantity in cell.computed:
            here = atom.subs(T, Integer(steps))
            slope = partial_of_loss(cell.loss, atom).subs(T, Integer(steps))
            written[LOSS, atom.quantity] = ledger.equation(Partial(LOSS, here), slope, LOCAL_PARTIAL, (forward.loss,))
    for source in forward.step:
        inner = sorted((atom for atom in indexed_of(source.rhs) if atom.quantity in cell.computed), key=str)
        weights = [weight for weight in cell.parameters if source.rhs.has(weight)]
        for wrt in [*inner, *weights]:
            quantity = wrt.quantity if isinstance(wrt, At) else wrt
            slope = partial(source.rhs, wrt)
            written[source.lhs.quantity, quantity] = ledger.equation(
                Partial(source.lhs, wrt), slope, LOCAL_PARTIAL, (source,), over=source.over
            )
    return written


def write_chain(
    cell: Cell,
    steps: int,
    local: Mapping[tuple[Quantity, Quantity], Equation],
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
        whole = ledger.equation(
            total, Add(*(BatchSum(path.derivatives) for path in mine), evaluate=False), SUM_OF_PATHS, unrolled
        )
        for path in mine:
            names = [node.quantity if isinstance(node, At) else node for node in (*path.through, weight)]
            used = {local[pair] for pair in itertools.pairwise(names)}
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
    return Add(*(pullback(right, quantity, adjoints[left.quantity][left.index]) for left, right in rights.items()))


def differentiate(cell: Cell, forward: Forward, ledger: Ledger) -> Backward:
    """Writes the adjoint recurrence, its start at k = T, each step's contribution and the gradients as sums.

    A quantity's adjoint at k is the sum of what flows back from the equations of step k that use it, from those of step
    k + 1 that look back at it, and from the loss.
    """
    adjoints = name_adjoints(cell)
    at_T = {q[T]: right for q, right in cell.last_step.items()}
    at_k = {q[k]: right for q, right in cell.step.items()}
    next_step = {q[k + 1]: right.subs(k, k + 1) for q, right in cell.step.items()}
    sources = {equation.lhs: equation for equation in (*forward.step, *forward.last)}
    direct = {q: partial_of_loss(cell.loss, q[k if cell.loss_at_every_step else T]) for q in cell.computed}

    for q, adjoint in adjoints.items():
        ledger.equation(adjoint[k], Total(LOSS, q[k]), ADJOINT, over=(Range(k, S.One, T),))
    start = tuple(
        ledger.equation(
            adjoints[q][T],
            direct[q].subs(k, T) + flow_into(q[T], at_T, adjoints),
            ADJOINT_START if direct[q] != S.Zero else ADJOINT_STEP,
            (forward.loss,) if direct[q] != S.Zero else using(q, sources),
        )
        for q in reversed(cell.last_step)
    )
    over = (Range(k, T - 1, S.One, backwards=True),)
    step = tuple(
        ledger.equation(
            adjoints[q][k],
            (direct[q] if cell.loss_at_every_step else S.Zero)
            + flow_into(q[k], at_k, adjoints)
            + flow_into(q[k], next_step, adjoints),
            ADJOINT_STEP,
            using(q, sources),
            over,
        )
        for q in reversed(cell.step)
    )
    gradients = {
        weight: write_gradient(cell, weight, adjoints, (*start, *step), forward, ledger) for weight in cell.parameters
    }
    return Backward(adjoints, start, (), step, gradients)


def using(quantity: Quantity, sources: Mapping[At, Equation]) -> tuple[Equation, ...]:
    """The equations that have `quantity` on the right."""
    return tuple(e for e in sources.values() if quantity in {atom.quantity for atom in indexed_of(e.rhs)})


def write_gradient(
    cell: Cell,
    weight: Parameter,
    adjoints: Mapping[Quantity, Adjoint],
    recurrence: Iterable[Equation],
    forward: Forward,
    ledger: Ledger,
) -> Equation:
    """Writes what one step adds to the derivative with respect to `weight`, and the derivative as the sum of it."""
    terms, used = [], []
    for source in forward.step:
        adjoint = adjoints[source.lhs.quantity][k]
        term = pullback(source.rhs, weight, adjoint)
        if term == S.Zero:
            continue
        written = ledger.equation(
            Chain(adjoint, Partial(source.lhs, weight)), term.args[0], CONTRIBUTION, (source, *recurrence), source.over
        )
        terms.append(Sum(term, (k, S.One, source.over[0].last)))
        used.append(written)
    return ledger.equation(Total(LOSS, weight), Add(*terms), SUM_OVER_TIME, tuple(used))
