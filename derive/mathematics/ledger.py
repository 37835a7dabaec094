"""The ledger in which a derivation is written: it numbers the equations."""

from __future__ import annotations

from typing import Any

from sympy import Expr

from derive.language.report import Report, silent
from derive.mathematics.derivation import Dots, Entry, Equation, Figure, Range, Remark, Section, Table, Work
from derive.mathematics.rules import Rule


class Ledger:
    """Collects the entries of a derivation and numbers its equations; the one mutable thing, gone when it is done.

    Args:
        report: Told which equation comes next.
    """

    def __init__(self, report: Report = silent) -> None:
        self._report = report
        self._count = 0
        self._sections: list[tuple[str, list[Entry], set[int]]] = []
        self._by_numbers: list[str] = []

    def section(self, title: str) -> None:
        """Opens a section; what follows goes into it."""
        self._sections.append((title, [], set()))

    def equation(
        self,
        lhs: Expr,
        rhs: Expr,
        rule: Rule,
        uses: tuple[Equation, ...] = (),
        over: tuple[Range, ...] = (),
        *,
        at_example: bool = False,
        elided: bool = False,
    ) -> Equation:
        """Adds an equation under the next number.

        Args:
            lhs: Left-hand side.
            rhs: Right-hand side.
            rule: What it follows by.
            uses: The equations that it follows from.
            over: The indices for which it holds.
            at_example: Whether it speaks of the example's data only.
            elided: Whether the display may put dots in its place.
        """
        self._count += 1
        numbers = tuple(sorted({used.number for used in uses}))
        equation = Equation(self._count, lhs, rhs, rule, numbers, over, at_example)
        _, entries, hidden = self._sections[-1]
        entries.append(equation)
        self._report(f"deriving equation {self._count + 1}")
        if elided:
            hidden.add(equation.number)
        return equation

    def remark(self, template: str, **values: Any) -> None:
        """Adds a paragraph."""
        self._sections[-1][1].append(Remark(template, values))

    def table(self, header: tuple[Any, ...], rows: tuple[tuple[Any, ...], ...]) -> None:
        """Adds a table."""
        self._sections[-1][1].append(Table(header, rows))

    def dots(self) -> None:
        """Says that equations like the one before are left out; once for all that follow one another."""
        entries = self._sections[-1][1]
        if not isinstance(entries[-1], Dots):
            entries.append(Dots())

    def figure(self, name: str, caption: str) -> None:
        """Adds a picture."""
        self._sections[-1][1].append(Figure(name, caption))

    def work(self) -> None:
        """Says here how much work a step is."""
        self._sections[-1][1].append(Work())

    def by_numbers(self, claim: str) -> None:
        """Notes a claim that is not proved symbolically, but agrees at random points."""
        self._by_numbers.append(claim)

    @property
    def claims_by_numbers(self) -> tuple[str, ...]:
        """These claims."""
        return tuple(self._by_numbers)

    def close(self) -> tuple[Section, ...]:
        """The sections, as immutable data."""
        return tuple(Section(title, tuple(entries), frozenset(hidden)) for title, entries, hidden in self._sections)
