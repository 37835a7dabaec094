"""Backpropagation through time: from the equations of a cell to its gradient, for any number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from derive.unroll import MOST_WRITTEN_OUT, SHOWN_STEPS, elided, left_out, loss_of_steps, right_hand_sides


@dataclass(frozen=True, eq=False)
class Node:
    """What a path comes through on its way back from the loss, linked to what it came through before.

    Attributes:
        at: A quantity at a numbered step, or the loss.
        above: The node before it; none for the loss.
        factor: The partial derivative of that one with respect to this one.
        length: How many such factors lead to it from the loss.
    """

    at: Expr
    above: Node | None = None
    factor: Expr = S.One
    length: int = 0

    def back_from(self, start: Node | None) -> list[Node]:
        """The nodes after `start` down to this one; all but the loss where there is no start."""
        found = []
        node = self
        while node.above is not None and node is not start:
            found.append(node)
            node = node.above
        return found[::-1]

    @property
    def derivatives(self) -> list[Partial]:
        """The factors that lead to it, not yet taken."""
        return [Partial(node.above.at, node.at) for node in self.back_from(None) if node.above]


@dataclass(frozen=True, eq=False)
class Path:
    """One path from the loss back to a use of a weight.

    Attributes:
        weight: Where it ends.
        end: What uses the weight.
        factor: The partial derivative of that with respect to the weight.
    """

    weight: Parameter
    end: Node
    factor: Expr

    @property
    def step(self) -> int:
        """The step at which the weight is used."""
        return int(self.end.at.index)

    def factors_from(self, start: Node | None) -> list[Expr]:
        """The partial derivatives on it after `start`, from the loss backwards, that of the weight last."""
        return [*(node.factor for node in self.end.back_from(start)), self.factor]

    @property
    def derivatives(self) -> Chain:
        """The path as a product of derivatives that are not yet taken."""
        return Chain(*self.end.derivatives, Partial(self.end.at, self.weight))


@dataclass(frozen=True)
class Tree:
    """All paths from the loss back to the uses of the weights, in a cell with one path to each.

    Attributes:
        nodes: Everything on a path, the loss first and each one after what is above it.
        paths: The paths, weight by weight, the last step first.
    """

    nodes: tuple[Node, ...]
    paths: tuple[Path, ...]


def find_paths(cell: Cell, steps: int) -> Tree:
    """Follows the loss of `steps` steps back to every use of a weight."""
    rights = {
        left: right for step in range(1, steps + 1) for left, right in right_hand_sides(cell, step, steps).items()
    }
    rights |= {state[0]: value for state, value in cell.initial.items()}
    nodes: list[Node] = []
    found: list[Path] = []
    ahead = [Node(LOSS)]
    while ahead:
        node = ahead.pop()
        nodes.append(node)
        right = loss_of_steps(cell, steps) if node.above is None else rights[node.at]
        if node.above is not None:
            slopes = ((weight, partial(right, weight)) for weight in cell.parameters)
            found += [Path(weight, node, slope) for weight, slope in slopes if slope != S.Zero]
        for atom in sorted(indexed_of(right), key=lambda atom: (int(atom.index), str(atom))):  # the last is next
            if atom.quantity in cell.computed and (slope := _slope(cell, steps, node, right, atom)) != S.Zero:
                ahead.append(Node(atom, node, slope, node.length + 1))
    order = {weight: place for place, weight in enumerate(cell.parameters)}
    return Tree(tuple(nodes), tuple(sorted(found, key=lambda path: (order[path.weight], -path.step))))


def _slope(cell: Cell, steps: int, node: Node, right: Expr, wrt: At) -> Expr:
    """∂node/∂wrt; of the loss, only the share of the one step that uses `wrt` is differentiated."""
    if node.above is None:
        return partial_of_loss(cell.loss.subs({k: wrt.index, T: Integer(steps)}), wrt)
    return partial(right, wrt)


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
    tree: Tree,
    marked: Callable[[Path], Expr],
    unrolled: tuple[Equation, ...],
    ledger: Ledger,
) -> dict[Path, Equation]:
    """Writes the chain rule out, path by path, for every weight.

    Args:
        cell: A cell with one path to each use of a weight.
        steps: How many steps.
        local: The local partial derivatives.
        tree: The paths.
        marked: Gives the product of a path, with its repeating terms marked.
        unrolled: The equations of all steps and of the loss.
        ledger: Where to write.

    Returns:
        The equation of each path that is written out.
    """
    written: dict[Path, Equation] = {}
    gates = find_gates(tree, steps)
    if gates:
        ledger.remark(
            """So many paths are not written out one by one. In the sums below, those that come through what step {step}
            computes begin with the same derivatives, and the rest of them adds up to its total derivative.""",
            step=str(steps - SHOWN_STEPS),
        )
    for weight in cell.parameters:
        mine = [path for path in tree.paths if path.weight == weight]
        terms = [
            BatchSum(part.derivatives if isinstance(part, Path) else Chain(*part.derivatives, Total(part.at, weight)))
            for part in dict.fromkeys(gates.get(path.end, path) for path in mine)
        ]
        if partial_of_loss(cell.loss, weight) != S.Zero:
            terms.append(Partial(LOSS, weight))
        whole = ledger.equation(Total(LOSS, weight), Add(*terms, evaluate=False), SUM_OF_PATHS, unrolled)
        for path in mine:
            if left_out(path.step, steps):
                ledger.dots()
                continue
            used = {local_partial_of(cell, steps, local, *derivative.args) for derivative in path.derivatives.args}
            written[path] = ledger.equation(
                path.derivatives, marked(path), CHAIN, (whole, *used), elided=elided(path.step, steps)
            )
    return written


def find_gates(tree: Tree, steps: int) -> dict[Node, Node]:
    """The first node on the way to each one that is too far back for the sum of all paths to go on one by one.

    Returns:
        That node, by every node behind it, itself included; nothing where there are so few steps that all is written.
    """
    gates: dict[Node, Node] = {}
    for node in tree.nodes[1:] if steps > MOST_WRITTEN_OUT else ():
        if node.above in gates:
            gates[node] = gates[node.above]
        elif node.at.index <= steps - SHOWN_STEPS:
            gates[node] = node
    return gates


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
