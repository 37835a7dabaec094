"""Prints the update rules as a NumPy module."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from sympy import Add, Expr, Max, Min, Mul, Piecewise, S, fraction, sign
from sympy.core.relational import Relational

from derive.backends.numpy.numpy_code import Code
from derive.backends.templating import docstring, render, sentence
from derive.language.quantities import Quantity
from derive.methods.notation import is_scalar, number, operands, terms_of_update
from derive.methods.update_rules import CLIPPING, METHODS, Method, UpdateRule, W, bound, eta, g, norm


class UpdateCode(Code):
    """Code in which a quotient is one, a / b, and what is chosen is chosen entry by entry."""

    def _terms(self, total: Add) -> list[Expr]:
        return terms_of_update(total)

    def _print_Mul(self, product: Mul) -> str:
        above, below = fraction(product)
        return super()._print_Mul(product) if below == S.One else f"{self._factor(above)} / {self._factor(below)}"

    def _print_Max(self, extreme: Min | Max) -> str:
        name = type(extreme).__name__.lower()
        function = name if is_scalar(extreme) else f"np.{name}imum"
        return f"{function}({', '.join(map(self._print, operands(extreme)))})"

    _print_Min = _print_Max

    def _print_sign(self, call: sign) -> str:
        return f"np.sign({self._print(call.args[0])})"

    def _print_Relational(self, relation: Relational) -> str:
        return f"{self._print(relation.lhs)} {relation.rel_op} {self._print(relation.rhs)}"

    def _print_Piecewise(self, choice: Piecewise) -> str:
        *cases, (otherwise, _) = choice.args
        text = str(self._print(otherwise))
        for value, condition in reversed(cases):
            text = f"where({self._print(condition)}, {self._print(value)}, {text})"
        return text


def print_optimizers() -> str:
    """The module with one function a method, and the one of clipping.

    Returns:
        Its source, not yet formatted.
    """
    return render(
        "backends/numpy/templates/update_rules.py.j2",
        {
            "methods": METHODS.values(),
            "clipping": CLIPPING,
            "about": _about,
            "arguments": arguments,
            "meaning": _meaning,
            "signature": _signature,
            "lines": _lines,
            "starts": _starts,
            "number": number,
            "method_results": lambda method: _entries(quantity.name for quantity in (W, *method.state)),
            "returned": _returned,
        },
    )


def arguments(rule: UpdateRule) -> tuple[Quantity, ...]:
    """What the function of a method, or of clipping, takes."""
    return (W, g, eta, *rule.state, *rule.defaults) if isinstance(rule, Method) else (g, norm, bound)


def _about(rule: UpdateRule) -> list[str]:
    """The lines of a docstring below its first: the idea, the remark and the source."""
    paragraphs = [text for text in (rule.idea, rule.remark, f"{rule.source}.") if text]
    return "\n\n".join(textwrap.fill(docstring(text), 112) for text in paragraphs).splitlines()


def _meaning(rule: UpdateRule, quantity: Quantity) -> str:
    """An argument in a sentence: of the state also where it starts."""
    meaning = sentence(quantity).removesuffix(".")
    if isinstance(rule, Method) and quantity in rule.state:
        meaning += f"; starts at {rule.state[quantity]}"
    if quantity == eta and eta not in rule.reads:
        meaning += "; the update does not read it"
    return f"{meaning}."


def _signature(method: Method) -> str:
    positional = [f"{quantity.name}: Leaf" for quantity in (W, g, eta, *method.state)]
    named = [f"{quantity.name}: float = {number(value)}" for quantity, value in method.defaults.items()]
    return ", ".join([*positional, *(["*", *named] if named else [])])


def _lines(rule: UpdateRule) -> list[str]:
    return [f"{_code(equation.lhs)} = {_code(equation.rhs)}" for equation in rule.equations]


def _starts(method: Method) -> str:
    """The state before the first update; what does not start at 0 is of the shape and the type of the weight."""
    starts = (f"{_code(start)} * np.ones_like(W)" if start else "0.0" for start in method.state.values())
    return f"({_entries(starts)})"


def _returned(method: Method) -> str:
    state = " and ".join(quantity.name for quantity in method.state)
    return f"The new weight{f', and the new {state}' if state else ''}"


def _entries(texts: Iterable[str]) -> str:
    """What stands in a tuple."""
    entries = list(texts)
    return f"{entries[0]}," if len(entries) == 1 else ", ".join(entries)


def _code(expression: Expr) -> str:
    return str(UpdateCode().doprint(expression))
