"""Prints network_fast.py: the staged equations as calls that write into arrays which are there already.

Two kinds of lines: in a loop over the steps a quantity is one block, `h[k]`; in bulk it is the blocks of all steps of a
window, `h[1:stop]`. Both are made from the same equations, and each carries its number.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sympy import Add, Dummy, Expr, Function, Mul, Pow, Rational, S, Sum, Symbol

from derive.derivation import Equation
from derive.fast_plan import Group, Plan, Stack, StackedProduct, height, runs_of
from derive.notation import is_negative, ordered_factors, ordered_terms
from derive.numpy_code import Code, Lines
from derive.operations import (
    ELEMENTWISE,
    BatchMean,
    BatchOuter,
    BatchSum,
    EntrySum,
    OneHot,
    Softmax,
    SoftmaxCrossEntropy,
    logistic,
)
from derive.quantities import (
    LOSS,
    Adjoint,
    At,
    Parameter,
    Product,
    Quantity,
    Shorthand,
    T,
    Target,
    Transpose,
    k,
    varies_by_sequence,
)
from derive.shapes import form_of

HALF = Rational(1, 2)
UFUNCS = ("add", "copyto", "divide", "multiply", "negative", "power", "sqrt", "subtract")


@dataclass
class Layout:
    """What the functions of a module need made for them; filled while they are printed.

    Attributes:
        weights: What is made of the parameters once a call, by name, as code.
        arrays: The arrays of a window with a row for every step, and how many rows of sequences each has, as code.
        views: Parts of arrays, by name, as code.
        spares: Arrays of one step, by name, with their height.
        bulks: Arrays of a window's steps that hold nothing in between, by name, with their height.
        totals: Sums over the windows, by name, with their shape.
        functions: NumPy's functions that are called by name.
    """

    weights: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    spares: dict[str, str] = field(default_factory=dict)
    bulks: dict[str, str] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)


class Texts(Code):
    """Expressions as code, sequences last.

    Args:
        block: The function that they stand in.
        bulk: Whether a quantity is all steps of a window or one.
    """

    def __init__(self, block: Block, *, bulk: bool) -> None:
        super().__init__("totals.gradient_{}")
        self._block, self._bulk = block, bulk

    def _print_At(self, atom: At) -> str:
        return self._block.place(atom, bulk=self._bulk)

    def _print_Quantity(self, quantity: Quantity) -> str:
        if isinstance(quantity, Parameter):
            return self._block.weight(quantity)
        if isinstance(quantity, Target):
            return "t"
        return "value" if quantity == LOSS else quantity.name

    def _print_Dummy(self, symbol: Dummy) -> str:
        return self._block.named[symbol]

    def _print_BatchMean(self, average: BatchMean) -> str:
        if self._bulk:
            return f"np.sum({self._print(average.args[0])}) / N"
        return f"np.mean({self._print(average.args[0])})"

    def _print_EntrySum(self, total: EntrySum) -> str:
        if not form_of(total).per_sequence:
            return f"np.sum({self._print(total.args[0])})"
        return f"np.sum({self._print(total.args[0])}, axis=-2)"

    def _rows(self, expression: Expr) -> str:
        """With the entries of a sequence in a row, as the functions of network.py have them."""
        return f"np.swapaxes({self._print(expression)}, -1, -2)"

    def _print_Softmax(self, softmax: Softmax) -> str:
        return f"np.swapaxes(softmax({self._rows(softmax.args[0])}), -1, -2)"

    def _print_OneHot(self, onehot: OneHot) -> str:
        return f"np.swapaxes(one_hot({self._print(onehot.args[0])}, {self._rows(onehot.args[1])}), -1, -2)"

    def _print_SoftmaxCrossEntropy(self, entropy: SoftmaxCrossEntropy) -> str:
        return f"softmax_cross_entropy({self._rows(entropy.args[0])}, {self._print(entropy.args[1])})"

    def _print_Product(self, product: Product) -> str:
        return f"np.matmul({self._block.operand(product.args[1])}, {self._print(product.args[0])})"

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        left, right = map(self._operand, outer.args)
        if self._bulk:
            return f"columns({left}).dot(columns({right}).T)"
        return f"{left}.dot({right}.T)"

    def _print_BatchSum(self, total: BatchSum) -> str:
        inside = total.args[0]
        if form_of(total).shape:
            return f"np.sum({self._print(inside)}, axis={'(0, -1)' if self._bulk else '-1'})"
        if isinstance(inside, EntrySum):
            return f"np.sum({self._print(inside.args[0])})"
        factors = ordered_factors(inside)
        if len(factors) == 2 and all(isinstance(factor, At) for factor in factors):
            left, right = map(self._print, factors)
            return f"{left}.ravel().dot({right}.ravel())" if self._bulk else f"{left}.dot({right})"
        return f"np.sum({self._print(inside)})"


class Itself(Code):
    """Expressions of weights alone, each weight in its own shape."""

    def _print_Quantity(self, quantity: Quantity) -> str:
        return f"weights.{quantity.name}_itself"


class Block:
    """One function of the module while it is printed.

    Args:
        plan: The layout of the cell.
        layout: What the module must provide; added to.
    """

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self._plan, self._layout = plan, layout
        self.named: dict[Dummy, str] = {}
        self._virtual: dict[tuple[Quantity, Expr], Dummy] = {}
        self._depth = 0
        self._products: dict[Dummy, tuple[str, str]] = {}
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
        return self._weight(parameter.name, code)

    def _weight(self, name: str, code: str) -> str:
        assert self._layout.weights.setdefault(name, code) == code
        self.used_weights.add(name)
        return name

    def operand(self, matrix: Expr) -> str:
        """The matrix that x W is with sequences last: Wᵀ x."""
        if isinstance(matrix, Transpose) and isinstance(matrix.args[0], Parameter):
            name = matrix.args[0].name
            return self._weight(f"{name}_rows", f"np.ascontiguousarray({name})")
        if isinstance(matrix, Parameter):
            return self._weight(f"{matrix.name}_columns", f"np.ascontiguousarray({matrix.name}.T)")
        code = f"np.ascontiguousarray(({Code().doprint(matrix)}).T)"
        for name, known in self._layout.weights.items():
            if known == code:
                return self._weight(name, code)
        return self._weight(f"factor_{len(self._layout.weights)}", code)

    def spare(self, shape: Sequence[Any], *, bulk: bool) -> str:
        """An array for a value in between."""
        stem = "_".join(map(str, ("steps" if bulk else "spare", *shape)))
        names = self._layout.bulks if bulk else self._layout.spares
        name = f"{stem}_{self._depth}" if self._depth > 1 else stem
        names.setdefault(name, str(shape[0]) if shape else "")
        (self.arrays if bulk else self.spares).add(name)
        return f"{name}[: stop - 1]" if bulk else name

    # --- lines ---

    def say(self, *equations: Equation) -> None:
        """The equations as comments, as network.py has them."""
        for equation in equations:
            right = equation.rhs
            sign, right = ("+=", right.function) if isinstance(right, Sum) else ("=", right)
            text = f"({equation.number}) {Lines().text(equation.lhs)} {sign} {Lines().text(right)}"
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
                self.lines.append(f"np.matmul({matrix}, {source}, {out})" if bulk else f"{matrix}.dot({source}, {out})")
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
                if bulk:
                    self.lines.append(f"np.matmul({matrix}, {source}, {out})")
                else:
                    self.lines.append(f"{matrix}.dot({source}, {out})")
            case logistic():
                self.call("multiply", self._operand(expression.args[0], out, bulk=bulk), "0.5", out)
                self._finish_logistic(out, bulk=bulk)
            case Function() if ELEMENTWISE[expression.func].startswith("np."):
                function = ELEMENTWISE[expression.func].removeprefix("np.")
                self.call(function, self._operand(expression.args[0], out, bulk=bulk), out)
            case _:
                self.call("copyto", out, self.text(expression, bulk=bulk))

    def _finish_logistic(self, out: str, *, bulk: bool) -> None:
        self.call("tanh", out, out)
        self.call("multiply", out, "0.5", out)
        self.call("add", out, "0.5", out)

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
        terms = [(-term, True) if is_negative(term) else (term, False) for term in ordered_terms(expression)]
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
        factors = ordered_factors(expression)
        over = [factor.base for factor in factors if isinstance(factor, Pow) and factor.exp == S.NegativeOne]
        scalars = [factor for factor in factors if not self._varies(factor)]
        over = [factor for factor in over if self._varies(factor)]
        arrays = [
            factor
            for factor in factors
            if factor not in scalars and not (isinstance(factor, Pow) and factor.exp == S.NegativeOne)
        ]
        arrays.sort(key=self._simple)
        if not arrays:
            self.call("divide", self.text(Mul(*scalars), bulk=bulk), self._operand(over[0], bulk=bulk), out)
            over, scalars = over[1:], []
        else:
            head, *others = arrays
            if self._simple(head) and others:
                left, right = (self.text(part, bulk=bulk) for part in (head, others[0]))
                self.call("multiply", left, right, out)
                others = others[1:]
            elif self._simple(head) and scalars:
                self.call("multiply", self.text(head, bulk=bulk), self._scalar(scalars, bulk=bulk), out)
                scalars = []
            elif self._simple(head):
                self.call("divide", self.text(head, bulk=bulk), self._operand(over[0], bulk=bulk), out)
                over = over[1:]
            else:
                self.write(head, out, bulk=bulk)
            for factor in others:
                self.call("multiply", out, self._operand(factor, bulk=bulk), out)
        if scalars == [S.NegativeOne]:
            self.call("negative", out, out)
        elif scalars:
            self.call("multiply", out, self._scalar(scalars, bulk=bulk), out)
        for factor in over:
            self.call("divide", out, self._operand(factor, bulk=bulk), out)

    def _varies(self, factor: Expr) -> bool:
        return varies_by_sequence(factor) or factor.has(Dummy)

    def _scalar(self, factors: list[Expr], *, bulk: bool) -> str:
        return self.text(Mul(*factors), bulk=bulk)

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

    # --- the loop forwards ---

    def stacked(self, product: StackedProduct, equations: dict[Quantity, Equation]) -> None:
        """L W of all members at once, and the groups among them."""
        plan, layout = self._plan, self._layout
        inner = {z: group for group in product.groups for z in group.inner}
        codes = [
            f"{'0.5 * ' if z in plan.halved else ''}{_transposed(weight)}"
            for z, weight in zip(product.members, product.weights, strict=True)
        ]
        name = self._weight(f"of_{product.name}", _joined(codes))
        whole = f"from_{product.name}"
        layout.spares[whole] = height(product.members)
        self.spares.add(whole)
        self.say(*(equations[q] for q in product.members if q in inner))
        source = self._operand(product.left, bulk=False)
        self.lines.append(f"{name}.dot({source}, {whole})")
        stack = Stack(whole, product.members)
        for z in product.members:
            if z not in inner:
                part = (
                    whole
                    if len(product.members) == 1
                    else self._spare_view(f"{whole}_{z.name}", whole, stack.rows(z, z))
                )
                dummy = Dummy(z.name)
                self.named[dummy] = part
                self._virtual[z, product.left] = dummy
        for group in product.groups:
            self._group(group, stack, equations)

    def _spare_view(self, name: str, array: str, rows: str) -> str:
        self._layout.views[name] = f"{array}[{rows}]"
        self.spares.add(name)
        return name

    def array_of(self, stack: Stack) -> str:
        """The array of a stack."""
        if len(stack.members) == 1:
            self._layout.arrays.setdefault(stack.array, self._height(stack.members[0]))
        return stack.array

    def view(self, name: str, stack: Stack, members: Sequence[Quantity]) -> str:
        """The rows of some neighbours in a stack, under a name; the stack itself for all of them."""
        if tuple(members) == stack.members:
            return self.array_of(stack)
        if len(members) == 1:
            return members[0].name
        self._layout.views[name] = f"{stack.array}[:, {stack.rows(members[0], members[-1])}]"
        return name

    def _group(self, group: Group, product: Stack, equations: dict[Quantity, Equation]) -> None:
        plan = self._plan
        whole = product.name
        if group.inner != product.members:
            rows = product.rows(group.inner[0], group.inner[-1])
            whole = self._spare_view(f"{product.name}_{group.values.name}", product.name, rows)
        inputs = self.view(f"inputs_{group.values.name}", plan.inputs, group.inputs)
        out = self.slice(self.array_of(group.values), k, bulk=False)
        self.say(*(equations[q] for q in group.values.members))
        self.call("add", whole, self.slice(inputs, k, bulk=False), out)
        self.call(group.function, out, out)
        if group.logistic:
            part = self.view(f"{group.values.name}_logistic", group.values, group.logistic)
            where = self.slice(part, k, bulk=False)
            self.call("multiply", where, "0.5", where)
            self.call("add", where, "0.5", where)

    def forward_step(self) -> None:
        """The equations of a step that must wait for the one before."""
        equations = {e.lhs.quantity: e for e in self._plan.staged.step}
        grouped = self._plan.inner | {q for p in self._plan.products for g in p.groups for q in g.values.members}
        done: set[str] = set()
        for q, equation in equations.items():
            for product in self._plan.products:
                if q in product.members and product.name not in done:
                    done.add(product.name)
                    self.stacked(product, equations)
            if q in grouped:
                continue
            right = equation.rhs
            for product in self._plan.products:
                if (q, product.left) in self._virtual:
                    weight = product.weights[product.members.index(q)]
                    right = right.xreplace({Product(product.left, weight): self._virtual[q, product.left]})
            self.say(equation)
            self.write(right, self.place(equation.lhs, bulk=False))

    # --- the loop back ---

    def back_step(self, equations: Iterable[Equation]) -> None:
        """Adjoints at one step."""
        equations = list(equations)
        done: set[Quantity] = set()
        for equation in equations:
            q = equation.lhs.quantity
            if q in done:
                continue
            run = self._run(equation, equations)
            if len(run) > 1:
                done |= {each.lhs.quantity for each, _ in run}
                self._multiply(run)
                continue
            self.say(equation)
            self.write(self.with_stacked(equation.rhs), self.place(equation.lhs, bulk=False))

    def _run(self, equation: Equation, equations: Iterable[Equation]) -> list[tuple[Equation, Multiple]]:
        """The equations δ_k = λ_k δ'_k with the same δ' as this one, neighbours in both stacks."""
        first = _multiple(equation)
        if first is None:
            return []
        alike = {
            each.lhs.quantity: (each, multiple)
            for each in equations
            if (multiple := _multiple(each)) is not None
            and multiple.adjoint == first.adjoint
            and multiple.slope.quantity in self._plan.slopes.members
            and each.lhs.quantity.dimensions == equation.lhs.quantity.dimensions
        }
        for run in runs_of(alike, self._plan.deltas):
            slopes = [alike[q][1].slope.quantity for q in run]
            if equation.lhs.quantity in run and len(runs_of(slopes, self._plan.slopes)) == 1:
                return [alike[q] for q in run]
        return []

    def _multiply(self, run: list[tuple[Equation, Multiple]]) -> None:
        """δ_k = λ_k δ'_k for neighbours, in one call."""
        equations, multiples = zip(*run, strict=True)
        index, source = equations[0].lhs.index, multiples[0].adjoint
        deltas = [equation.lhs.quantity for equation in equations]
        slopes = [multiple.slope.quantity for multiple in multiples]
        names = []
        for stem, stack, members in (("deltas", self._plan.deltas, deltas), ("slopes", self._plan.slopes, slopes)):
            name = f"{stem}_of_{source.quantity.of.name}"
            rows = f"[:, {stack.rows(members[0], members[-1])}]" if tuple(members) != stack.members else ""
            self._layout.views[name] = f"{stack.array}{rows}.reshape(-1, {len(members)}, {deltas[0].dimensions[0]}, N)"
            names.append(name)
        self.say(*equations)
        where, factor = (self.slice(name, index, bulk=False) for name in names)
        self.call("multiply", factor, self.place(source, bulk=False), where)

    def with_stacked(self, right: Expr, *, bulk: bool = False) -> Expr:
        """The right-hand side with products of neighbouring adjoints as one."""
        terms = {
            term.args[0]: term
            for term in Add.make_args(right)
            if isinstance(term, Product)
            and isinstance(term.args[0], At)
            and term.args[0].quantity in self._plan.deltas.members
            and isinstance(term.args[1], Transpose)
            and isinstance(term.args[1].args[0], Parameter)
        }
        for index in {atom.index for atom in terms}:
            here = {atom.quantity: term for atom, term in terms.items() if atom.index == index}
            for run in runs_of(here, self._plan.deltas):
                if len(run) < 2:
                    continue
                weights = [here[q].args[1].args[0].name for q in run]
                name = self._weight(f"back_{'_'.join(weights)}", f"np.concatenate(({', '.join(weights)}), axis=1)")
                view = self.view(f"deltas_{'_'.join(q.of.name for q in run)}", self._plan.deltas, run)
                dummy = Dummy("back")
                self._products[dummy] = name, self.slice(view, index, bulk=bulk)
                right = Add(*(t for t in Add.make_args(right) if t not in {here[q] for q in run}), dummy)
        return right

    # --- in bulk ---

    def bulk(self, equations: Iterable[Equation]) -> None:
        """Equations for all steps of a window."""
        stack = self._plan.inputs
        written = False
        for equation in equations:
            q = equation.lhs.quantity
            if q in stack.members:
                if not written:
                    written = True
                    self._write_inputs({e.lhs.quantity: e for e in self._plan.staged.before})
                continue
            self.say(equation)
            self.write(equation.rhs, self.place(equation.lhs, bulk=True), bulk=True)

    def _write_inputs(self, equations: Mapping[Quantity, Equation]) -> None:
        """X W + b of all members of the stack of inputs: one matrix product for the steps of a window."""
        stack, products = self._plan.inputs, self._plan.input_products
        groups = [group for product in self._plan.products for group in product.groups]
        halved = {p for g in groups for z, p in zip(g.inner, g.inputs, strict=True) if z in self._plan.halved}
        halves = ["0.5 * " if part in halved else "" for part in stack.members]
        found = [products[part] for part in stack.members]
        weights = [f"{half}{_transposed(each.weight)}" for half, each in zip(halves, found, strict=True)]
        self.say(*(equations[part] for part in stack.members))
        out = self.slice(self.array_of(stack), k, bulk=True)
        matrix = self._weight("of_inputs", _joined(weights))
        self.lines.append(f"np.matmul({matrix}, {self.place(found[0].source, bulk=True)}, {out})")
        if all(each.bias == 0 for each in found):
            return
        biases = [
            f"{half}{_bracketed(each.bias, half)}" if each.bias != 0 else f"np.zeros({part.dimensions[0]})"
            for part, half, each in zip(stack.members, halves, found, strict=True)
        ]
        self.call("add", out, self._weight("inputs_bias", f"{_joined(biases)}[:, np.newaxis]"), out)


class Multiple(NamedTuple):
    """The right-hand side of δ_k = λ_k δ'_k."""

    slope: At
    adjoint: At


def _multiple(equation: Equation) -> Multiple | None:
    """λ_k and δ'_k where an equation is δ_k = λ_k δ'_k."""
    right = equation.rhs
    if not isinstance(right, Mul) or len(right.args) != 2 or not all(isinstance(a, At) for a in right.args):
        return None
    slopes = [a for a in right.args if isinstance(a.quantity, Shorthand) and a.index == equation.lhs.index]
    others = [a for a in right.args if isinstance(a.quantity, Adjoint) and a.index == equation.lhs.index]
    return Multiple(slopes[0], others[0]) if len(slopes) == len(others) == 1 else None


def _bracketed(bias: Expr, factor: str) -> str:
    text = Code().doprint(bias)
    return f"({text})" if factor and isinstance(bias, Add) else str(text)


def _joined(parts: Sequence[str]) -> str:
    """Parts stacked on one another, as code."""
    return f"np.concatenate(({', '.join(parts)}))" if len(parts) > 1 else f"np.ascontiguousarray({parts[0]})"


def _transposed(matrix: Expr) -> str:
    """Wᵀ as code, W an expression of parameters."""
    if isinstance(matrix, Transpose):
        return str(Code().doprint(matrix.args[0]))
    return f"{matrix.name}.T" if isinstance(matrix, Parameter) else f"({Code().doprint(matrix)}).T"
