"""The proof that forward mode and backpropagation through time give the same gradient, for any number of steps.

Q_m pairs the two: up to step m a weight W acts forwards, through the tangents; after it backwards, by contributions,

    Q_m = Σ_n Σ_s δ^s_m ds_m/dW + Σ_{k > m} Σ_n Σ_q δ^q_k ∂q_k/∂W.

Q_T is the gradient of forward mode, Q_0 that of backpropagation, and Q_m does not depend on m: that is proved
from the two recurrences, or the derivation stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sympy import Add, Expr, Max, S, Sum

from derive.language.cell import Cell
from derive.language.operations import BatchSum, Partial, Total
from derive.language.quantities import LOSS, At, Parameter, Quantity, SharedAbbreviation, T, indexed_of, k
from derive.mathematics.closed_form import m, prove
from derive.mathematics.derivation import Backward, Equation, Forward, Range, Tangents
from derive.mathematics.forward_mode import at_last_step
from derive.mathematics.ledger import Ledger
from derive.mathematics.pullbacks import partial, partial_of_loss
from derive.mathematics.recurrence import flows_into, in_its_own_value
from derive.mathematics.rules import FORWARD_GRADIENT, PAIRED_ALIKE, PAIRED_END, PAIRED_LAST, PAIRED_STEP, PAIRING


def write_forward_gradients(
    cell: Cell, forward: Forward, tangents: Tangents, ledger: Ledger
) -> dict[Parameter, Equation]:
    """Writes the gradient as forward mode has it: what the loss reads of the last step, and the tangents of that."""
    known, written = at_last_step(tangents), {}
    for weight in cell.parameters:
        used = {atom: known[Total(atom, weight)] for atom in seen_by(cell) if Total(atom, weight) in known}
        terms = [BatchSum(Partial(LOSS, atom) * Total(atom, weight)) for atom in used]
        right = Add(*terms, direct(cell, weight))
        written[weight] = ledger.equation(Total(LOSS, weight), right, FORWARD_GRADIENT, (forward.loss, *used.values()))
    return written


def seen_by(cell: Cell) -> list[At]:
    """What the loss reads of the last step, of what the step computes."""
    return [q[T] for q in cell.computed if q[T] in indexed_of(cell.loss)]


def direct(cell: Cell, weight: Parameter) -> Expr:
    """∂ξ/∂W, where the loss itself uses the weight."""
    return S.Zero if partial_of_loss(cell.loss, weight) == S.Zero else Partial(LOSS, weight)


def write_proof(
    cell: Cell,
    forward: Forward,
    backward: Backward,
    tangents: Tangents,
    gradients: Mapping[Parameter, Equation],
    ledger: Ledger,
) -> None:
    """Writes the induction for every weight that the states carry on, and proves its step symbolically.

    Args:
        cell: A cell of numbers with a loss at the last step.
        forward: Its equations.
        backward: Its adjoints and gradients.
        tangents: Its forward mode.
        gradients: The gradients as forward mode has them.
        ledger: Where to write.

    Raises:
        CertificateError: The proof does not go through.
    """
    pairings = _Pairings(cell, forward, backward, tangents)
    for number, weight in enumerate(tangents.weights):
        for claim, left, right in pairings.claims(weight):
            prove(cell, f"that forward mode gives the gradient for {weight}, {claim}", left, right, ledger)
        if number:
            ledger.remark("The same for {weight}:", weight=weight)
        _write_induction(pairings, weight, gradients[weight], ledger)
    if others := [weight for weight in cell.parameters if weight not in tangents.weights]:
        ledger.remark(
            """No state carries {weights}: there {equations} and backpropagation are the same sum already.""",
            weights=tuple(others),
            equations=tuple(gradients[weight] for weight in others),
        )


def _write_induction(pairings: _Pairings, weight: Parameter, gradient: Equation, ledger: Ledger) -> None:
    """Writes Q_m, one step of it, that it is always the same, and what it is at both ends."""
    backward, tangents = pairings.backward, pairings.tangents
    at_0, at_k, at_T = (pairings.pairing(weight, step) for step in (S.Zero, k, T))
    added, added_at_T = (pairings.contributions(weight, step) for step in (k, T))
    starts_alike = at_k.subs(k, S.Zero) == at_0
    own_last = any(each.rhs.has(weight) for each in pairings.forward.last)  # then `after` names its contribution apart
    ends_alike = at_k.subs(k, T) == at_T and added.subs(k, T) == added_at_T and not own_last
    first, last = S.Zero if starts_alike else S.One, T if ends_alike else T - 1
    after = pairings.after(weight)
    pieces = [(pairings.paired(weight, at_k, m) + after, first, last)]
    if not starts_alike:
        pieces.append((pairings.paired(weight, at_0, S.Zero) + after.subs(m, S.Zero), S.Zero, S.Zero))
    if not ends_alike:
        pieces.append((pairings.paired(weight, at_T, T), T, T))
    letter = "Q" if "Q" not in {quantity.latex for quantity in pairings.cell.quantities} else r"\tilde{Q}"
    Q = SharedAbbreviation(f"Q_{weight.name}", f"{letter}^{{{weight.latex}}}", "the pairing", tuple(pieces), m)
    both = (gradient, backward.gradients[weight])
    definitions = tuple(
        ledger.equation(Q[low], right, PAIRING, both)
        if low == high
        else ledger.equation(Q[m], right, PAIRING, both, (Range(m, low, high),))
        for right, low, high in pieces
    )

    def of_weight(equations: Iterable[Equation]) -> tuple[Equation, ...]:
        return tuple(each for each in equations if each.lhs.args[1] == weight)

    recurrences = (*of_weight(tangents.step), *backward.step, *backward.before_last)
    steps = [ledger.equation(at_k, at_k.subs(k, k - 1) + added, PAIRED_STEP, recurrences, (Range(k, first + 1, last),))]
    if not ends_alike:
        over = () if starts_alike else (Range(k, Max(2, T), T),)  # for T = 1 there is no step before
        uses = (*of_weight(pairings.last.values()), *backward.start, *(backward.before_last or backward.step))
        steps.append(ledger.equation(at_T, at_k.subs(k, T - 1) + added_at_T, PAIRED_STEP, uses, over))
    alike = ledger.equation(Q[k], Q[k - 1], PAIRED_ALIKE, (*definitions, *steps), (Range(k, S.One, T),))
    at_end = ledger.equation(Q[T], Total(LOSS, weight), PAIRED_LAST, (definitions[-1], *backward.start, gradient))
    sums = backward.gradients[weight]
    uses = (definitions[0 if starts_alike else 1], *of_weight(tangents.initial), sums)
    at_start = ledger.equation(Q[S.Zero], sums.rhs, PAIRED_END, uses)
    ledger.remark(
        """By {alike} the two ends are equal: {end} is the gradient by forward mode, {start} the one by backpropagation
        that {sums} gives.""",
        alike=alike,
        end=at_end,
        start=at_start,
        sums=sums,
    )


@dataclass(frozen=True)
class _Pairings:
    """What the proof speaks of, for one cell: the equations of the cell, of its adjoints and of its tangents."""

    cell: Cell
    forward: Forward
    backward: Backward
    tangents: Tangents

    @cached_property
    def last(self) -> Mapping[Total, Equation]:
        """The equation of every tangent at T, by its left-hand side."""
        return at_last_step(self.tangents)

    @cached_property
    def _adjoints_at(self) -> Mapping[Expr, Mapping[Expr, Expr]]:
        """The recurrence of the adjoints at each step where the proof needs it: right-hand sides by left-hand sides."""
        step = {each.lhs: each.rhs for each in self.backward.step}
        return {place: at(step, place) for place in (k, k - 1, T - 1, T - 2, S.One)}

    def pairing(self, weight: Parameter, step: Expr) -> Expr:
        """Σ δ^q dq/dW of a step, for one sequence: of the states or, at T, of what the loss reads."""
        states = [each.lhs.args[0].quantity[step] for each in self.tangents.initial if each.lhs.args[1] == weight]
        read = [atom for atom in seen_by(self.cell) if Total(atom, weight) in self.last] if step == T else states
        return Add(*(self._passed_on(atom) * Total(atom, weight) for atom in read))

    def _passed_on(self, atom: At) -> Expr:
        """The part of an adjoint that does not come from its own step: from the next one, or from the loss."""
        q, step = atom.quantity, atom.index
        if step == S.Zero:
            return self._adjoint(q, step)
        idle = {each.lhs for each in self.backward.step if each.rhs == S.Zero}  # outputs that only the last step uses
        rights = self.cell.last_step if step == T else self.cell.step
        readers = {p[step]: right for p, right in rights.items() if step == T or self._adjoint(p, k) not in idle}
        return self._adjoint(q, step) - Add(*flows_into(atom, readers, self.backward.adjoints).values())

    def _adjoint(self, q: Quantity, step: Expr) -> Expr:
        return self.backward.adjoints[q][step]

    def contributions(self, weight: Parameter, step: Expr) -> Expr:
        """Σ δ^q ∂q/∂W of a step, for one sequence."""
        rights = self.cell.last_step if step == T else self.cell.step
        return Add(*(self._contribution(q[step], weight) for q, right in rights.items() if right.has(weight)))

    def _contribution(self, left: At, weight: Parameter) -> Expr:
        return self._adjoint(left.quantity, left.index) * Partial(left, weight)

    def after(self, weight: Parameter) -> Expr:
        """The contributions of the steps after m, of all sequences."""
        rolled = [
            Sum(BatchSum(self._contribution(source.lhs, weight)), (k, m + 1, source.over[0].last))
            for source in self.forward.step
            if source.rhs.has(weight)
        ]
        at_T = [BatchSum(self._contribution(each.lhs, weight)) for each in self.forward.last if each.rhs.has(weight)]
        return Add(*rolled, *at_T)

    def paired(self, weight: Parameter, pairing: Expr, place: Expr) -> Expr:
        """The pairing of all sequences at a place, and what the loss owes to the weight itself."""
        terms = [BatchSum(term) for term in Add.make_args(pairing) if term != S.Zero]
        return Add(*terms).subs(k, place) + direct(self.cell, weight)

    def claims(self, weight: Parameter) -> Iterator[tuple[str, Expr, Expr]]:
        """The steps of the induction, wherever a recurrence is another: words, and two sides that must be equal."""
        start, last = (
            {each.lhs: each.rhs for each in equations}
            for equations in (self.backward.start, self.backward.before_last or ())
        )
        adjoints = self._adjoints_at
        tangents = {each.lhs: each.rhs for each in self.tangents.step if each.lhs.args[1] == weight}
        at_T = {left: each.rhs.subs(k, T) for left, each in self.last.items() if left.args[1] == weight}
        begin = {each.lhs: each.rhs for each in (*self.tangents.initial, *self.backward.first)}
        yield self._claim("at a step", weight, k, k - 1, {**adjoints[k], **adjoints[k - 1], **tangents})
        if last:
            known = {**last, **adjoints[T - 2], **at(tangents, T - 1)}
            yield self._claim("at the step before the last", weight, T - 1, T - 2, known)
        yield self._claim("at the last step", weight, T, T - 1, {**start, **(last or adjoints[T - 1]), **at_T})
        yield self._claim(
            "at the first step", weight, S.One, S.Zero, {**adjoints[S.One], **at(tangents, S.One), **begin}
        )

    def _claim(
        self, words: str, weight: Parameter, step: Expr, before: Expr, known: Mapping[Expr, Expr]
    ) -> tuple[str, Expr, Expr]:
        """That the pairing at a step is that of the step before and what the step contributes, with all put in."""
        here = T if step == T else k
        earlier = self.pairing(weight, S.Zero) if before == S.Zero else self.pairing(weight, k).subs(k, before)
        added = self.contributions(weight, here)
        rights = self.cell.last_step if here == T else self.cell.step
        slopes = {
            Partial(q[here], weight): in_its_own_value(partial(right, weight), q[here], right)
            for q, right in rights.items()
        }
        left = self.pairing(weight, here).subs(k, step)
        right = earlier + added.xreplace(slopes).subs(k, step)
        return words, put_in(left, known), put_in(right, known)


def at(known: Mapping[Expr, Expr], step: Expr) -> dict[Expr, Expr]:
    """Equations of step k at another step."""
    return {left.subs(k, step): right.subs(k, step) for left, right in known.items()}


def put_in(expression: Expr, known: Mapping[Expr, Expr]) -> Expr:
    """An expression with right-hand sides put in until there is nothing left to put in."""
    while (further := expression.xreplace(known)) != expression:
        expression = further
    return expression
