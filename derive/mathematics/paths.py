"""The chain rule written out: the local partial derivatives, and every path from the loss to a use of a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Add, Expr, Integer, S

from derive.language.cell import Cell
from derive.language.operations import BatchSum, Chain, Partial, Total
from derive.language.quantities import (
    LOSS,
    At,
    Parameter,
    T,
    indexed_of,
    k,
)
from derive.mathematics.derivation import Equation, Forward, Range
from derive.mathematics.ledger import Ledger
from derive.mathematics.pullbacks import partial, partial_of_loss
from derive.mathematics.rules import (
    CHAIN,
    LOCAL_PARTIAL,
    SUM_OF_PATHS,
)
from derive.mathematics.unroll import MOST_WRITTEN_OUT, SHOWN_STEPS, elided, left_out, loss_of_steps, right_hand_sides


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
