"""Prints Levenberg–Marquardt as a page."""

from __future__ import annotations

import textwrap

from sympy import Eq

from derive.backends.templating import render, tidy
from derive.documents.update_rules_page import UpdateFormulas
from derive.language.quantities import Product, Quantity
from derive.methods.levenberg_marquardt import (
    INDICES,
    LOWERED,
    MOST,
    RAISED,
    RULES,
    START,
    STEP,
    Identity,
    J,
    Length,
    damping,
    r,
)
from derive.methods.notation import short_number


class StepFormulas(UpdateFormulas):
    """LaTeX in which an equation without a matrix product is written for one entry."""

    def __init__(self) -> None:
        super().__init__()
        self._of_entries = False

    def equation(self, equation: Eq) -> str:
        """Both sides; = where something is solved for, and else the arrow of an assignment."""
        self._of_entries = not equation.lhs.has(Product)
        relation = "&=" if equation.lhs.has(Product) else r"&\leftarrow"
        return f"{self.doprint(equation.lhs)} {relation} {self.doprint(equation.rhs)}"

    def _print_Quantity(self, quantity: Quantity) -> str:
        latex = super()._print_Quantity(quantity)
        return f"{latex}_{{{INDICES[quantity]}}}" if self._of_entries and quantity in INDICES else latex

    def _print_Length(self, length: Length) -> str:
        return rf"\sqrt{{\sum_n {self._print(length.args[0])}^2}}"

    def _print_Identity(self, identity: Identity) -> str:
        return "I"


def print_levenberg_marquardt_page() -> str:
    """The page, as Markdown that GitHub typesets."""
    named = [quantity for rule in RULES for quantity in rule.quantities if isinstance(quantity, Quantity)]
    fields = {
        "rules": RULES,
        "equations": lambda rule: [StepFormulas().equation(equation) for equation in rule.equations],
        "quantities": list(dict.fromkeys((r, J, damping, *named))),
        "usual": _usual,
        "wrapped": lambda text: textwrap.fill(text, 120),
        "source": STEP.source,
        "most": short_number(MOST),
    }
    return tidy(render("documents/templates/levenberg_marquardt.md.j2", fields))


def _usual(quantity: Quantity) -> str:
    if quantity == damping:
        return f"starts at {short_number(START)}"
    values = {**LOWERED.defaults, **RAISED.defaults}
    return short_number(values[quantity]) if quantity in values else ""
