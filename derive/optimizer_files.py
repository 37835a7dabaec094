"""Prints the update rules: as a NumPy module, and as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from sympy import Add, Expr, Max, Min, Mul, Piecewise, S, fraction, sign
from sympy.core.relational import Relational

from derive.latex import Formulas
from derive.notation import is_negative
from derive.numpy_code import Code
from derive.optimizers import CLIPPING, METHODS, Method, Rule, Scalar, W, bound, eta, g, n, norm
from derive.quantities import Quantity
from derive.templating import docstring, render, sentence, tidy


def terms_of_update(total: Expr) -> list[Expr]:
    """The terms of a sum in their usual order, β m + (1 - β) g: by what is averaged, not by its factors."""

    def key(term: Expr) -> tuple[bool, bool, int, int]:
        places = (quantity.place for quantity in term.atoms(Quantity) if not isinstance(quantity, Scalar))
        is_last = (not term.is_number and is_scalar(term)) or (term.is_number and total.has(n))
        return is_negative(term), is_last, min(places, default=0), len(Mul.make_args(term))

    return sorted(Add.make_args(total), key=key)


def operands(extreme: Min | Max) -> list[Expr]:
    """What the smaller or the larger one is taken of, constants last."""
    return sorted(extreme.args, key=lambda operand: (is_scalar(operand), str(operand)))


def is_scalar(expression: Expr) -> bool:
    """Whether it is one number for all entries."""
    return all(isinstance(quantity, Scalar) for quantity in expression.atoms(Quantity))


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


def print_optimizers() -> str:
    """The module with one function a method, and the one of clipping.

    Returns:
        Its source, not yet formatted.
    """
    return render(
        "optimizers.py.j2",
        {
            "methods": METHODS.values(),
            "clipping": CLIPPING,
            "about": _about,
            "arguments": arguments,
            "meaning": _meaning,
            "signature": _signature,
            "lines": _lines,
            "starts": _starts,
            "number": _number,
            "method_results": lambda method: _entries(quantity.name for quantity in (W, *method.state)),
            "returned": _returned,
        },
    )


def print_optimizers_page() -> str:
    """The page, as Markdown that GitHub typesets."""
    return tidy(
        render(
            "optimizers.md.j2",
            {
                "methods": METHODS.values(),
                "clipping": CLIPPING,
                "tex": UpdateFormulas().doprint,
                "kept": lambda method: ", ".join(f"$`{quantity.latex}`$" for quantity in method.state) or "nothing",
                "usual": _usual,
                "number": _number,
                "wrapped": lambda text: textwrap.fill(text, 120),
                "anchor": lambda rule: rule.title.lower().replace(" ", "-"),
            },
        )
    )


def arguments(rule: Rule) -> tuple[Quantity, ...]:
    """What the function of a method, or of clipping, takes."""
    return (W, g, eta, *rule.state, *rule.defaults) if isinstance(rule, Method) else (g, norm, bound)


def _about(rule: Rule) -> list[str]:
    """The lines of a docstring below its first: the idea, the remark and the source."""
    paragraphs = [text for text in (rule.idea, rule.remark, f"{rule.source}.") if text]
    return "\n\n".join(textwrap.fill(docstring(text), 112) for text in paragraphs).splitlines()


def _meaning(rule: Rule, quantity: Quantity) -> str:
    """An argument in a sentence: of the state also where it starts."""
    meaning = sentence(quantity).removesuffix(".")
    if isinstance(rule, Method) and quantity in rule.state:
        meaning += f"; starts at {rule.state[quantity]}"
    if quantity == eta and eta not in rule.reads:
        meaning += "; the update does not read it"
    return f"{meaning}."


def _signature(method: Method) -> str:
    positional = [f"{quantity.name}: Leaf" for quantity in (W, g, eta, *method.state)]
    named = [f"{quantity.name}: float = {_number(value)}" for quantity, value in method.defaults.items()]
    return ", ".join([*positional, *(["*", *named] if named else [])])


def _lines(rule: Rule) -> list[str]:
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


def _number(value: float) -> str:
    """1e-8, which Python would write 1e-08."""
    return repr(value).replace("e-0", "e-")


def _usual(rule: Rule, quantity: Quantity) -> str:
    if isinstance(rule, Method):
        if quantity == eta:
            return _number(rule.learning_rate)
        if quantity in rule.state:
            return f"starts at $`{UpdateFormulas().doprint(rule.state[quantity])}`$"
    return _number(rule.defaults[quantity]) if quantity in rule.defaults else ""
