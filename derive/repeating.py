"""Finding the terms that repeat in the unrolled gradient, counting them, and naming them.

The chain rule, written out, multiplies partial derivatives from the loss backwards. Two paths that start alike share
the product so far; the longest shared products are worth a name. They turn out to be the adjoints δ_k.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow, S

from derive.bptt import Path
from derive.cell import Cell
from derive.derivation import Equation, Ledger
from derive.operations import Marked
from derive.quantities import Adjoint, At, Quantity, bare_of, indexed_of, k
from derive.rules import NAME_TERM
from derive.unroll import elided, loss_of_steps, right_hand_sides

DOTS = (r"$\vdots$",) * 3
"""A row of the table in place of those that are not shown."""


@dataclass(frozen=True)
class RepeatingTerm:
    """A product that several paths begin with.

    Attributes:
        through: What these paths have come through, from the loss to what the term is the derivative with respect to.
        factors: What is multiplied.
        occurrences: In how many paths it occurs.
    """

    through: tuple[Expr, ...]
    factors: tuple[Expr, ...]
    occurrences: int

    @property
    def at(self) -> At:
        """The quantity that the paths have come to."""
        return self.through[-1]

    def begins(self, path: Path) -> bool:
        """Whether a path begins with it."""
        return path.through[: len(self.through)] == self.through


def beginnings(path: Path) -> list[tuple[Expr, ...]]:
    """What a path comes through, up to each quantity on it."""
    return [path.through[:length] for length in range(2, len(path.through) + 1)]


def find(paths: Iterable[Path]) -> tuple[RepeatingTerm, ...]:
    """Finds every product that at least two paths begin with and that no longer one covers as often.

    Returns:
        The terms, the shortest first, each one extending the one before.
    """
    paths = tuple(paths)
    counts = Counter(through for path in paths for through in beginnings(path))
    longer: Counter[tuple[Expr, ...]] = Counter()
    for through, count in counts.items():
        longer[through[:-1]] = max(longer[through[:-1]], count)
    factors = {
        path.through[:length]: path.factors[: length - 1]
        for path in paths
        for length in range(2, len(path.through) + 1)
    }
    return tuple(
        RepeatingTerm(through, factors[through], count)
        for through, count in sorted(counts.items(), key=lambda item: len(item[0]))
        if count > 1 and count > longer[through]
    )


def longest(path: Path, terms: Iterable[RepeatingTerm]) -> RepeatingTerm | None:
    """The longest term that a path begins with."""
    return max((term for term in terms if term.begins(path)), key=lambda term: len(term.through), default=None)


def mark(path: Path, terms: Iterable[RepeatingTerm], adjoints: Mapping[Quantity, Adjoint]) -> Expr:
    """The product of a path, its repeating beginning marked with its name."""
    term = longest(path, terms)
    if term is None:
        return Mul(*path.factors)
    rest = path.factors[len(term.factors) :]
    return Mul(Marked(Mul(*term.factors), adjoints[term.at.quantity][term.at.index]), *rest)


def write_terms(
    terms: tuple[RepeatingTerm, ...],
    adjoints: Mapping[Quantity, Adjoint],
    steps: int,
    written: Mapping[Path, Equation],
    ledger: Ledger,
) -> None:
    """Names each term, by the one before it where it extends it, and tabulates how often it occurs.

    Args:
        terms: What to name.
        adjoints: The names.
        steps: How many steps the display has.
        written: The equation of each path, in some of which a term occurs.
        ledger: Where to write.
    """
    named: dict[tuple[Expr, ...], tuple[RepeatingTerm, Expr, Equation]] = {}
    rows: list[tuple[Any, ...]] = []
    for term in terms:
        name = adjoints[term.at.quantity][term.at.index]
        shorter = [through for through in named if term.through[: len(through)] == through]
        before, *uses = named[max(shorter, key=len)][1:] if shorter else (S.One,)
        known = len(max(shorter, key=len)) - 1 if shorter else 0
        value = Mul(before, *term.factors[known:])
        uses += [equation for path, equation in written.items() if longest(path, terms) == term]
        equation = ledger.equation(name, value, NAME_TERM, tuple(uses), elided=elided(int(term.at.index), steps))
        named[term.through] = (term, Marked(name, name), equation)
        if not elided(int(term.at.index), steps):
            rows.append((name, Mul(*term.factors), Integer(term.occurrences)))
        elif rows[-1] != DOTS:
            rows.append(DOTS)
    ledger.table(("name", "written out", "occurs"), tuple(rows))


def continuations(cell: Cell, steps: int) -> dict[At, int]:
    """How many paths lead from each quantity on to a use of a weight: so often its adjoint occurs, written out."""
    counts: dict[At, int] = {state[0]: len(bare_of(value)) for state, value in cell.initial.items()}
    for step in range(1, steps + 1):
        for left, right in right_hand_sides(cell, step, steps).items():
            on = sum(counts.get(part, 0) for part in indexed_of(right))
            counts[left] = on + sum(right.has(weight) for weight in cell.parameters)
    return counts


def number_of_products(cell: Cell, steps: int) -> int:
    """How many paths lead from the loss to a use of a weight."""
    counts = continuations(cell, steps)
    return sum(counts.get(atom, 0) for atom in indexed_of(loss_of_steps(cell, steps)))


def write_occurrences(cell: Cell, adjoints: Mapping[Quantity, Adjoint], steps: int, ledger: Ledger) -> None:
    """Tabulates how often each adjoint would occur if the gradient were written out, one column a step."""
    counts = continuations(cell, steps)
    columns = [step for step in range(steps, 0, -1) if not elided(step, steps)]
    rows = [(adjoint[k], *(str(counts.get(q[step], "")) for step in columns)) for q, adjoint in adjoints.items()]
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


def operations_written_out(paths: Iterable[Path]) -> int:
    """How many additions, multiplications and powers it takes to evaluate every path on its own."""
    return sum(sum(count_operations(factor) for factor in path.factors) + len(path.factors) - 1 for path in paths)


def operations_named(paths: Iterable[Path], terms: Iterable[RepeatingTerm]) -> int:
    """How many it takes when each repeating term is evaluated once, each from the one before it."""
    own = 0
    products = {
        path.through[:length]: path.factors[length - 2] for path in paths for length in range(2, len(path.through) + 1)
    }
    for through, factor in products.items():
        if any(term.through[: len(through)] == through for term in terms):
            own += count_operations(factor) + (len(through) > 2)
    for path in paths:
        begin = longest(path, terms)
        rest = path.factors[len(begin.factors) if begin else 0 :]
        own += sum(map(count_operations, rest)) + len(rest) - (0 if begin else 1)
    return own
