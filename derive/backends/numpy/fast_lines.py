"""Prints the stages of network_fast.py: both loops, and what is computed in bulk, with what is stacked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sympy import Add, Dummy, Expr

from derive.backends.numpy.fast_calls import Calls, Layout
from derive.backends.numpy.fast_plan import Group, Multiple, Plan, Stack, StackedProduct, height, multiple_of, runs_of
from derive.backends.numpy.numpy_code import Code
from derive.language.quantities import At, Parameter, Product, Quantity, Transpose, k
from derive.mathematics.derivation import Equation


class Block(Calls):
    """A function of the module, printed from the equations of a stage with all that is stacked."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        super().__init__(plan, layout)
        self._parts: dict[tuple[Quantity, Expr], Dummy] = {}  # of a stacked product, by member and left factor

    # --- the loop forwards ---

    def stacked(self, product: StackedProduct, equations: dict[Quantity, Equation]) -> None:
        """L W of all members at once, and the groups among them."""
        plan, layout = self._plan, self._layout
        inner = {z: group for group in product.groups for z in group.inner}
        codes = [
            f"{'0.5 * ' if z in plan.halved else ''}{_transposed(weight)}"
            for z, weight in zip(product.members, product.weights, strict=True)
        ]
        name = self.made_of_weights(f"of_{product.name}", _joined(codes))
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
                self._parts[z, product.left] = dummy
        for group in product.groups:
            self._group(group, stack, equations)

    def _spare_view(self, name: str, array: str, rows: str) -> str:
        """A part of a spare array, under a name."""
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
        """The q = f(z) of a group, all at once."""
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
            self.from_tanh(self.slice(part, k, bulk=False))

    def forward_step(self) -> None:
        """The equations of a step that must wait for the one before."""
        equations = {e.lhs.quantity: e for e in self._plan.staged.run}
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
                if (q, product.left) in self._parts:
                    weight = product.weights[product.members.index(q)]
                    right = right.xreplace({Product(product.left, weight): self._parts[q, product.left]})
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
        first = multiple_of(equation)
        if first is None:
            return []
        alike = {
            each.lhs.quantity: (each, multiple)
            for each in equations
            if (multiple := multiple_of(each)) is not None
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
                name = self.made_of_weights(
                    f"back_{'_'.join(weights)}", f"np.concatenate(({', '.join(weights)}), axis=1)"
                )
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
                    self._write_inputs({e.lhs.quantity: e for e in self._plan.staged.hoisted})
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
        matrix = self.made_of_weights("of_inputs", _joined(weights))
        self.lines.append(f"np.matmul({matrix}, {self.place(found[0].source, bulk=True)}, {out})")
        if all(each.bias == 0 for each in found):
            return
        biases = [
            f"{half}{_bracketed(each.bias, half)}" if each.bias != 0 else f"np.zeros({part.dimensions[0]})"
            for part, half, each in zip(stack.members, halves, found, strict=True)
        ]
        self.call("add", out, self.made_of_weights("inputs_bias", f"{_joined(biases)}[:, np.newaxis]"), out)


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
