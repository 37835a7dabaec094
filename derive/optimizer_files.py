"""Prints the update rules: as a NumPy module, and as a page."""

from __future__ import annotations

from sympy import Add, Expr, Mul, S, fraction

from derive.latex import Formulas
from derive.notation import is_negative
from derive.numpy_code import Code
from derive.optimizers import METHODS, Factor, Method, W, eta, g, n
from derive.quantities import Quantity
from derive.templating import render, tidy


def terms_of_update(total: Expr) -> list[Expr]:
    """The terms of a sum in their usual order, β m + (1 - β) g: by what is averaged, not by its factors."""

    def key(term: Expr) -> tuple[bool, bool, int]:
        places = (quantity.place for quantity in term.atoms(Quantity) if not isinstance(quantity, Factor))
        only_factors = not term.is_number and not term.atoms(Quantity) - term.atoms(Factor)
        return is_negative(term), only_factors or (term.is_number and total.has(n)), min(places, default=0)

    return sorted(Add.make_args(total), key=key)


class UpdateCode(Code):
    """Code in which a quotient is one, a / b."""

    def _terms(self, total: Add) -> list[Expr]:
        return terms_of_update(total)

    def _print_Mul(self, product: Mul) -> str:
        above, below = fraction(product)
        return super()._print_Mul(product) if below == S.One else f"{self._factor(above)} / {self._factor(below)}"


class UpdateFormulas(Formulas):
    """LaTeX in which a quotient is one fraction."""

    def _terms(self, total: Add) -> list[Expr]:
        return terms_of_update(total)

    def _print_Mul(self, product: Mul) -> str:
        above, below = fraction(product)
        if below == S.One:
            return super()._print_Mul(product)
        return rf"\frac{{{self._print(above)}}}{{{self._print(below)}}}"


def print_optimizers() -> str:
    """The module with one function a method.

    Returns:
        Its source, not yet formatted.
    """
    return render(
        "optimizers.py.j2",
        {
            "methods": METHODS.values(),
            "arguments": arguments,
            "signature": _signature,
            "lines": _lines,
            "method_results": lambda method: ", ".join(_results(method)) + ("," if not method.state else ""),
            "returned": _returned,
        },
    )


def print_optimizers_page() -> str:
    """The page, as Markdown that GitHub typesets."""
    fields = {"methods": METHODS.values(), "tex": UpdateFormulas().doprint, "usual": _usual}
    return tidy(render("optimizers.md.j2", fields))


def arguments(method: Method) -> tuple[Quantity, ...]:
    """What the function of a method takes."""
    return (W, g, eta, *method.state, *method.defaults)


def _signature(method: Method) -> str:
    positional = [f"{quantity.name}: Leaf" for quantity in (W, g, eta, *method.state)]
    named = [f"{quantity.name}: float = {value!r}" for quantity, value in method.defaults.items()]
    return ", ".join([*positional, *(["*", *named] if named else [])])


def _lines(method: Method) -> list[str]:
    return [f"{_code(equation.lhs)} = {_code(equation.rhs)}" for equation in method.equations]


def _results(method: Method) -> list[str]:
    return [quantity.name for quantity in (W, *method.state)]


def _returned(method: Method) -> str:
    state = " and ".join(quantity.name for quantity in method.state)
    return f"The new weight{f', and the new {state}' if state else ''}"


def _code(expression: Expr) -> str:
    return str(UpdateCode().doprint(expression))


def _usual(method: Method, quantity: Quantity) -> str:
    if quantity == eta:
        return str(method.learning_rate)
    return str(method.defaults.get(quantity, "starts at 0" if quantity in method.state else ""))
