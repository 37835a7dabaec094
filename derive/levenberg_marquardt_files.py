"""Prints Levenberg–Marquardt: as a NumPy module, and as a page."""

from __future__ import annotations

import textwrap

from sympy import Eq, Piecewise

from derive.levenberg_marquardt import INDICES, LOWERED, MOST, RAISED, START, STEP, Identity, J, Length, damping, r
from derive.optimizer_files import UpdateCode, UpdateFormulas
from derive.optimizers import Rule
from derive.quantities import Product, Quantity
from derive.templating import docstring, render, sentence, tidy

RULES = (STEP, LOWERED, RAISED)
"""What is printed, in order."""


class StepCode(UpdateCode):
    """Code in which every operation is one on whole arrays."""

    def equation(self, equation: Eq) -> str:
        """A line; what is a matrix times an unknown on the left is solved for it."""
        right = self.doprint(equation.rhs)
        if not isinstance(equation.lhs, Product):
            return f"{self.doprint(equation.lhs)} = {right}"
        matrix, unknown = map(self.doprint, equation.lhs.args)
        return f"{unknown} = np.linalg.solve({matrix}, {right})"

    def _print_Length(self, length: Length) -> str:
        return f"lengths({self._print(length.args[0])})"

    def _print_Identity(self, identity: Identity) -> str:
        return f"np.eye(len({self._print(identity.args[0])}))"

    def _print_Piecewise(self, choice: Piecewise) -> str:
        return f"np.{super()._print_Piecewise(choice)}"


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


def print_levenberg_marquardt() -> str:
    """The module with the step and the two changes of the damping.

    Returns:
        Its source, not yet formatted.
    """
    fields = {
        "rules": RULES,
        "signature": _signature,
        "arguments": _arguments,
        "sentence": sentence,
        "lines": lambda rule: [StepCode().equation(equation) for equation in rule.equations],
        "result": lambda rule: rule.equations[-1].lhs,
        "about": lambda rule: textwrap.wrap(docstring(rule.idea), 112),
        "source": textwrap.wrap(docstring(f"{STEP.source}."), 120),
        "start": _number(START),
        "most": _number(MOST),
    }
    return render("levenberg_marquardt.py.j2", fields)


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
        "most": _number(MOST),
    }
    return tidy(render("levenberg_marquardt.md.j2", fields))


def _arguments(rule: Rule) -> tuple[Quantity, ...]:
    """What a function takes."""
    return (*((r, J, damping) if rule is STEP else (damping,)), *rule.defaults)


def _signature(rule: Rule) -> str:
    kinds = {r: "Array", J: "Array", damping: "float"}
    positional = [f"{q.name}: {kinds[q]}" for q in _arguments(rule) if q in kinds]
    named = [f"{q.name}: float = {_number(value)}" for q, value in rule.defaults.items()]
    return ", ".join([*positional, *(["*", *named] if named else [])])


def _usual(quantity: Quantity) -> str:
    if quantity == damping:
        return f"starts at {_number(START)}"
    values = {**LOWERED.defaults, **RAISED.defaults}
    return _number(values[quantity]) if quantity in values else ""


def _number(value: float) -> str:
    """1e-3 and 1e12, which Python would write 0.001 and 1000000000000.0."""
    return f"{value:g}".replace("e-0", "e-").replace("e+", "e")
