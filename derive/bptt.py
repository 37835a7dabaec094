"""Backpropagation through time: from the equations of a cell to its gradient, for any number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Add, Expr, Function, Integer, Max, S, Sum

from derive.adjoints import partial, partial_of_loss, pullback
from derive.cell import Cell
from derive.derivation import Backward, Equation, Forward, Ledger, Range
from derive.errors import CellError
from derive.operations import BatchSum, Chain, Partial, SoftmaxCrossEntropy, Total, logistic_cross_entropy
from derive.quantities import LOSS, Adjoint, At, Parameter, Quantity, T, atoms_of, bare_of, indexed_of, k, quantity_of
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
        place, over = (k, (Range(k, S.Zero if q in learnt else S.One, T),)) if q in cell.step else (T, ())
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
    last: tuple[Equation, ...] = ()
    before_T = T - 1
    if not looks_back_alike:
        only = (Range(k, Max(1, T - 1), T - 1),)  # for T = 1 there is no such step
        last = tuple(write(q[T - 1], moved(here[q], T - 1) | from_last[q], only) for q in backwards)
        before_T = T - 2
    over = (Range(k, before_T, S.One, backwards=True),)
    alike = {q: [source_of(left, q[T - 1]) for left in from_last[q] if looks_back_alike] for q in backwards}
    step = tuple(write(q[k], here[q] | from_next[q], over, alike[q]) for q in backwards)
    first = tuple(write(q[0], moved(from_next[q], S.Zero), (), alike[q]) for q in learnt)
    recurrence = (*start, *last, *step, *first)
    gradients = {
        weight: write_gradient(cell, weight, adjoints, local, recurrence, forward, ledger) for weight in cell.parameters
    }
    return Backward(adjoints, start, last, step, first, gradients)


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
