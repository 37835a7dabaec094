"""Prints Levenberg–Marquardt as a NumPy module."""

from __future__ import annotations

import textwrap

from sympy import Eq, Piecewise

from derive.backends.numpy.update_rules_code import UpdateCode
from derive.backends.templating import docstring, render, sentence
from derive.language.quantities import Product, Quantity
from derive.methods.levenberg_marquardt import (
    MOST,
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
from derive.methods.update_rules import UpdateRule


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
        "start": short_number(START),
        "most": short_number(MOST),
    }
    return render("backends/numpy/templates/levenberg_marquardt.py.j2", fields)


def _arguments(rule: UpdateRule) -> tuple[Quantity, ...]:
    """What a function takes."""
    return (*((r, J, damping) if rule is STEP else (damping,)), *rule.defaults)


def _signature(rule: UpdateRule) -> str:
    kinds = {r: "Array", J: "Array", damping: "float"}
    positional = [f"{q.name}: {kinds[q]}" for q in _arguments(rule) if q in kinds]
    named = [f"{q.name}: float = {short_number(value)}" for q, value in rule.defaults.items()]
    return ", ".join([*positional, *(["*", *named] if named else [])])
