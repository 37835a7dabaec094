"""Prints the update rules as a page."""

from __future__ import annotations

import textwrap

from sympy import Add, Expr, Max, Min, Mul, Piecewise, S, fraction, sign

from derive.backends.templating import render, tidy
from derive.documents.latex import Formulas
from derive.language.quantities import Quantity
from derive.methods.notation import number, operands, terms_of_update
from derive.methods.update_rules import CLIPPING, METHODS, Method, UpdateRule, eta


class UpdateFormulas(Formulas):
    """LaTeX in which a quotient is one fraction."""

    def _terms(self, total: Add) -> list[Expr]:
        return terms_of_update(total)

    def _print_Mul(self, product: Mul) -> str:
        above, below = fraction(product)
        if below == S.One:
            return super()._print_Mul(product)
        return rf"\frac{{{self._print(above)}}}{{{self._print(below)}}}"

    def _print_Max(self, extreme: Min | Max) -> str:
        name = rf"\{type(extreme).__name__.lower()}"
        return rf"{name}\left( {', '.join(map(self._print, operands(extreme)))} \right)"

    _print_Min = _print_Max

    def _print_sign(self, call: sign) -> str:
        return rf"\mathrm{{sign}}\left( {self._print(call.args[0])} \right)"

    def _print_Piecewise(self, choice: Piecewise) -> str:
        *cases, (otherwise, _) = choice.args
        lines = [rf"{self._print(value)} & \text{{if }} {self._print(condition)}" for value, condition in cases]
        lines.append(rf"{self._print(otherwise)} & \text{{otherwise}}")
        return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"


def print_optimizers_page() -> str:
    """The page, as Markdown that GitHub typesets."""
    return tidy(
        render(
            "documents/templates/update_rules.md.j2",
            {
                "methods": METHODS.values(),
                "clipping": CLIPPING,
                "tex": UpdateFormulas().doprint,
                "kept": lambda method: ", ".join(f"$`{quantity.latex}`$" for quantity in method.state) or "nothing",
                "usual": _usual,
                "number": number,
                "wrapped": lambda text: textwrap.fill(text, 120),
                "anchor": lambda rule: rule.title.lower().replace(" ", "-"),
            },
        )
    )


def _usual(rule: UpdateRule, quantity: Quantity) -> str:
    if isinstance(rule, Method):
        if quantity == eta:
            return number(rule.learning_rate)
        if quantity in rule.state:
            return f"starts at $`{UpdateFormulas().doprint(rule.state[quantity])}`$"
    return number(rule.defaults[quantity]) if quantity in rule.defaults else ""
