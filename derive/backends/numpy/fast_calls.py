"""Prints equations as calls of NumPy that write into arrays which are there already.

Two kinds of lines: in a loop over the steps a quantity is one block, `h[k]`; in bulk it is the blocks of all steps of a
window, `h[1:stop]`. Both are made from the same equations, and each carries its number.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sympy import Add, Dummy, Expr, Function, Mul, Pow, Rational, S, Sum, Symbol

from derive.backends.numpy.fast_plan import Plan, height
from derive.backends.numpy.fast_texts import Texts
from derive.backends.numpy.numpy_code import Code
from derive.language.operations import ELEMENTWISE, logistic
from derive.language.order import is_negative
from derive.language.quantities import At, Parameter, Product, Quantity, T, Target, Transpose, k, varies_by_sequence
from derive.language.shapes import form_of
from derive.mathematics.derivation import Equation

HALF = Rational(1, 2)


@dataclass
class Layout:
    """What the functions of a module need made for them; filled while they are printed.

    Attributes:
        weights: What is made of the parameters once a call, by name, as code.
        arrays: The arrays of a window with a row for every step, and how many rows of sequences each has, as code.
        views: Parts of arrays, by name, as code.
        spares: Arrays of one step, by name, with their height.
        scratch: Arrays of a window's steps for values in between, by name, with their height.
        totals: Sums over the windows, by name, with their shape.
        functions: NumPy's functions that are called by name.
    """

    weights: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    spares: dict[str, str] = field(default_factory=dict)
    scratch: dict[str, str] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)


class Calls:
    """A function of the module while it is printed: which names it needs, and its lines.

    Args:
        plan: The layout of the cell.
        layout: What the module must provide; added to.
    """

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self._plan, self._layout, self.order = plan, layout, plan.cell.order
        self.named: dict[Dummy, str] = {}
        self._products: dict[Dummy, tuple[str, str]] = {}
        self._depth = 0
        self._steps, self._bulk = Texts(self, bulk=False), Texts(self, bulk=True)
        self.lines: list[str] = []
        self.rows: set[str] = set()
        self.arrays: set[str] = set()
        self.used_weights: set[str] = set()
        self.spares: set[str] = set()

    # --- names ---

    def text(self, expression: Expr, *, bulk: bool) -> str:
        """An expression as code."""
        return str((self._bulk if bulk else self._steps).doprint(expression))

    def place(self, atom: At, *, bulk: bool) -> str:
        """Where a quantity at a step is: `h[k]`, `h[1:stop]`, or the spare array of what is not kept."""
        q = atom.quantity
        if q not in self._plan.kept and not bulk:
            self._layout.spares.setdefault(q.name, self._height(q))
            self.spares.add(q.name)
            return q.name
        self._layout.arrays.setdefault(q.name, self._height(q))
        return self.slice(q.name, atom.index, bulk=bulk)

    def slice(self, name: str, index: Expr, *, bulk: bool) -> str:
        """An array, which the layout knows, at a step, or at the steps of a window."""
        if bulk:
            self.arrays.add(name)
            return {0: f"{name}[1:stop]", -1: f"{name}[: stop - 1]"}[int(index - k)]
        self.rows.add(name)
        return f"{name}[{Code().doprint(index.subs(T, Symbol('n', integer=True)))}]"

    def _height(self, q: Quantity) -> str:
        return height([q]) if q.dimensions else ""

    def weight(self, parameter: Parameter) -> str:
        """A weight where it stands beside the quantities of sequences: a row becomes a column."""
        code = f"{parameter.name}[:, np.newaxis]" if len(parameter.dimensions) == 1 else parameter.name
        return self.made_of_weights(parameter.name, code)

    def made_of_weights(self, name: str, code: str) -> str:
        """What is made of the parameters once a call, under a name."""
        if self._layout.weights.setdefault(name, code) != code:
            raise ValueError(f"{name} is made of weights in two ways")
        self.used_weights.add(name)
        return name

    def operand(self, matrix: Expr) -> str:
        """The matrix that x W is with sequences last: Wᵀ x."""
        if isinstance(matrix, Transpose) and isinstance(matrix.args[0], Parameter):
            name = matrix.args[0].name
            return self.made_of_weights(f"{name}_rows", f"np.ascontiguousarray({name})")
        if isinstance(matrix, Parameter):
            return self.made_of_weights(f"{matrix.name}_columns", f"np.ascontiguousarray({matrix.name}.T)")
        code = f"np.ascontiguousarray(({Code().doprint(matrix)}).T)"
        for name, known in self._layout.weights.items():
            if known == code:
                return self.made_of_weights(name, code)
        return self.made_of_weights(f"factor_{len(self._layout.weights)}", code)

    def spare(self, shape: Sequence[Any], *, bulk: bool) -> str:
        """An array for a value in between."""
        stem = "_".join(map(str, ("steps" if bulk else "spare", *shape)))
        names = self._layout.scratch if bulk else self._layout.spares
        name = f"{stem}_{self._depth}" if self._depth > 1 else stem
        names.setdefault(name, str(shape[0]) if shape else "")
        (self.arrays if bulk else self.spares).add(name)
        return f"{name}[: stop - 1]" if bulk else name

    # --- lines ---

    def say(self, *equations: Equation, step: Expr = k) -> None:
        """The equations of a step as comments, as network.py has them."""
        for equation in equations:
            right = equation.rhs
            sign, right = ("+=", right.function) if isinstance(right, Sum) else ("=", right)
            left, right = (side.subs(k, step) for side in (equation.lhs, right))
            code = Code(order=self.order)
            text = f"({equation.number}) {code.doprint(left)} {sign} {code.doprint(right)}"
            self.lines += textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="#     ")

    def call(self, function: str, *arguments: str) -> None:
        """One call of a function of NumPy."""
        self._layout.functions.add(function)
        self.lines.append(f"{function}({', '.join(arguments)})")

    def write(self, expression: Expr, out: str, *, bulk: bool = False) -> None:
        """Computes an expression into `out`, which must not be part of it."""
        match expression:
            case Dummy() if expression in self._products:
                matrix, source = self._products[expression]
                self._multiply_matrix(matrix, source, out, bulk=bulk)
            case _ if self._simple(expression):
                self.call("copyto", out, self.text(expression, bulk=bulk))
            case Add():
                self._write_sum(expression, out, bulk=bulk)
            case Mul():
                self._write_product(expression, out, bulk=bulk)
            case Pow():
                self._write_power(expression, out, bulk=bulk)
            case Product():
                source = self._operand(expression.args[0], bulk=bulk)
                matrix = self.operand(expression.args[1])
                self._multiply_matrix(matrix, source, out, bulk=bulk)
            case logistic():
                self.call("multiply", self._operand(expression.args[0], out, bulk=bulk), "0.5", out)
                self.call("tanh", out, out)
                self.from_tanh(out)
            case Function() if ELEMENTWISE[expression.func].startswith("np."):
                function = ELEMENTWISE[expression.func].removeprefix("np.")
                self.call(function, self._operand(expression.args[0], out, bulk=bulk), out)
            case _:
                self.call("copyto", out, self.text(expression, bulk=bulk))

    def _multiply_matrix(self, matrix: str, source: str, out: str, *, bulk: bool) -> None:
        """One matrix product a step, or one call for those of a window."""
        self.lines.append(f"np.matmul({matrix}, {source}, {out})" if bulk else f"{matrix}.dot({source}, {out})")

    def from_tanh(self, where: str) -> None:
        """σ(z) = ½ + ½ tanh(z / 2), where tanh(z / 2) is there."""
        self.call("multiply", where, "0.5", where)
        self.call("add", where, "0.5", where)

    def _simple(self, expression: Expr) -> bool:
        """Whether an expression needs no array operation."""
        if isinstance(expression, Dummy):
            return expression not in self._products
        return isinstance(expression, At | Target) or (not varies_by_sequence(expression) and not expression.has(Dummy))

    def _operand(self, expression: Expr, out: str | None = None, *, bulk: bool) -> str:
        """Where the value of an expression is; computed into `out`, or a spare array, unless it is there."""
        if self._simple(expression):
            return self.text(expression, bulk=bulk)
        if out is not None:
            self.write(expression, out, bulk=bulk)
            return out
        self._depth += 1
        spare = self.spare(form_of(expression).shape, bulk=bulk)
        self.write(expression, spare, bulk=bulk)
        self._depth -= 1
        return spare

    def _write_sum(self, expression: Add, out: str, *, bulk: bool) -> None:
        terms = [(-term, True) if is_negative(term) else (term, False) for term in self.order.terms(expression)]
        terms.sort(key=lambda pair: (self._simple(pair[0]), not pair[0].has(Product), pair[1]))
        (head, minus), *others = terms
        if self._simple(head):
            (second, less), *others = others
            left, right = (self.text(part, bulk=bulk) for part in (head, second))
            if minus:
                self.call("add", left, right, out)
                self.call("negative", out, out)
            else:
                self.call("subtract" if less else "add", left, right, out)
        else:
            self.write(head, out, bulk=bulk)
            if minus:
                position = next((i for i, (_, less) in enumerate(others) if not less), None)
                if position is None:
                    self.call("negative", out, out)
                else:
                    term, _ = others.pop(position)
                    self.call("subtract", self._operand(term, bulk=bulk), out, out)
        for term, less in others:
            self.call("subtract" if less else "add", out, self._operand(term, bulk=bulk), out)

    def _write_product(self, expression: Mul, out: str, *, bulk: bool) -> None:
        factors = self.order.factors(expression)
        scalars = [factor for factor in factors if not self._varies(factor)]
        below = [factor.base for factor in factors if factor not in scalars and _is_inverse(factor)]
        arrays = [factor for factor in factors if factor not in scalars and not _is_inverse(factor)]
        arrays.sort(key=self._simple)  # what must be computed goes first, into `out` itself
        scalar = [Mul(*scalars)] if scalars else []
        head, *others = arrays or scalar
        steps = [("multiply", factor) for factor in others + (scalar if arrays else [])]
        steps += [("divide", factor) for factor in below]
        if self._simple(head):
            (function, second), *steps = steps
            self.call(function, self.text(head, bulk=bulk), self._operand(second, bulk=bulk), out)
        else:
            self.write(head, out, bulk=bulk)
        for function, factor in steps:
            if factor == S.NegativeOne:
                self.call("negative", out, out)
            else:
                self.call(function, out, self._operand(factor, bulk=bulk), out)

    def _varies(self, factor: Expr) -> bool:
        """Whether a factor differs from sequence to sequence; what stands for a product does."""
        return varies_by_sequence(factor) or factor.has(Dummy)

    def _write_power(self, expression: Pow, out: str, *, bulk: bool) -> None:
        base, exponent = expression.base, expression.exp
        where = self._operand(base, out, bulk=bulk)
        if exponent == 2:
            self.call("multiply", where, where, out)
        elif exponent == S.NegativeOne:
            self.call("divide", "1", where, out)
        elif exponent == HALF:
            self.call("sqrt", where, out)
        else:
            self.call("power", where, self.text(exponent, bulk=bulk), out)


def _is_inverse(factor: Expr) -> bool:
    return isinstance(factor, Pow) and factor.exp == S.NegativeOne
