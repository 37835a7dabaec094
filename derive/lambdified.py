"""Runs a program in memory, each line by SymPy's `lambdify`: the functions of a generated module without a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from sympy import Expr, S, Symbol, lambdify

from derive.modules import adjoints_of, load, print_network, trace_of
from derive.numpy_code import Code
from derive.operations import Total
from derive.program import Accumulate, Allocate, Assign, ForTime, Program, Statement, Zero
from derive.quantities import LOSS, At, LearningRate, N, T, bare_of, indexed_of, k

Values: TypeAlias = dict[Any, Any]
"""What is known while a program runs: numbers and arrays by quantity, T and N, and the dtype."""

Run: TypeAlias = Callable[[Values], None]


class Lambdified:
    """The functions of a generated module; they take and return what those of the module do.

    Attributes:
        Parameters: The NamedTuple of the weights.

    Args:
        program: What to run.
    """

    def __init__(self, program: Program) -> None:
        self._cell, self._trace, self._adjoints = program.cell, trace_of(program.cell), adjoints_of(program)
        # The records and the conversion of what a caller passes are the module's own; the calculation is not.
        self._module = load(print_network(program), program.cell.name)
        self.Parameters = self._module.Parameters
        self._forward, self._loss, self._backward, self._gradients, self._update = (
            compiled(block)
            for block in (program.forward, program.loss, program.backward, program.gradients, program.update)
        )

    def forward(self, parameters: Any, X: Any) -> Any:
        """The inputs and everything computed from them, a `Trace`."""
        values = self._known(parameters, {self._cell.inputs[0]: self._module.time_first(X, parameters)})
        self._forward(values)
        return self._module.Trace(*(values[quantity] for quantity in self._trace))

    def backward(self, parameters: Any, trace: Any, t: Any) -> Any:
        """The adjoints, an `Adjoints`."""
        values = self._after_forward(parameters, trace, t)
        self._backward(values)
        return self._module.Adjoints(*(values[quantity] for quantity in self._adjoints))

    def value_and_gradient(self, parameters: Any, X: Any, t: Any) -> tuple[Any, Any]:
        """The loss, and its derivative with respect to every weight."""
        values = self._after_forward(parameters, self.forward(parameters, X), t)
        for run in (self._loss, self._backward, self._gradients):
            run(values)
        return values[LOSS], self.Parameters(*(values[Total(LOSS, weight)] for weight in self._cell.parameters))

    def loss(self, parameters: Any, X: Any, t: Any) -> Any:
        """The loss."""
        values = self._after_forward(parameters, self.forward(parameters, X), t)
        self._loss(values)
        return values[LOSS]

    def gradients(self, parameters: Any, X: Any, t: Any) -> Any:
        """The derivative of the loss with respect to every weight."""
        return self.value_and_gradient(parameters, X, t)[1]

    def predict(self, parameters: Any, X: Any) -> Any:
        """The output for every sequence."""
        return getattr(self.forward(parameters, X), self._cell.output.quantity.name)[-1]

    def descend(self, parameters: Any, gradient: Any, learning_rates: Any) -> Any:
        """The weights after one step of gradient descent."""
        values: Values = {}
        for weight, value, slope, rate in zip(self._cell.parameters, parameters, gradient, learning_rates, strict=True):
            values |= {weight: value, Total(LOSS, weight): slope, LearningRate.of_weight(weight): rate}
        self._update(values)
        return self.Parameters(*(values[weight] for weight in self._cell.parameters))

    def _after_forward(self, parameters: Any, trace: Any, t: Any) -> Values:
        values = self._known(parameters, dict(zip(self._trace, trace, strict=True)))
        values[self._cell.targets[0]] = self._module.as_targets(t, trace[0])
        return values

    def _known(self, parameters: Any, arrays: Values) -> Values:
        steps = next(iter(arrays.values()))
        weights = dict(zip(self._cell.parameters, parameters, strict=True))
        return {**weights, **arrays, T: len(steps) - 1, N: steps.shape[1], "dtype": steps.dtype}


def compiled(statements: tuple[Statement, ...] | tuple[Assign | Accumulate, ...]) -> Run:
    """A block of statements as one function that changes the values."""
    runs = [_statement(statement) for statement in statements]

    def run(values: Values) -> None:
        for each in runs:
            each(values)

    return run


def _statement(statement: Statement | Accumulate) -> Run:
    match statement:
        case Allocate(quantity):
            return lambda values: values.update({quantity: np.zeros((values[T] + 1, values[N]), values["dtype"])})
        case Zero(target):
            return lambda values: values.update({target: 0})
        case Assign(target, value):
            return _store(target, function(value))
        case Accumulate(target, value):
            term = function(value)
            return lambda values: values.update({target: values[target] + term(values)})
        case ForTime(first, last, backwards, body):
            return _loop(function(first), function(last), -1 if backwards else 1, compiled(body))


def _store(target: Expr, value: Callable[[Values], Any]) -> Run:
    """`s[k] = …` changes a row; `value = …` a number."""
    if not isinstance(target, At):
        return lambda values: values.update({target: value(values)})
    row = function(target.index)

    def store(values: Values) -> None:
        values[target.quantity][row(values)] = value(values)

    return store


def _loop(first: Callable[[Values], int], last: Callable[[Values], int], direction: int, body: Run) -> Run:
    def run(values: Values) -> None:
        for step in range(first(values), last(values) + direction, direction):
            values[k] = step
            body(values)

    return run


def function(expression: Expr) -> Callable[[Values], Any]:
    """An expression as a function of the values, by `lambdify` with the printer of the generated code."""
    slopes = sorted(expression.atoms(Total), key=str)
    indexed = sorted(indexed_of(expression), key=str)
    bare = sorted(bare_of(expression.xreplace(dict.fromkeys(slopes, S.One))), key=str)
    names = {atom: Symbol(f"argument_{i}") for i, atom in enumerate([*bare, *slopes, *indexed])}
    named = expression.xreplace(names)
    symbols = sorted(named.free_symbols & {T, N, k}, key=str)
    body = lambdify([*names.values(), *symbols], named, [{"np": np}], printer=Code())
    rows = [(atom.quantity, function(atom.index)) for atom in indexed]

    def call(values: Values) -> Any:
        known = (values[name] for name in (*bare, *slopes))
        there = (values[quantity][index(values)] for quantity, index in rows)
        return body(*known, *there, *(values[symbol] for symbol in symbols))

    return call
