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
from derive.derivation import Equation, Ledger
from derive.operations import Marked
from derive.quantities import Adjoint, At, Quantity
from derive.rules import NAME_TERM
from derive.unroll import elided

DOTS = (r"$\vdots$",) * 3
"""A row of the table in place of those that are not shown."""


@dataclass(frozen=True)
class RepeatingTerm:
    """A product that several paths begin with.

    Attributes:
        at: The quantity that these paths have come to: the term is the derivative of the loss with respect to it.
        factors: What is multiplied.
        occurrences: In how many paths it occurs.
    """

    at: At
    factors: tuple[Expr, ...]
    occurrences: int


def find(paths: Iterable[Path]) -> tuple[RepeatingTerm, ...]:
    """Finds every product that at least two paths begin with and that no longer one covers as often.

    Returns:
        The terms, the shortest first, each one extending the one before.
    """
    beginnings: Counter[tuple[Expr, ...]] = Counter()
    reached: dict[tuple[Expr, ...], At] = {}
    for path in paths:
        for length in range(1, len(path.factors)):
            beginnings[path.factors[:length]] += 1
            reached[path.factors[:length]] = path.through[length]
    longer = Counter({start: 0 for start in beginnings})
    for start, count in beginnings.items():
        longer[start[:-1]] = max(longer[start[:-1]], count)
    return tuple(
        RepeatingTerm(reached[start], start, count)
        for start, count in sorted(beginnings.items(), key=lambda item: len(item[0]))
        if count > 1 and count > longer[start]
    )


def longest(path: Path, terms: Iterable[RepeatingTerm]) -> RepeatingTerm | None:
    """The longest term that a path begins with."""
    return max(
        (term for term in terms if path.factors[: len(term.factors)] == term.factors),
        key=lambda term: len(term.factors),
        default=None,
    )


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
    named: dict[tuple[Expr, ...], tuple[Expr, Equation]] = {}
    rows: list[tuple[Any, ...]] = []
    for term in terms:
        name = adjoints[term.at.quantity][term.at.index]
        known = max((start for start in named if term.factors[: len(start)] == start), key=len, default=())
        before = (named[known][0],) if known else ()
        uses: tuple[Equation, ...] = (named[known][1],) if known else ()
        uses += tuple(equation for path, equation in written.items() if longest(path, terms) == term)
        value = Mul(*before, *term.factors[len(known) :])
        equation = ledger.equation(name, value, NAME_TERM, uses, elided=elided(int(term.at.index), steps))
        named[term.factors] = (Marked(name, name), equation)
        if not elided(int(term.at.index), steps):
            rows.append((name, Mul(*term.factors), Integer(term.occurrences)))
        elif rows[-1] != DOTS:
            rows.append(DOTS)
    ledger.table(("name", "written out", "occurs"), tuple(rows))


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
    products = {path.factors[:length] for path in paths for length in range(1, len(path.factors) + 1)}
    starts = {term.factors for term in terms}
    shared = {product for product in products if any(start[: len(product)] == product for start in starts)}
    own = sum(count_operations(product[-1]) + (len(product) > 1) for product in products if product in shared)
    for path in paths:
        begin = longest(path, terms)
        rest = path.factors[len(begin.factors) if begin else 0 :]
        own += sum(count_operations(factor) for factor in rest) + len(rest) - (0 if begin else 1)
    return own
