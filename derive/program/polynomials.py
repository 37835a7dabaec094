"""Polynomials in sizes: how many operations a program takes, as a formula such as 8 N D H + 8 N H²."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from derive.program.sizes import Size

Monomial: TypeAlias = tuple[str, ...]
"""The names in a product, each as often as it is a factor, in order: N and T first, then those of dimensions."""


def _place(name: str) -> tuple[bool, bool, str]:
    return name != "N", name != "T", name


@dataclass(frozen=True)
class Polynomial:
    """A sum of products of sizes.

    Attributes:
        terms: The products with their coefficients, none of which is 0, in order: of many factors first.
    """

    terms: tuple[tuple[Monomial, Fraction], ...] = ()

    @classmethod
    def of(cls, value: Polynomial | Size | Fraction | int) -> Polynomial:
        """A polynomial from a size or a number."""
        match value:
            case Polynomial():
                return value
            case Size(terms, constant):
                return cls._from({**{(name,): Fraction(c) for name, c in terms}, (): Fraction(constant)})
        return cls._from({(): Fraction(value)})

    @classmethod
    def _from(cls, terms: Mapping[Monomial, Fraction]) -> Polynomial:
        ordered = sorted(terms.items(), key=lambda term: (-len(term[0]), list(map(_place, term[0]))))
        return cls(tuple((names, c) for names, c in ordered if c))

    def __add__(self, other: Polynomial | Size | Fraction | int) -> Polynomial:
        total = dict(self.terms)
        for names, c in Polynomial.of(other).terms:
            total[names] = total.get(names, Fraction()) + c
        return self._from(total)

    def __mul__(self, other: Polynomial | Size | Fraction | int) -> Polynomial:
        total: dict[Monomial, Fraction] = {}
        for names, c in self.terms:
            for others, d in Polynomial.of(other).terms:
                product = tuple(sorted((*names, *others), key=_place))
                total[product] = total.get(product, Fraction()) + c * d
        return self._from(total)

    def __sub__(self, other: Polynomial | Size | Fraction | int) -> Polynomial:
        return self + Polynomial.of(other) * -1

    def number(self, values: Mapping[str, int]) -> Fraction:
        """Its value.

        Raises:
            KeyError: A name has no value.
        """
        total = Fraction()
        for names, c in self.terms:
            for name in names:
                c *= values[name]
            total += c
        return total

    def written(self, name_of: Callable[[str], str], power_of: str = "{}^{}") -> str:
        """The polynomial as text.

        Args:
            name_of: How a name is written.
            power_of: How a power is: a format of the name and the exponent.
        """
        text = ""
        for names, c in self.terms:
            powers = [(name_of(name), power) for name, power in Counter(names).items()]
            factors = [name if power == 1 else power_of.format(name, power) for name, power in powers]
            term = " ".join(([str(abs(c))] if abs(c) != 1 or not factors else []) + factors)
            text += f" {'-' if c < 0 else '+'} {term}" if text else f"-{term}" if c < 0 else term
        return text or "0"

    def __str__(self) -> str:
        return self.written(str)
