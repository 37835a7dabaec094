"""From update rules to a program: one function per rule, one statement per equation."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Add as SympyAdd
from sympy import Eq, Expr, Max, Min, Mul, Piecewise, S, fraction, sign
from sympy.core.relational import Relational

from derive.language.order import is_negative
from derive.language.quantities import Product, Quantity, Transpose
from derive.methods import levenberg_marquardt
from derive.methods.notation import operands, terms_of_update
from derive.methods.update_rules import PerEntry, UpdateRule
from derive.program.build import Builder, Scope
from derive.program.names import Namer
from derive.program.nodes import (
    BATCH,
    Call,
    Compare,
    Dot,
    Expression,
    Function,
    Identity,
    Let,
    Module,
    Reduce,
    Select,
    Solve,
    Type,
)
from derive.program.sizes import Size
from derive.program.verify import Level, verify


def rules_program(name: str, rules: Iterable[UpdateRule]) -> Module:
    """The program of update rules.

    Args:
        name: Its name in code.
        rules: The rules, in order.
    """
    module = Module(name, name, tuple(map(_function, rules)))
    verify(module, Level.VALUE)
    return module


def _function(rule: UpdateRule) -> Function:
    build = RuleBuilder(RuleScope(Namer()))
    parameters = tuple(map(build.scope.of, rule.arguments))
    body = tuple(map(build.assignment, rule.equations))
    return Function(rule.name, parameters, tuple(map(build.scope.of, rule.results)), body, rule.idea)


class RuleScope(Scope):
    """The symbols of a rule; what its equations say of one entry holds for an array of them."""

    def type(self, quantity: Quantity) -> Type:
        """The type of a quantity."""
        return Type((Size.of("entries"),)) if isinstance(quantity, PerEntry) else super().type(quantity)


class RuleBuilder(Builder):
    """Makes nodes of an update rule: quotients are divisions, and there are choices, extremes and linear equations."""

    def assignment(self, equation: Eq) -> Let:
        """An equation as an assignment; a matrix times an unknown on the left is solved for the unknown."""
        value = self.expression(equation.rhs)
        if not isinstance(equation.lhs, Product):
            return Let(self.scope.place(equation.lhs), value)
        matrix, unknown = equation.lhs.args
        return Let(self.scope.place(unknown), Solve(self.expression(matrix), value))

    def expression(self, expression: Expr) -> Expression:
        """An expression as nodes."""
        match expression:
            case Max() | Min():
                function = "maximum" if isinstance(expression, Max) else "minimum"
                return Call(function, tuple(map(self.expression, operands(expression))))
            case sign():
                return Call("sign", (self.expression(expression.args[0]),))
            case Piecewise():
                return self._choice(expression)
            case Relational():
                left, right = map(self.expression, expression.args)
                return Compare(expression.rel_op, left, right)
            case levenberg_marquardt.Length():
                return Reduce("norm", self.expression(expression.args[0]), (BATCH,))
            case levenberg_marquardt.Identity():
                return Identity(self.scope.size(expression.args[0].dimensions[0]))
        return super().expression(expression)

    def _choice(self, choice: Piecewise) -> Expression:
        *cases, (otherwise, _) = choice.args
        chosen = self.expression(otherwise)
        for value, condition in reversed(cases):
            chosen = Select(self.expression(condition), self.expression(value), chosen)
        return chosen

    def _sum(self, total: SympyAdd) -> Expression:
        first, *others = terms_of_update(total)
        value = self.expression(first)
        for term in others:
            minus = is_negative(term)
            value = Call("subtract" if minus else "add", (value, self.expression(-term if minus else term)))
        return value

    def _product(self, product: Mul) -> Expression:
        above, below = fraction(product)
        if below == S.One:
            return super()._product(product)
        return Call("divide", (self.expression(above), self.expression(below)))

    def _matrix_product(self, product: Product) -> Expression:
        """A product; Aᵀ B of what each sequence has a row of is a sum over the sequences."""
        left, right = product.args
        if not isinstance(left, Transpose):
            return super()._matrix_product(product)
        return Dot(self.expression(left.args[0]), self.expression(right), ((BATCH, BATCH),))
