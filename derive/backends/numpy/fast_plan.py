"""How the fast code lays its arrays out: what is kept for all steps, and what is stacked so that products become one.

Arrays have time first and the sequences last, so one step of a quantity of H entries is a block of H rows, and stacked
quantities are blocks of rows of one array: a gate is a view, and all gates are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sympy import Add, Expr, Function, Mul, tanh

from derive.backends.numpy.numpy_code import Code
from derive.language.cell import Cell
from derive.language.operations import ELEMENTWISE, logistic
from derive.language.quantities import Adjoint, At, Product, Quantity, Shorthand, indexed_of, k
from derive.mathematics.derivation import Derivation, Equation, Staged


@dataclass(frozen=True)
class Stack:
    """Quantities whose arrays are blocks of rows of one array.

    Attributes:
        name: The name of the array in code, where there are several.
        members: The quantities, in order.
    """

    name: str
    members: tuple[Quantity, ...]

    @property
    def array(self) -> str:
        """The name of the array: that of the only member where there is one."""
        return self.members[0].name if len(self.members) == 1 else self.name

    def rows(self, first: Quantity, last: Quantity) -> str:
        """The rows from one member to another, as code: `H:3 * H`; the last one's included."""
        begin, end = self.members.index(first), self.members.index(last) + 1
        return f"{height(self.members[:begin]) or ''}:{height(self.members[:end])}"


def height(quantities: Iterable[Quantity]) -> str:
    """How many rows quantities take together, as code: `2 * H + D`; nothing for none."""
    total = Add(*(quantity.dimensions[0] for quantity in quantities))
    return "" if total == 0 else str(Code().doprint(total))


@dataclass(frozen=True)
class Group:
    """Quantities q = f(z) with z = P + L W of a stack, computed together; one tanh serves tanh and σ alike.

    Attributes:
        values: The stack of the q.
        inner: The z, in the same order; they have no array of their own.
        inputs: The stack of the P.
        function: tanh or another function of NumPy.
        logistic: Those of the values that are σ(z) = ½ + ½ tanh(z / 2); they come first.
    """

    values: Stack
    inner: tuple[Quantity, ...]
    inputs: tuple[Quantity, ...]
    function: str
    logistic: tuple[Quantity, ...]


@dataclass(frozen=True)
class StackedProduct:
    """Products L W_1, L W_2, … of one factor, in the loop over the steps.

    Attributes:
        name: What it is called in code.
        left: L.
        weights: The W of each member, expressions of parameters.
        members: The quantities that they are parts of, in the order of the stack.
        groups: Those that are computed together.
    """

    name: str
    left: Expr
    weights: tuple[Expr, ...]
    members: tuple[Quantity, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class InputProduct:
    """What an input adds to a quantity: x_k W + b, b perhaps zero."""

    source: At
    weight: Expr
    bias: Expr


@dataclass(frozen=True)
class Plan:
    """The layout of one cell.

    Attributes:
        staged: The equations.
        kept: The quantities with an array for all steps of a window; the others have one for one step.
        products: The stacked products of the loop forwards.
        inputs: The stack of the input's parts that are products with weights.
        input_products: What each of them is.
        deltas: The stack of the adjoints of what has products.
        slopes: The stack of their factors.
        halved: The z of the σ(z) in groups; ½ is a factor of their weights.
    """

    cell: Cell
    staged: Staged
    kept: set[Quantity]
    products: tuple[StackedProduct, ...]
    inputs: Stack
    input_products: Mapping[Quantity, InputProduct]
    deltas: Stack
    slopes: Stack
    halved: frozenset[Quantity]

    @property
    def inner(self) -> set[Quantity]:
        """The quantities that are computed in a group, without an array."""
        return {z for product in self.products for group in product.groups for z in group.inner}


def plan(derivation: Derivation) -> Plan:
    """Lays out the arrays of a cell's fast code."""
    return _Planner(derivation).plan()


class _Planner:
    def __init__(self, derivation: Derivation) -> None:
        self._derivation, self._cell, self._staged = derivation, derivation.cell, derivation.staged
        self._step = {e.lhs.quantity: e.rhs for e in self._staged.run}
        self._back = {e.lhs.quantity: e for e in self._staged.run_back}
        self._of = {adjoint.of: adjoint for adjoint in derivation.backward.adjoints.values()}
        self._kept = self._find_kept()

    def plan(self) -> Plan:
        order, by_left = self._order()
        parts = [part for q in order if (part := self._input_of(q)) is not None]
        inputs = {part: found for part in parts if (found := self._product_of(part)) is not None}
        products = []
        halved: set[Quantity] = set()
        for number, (left, pairs) in enumerate(by_left.items()):
            members = tuple(q for q in order if q in pairs)
            groups = tuple(self._groups(members, number))
            halved |= {z for g in groups for z, q in zip(g.inner, g.values.members, strict=True) if q in g.logistic}
            name = left.quantity.name if isinstance(left, At) else f"product_{number + 1}"
            products.append(StackedProduct(name, left, tuple(pairs[q] for q in members), members, groups))
        deltas = tuple(self._of[q] for q in order if self._of[q] in self._back and self._of[q] in self._kept)
        slopes = tuple(slope for delta in deltas if (slope := self._slope_of(delta)) is not None)
        return Plan(
            self._cell,
            self._staged,
            self._kept,
            tuple(products),
            Stack("inputs", tuple(inputs)),
            inputs,
            Stack("deltas", deltas),
            Stack("slopes", slopes),
            frozenset(halved),
        )

    def _find_kept(self) -> set[Quantity]:
        """The quantities that are read in another loop, or at another step, than the one that computes them."""
        staged, cell = self._staged, self._cell
        forward = {e.lhs.quantity for e in staged.run}
        back = {e.lhs.quantity for e in staged.run_back}
        kept = {*cell.inputs, *cell.states}
        kept |= {e.lhs.quantity for e in (*staged.hoisted, *staged.outputs, *staged.hoisted_back)}
        loops = ((staged.run, forward), ((*staged.run_back, *staged.start, *staged.before_last), back))
        for equations, mine in loops:
            for equation in equations:
                for atom in indexed_of(equation.rhs):
                    if atom.quantity not in mine or atom.index != equation.lhs.index:
                        kept.add(atom.quantity)
        others = (
            *staged.outputs,
            *staged.finish,
            *staged.hoisted_back,
            *staged.first,
            *staged.gradients,
            *staged.inputs,
        )
        read = [e.rhs for e in others] + [cell.loss, cell.output]
        kept |= {atom.quantity for right in read for atom in indexed_of(right)}
        if cell.has_own_last_step:
            kept |= forward | back
        return kept

    def _order(self) -> tuple[list[Quantity], dict[Expr, dict[Quantity, Expr]]]:
        """The quantities with matrix products in the order of the stacks, and their products by left factor."""
        by_left: dict[Expr, dict[Quantity, Expr]] = {}
        for q, right in self._step.items():
            for term in Add.make_args(right):
                if isinstance(term, Product) and q not in by_left.get(term.args[0], {}):
                    by_left.setdefault(term.args[0], {})[q] = term.args[1]
        order: list[Quantity] = []
        for pairs in by_left.values():
            order += sorted((q for q in pairs if q not in order), key=self._sorter(tuple(pairs)))
        # What has an input's part and no product with a state comes last.
        return order + [
            q for q in self._step if self._input_of(q) is not None and q not in order and q.dimensions
        ], by_left

    def _sorter(self, members: Sequence[Quantity]) -> Callable[[Quantity], tuple[int, str, bool]]:
        """In which order the members of a stack stand, so that what is computed together is together.

        First those without an input's part, then those that are in no group, then the groups: σ before tanh. Within a
        group those stand last whose adjoints are multiples of the same adjoint as the next group's.
        """
        pairs = {z: pair for z in members if (pair := self._pair_of(z)) is not None}
        sources = {self._source(z) for z, (value, _) in pairs.items() if not self._is_logistic(value)}

        def key(z: Quantity) -> tuple[int, str, bool]:
            if z not in pairs:
                return int(self._input_of(z) is not None), "", False
            value, _ = pairs[z]
            function = "" if self._is_logistic(value) else type(self._step[value]).__name__
            return 2, function, self._source(z) in sources

        return key

    def _input_of(self, q: Quantity) -> Shorthand | None:
        """The input's part in the equation of a quantity."""
        before = {e.lhs.quantity for e in self._staged.hoisted}
        for term in Add.make_args(self._step[q]):
            if isinstance(term, At) and isinstance(term.quantity, Shorthand) and term.quantity in before:
                return term.quantity
        return None

    def _pair_of(self, z: Quantity) -> tuple[Quantity, Shorthand] | None:
        """Q and P, where q = f(z) is the only use of z = P + L W, with P = x W + b and f a function of NumPy or σ."""
        terms, part = Add.make_args(self._step[z]), self._input_of(z)
        if len(terms) != 2 or part is None or self._product_of(part) is None or z in self._kept:
            return None
        users = [q for q, right in self._step.items() if z in {atom.quantity for atom in indexed_of(right)}]
        if len(users) != 1 or users[0] not in self._kept or not any(isinstance(term, Product) for term in terms):
            return None
        right = self._step[users[0]]
        if not isinstance(right, Function) or right.args != (z[k],):
            return None
        return (users[0], part) if right.func == logistic or ELEMENTWISE[right.func].startswith("np.") else None

    def _product_of(self, part: Shorthand) -> InputProduct | None:
        """An input's part as a product of the input itself, as all in one stack must be; None where it is another."""
        found = input_product(part)
        return found if found is not None and found.source.quantity in self._cell.inputs else None

    def _is_logistic(self, q: Quantity) -> bool:
        return isinstance(self._step[q], logistic)

    def _source(self, z: Quantity) -> Quantity | None:
        """The adjoint that the adjoint of z is a multiple of."""
        equation = self._back.get(self._of[z])
        if equation is None or not isinstance(equation.rhs, Mul):
            return None
        adjoints = [a.quantity for a in equation.rhs.args if isinstance(a, At) and isinstance(a.quantity, Adjoint)]
        return adjoints[0] if len(adjoints) == 1 else None

    def _slope_of(self, delta: Adjoint) -> Quantity | None:
        """λ, where the equation back of an adjoint is δ_k = λ_k δ'_k, and λ is computed in bulk."""
        multiple = multiple_of(self._back[delta])
        in_bulk = {equation.lhs.quantity for equation in self._staged.hoisted_back}
        return multiple.slope.quantity if multiple and multiple.slope.quantity in in_bulk else None

    def _groups(self, members: Sequence[Quantity], number: int) -> Iterable[Group]:
        """Runs of members whose values are functions of them: σ and tanh together, others by function."""
        runs: dict[str, list[tuple[Quantity, Quantity, Shorthand]]] = {}
        for z in members:
            pair = self._pair_of(z)
            if pair is not None:
                function = tanh if self._is_logistic(pair[0]) else self._step[pair[0]].func
                runs.setdefault(ELEMENTWISE[function].removeprefix("np."), []).append((z, *pair))
        for count, (function, run) in enumerate(runs.items()):
            inner, values, inputs = zip(*run, strict=True)
            stack = Stack("gates" if number == count == 0 else f"gates_{number + 1}_{count + 1}", values)
            yield Group(stack, inner, inputs, function, tuple(q for q in values if self._is_logistic(q)))


def input_product(part: Shorthand) -> InputProduct | None:
    """An input's part as a product; None where it has another form."""
    terms = Add.make_args(part.value)
    products = [t for t in terms if isinstance(t, Product) and isinstance(t.args[0], At) and t.args[0].index == k]
    bias = [t for t in terms if t not in products]
    if len(products) != 1 or any(indexed_of(t) for t in bias):
        return None
    source, weight = products[0].args
    return InputProduct(source, weight, Add(*bias))


class Multiple(NamedTuple):
    """The right-hand side of δ_k = λ_k δ'_k."""

    slope: At
    adjoint: At


def multiple_of(equation: Equation) -> Multiple | None:
    """λ_k and δ'_k where an equation is δ_k = λ_k δ'_k."""
    right = equation.rhs
    if not isinstance(right, Mul) or len(right.args) != 2 or not all(isinstance(a, At) for a in right.args):
        return None
    slopes = [a for a in right.args if isinstance(a.quantity, Shorthand) and a.index == equation.lhs.index]
    others = [a for a in right.args if isinstance(a.quantity, Adjoint) and a.index == equation.lhs.index]
    return Multiple(slopes[0], others[0]) if len(slopes) == len(others) == 1 else None


def runs_of(wanted: Iterable[Quantity], stack: Stack) -> list[tuple[Quantity, ...]]:
    """The wanted members of a stack, as runs of neighbours in it."""
    wanted = set(wanted)
    runs: list[list[Quantity]] = []
    previous = None
    for position, member in enumerate(stack.members):
        if member in wanted:
            if previous != position - 1 or not runs:
                runs.append([])
            runs[-1].append(member)
            previous = position
    return [tuple(run) for run in runs]
