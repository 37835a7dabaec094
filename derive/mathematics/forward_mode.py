"""Forward mode: the derivatives by the weights, carried along with the states (real-time recurrent learning).

A step computes q_k from values of step k, of step k - 1 and from the weights. Differentiated by a weight W, its
equation is a recurrence of the tangents, dq_k/dW = ∂q_k/∂W + Σ_p ∂q_k/∂p dp/dW over all values p that it reads.
R. J. Williams and D. Zipser, A learning algorithm for continually running fully recurrent neural networks (1989).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TypeAlias

from sympy import Add, Expr, S

from derive.language.cell import Cell
from derive.language.operations import Total
from derive.language.quantities import Parameter, Quantity, State, T, indexed_of, k
from derive.mathematics.derivation import Equation, Forward, Range, Tangents
from derive.mathematics.ledger import Ledger
from derive.mathematics.paths import LocalPartials
from derive.mathematics.pullbacks import partial
from derive.mathematics.recurrence import in_its_own_value
from derive.mathematics.rules import TANGENT_START, TANGENT_STEP

Pair: TypeAlias = tuple[Quantity, Parameter]
"""What is differentiated, and by which weight."""


def tangents_of_step(cell: Cell, step: Expr, carried: Collection[Pair]) -> dict[Pair, Expr]:
    """The right-hand sides of all tangents of a step, in computing order; what is always zero is left out.

    Args:
        cell: A cell of numbers.
        step: k, or T for the last step.
        carried: The tangents of the step before that are there.
    """
    found: dict[Pair, Expr] = {}
    for q, right in (cell.last_step if step == T else cell.step).items():
        atoms = sorted(indexed_of(right), key=str)
        for weight in cell.parameters:
            terms = [partial(right, weight)]
            for atom in atoms:
                if (atom.quantity, weight) in (found if atom.index == step else carried):
                    terms.append(partial(right, atom) * Total(atom, weight))
            slope = in_its_own_value(Add(*terms), q[step], right)
            if slope != S.Zero or (q, weight) in carried:
                found[q, weight] = slope
    return found


def carried_tangents(cell: Cell) -> set[Pair]:
    """Which states depend on which weights, at any step before the last."""
    readers: defaultdict[Quantity, list[Quantity]] = defaultdict(list)
    ahead = [(s, weight) for s, start in cell.initial.items() for weight in cell.parameters if start.has(weight)]
    for q, right in cell.step.items():
        ahead += [(q, weight) for weight in cell.parameters if partial(right, weight) != S.Zero]
        for atom in indexed_of(right):
            if partial(right, atom) != S.Zero:
                readers[atom.quantity].append(q)
    found = set(ahead)
    while ahead:
        q, weight = ahead.pop()
        further = {(reader, weight) for reader in readers[q]} - found
        found |= further
        ahead += further
    return {(q, weight) for q, weight in found if isinstance(q, State)}


def write_tangents(cell: Cell, forward: Forward, local: LocalPartials, ledger: Ledger) -> Tangents:
    """Writes the recurrence of the tangents: the start, a step, and the last step where it has others.

    Args:
        cell: A cell of numbers.
        forward: Its equations.
        local: The local partial derivatives.
        ledger: Where to write.
    """
    carried = carried_tangents(cell)
    at_k, at_T = (tangents_of_step(cell, step, carried) for step in (k, T))
    alike = {pair for pair, slope in at_k.items() if at_T.get(pair) == slope.subs(k, T)}
    every_step = {source.lhs.quantity: source for source in forward.step}
    last_step = every_step | {source.lhs.quantity: source for source in forward.last}
    starts = {source.lhs.quantity: source for source in forward.initial}

    def write(pair: Pair, step: Expr, right: Expr, source: Equation, over: tuple[Range, ...]) -> Equation:
        q, weight = pair
        inner = [atom for atom in indexed_of(source.rhs) if (source.lhs, atom) in local]
        uses = tuple(local[source.lhs, wrt] for wrt in (*inner, weight) if (source.lhs, wrt) in local)
        return ledger.equation(Total(q[step], weight), right, TANGENT_STEP, uses or (source,), over)

    initial = tuple(
        ledger.equation(Total(s[0], weight), start.diff(weight), TANGENT_START, (starts[s],))
        for s, start in cell.initial.items()
        for weight in cell.parameters
        if (s, weight) in carried
    )
    step = tuple(
        write(pair, k, right, every_step[pair[0]], (Range(k, S.One, T if pair in alike else T - 1),))
        for pair, right in at_k.items()
    )
    rolled = dict(zip(at_k, step, strict=True))
    last = []
    for pair, right in at_T.items():
        if pair not in alike:
            last.append(write(pair, T, right, last_step[pair[0]], ()))
        elif len(alike) < len(at_k):  # the last step has its own equations: all of it is computed by itself
            last.append(rolled[pair])
    weights = tuple(weight for weight in cell.parameters if any(weight == by for _, by in carried))
    return Tangents(initial, step, tuple(last), weights)


def at_last_step(tangents: Tangents) -> Mapping[Total, Equation]:
    """The equation of every tangent at T, by its left-hand side."""
    equations = (*tangents.step, *tangents.last)
    return {each.lhs.subs(k, T): each for each in equations if not each.over or each.over[0].last == T}
