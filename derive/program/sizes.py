"""Sizes: linear forms with whole coefficients, such as `3 H + 1` rows, `T` steps, or the step `k - 1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A linear form: Σ coefficient · name + constant.

    Attributes:
        terms: The names with their coefficients, none of which is 0, by name, so that D + H equals H + D.
        constant: What is added.
    """

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @classmethod
    def of(cls, value: Size | str | int) -> Size:
        """A size from a name, a whole number, or a size."""
        if isinstance(value, Size):
            return value
        return cls((), value) if isinstance(value, int) else cls(((value, 1),))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it."""
        return tuple(name for name, _ in self.terms)

    def __add__(self, other: Size | str | int) -> Size:
        other = Size.of(other)
        total = dict(self.terms)
        for name, coefficient in other.terms:
            total[name] = total.get(name, 0) + coefficient
        return Size(tuple((name, c) for name, c in sorted(total.items()) if c), self.constant + other.constant)

    def __mul__(self, factor: int) -> Size:
        return Size(tuple((name, factor * c) for name, c in self.terms if factor), factor * self.constant)

    def __sub__(self, other: Size | str | int) -> Size:
        return self + Size.of(other) * -1

    def at(self, values: Mapping[str, Size | str | int]) -> Size:
        """The form with sizes put in for some of its names."""
        total = Size((), self.constant)
        for name, coefficient in self.terms:
            total += Size.of(values.get(name, name)) * coefficient
        return total

    @property
    def is_never_negative(self) -> bool:
        """Whether it is 0 or more for all names, each 1 or more, as far as the signs of the coefficients tell."""
        return all(c > 0 for _, c in self.terms) and sum(c for _, c in self.terms) + self.constant >= 0

    def number(self, values: Mapping[str, int]) -> int:
        """Its value.

        Raises:
            KeyError: A name has no value.
        """
        return self.constant + sum(c * values[name] for name, c in self.terms)

    def __str__(self) -> str:
        text = ""
        for name, c in sorted(self.terms, key=lambda term: term[1] < 0):
            factor = name if abs(c) == 1 else f"{abs(c)} * {name}"
            text += (f" - {factor}" if c < 0 else f" + {factor}") if text else (f"-{factor}" if c < 0 else factor)
        if not text:
            return str(self.constant)
        return text + (f" - {-self.constant}" if self.constant < 0 else f" + {self.constant}" if self.constant else "")
