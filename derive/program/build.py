"""From equations to a program: the one place for turning SymPy into nodes, and for fixing the order of terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from sympy import Add as SympyAdd
from sympy import Expr, Function, Integer, Mul, Pow, Rational, S, Sum
from sympy import Symbol as SympySymbol

from derive.language import operations
from derive.language.functions import FUNCTIONS
from derive.language.names import name_of_tangent
from derive.language.order import BY_ROLE, Order, is_negative
from derive.language.quantities import (
    LOSS,
    Adjoint,
    At,
    Dimension,
    Input,
    Intermediate,
    Label,
    LearningRate,
    Parameter,
    Product,
    Quantity,
    State,
    T,
    Target,
    Transpose,
    atoms_of,
    varies_by_sequence,
)
from derive.language.shapes import form_of
from derive.mathematics.derivation import Equation
from derive.program.names import Namer
from derive.program.nodes import (
    BATCH,
    Add,
    Axis,
    Call,
    Constant,
    Dim,
    Dot,
    Expression,
    Kind,
    Let,
    Literal,
    Loop,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Statement,
    Symbol,
    Type,
)
from derive.program.nodes import Transpose as TransposeNode
from derive.program.sizes import Size
from derive.program.types import type_of

ROLES = {
    Parameter: Role.PARAMETER,
    Input: Role.INPUT,
    Target: Role.TARGET,
    Label: Role.TARGET,
    State: Role.STATE,
    Intermediate: Role.INTERMEDIATE,
    Adjoint: Role.ADJOINT,
    LearningRate: Role.RATE,
}
STEPS = Size.of("T") + 1
"""The number of rows of a symbol with one per step: row 0 is for the start."""


class Scope:
    """The symbols of a module: the name in code of each quantity of a derivation.

    Args:
        namer: Gives the names: those of the user's quantities and dimensions first, then all others.
    """

    def __init__(self, namer: Namer) -> None:
        self._namer = namer
        self._symbols: dict[Expr, Symbol] = {}
        self._places: dict[Expr, Ref | Part] = {}
        self._sizes: dict[Dimension, str] = {}

    def declare(
        self,
        quantity: Quantity,
        *,
        role: Role | None = None,
        steps: Size | None = None,
        name: str = "",
        field: str = "",
    ) -> Symbol:
        """The symbol of a quantity, made at its first use.

        Args:
            quantity: The quantity.
            role: What it is, where its class does not say.
            steps: How many rows it has, where it has one per step.
            name: What it should be called in code, unless as itself.
            field: What it is called in a record, unless as itself.
        """
        if quantity not in self._symbols:
            self._symbols[quantity] = Symbol(
                self._namer.name(name or quantity.name),
                self.type(quantity),
                role or next((ROLES[kind] for kind in type(quantity).__mro__ if kind in ROLES), Role.LOCAL),
                steps,
                quantity.meaning or quantity.latex,
                field or quantity.name,
            )
        return self._symbols[quantity]

    def size(self, expression: Expr | int) -> Size:
        """An integer expression in T, N, steps and dimensions, by the names that these have in code.

        Raises:
            ValueError: It is no linear form with whole coefficients.
        """
        total = Size()
        for term in BY_ROLE.terms(S(expression)):
            coefficient, rest = term.as_coeff_Mul()
            if not coefficient.is_Integer or not (rest == S.One or isinstance(rest, SympySymbol)):
                raise ValueError(f"{expression} is no linear form of sizes")
            total += (Size((), 1) if rest == S.One else Size.of(self._name_of_size(rest))) * int(coefficient)
        return total

    @property
    def dimensions(self) -> dict[str, str]:
        """The dimensions by the names that they have in code, each with the user's own."""
        return {name: str(dimension) for dimension, name in self._sizes.items()}

    def _name_of_size(self, symbol: SympySymbol) -> str:
        if not isinstance(symbol, Dimension):
            return str(symbol.name)
        if symbol not in self._sizes:
            self._sizes[symbol] = self._namer.name(symbol.name)
        return self._sizes[symbol]

    def type(self, quantity: Quantity) -> Type:
        """The type of a quantity at one step."""
        axes = tuple(map(self.size, quantity.dimensions))
        return Type(axes, quantity.per_sequence, isinstance(quantity, Label))

    def gradient(self, weight: Parameter) -> Symbol:
        """The symbol of dξ/dW."""
        derivative = operations.Total(LOSS, weight)
        if derivative not in self._symbols:
            name = self._namer.name(f"gradient_{weight.name}")
            meaning = f"derivative of the loss with respect to {weight.name}"
            self._symbols[derivative] = Symbol(name, self.type(weight), Role.GRADIENT, None, meaning, weight.name)
        return self._symbols[derivative]

    def loss(self) -> Symbol:
        """The symbol of ξ."""
        return self.declare(LOSS, role=Role.LOSS, name="value")

    def of(self, expression: Expr) -> Symbol:
        """The symbol of a quantity, of the loss or of a gradient."""
        if isinstance(expression, operations.Total):
            return self.gradient(expression.args[1])
        return self.loss() if expression == LOSS else self.declare(expression)

    def tangent(self, quantity: Quantity, weight: Parameter) -> Symbol:
        """The symbol of dq_k/dW."""
        derivative = operations.Total(quantity, weight)
        if derivative not in self._symbols:
            name = self._namer.name(name_of_tangent(quantity.name, weight.name))
            meaning = f"derivative of {quantity.name} with respect to {weight.name}"
            self._symbols[derivative] = Symbol(name, self.type(quantity), Role.TANGENT, STEPS, meaning)
        return self._symbols[derivative]

    def local(
        self, name: str, kind: Type, role: Role = Role.LOCAL, *, meaning: str = "", steps: Size | None = None
    ) -> Symbol:
        """A symbol that is no quantity of the derivation, or one of them in another form.

        Args:
            name: What it should be called in code.
            kind: What it is made of.
            role: What it is.
            meaning: A few words.
            steps: How many rows it has, where it has one per step.
        """
        return Symbol(self._namer.name(name), kind, role, steps, meaning, name)

    def put(self, expression: Expr, place: Ref | Part) -> None:
        """Says where a quantity, a step of one or a derivative is that has no symbol of its own: a column, a row."""
        self._places[expression] = place

    def place(self, left: Expr) -> Ref | Part:
        """Where the left-hand side of an equation is."""
        if left in self._places:
            return self._places[left]
        if isinstance(left, At):
            return Ref(self.of(left.quantity), self.size(left.index))
        if isinstance(left, operations.Total) and isinstance(left.args[0], At):
            at, weight = left.args
            return Ref(self.tangent(at.quantity, weight), self.size(at.index))
        return Ref(self.of(left))


class Builder:
    """Turns SymPy expressions into nodes.

    Args:
        scope: What each quantity is called.
        order: The order of terms and factors.
    """

    def __init__(self, scope: Scope, order: Order = BY_ROLE) -> None:
        self.scope, self.order = scope, order

    def let(self, equation: Equation) -> Let:
        """An equation as an assignment."""
        return Let(self.scope.place(equation.lhs), self.expression(equation.rhs), (equation.number,))

    def at(self, equation: Equation, step: Expr) -> Let:
        """An equation that holds for every k as an assignment at one step."""
        index = equation.over[0].index
        left, right = (side.subs(index, step) for side in (equation.lhs, equation.rhs))
        return Let(self.scope.place(left), self.expression(right), (equation.number,))

    def loop(self, equations: Iterable[Equation], kind: Kind = Kind.SCAN) -> Loop:
        """Equations of a step as a loop over the steps for which all hold: that is all but the last, if some do not."""
        equations = tuple(equations)
        over = next((each.over[0] for each in equations if each.over[0].last != T), equations[0].over[0])
        body = tuple(map(self.let, equations))
        return Loop(
            over.index.name, self.scope.size(over.first), self.scope.size(over.last), over.backwards, kind, body
        )

    def sums(self, equations: Iterable[Equation]) -> Iterator[Statement]:
        """Equations whose right-hand sides are sums over steps: one loop for each range, then what is added once."""
        once: list[Statement] = []
        loops: dict[tuple[Expr, Expr, Expr], list[Statement]] = {}
        for equation in equations:
            target = self.scope.place(equation.lhs)
            for term in self.order.terms(equation.rhs):
                is_sum = isinstance(term, Sum)
                line = Add(target, self.expression(term.function if is_sum else term), (equation.number,))
                (loops.setdefault(term.limits[0], []) if is_sum else once).append(line)
        for (index, first, last), body in loops.items():
            yield Loop(index.name, self.scope.size(first), self.scope.size(last), False, Kind.SCAN, tuple(body))
        yield from once

    # --- expressions ---

    def expression(self, expression: Expr) -> Expression:
        """An expression as nodes.

        Raises:
            NotImplementedError: There is no node for a part of it.
        """
        match expression:
            case At() | operations.Total() | Quantity():
                return self.scope.place(expression)
            case operations.Marked():
                return self.expression(expression.expression)
            case Integer() | Rational():
                return Literal(Fraction(int(expression.p), int(expression.q)))
            case S.Pi | S.Exp1:
                return Constant("pi" if expression == S.Pi else "e")
            case SympySymbol():
                return Dim(self.scope.size(expression))
            case SympyAdd():
                return self._sum(expression)
            case Mul():
                return self._product(expression)
            case Pow():
                return self._power(expression)
            case Function():
                return Call(FUNCTIONS[expression.func], tuple(map(self.expression, expression.args)))
            case Product():
                return self._matrix_product(expression)
            case Transpose():
                return TransposeNode(self.expression(expression.args[0]))
            case operations.BatchOuter():
                left, right = map(self.expression, expression.args)
                return Dot(left, right, ((BATCH, BATCH),))
            case operations.BatchMean():
                return Reduce("mean", self.expression(expression.args[0]), (BATCH,))
            case operations.BatchSum():
                return self._batch_sum(expression.args[0])
            case operations.EntrySum():
                return self._entry_sum(expression)
            case operations.Softmax():
                return RowWise("softmax", (self.expression(expression.args[0]),))
            case operations.OneHot():
                return RowWise("one_hot", tuple(map(self.expression, expression.args)))
            case operations.SoftmaxCrossEntropy():
                return RowWise("softmax_cross_entropy", tuple(map(self.expression, expression.args)))
        raise NotImplementedError(f"no node of a program for {type(expression).__name__}; add a case to build.py")

    def _sum(self, total: SympyAdd) -> Expression:
        if not total.atoms(Quantity, At):
            return Dim(self.scope.size(total))
        first, *others = self.order.terms(total)
        value = self.expression(first)
        for term in others:
            minus = is_negative(term)
            value = Call("subtract" if minus else "add", (value, self.expression(-term if minus else term)))
        return value

    def _product(self, product: Mul) -> Expression:
        if is_negative(product):
            return Call("negative", (self.expression(-product),))
        value: Expression | None = None
        for factor in self.order.factors(product):
            if isinstance(factor, Pow) and factor.exp == S.NegativeOne:
                value = Call("divide", (value or Literal(Fraction(1)), self.expression(factor.base)))
            else:
                right = self.expression(factor)
                value = right if value is None else Call("multiply", (value, right))
        assert value is not None  # a product has factors
        return value

    def _power(self, power: Pow) -> Expression:
        if power.exp.free_symbols and not atoms_of(power.exp):
            return self._power_of_steps(*power.args)
        base = self.expression(power.base)
        if power.exp == S.NegativeOne:
            return Call("divide", (Literal(Fraction(1)), base))
        if power.exp == S.Half:
            return Call("sqrt", (base,))
        return Call("power", (base, self.expression(power.exp)))

    def _power_of_steps(self, base: Expr, exponent: Expr) -> Expression:
        """A power from 0 up whose exponent depends on steps; SymPy makes 2^(j - T) of (1/2)^(T - j)."""
        steps = self.scope.size(exponent)
        _, largest = min(steps.terms, key=lambda term: term[0] != "T")
        if largest < 0:
            base, steps = 1 / base, steps * -1
        return Call("power", (self.expression(base), Dim(steps)))

    def _matrix_product(self, product: Product) -> Expression:
        left, right = product.args
        matrix = isinstance(right, Transpose)
        row = self.expression(left)
        other = self.expression(right.args[0] if matrix else right)
        last = len(type_of(row).axes) - 1
        return Dot(row, other, ((last, 1 if matrix else 0),))

    def _entry_sum(self, total: operations.EntrySum, *axes: Axis) -> Reduce:
        """The sum of all entries of a row or a matrix, and over further axes."""
        inside = self.expression(total.args[0])
        return Reduce("sum", inside, (*range(len(type_of(inside).axes)), *axes))

    def _batch_sum(self, inside: Expr) -> Expression:
        """A sum over the sequences; of a product of two numbers of each it is a dot product."""
        if form_of(inside).shape:
            return Reduce("sum", self.expression(inside), (BATCH,))
        if isinstance(inside, operations.EntrySum):
            return self._entry_sum(inside, BATCH)
        is_square = isinstance(inside, Pow) and inside.exp == 2 and isinstance(inside.base, At | Quantity)
        factors = [inside.base] * 2 if is_square else self.order.factors(inside)
        if len(factors) == 2 and all(map(varies_by_sequence, factors)):
            left, right = map(self.expression, factors)
            return Dot(left, right, ((BATCH, BATCH),))
        return Reduce("sum", self.expression(inside), (BATCH,))
