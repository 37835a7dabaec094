"""Prints the modules that need no data: moments.py and descent.py, each line an equation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sympy import Add, Expr, Integer, Pow, S, Sum, expand, horner

from derive.backends.numpy.numpy_code import Code
from derive.backends.templating import render
from derive.language.arithmetic import FRACTIONS
from derive.language.cell import Cell
from derive.language.evaluate import Point
from derive.language.exact import exact
from derive.language.points import example_point
from derive.language.quantities import Abbreviation, At, N, Quantity, T
from derive.mathematics.closed_form import j, m
from derive.mathematics.derivation import Derivation, Equation


class SumsCode(Code):
    """Code without a recurrence: `s_T` is one value a sequence, and a power of the steps a table of powers."""

    def _print_At(self, atom: At) -> str:
        if isinstance(atom.quantity, Abbreviation):
            return f"{atom.quantity.name}[{self._print(atom.index)}]"
        return f"{atom.quantity.name}_{self._print(atom.index)}"

    def _print_Pow(self, power: Pow) -> str:
        if power.exp.free_symbols & {j, m}:
            base, exponent = power.args
            if next(filter(None, map(exponent.coeff, (T, m, j)))) < 0:  # SymPy turns (1/2)^(T - j) into 2^(j - T)
                base, exponent = 1 / base, -exponent
            return f"power({self._print(base)}, {self._print(exponent)})"
        return super()._print_Pow(power)


class NumbersCode(Code):
    """Code of Python's own numbers, on which `**` raises an error where a product becomes infinite."""

    def _print_Pow(self, power: Pow) -> str:
        base, exponent = power.args
        if isinstance(base, Quantity) and isinstance(exponent, Integer) and exponent > 1:
            return " * ".join([self._print(base)] * int(exponent))
        return super()._print_Pow(power)


def text(expression: Expr, code: Code | None = None) -> str:
    """An expression as code."""
    return str((code or SumsCode()).doprint(expression))


def steps_of(total: Sum) -> str:
    """The values of a sum's index, as an array."""
    index, first, last = total.limits[0]
    return f"{index} = np.arange({text(first)}, {text(last + 1)})"


def named(cell: Cell) -> dict[str, Any]:
    """The fields that every module of a cell has in common."""
    names = [weight.name for weight in cell.parameters]
    return {"title": cell.title, "weight_names": names, "weights": in_a_row(names)}


def in_a_row(names: Sequence[str]) -> str:
    """Names to the left of an assignment that takes a tuple apart."""
    return f"{', '.join(names)}{',' if len(names) == 1 else ''}"


def print_moments(derivation: Derivation) -> str | None:
    """The module whose steps need no data; nothing where the loss is no polynomial.

    Returns:
        Its source, not yet formatted.
    """
    form, cell = derivation.moments, derivation.cell
    if form is None:
        return None
    rows = []
    for place, equation in enumerate(form.polynomials):
        total = equation.rhs
        power = next(part for part in total.function.atoms(Pow) if part.exp.has(m))
        coefficient = total.function.xreplace({power: S.One})
        rows.append(steps_of(total))
        rows.append(f"table[{place}, {text(power.exp)}] = {text(coefficient)}  # ({equation.number})")
    names = [equation.lhs.name for equation in form.polynomials]
    tau = form.squares.lhs
    results = [
        f"value = {text(form.loss.rhs, NumbersCode())}  # ({form.loss.number})",
        *(f"{text(e.lhs)} = {text(e.rhs, NumbersCode())}  # ({e.number})" for e in form.gradients.values()),
    ]
    fields = {
        "cell": cell,
        "numbers": {
            "small": form.products[0].number,
            "large": form.products[1].number,
            "b": form.cross.number,
            "tau": form.squares.number,
        },
        "rows": rows,
        "names": names,
        "factor": text(form.factor),
        "of_factor": f"{text(form.of_factor.lhs)} = {text(form.of_factor.rhs)}  # ({form.of_factor.number})"
        if form.of_factor
        else "",
        "tau": tau.name,
        "results": results,
        "sizes": sizes_of_terms(form.loss, form.gradients.values()),
        **named(cell),
    }
    return render("backends/numpy/templates/moments.py.j2", fields)


def sizes_of_terms(loss: Equation, gradients: Iterable[Equation]) -> list[str]:
    """For the loss and every gradient the sum of its terms without their signs, for weights without theirs."""
    rights = (loss.rhs, *(equation.rhs for equation in gradients))
    terms = ([term.as_coeff_Mul() for term in Add.make_args(expand(right))] for right in rights)
    return [text(Add(*(abs(number) * rest for number, rest in each)), NumbersCode()) for each in terms]


def print_descent(derivation: Derivation) -> str | None:
    """Gradient descent on the example's data, folded in; nothing where there is no example or no polynomial.

    Returns:
        Its source, not yet formatted.
    """
    cell, form = derivation.cell, derivation.moments
    example = cell.worked_example
    if example is None or form is None:
        return None
    # Of the point only the data are used; an example has weights to start from, and not always a solution.
    point = example_point(cell, replace(example, solution=example.start), FRACTIONS)
    known = {equation.lhs: spelt_out(equation.rhs, point) for equation in (*form.polynomials, form.squares)}
    factor = {form.of_factor.lhs: form.of_factor.rhs} if form.of_factor else {}
    moves = []
    for weight, equation in form.gradients.items():
        slope = equation.rhs.xreplace(known).xreplace(factor).subs(N, point.sequences)
        moved = horner(expand(exact(example.learning_rates[weight.name]) * slope), wrt=cell.parameters)
        moves.append((weight.name, text(moved, NumbersCode()), equation.number))
    fields = {
        "cell": cell,
        "example": example,
        "moves": moves,
        "loss_number": form.loss.number,
        **named(cell),
    }
    return render("backends/numpy/templates/descent.py.j2", fields)


def spelt_out(expression: Expr, point: Point) -> Expr:
    """A polynomial with the moments of the data at a point put in, exactly."""
    if not isinstance(expression, Sum):
        return point.number(expression)
    index, first, last = expression.limits[0]
    places = range(int(first.subs(T, point.steps)), int(last.subs(T, point.steps)) + 1)
    terms = (expression.function.subs(index, place) for place in places)
    return Add(*(term.xreplace({atom: point.number(atom) for atom in term.atoms(At)}) for term in terms))
