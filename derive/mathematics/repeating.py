"""Finding the terms that repeat in the unrolled gradient, counting them, and naming them.

The chain rule, written out, multiplies partial derivatives from the loss backwards. Two paths that start alike share
the product so far; the longest shared products are worth a name. They turn out to be the adjoints δ_k.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sympy import Add, Expr, Integer, Mul, Pow, S

from derive.language.cell import Cell
from derive.language.operations import Marked
from derive.language.quantities import LOSS, Adjoint, At, Quantity, indexed_of, k
from derive.mathematics.derivation import Equation
from derive.mathematics.ledger import Ledger
from derive.mathematics.paths import Node, Path, Tree
from derive.mathematics.rules import NAME_TERM
from derive.mathematics.unroll import elided, left_out, loss_of_steps, right_hand_sides

DOTS = (r"$\vdots$",) * 3
"""A row of the table in place of those that are not shown."""


@dataclass(frozen=True, eq=False)
class RepeatingTerm:
    """A product that several paths begin with.

    Attributes:
        end: What these paths have come to: the term is the derivative of the loss with respect to it.
        before: The next shorter term that it extends.
        occurrences: In how many paths it occurs.
    """

    end: Node
    before: RepeatingTerm | None
    occurrences: int

    @property
    def at(self) -> At:
        """The quantity that the paths have come to."""
        return self.end.at

    @property
    def written_out(self) -> Expr:
        """All that is multiplied."""
        return Mul(*(node.factor for node in self.end.back_from(None)))

    @property
    def beyond(self) -> list[Expr]:
        """What is multiplied beyond the term before."""
        return [node.factor for node in self.end.back_from(self.before.end if self.before else None)]


Longest: TypeAlias = Mapping[Node, RepeatingTerm]
"""The longest repeating term on the way to each node; none for a node that no term leads to."""


def find(tree: Tree) -> Longest:
    """Finds every product that at least two paths begin with and that no longer one covers as often."""
    counts = Counter(path.end for path in tree.paths)
    longer: Counter[Node] = Counter()
    for node in reversed(tree.nodes):
        if node.above is not None:
            counts[node.above] += counts[node]
            longer[node.above] = max(longer[node.above], counts[node])
    longest: dict[Node, RepeatingTerm] = {}
    for node in tree.nodes[1:]:
        before = longest.get(node.above) if node.above else None
        if counts[node] > max(1, longer[node]):
            longest[node] = RepeatingTerm(node, before, counts[node])
        elif before:
            longest[node] = before
    return longest


def mark(path: Path, longest: Longest, adjoints: Mapping[Quantity, Adjoint]) -> Expr:
    """The product of a path, its repeating beginning marked with its name."""
    term = longest.get(path.end)
    if term is None:
        return Mul(*path.factors_from(None))
    name = adjoints[term.at.quantity][term.at.index]
    return Mul(Marked(term.written_out, name), *path.factors_from(term.end))


def write_terms(
    longest: Longest,
    adjoints: Mapping[Quantity, Adjoint],
    steps: int,
    written: Mapping[Path, Equation],
    ledger: Ledger,
) -> None:
    """Names each term, by the one before it where it extends it, and tabulates how often it occurs.

    Args:
        longest: The terms.
        adjoints: The names.
        steps: How many steps the display has.
        written: The equation of each path that is written out, in some of which a term occurs.
        ledger: Where to write.
    """
    uses: defaultdict[RepeatingTerm, list[Equation]] = defaultdict(list)
    for path, equation in written.items():
        if path.end in longest:
            uses[longest[path.end]].append(equation)
    named: dict[RepeatingTerm | None, Equation] = {}
    rows: list[tuple[Any, ...]] = []
    for term in sorted(dict.fromkeys(longest.values()), key=lambda term: term.end.length):
        name, step = adjoints[term.at.quantity][term.at.index], int(term.at.index)
        if not elided(step, steps):
            rows.append((name, term.written_out, Integer(term.occurrences)))
        elif rows[-1] != DOTS:
            rows.append(DOTS)
        if left_out(step, steps):
            ledger.dots()
            continue
        before: Expr = S.One
        if term.before:
            before = adjoints[term.before.at.quantity][term.before.at.index]
            before = Marked(before, before)
        known = (named[term.before],) if term.before in named else ()
        value = Mul(before, *term.beyond)
        named[term] = ledger.equation(name, value, NAME_TERM, (*known, *uses[term]), elided=elided(step, steps))
    ledger.table(("name", "written out", "occurs"), tuple(rows))


def count_products(cell: Cell, steps: int) -> dict[Expr, int]:
    """In how many products each adjoint would occur if the gradient were written out, and how many there are.

    A product is a path from the loss through what the steps compute to a use of a weight; what the loss has of a weight
    itself is none. Those through a quantity are all ways to it, each with all ways on from it.

    Returns:
        The number for each quantity at each step, and for the loss that of all products.
    """
    rights: dict[Expr, Expr] = {state[0]: value for state, value in cell.initial.items()}
    for step in range(1, steps + 1):
        rights |= right_hand_sides(cell, step, steps)
    rights[LOSS] = loss_of_steps(cell, steps)
    onwards: dict[Expr, int] = {}
    for left, right in rights.items():
        uses = 0 if left == LOSS else sum(right.has(weight) for weight in cell.parameters)
        onwards[left] = uses + sum(onwards.get(part, 0) for part in indexed_of(right))
    ways: Counter[Expr] = Counter({LOSS: 1})
    for left, right in reversed(rights.items()):
        for part in indexed_of(right):
            ways[part] += ways[left]
    return {left: ways[left] * onwards[left] for left in rights}


def write_occurrences(
    counts: Mapping[Expr, int], adjoints: Mapping[Quantity, Adjoint], steps: int, ledger: Ledger
) -> None:
    """Tabulates how often each adjoint would occur if the gradient were written out, one column per step."""
    first = 0 if any(counts.get(q[0]) for q in adjoints) else 1
    columns = [step for step in range(steps, first - 1, -1) if not elided(step, steps)]
    rows = [(adjoint[k], *(str(counts.get(q[step]) or "") for step in columns)) for q, adjoint in adjoints.items()]
    ledger.table(("", *(f"$k = {step}$" for step in columns)), tuple(reversed(rows)))


def count_operations(expression: Expr) -> int:
    """How many additions, multiplications, divisions and powers it takes to evaluate `expression` as it stands.

    SymPy's own `count_ops` would count the subtraction in the index of s_{k-1} too.
    """
    if isinstance(expression, At) or not expression.args:
        return 0
    inside = sum(count_operations(argument) for argument in expression.args)
    if isinstance(expression, Add):
        return inside + len(expression.args) - 1
    if isinstance(expression, Mul):
        return inside + len([factor for factor in expression.args if factor != S.NegativeOne]) - 1
    if isinstance(expression, Pow) and expression.exp == S.NegativeOne:
        return inside  # the division is counted where the reciprocal is multiplied
    return inside + 1


def operations_written_out(tree: Tree) -> int:
    """How many additions, multiplications and powers it takes to evaluate every path on its own."""
    inside: dict[Node | None, int] = {None: 0}
    for node in tree.nodes:
        inside[node] = inside[node.above] + count_operations(node.factor)
    return sum(inside[path.end] + count_operations(path.factor) + path.end.length for path in tree.paths)


def operations_named(tree: Tree, longest: Longest) -> int:
    """How many it takes when each repeating term is evaluated once, each from the one before it."""
    own = 0
    for term in dict.fromkeys(longest.values()):
        own += sum(map(count_operations, term.beyond)) + len(term.beyond) - (0 if term.before else 1)
    for path in tree.paths:
        begin = longest.get(path.end)
        rest = path.factors_from(begin.end if begin else None)
        own += sum(map(count_operations, rest)) + len(rest) - (0 if begin else 1)
    return own
