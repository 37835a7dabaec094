"""Prints network_fast.py: the staged equations as calls that write into arrays which are there already.

Two kinds of lines: in a loop over the steps a quantity is one block, `h[k]`; in bulk it is the blocks of all steps of a
window, `h[1:stop]`. Both are made from the same equations, and each carries its number.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sympy import Add, Dummy, Expr, Function, Integer, Mul, Pow, Rational, S, Sum, Symbol

from derive.derivation import Derivation, Equation
from derive.fast_plan import Group, Plan, Stack, StackedProduct, height, input_product, plan, runs_of
from derive.lower import assign
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
    At,
    N,
    Parameter,
    Product,
    Quantity,
    Shorthand,
    Target,
    T,
    Transpose,
    indexed_of,
    k,
    varies_by_sequence,
)
from derive.shapes import form_of
from derive.templating import render

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
                self.lines.append(f"{matrix}.dot({source}, {out})")
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
        return isinstance(expression, At | Target) or not varies_by_sequence(expression) and not expression.has(Dummy)

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
        name = f"of_{product.name}"
        self._weight(name, f"np.concatenate(({', '.join(codes)}))" if len(codes) > 1 else f"np.ascontiguousarray({codes[0]})")
        whole = f"from_{product.name}"
        layout.spares[whole] = height(product.members)
        self.spares.add(whole)
        self.say(*(equations[q] for q in product.members if q in inner))
        source = self._operand(product.left, bulk=False)
        self.lines.append(f"{name}.dot({source}, {whole})")
        stack = Stack(whole, product.members)
        for z in product.members:
            if z not in inner:
                part = whole if len(product.members) == 1 else self._spare_view(f"{whole}_{z.name}", whole, stack.rows(z, z))
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
        grouped = self._plan.inner | {
            q for p in self._plan.products for g in p.groups for q in g.values.members
        }
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
                done |= {each.lhs.quantity for each in run}
                self._multiply(run)
                continue
            self.say(equation)
            self.write(self._with_stacked(equation.rhs), self.place(equation.lhs, bulk=False))

    def _run(self, equation: Equation, equations: list[Equation]) -> list[Equation]:
        """The equations δ_k = λ_k δ'_k with the same δ', neighbours in both stacks."""
        shared = _multiple(equation)
        if shared is None:
            return [equation]
        alike = {e.lhs.quantity: e for e in equations if (m := _multiple(e)) is not None and m[1] == shared[1]}
        slopes = {e.lhs.quantity: _multiple(e)[0].quantity for e in alike.values()}
        q = equation.lhs.quantity
        for run in runs_of(alike, self._plan.deltas):
            same = [member for member in run if member.dimensions == q.dimensions and slopes[member] in self._plan.slopes.members]
            if q in same and tuple(same) == run and len(runs_of([slopes[m] for m in run], self._plan.slopes)) == 1:
                return [alike[member] for member in run]
        return [equation]

    def _multiply(self, run: list[Equation]) -> None:
        pairs = [_multiple(equation) for equation in run]
        index, source = run[0].lhs.index, pairs[0][1]
        deltas, slopes = [e.lhs.quantity for e in run], [slope.quantity for slope, _ in pairs]
        h = str(deltas[0].dimensions[0])
        names = []
        for stem, stack, members in (("deltas", self._plan.deltas, deltas), ("slopes", self._plan.slopes, slopes)):
            name = f"{stem}_of_{source.quantity.of.name}"
            rows = f"[:, {stack.rows(members[0], members[-1])}]" if tuple(members) != stack.members else ""
            self._layout.views[name] = f"{stack.array}{rows}.reshape(-1, {len(members)}, {h}, N)"
            names.append(name)
        self.say(*run)
        where, factor = (self.slice(name, index, bulk=False) for name in names)
        self.call("multiply", factor, self.place(source, bulk=False), where)

    def _with_stacked(self, right: Expr) -> Expr:
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
                self._products[dummy] = name, self.slice(view, index, bulk=False)
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

    def _write_inputs(self, equations: dict[Quantity, Equation]) -> None:
        stack, halved = self._plan.inputs, self._plan.halved
        inner = {p: z for product in self._plan.products for g in product.groups for z, p in zip(g.inner, g.inputs, strict=True)}
        codes, biases = [], []
        for part in stack.members:
            assert isinstance(part, Shorthand)
            source, weight, bias = input_product(part)
            half = "0.5 * " if inner.get(part) in halved else ""
            codes.append(f"{half}{_transposed(weight)}")
            text = Code().doprint(bias)
            size = part.dimensions[0]
            biases.append(f"np.zeros({size})" if bias == 0 else f"{half}{text if not isinstance(bias, Add) or not half else f'({text})'}")
        self._weight("of_inputs", f"np.concatenate(({', '.join(codes)}))" if len(codes) > 1 else f"np.ascontiguousarray({codes[0]})")
        joined = f"np.concatenate(({', '.join(biases)}))" if len(biases) > 1 else biases[0]
        self.say(*(equations[part] for part in stack.members))
        out = self.slice(self.array_of(stack), k, bulk=True)
        self.lines.append(f"np.matmul(of_inputs, {self.place(source, bulk=True)}, {out})")
        if any(input_product(part)[2] != 0 for part in stack.members):
            self._weight("inputs_bias", f"({joined})[:, np.newaxis]" if len(biases) == 1 and "+" in joined else f"{joined}[:, np.newaxis]")
            self.call("add", out, "inputs_bias", out)


class FastModule:
    """The parts of network_fast.py.

    Args:
        derivation: What to print.
    """

    def __init__(self, derivation: Derivation) -> None:
        self._plan = plan(derivation)
        self._staged, self._cell = derivation.staged, derivation.cell
        self.layout = Layout()
        self._update_from: dict[str, str] = {}
        self.functions = {
            "hoisted": self._bulk_function(self._staged.before),
            "run": self._run(),
            "outputs": self._bulk_function(self._staged.after),
            "loss": self._loss(derivation.forward.loss),
            "hoisted_back": self._bulk_function(self._staged.bulk),
            "run_back": self._run_back(),
        }
        self.functions |= self._add_up()
        self.start = self._start(derivation)
        self._find_ahead()

    # --- the functions ---

    def _block(self) -> Block:
        return Block(self._plan, self.layout)

    def _bulk_function(self, equations: tuple[Equation, ...]) -> list[str]:
        if not equations:
            return []
        block = self._block()
        block.bulk(equations)
        return self._with_header(block)

    def _run(self) -> list[str]:
        block = self._block()
        block.forward_step()
        block.lines = ["for k in range(1, stop):", *_indented(block.lines)]
        self._at_the_end(block, self._staged.last)
        return self._with_header(block)

    def _at_the_end(self, block: Block, equations: tuple[Equation, ...]) -> None:
        if not equations:
            return
        above, block.lines = block.lines, []
        for equation in equations:
            block.say(equation)
            block.write(equation.rhs, block.place(equation.lhs, bulk=False))
        block.lines = [*above, "if window.is_last:", *_indented(block.lines)]

    def _start(self, derivation: Derivation) -> list[str]:
        block = self._block()
        for equation in derivation.forward.initial:
            block.say(equation)
            where = block.place(equation.lhs, bulk=False)
            block.lines.append(f"{where}[...] = {block.text(equation.rhs, bulk=False)}")
        return self._with_header(block)

    def _loss(self, equation: Equation) -> list[str]:
        block = self._block()
        block.say(equation)
        if not self._cell.loss_at_every_step:
            block.lines.append(f"return {block.text(equation.rhs, bulk=False)}")
            return ["if not window.is_last:", "    return 0", *self._with_header(block)]
        inside = equation.rhs.function
        if isinstance(inside, BatchMean):
            block.lines.append(f"return {block.text(inside, bulk=True)}")
        else:
            block.lines.append(f"return sum({block.text(inside, bulk=False)} for k in range(1, n + 1))")
        return self._with_header(block)

    def _run_back(self) -> list[str]:
        staged, block = self._staged, self._block()
        in_bulk = {e.lhs.quantity for e in staged.bulk} if not self._cell.has_own_last_step else set()
        block.back_step(e for e in staged.start if e.lhs.quantity not in in_bulk)
        lines = ["if window.is_last:", *_indented(block.lines)]
        if staged.before_last:
            block.lines = []
            block.back_step(staged.before_last)
            lines += ["    if n > 1:", *_indented(block.lines, 8)]
        skip = 2 if staged.before_last else 1
        block.lines = []
        block.back_step(staged.back)
        if block.lines:
            lines += [f"for k in range(n - {skip} if window.is_last else n, 0, -1):", *_indented(block.lines)]
        block.lines = []
        block.back_step(staged.first)
        if block.lines:
            lines += ["if window.is_first:", *_indented(block.lines)]
        block.lines = lines
        return self._with_header(block)

    # --- the gradients ---

    def _add_up(self) -> dict[str, list[str]]:
        """The function for what every step adds, and that for what the first and the last one add."""
        block, ends = self._block(), self._block()
        stacked, others = self._sort_gradients()
        self._stacked_gradients(block, stacked)
        once: dict[str, list[str]] = {"is_first": [], "is_last": []}
        for equation, term in others:
            name = equation.lhs.args[1].name
            total = f"totals.gradient_{name}"
            self.layout.totals[f"gradient_{name}"] = name
            inside = term.function if isinstance(term, Sum) else term
            times = "T * " if isinstance(term, Sum) else ""
            atoms = indexed_of(inside)
            if not atoms and not inside.has(BatchSum, BatchMean):
                once["is_last"] += [f"# ({equation.number})", f"{total} += {times}({self._raw(inside)})"]
            elif not isinstance(term, Sum):
                text = f"{total} += {ends.text(inside, bulk=False)}"
                once["is_first" if S.Zero in {a.index for a in atoms} else "is_last"] += [f"# ({equation.number})", text]
            elif term.limits[0][2] == T:
                block.lines += [f"# ({equation.number})", f"{total} += {block.text(inside, bulk=True)}"]
            else:
                # The last step has a term of its own.
                ends.lines += [f"# ({equation.number})", "for k in range(1, n if window.is_last else n + 1):"]
                ends.lines += [f"    {total} += {ends.text(inside, bulk=False)}"]
        for condition, body in once.items():
            if body:
                ends.lines += [f"if window.{condition}:", *_indented(body)]
        return {"add_up": self._with_header(block, "window.n + 1"), "add_ends": self._with_header(ends)}

    def _raw(self, expression: Expr) -> str:
        """An expression of weights, each in its own shape."""
        for parameter in self._cell.parameters:
            if expression.has(parameter):
                self.layout.weights[f"{parameter.name}_itself"] = parameter.name
        return Itself().doprint(expression)

    def _sort_gradients(self) -> tuple[list[tuple[Equation, Expr, Quantity]], list[tuple[Equation, Expr]]]:
        """The terms Σ_k Lᵀ δ_k and Σ_k δ_k of stacked adjoints, as (equation, L or 1, δ), and all others."""
        stacked, others = [], []
        for equation in self._staged.gradients:
            terms = Add.make_args(equation.rhs)
            for term in terms:
                inside = term.function if isinstance(term, Sum) and term.limits[0][2] == T else None
                delta = None
                if len(terms) == 1 and isinstance(inside, BatchOuter | BatchSum):
                    left, right = (S.One, inside.args[0]) if isinstance(inside, BatchSum) else inside.args
                    plain = isinstance(right, At) and right.index == k and right.quantity in self._plan.deltas.members
                    delta = right.quantity if plain and (left == 1 or isinstance(left, At)) else None
                if delta is None:
                    others.append((equation, term))
                else:
                    stacked.append((equation, left, delta))
        return stacked, others

    def _stacked_gradients(self, block: Block, stacked: list[tuple[Equation, Expr, Quantity]]) -> None:
        """One matrix product for all that share their factors; a row of ones makes the sums of the adjoints part of it."""
        deltas = self._plan.deltas
        by_run: dict[tuple[Quantity, ...], list[Expr]] = {}
        for left in dict.fromkeys(left for _, left, _ in stacked if left != 1):
            for run in runs_of((delta for _, other, delta in stacked if other == left), deltas):
                by_run.setdefault(run, []).append(left)
        if not by_run:
            self._bare_sums(block, stacked)
            return
        bare = [delta for _, left, delta in stacked if left == 1]
        with_ones = max(by_run, key=lambda run: len(set(run) & set(bare)))
        lines = []
        runs = sorted(by_run, key=lambda run: run == with_ones)
        lefts = [left for run in runs for left in by_run[run]]
        heights = [left.quantity for left in lefts]
        self.layout.bulks["left"] = f"{height(heights)} + 1"
        self.layout.bulks["right"] = height(deltas.members)
        begin = 0
        lines += [f"columns({block.slice(block.array_of(deltas), k, bulk=True)}, right)"]
        for position, left in enumerate(lefts):
            rows = Stack("left", tuple(heights)).rows(heights[position], heights[position]) if len(set(heights)) == len(heights) else _rows(heights, position)
            lines.append(f"columns({block.place(left, bulk=True)}, left[{rows}])")
        block.arrays |= {"left", "right"}
        results: dict[tuple[Expr, Quantity], str] = {}
        for number, run in enumerate(runs):
            count = len(by_run[run])
            first = height(heights[:begin]) or ""
            end = f"{height(heights[: begin + count])}{' + 1' if run == with_ones else ''}"
            right_rows = deltas.rows(run[0], run[-1])
            name = "products" if len(runs) == 1 else f"products_{number + 1}"
            tall = f"{height(heights[begin : begin + count])}{' + 1' if run == with_ones else ''}"
            self.layout.totals[name] = f"({tall}, {height(run)})"
            inner = Stack("", run)
            mine = Stack("", tuple(heights[begin : begin + count]))
            numbers = []
            for equation, left, delta in stacked:
                if delta in run and (left in by_run[run] or (left == 1 and run == with_ones)):
                    if left == 1:
                        rows = f"{height(mine.members)}"
                    else:
                        rows = _rows(mine.members, by_run[run].index(left))
                    results[left, delta] = ""
                    weight = equation.lhs.args[1]
                    self._results[weight.name] = f"totals.{name}[{rows}, {inner.rows(delta, delta)}].copy()"
                    numbers.append(str(equation.number))
            lines.append(f"# ({'), ('.join(numbers)})")
            left_rows = f"left[{first}:{end}, : n * N]"
            lines.append(f"totals.{name} += {left_rows}.dot(right[{right_rows}, : n * N].T)")
            begin += count
        block.lines = lines
        self._bare_sums(block, [each for each in stacked if (each[1], each[2]) not in results])

    def _bare_sums(self, block: Block, stacked: list[tuple[Equation, Expr, Quantity]]) -> None:
        for equation, left, delta in stacked:
            weight = equation.lhs.args[1].name
            self.layout.totals[f"gradient_{weight}"] = weight
            inside = BatchSum(delta[k]) if left == 1 else BatchOuter(left, delta[k])
            block.lines += [f"# ({equation.number})", f"totals.gradient_{weight} += {block.text(inside, bulk=True)}"]

    @property
    def _results(self) -> dict[str, str]:
        return self._update_from

    def gradient_of(self, weight: str) -> str:
        """Where the gradient with respect to a weight is when all windows are done."""
        return self._update_from.get(weight, f"totals.gradient_{weight}")

    # --- what the functions need ---

    def _with_header(self, block: Block, stop: str = "window.stop") -> list[str]:
        """The lines that give everything its own name, and the block."""
        header = []
        text = code_of(block.lines)
        for names, source in (
            (block.used_weights, "weights.{}"),
            (block.rows, '{owner}.rows["{}"]'),
            (block.arrays, "{owner}.{}"),
            (block.spares, "spare.{}"),
        ):
            by_owner: dict[str, list[str]] = {}
            for name in sorted(names):
                by_owner.setdefault(self._owner(name), []).append(name)
            for owner, mine in by_owner.items():
                header.append(f"{', '.join(mine)} = {', '.join(source.format(name, owner=owner) for name in mine)}")
        sizes = {"n": "window.n", "stop": stop, "N": "space.N", "T": "space.T", "t": "space.t"}
        sizes |= {str(size): f'space.sizes["{size}"]' for size in self._cell.dimensions}
        used = [name for name in sizes if mentions(text, name)]
        if "t" in used and self._cell.target_at_every_step:
            used.remove("t")
        if used:
            header.append(f"{', '.join(used)} = {', '.join(sizes[name] for name in used)}")
        for owner in ("spare", "adjoints"):
            if any(f"{owner}." in line for line in header):
                header.insert(0, f"{owner} = space.{owner}")
        return [*header, *block.lines]

    def _owner(self, name: str) -> str:
        return "adjoints" if name in self._back_names() else "window"

    def _back_names(self) -> set[str]:
        names = {e.lhs.quantity.name for e in (*self._staged.bulk, *self._staged.back, *self._staged.start, *self._staged.first)}
        names |= {"deltas", "slopes", "left", "right", *self.layout.bulks}
        return names | {view for view in self.layout.views if view.startswith(("deltas_", "slopes_"))}

    def _find_ahead(self) -> None:
        """The quantities that the way back reads one step ahead: what must be carried from window to window."""
        atoms = {a for e in self._staged.back for a in indexed_of(e.rhs) if a.index == k + 1}
        stacks = {q: stack.array for stack in (self._plan.deltas, self._plan.slopes) for q in stack.members}
        names = {a.quantity: stacks.get(a.quantity, a.quantity.name) for a in atoms}
        self.ahead = sorted({name for q, name in names.items() if name not in self._back_names()})
        self.ahead_back = sorted({name for q, name in names.items() if name in self._back_names()})
        self.carried = sorted({a.quantity.name for e in self._staged.step for a in indexed_of(e.rhs) if a.index == k - 1} | {s.name for s in self._cell.states})

    def arrays(self, owner: str) -> list[tuple[str, str]]:
        """The arrays of the window or of the adjoints, each with its code; stacks first, then their members as views."""
        found: dict[str, str] = {}
        stacks = [self._plan.inputs, self._plan.deltas, self._plan.slopes]
        stacks += [group.values for product in self._plan.products for group in product.groups]
        stacked = set()
        for stack in stacks:
            if len(stack.members) > 1 and self._owner(stack.members[0].name) == owner:
                found[stack.array] = f"np.zeros((m + 2, {height(stack.members)}, N), dtype)"
                for q in stack.members:
                    found[q.name] = f"self.{stack.array}[:, {stack.rows(q, q)}]"
                stacked |= {q.name for q in stack.members}
        for name, rows in self.layout.arrays.items():
            if name not in stacked and self._owner(name) == owner:
                found[name] = f"np.zeros((m + 2, {f'{rows}, ' if rows else ''}N), {'np.intp' if self._is_label(name) else 'dtype'})"
        for name, code in self.layout.views.items():
            array = code.split("[")[0].split(".")[0]
            if array in found and self._owner(name) == owner:
                found[name] = f"self.{code}"
        return list(found.items())

    def _is_label(self, name: str) -> bool:
        return self._cell.target_at_every_step and name == self._cell.targets[0].name and self._cell.targets[0].role == "label"

    def spares(self) -> list[tuple[str, str]]:
        """The arrays of one step, each with its code."""
        found = {
            name: f"np.zeros({f'({rows}, N)' if rows else 'N'}, dtype)" for name, rows in self.layout.spares.items()
        }
        for name, code in self.layout.views.items():
            if code.split("[")[0] in self.layout.spares:
                found[name] = f"self.{code}"
        return list(found.items())

    def bulks(self) -> list[tuple[str, str]]:
        """The arrays for values in between, each with its code."""
        return [
            (name, f"np.ones(({rows}, m * N), dtype)" if name in ("left", "right") else f"np.zeros((m, {f'{rows}, ' if rows else ''}N), dtype)")
            for name, rows in self.layout.bulks.items()
        ]


def print_network_fast(derivation: Derivation) -> str:
    """The fast module of a cell.

    Returns:
        Its source, not yet formatted.
    """
    cell, module = derivation.cell, FastModule(derivation)
    x, target, output = cell.inputs[0], cell.targets[0], cell.output.quantity
    code = code_of(line for lines in (*module.functions.values(), module.start) for line in lines)
    own = [name for name in ("softplus", "logistic_cross_entropy", "softmax", "one_hot", "softmax_cross_entropy", "logistic") if re.search(rf"\b{name}\(", code)]
    weights_text = " ".join([*module.layout.weights.values(), *(c for _, c in module.arrays("window")), *(c for _, c in module.arrays("adjoints")), *module.layout.totals.values(), *module.layout.bulks.values(), *module.layout.spares.values()])
    fields = {
        "cell": cell,
        "title": cell.title,
        "module": module,
        "functions": module.functions,
        "numpy_functions": sorted(module.layout.functions),
        "own": sorted(own),
        "input": x.name,
        "input_axes": "(1, 2, 0)" if x.dimensions else "(1, 0)",
        "target": target.name,
        "target_at_every_step": cell.target_at_every_step,
        "target_dimensions": target.dimensions,
        "label": target.role == "label",
        "scores": _scores(cell),
        "sizes": [(str(d), _size(cell, d)) for d in cell.dimensions],
        "weights_used": [p.name for p in cell.parameters if any(re.search(rf"\b{p.name}\b", c) for c in module.layout.weights.values())],
        "sizes_used_by_weights": [str(d) for d in cell.dimensions if any(re.search(rf"\b{d}\b", c) for c in module.layout.weights.values())],
        "gradients": [module.gradient_of(p.name) for p in cell.parameters],
        "totals": [(name, f"np.zeros({code}, dtype)" if code.startswith("(") else f"np.zeros(np.shape(parameters.{code}), dtype)[()]") for name, code in module.layout.totals.items()],
        "sizes_of": lambda pairs: [str(d) for d in cell.dimensions if any(mentions(c, str(d)) for _, c in pairs)],
        "uses": mentions,
        "code": {name: code_of(lines) for name, lines in module.functions.items()},
        "sizes_of_gradients": [str(d) for d in cell.dimensions if any(mentions(module.gradient_of(p.name), str(d)) for p in cell.parameters)],
        "own_last_step": cell.has_own_last_step,
        "X_shape": " × ".join(map(str, ["N", "T", *x.dimensions])),
        "t_shape": " × ".join(map(str, ["N", *(["T"] if cell.target_at_every_step else []), *target.dimensions])),
    }
    return render("network_fast.py.j2", fields)


def _scores(cell: Any) -> str:
    """How many classes there are, where the targets are labels."""
    nodes = cell.loss.atoms(SoftmaxCrossEntropy)
    return str(form_of(next(iter(nodes)).args[0]).shape[0]) if nodes else ""


def _size(cell: Any, dimension: Any) -> str:
    for weight in cell.parameters:
        if dimension in weight.dimensions:
            return f"parameters.{weight.name}.shape[{weight.dimensions.index(dimension)}]"
    return f"X.shape[{2 + cell.inputs[0].dimensions.index(dimension)}]"


def _rows(heights: Sequence[Quantity], position: int) -> str:
    return f"{height(heights[:position]) or ''}:{height(heights[: position + 1])}"


def code_of(lines: Iterable[str]) -> str:
    """Lines without the comments among them."""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def mentions(code: str, name: str) -> bool:
    """Whether a name stands in code, other than as an attribute or in a string."""
    return re.search(rf'(?<![\w.\"]){name}\b(?!\")', code) is not None


def _indented(lines: Iterable[str], by: int = 4) -> list[str]:
    return [" " * by + line for line in lines]


def _multiple(equation: Equation) -> tuple[At, At] | None:
    """λ_k and δ'_k where an equation is δ_k = λ_k δ'_k."""
    right = equation.rhs
    if not isinstance(right, Mul) or len(right.args) != 2 or not all(isinstance(a, At) for a in right.args):
        return None
    slopes = [a for a in right.args if isinstance(a.quantity, Shorthand) and a.index == equation.lhs.index]
    others = [a for a in right.args if a not in slopes and hasattr(a.quantity, "of") and a.index == equation.lhs.index]
    return (slopes[0], others[0]) if len(slopes) == len(others) == 1 else None


def _transposed(matrix: Expr) -> str:
    """Wᵀ as code, W an expression of parameters."""
    if isinstance(matrix, Transpose):
        return str(Code().doprint(matrix.args[0]))
    return f"{matrix.name}.T" if isinstance(matrix, Parameter) else f"({Code().doprint(matrix)}).T"
