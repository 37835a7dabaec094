"""Runs a program in memory, each line by SymPy's `lambdify`: the functions of a generated module without a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from sympy import Expr, S, Symbol, lambdify

from derive.backends.numpy.modules import (
    adjoints_of,
    classes_of,
    own_functions,
    print_network,
    shape_of_targets,
    trace_of,
)
from derive.backends.numpy.numpy_code import Code, form_of_target, of_all_steps
from derive.language.operations import Total
from derive.language.quantities import (
    LOSS,
    At,
    Intermediate,
    LearningRate,
    N,
    Parameter,
    Quantity,
    T,
    bare_of,
    indexed_of,
    k,
)
from derive.program.loading import load
from derive.program.program import Accumulate, Allocate, Assign, ForTime, Program, Statement, Zero

Values: TypeAlias = dict[Any, Any]
"""What is known while a program runs: numbers and arrays by quantity, T, N, the dimensions and the dtype."""

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
        # The records, the conversion of what a caller passes and the functions that NumPy does not have are the
        # module's own; the calculation is not.
        self._module = load(print_network(program), program.cell.name)
        self.Parameters = self._module.Parameters
        names = {"np": np} | {name: getattr(self._module, name) for name in own_functions(program)}
        self._forward, self._loss, self._backward, self._gradients, self._update = (
            Compiler(names).block(block)
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
        """The output for every sequence, at the last step or at every one."""
        output = self._cell.output
        steps = getattr(self.forward(parameters, X), output.quantity.name)
        return steps[-1] if output.index == T else np.swapaxes(steps[1:], 0, 1)

    def descend(self, parameters: Any, gradient: Any, learning_rates: Any) -> Any:
        """The weights after one step of gradient descent."""
        values: Values = {}
        for weight, value, slope, rate in zip(self._cell.parameters, parameters, gradient, learning_rates, strict=True):
            values |= {weight: value, Total(LOSS, weight): slope, LearningRate.of_weight(weight): rate}
        self._update(values)
        return self.Parameters(*(values[weight] for weight in self._cell.parameters))

    def _after_forward(self, parameters: Any, trace: Any, t: Any) -> Values:
        values = self._known(parameters, dict(zip(self._trace, trace, strict=True)))
        shape, classes = (in_numbers(sizes, values) for sizes in (shape_of_targets(self._cell), classes_of(self._cell)))
        kind = min(classes) if classes else values["dtype"]
        values[self._cell.targets[0]] = self._module.as_targets(t, shape, kind)
        return values

    def _known(self, parameters: Any, arrays: Values) -> Values:
        """The weights, the arrays, and the sizes that they tell."""
        x = self._cell.inputs[0]
        weights = dict(zip(self._cell.parameters, parameters, strict=True))
        steps, sequences, *row = arrays[x].shape
        values = {**arrays, **weights, T: steps - 1, T + 1: steps, N: sequences, "dtype": arrays[x].dtype}
        values |= zip(x.dimensions, row, strict=True)
        for weight, value in weights.items():
            values |= zip(weight.dimensions, np.shape(value), strict=True)
        return values


def in_numbers(shape: tuple[Any, ...], values: Values) -> tuple[int, ...]:
    """A shape with the sizes of its dimensions put in."""
    return tuple(values.get(size, size) for size in shape)


class Compiler:
    """Makes of a block of statements one function that changes the values.

    Args:
        names: What the printed expressions may call.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = dict(names)

    def block(self, statements: tuple[Statement, ...] | tuple[Assign | Accumulate, ...]) -> Run:
        """Runs one statement after the other."""
        runs = [self._statement(statement) for statement in statements]

        def run(values: Values) -> None:
            for each in runs:
                each(values)

        return run

    def _statement(self, statement: Statement | Accumulate) -> Run:
        match statement:
            case Allocate(quantity):
                return lambda values: values.update({quantity: _zeros(of_all_steps(quantity), values)})
            case Zero(target):
                shape = form_of_target(target).shape
                return lambda values: values.update({target: _zeros(shape, values) if shape else 0})
            case Assign(target, value):
                return self._store(target, self._function(value))
            case Accumulate(target, value):
                term = self._function(value)
                return lambda values: values.update({target: values[target] + term(values)})
            case ForTime(first, last, backwards, body):
                ends = self._function(first), self._function(last)
                return _loop(*ends, -1 if backwards else 1, self.block(body))

    def _store(self, target: Expr, value: Callable[[Values], Any]) -> Run:
        """`s[k] = …` changes a row; `value = …` a number."""
        if not isinstance(target, At):
            return lambda values: values.update({target: value(values)})
        row = self._function(target.index)

        def store(values: Values) -> None:
            values[target.quantity][row(values)] = value(values)

        return store

    def _function(self, expression: Expr) -> Callable[[Values], Any]:
        """An expression as a function of the values, by `lambdify` with the printer of the generated code."""
        slopes = sorted(expression.atoms(Total), key=str)
        indexed = sorted(indexed_of(expression), key=str)
        bare = sorted(bare_of(expression.xreplace(dict.fromkeys(slopes, S.One))), key=str)
        arguments = {atom: argument(atom, f"argument_{i}") for i, atom in enumerate([*bare, *slopes, *indexed])}
        named = expression.xreplace(arguments)
        sizes = sorted(named.atoms(Symbol), key=str)
        body = lambdify([*arguments.values(), *sizes], named, [self._names], printer=Code())
        rows = [(atom.quantity, self._function(atom.index)) for atom in indexed]

        def call(values: Values) -> Any:
            known = (values[name] for name in (*bare, *slopes))
            there = (values[quantity][index(values)] for quantity, index in rows)
            return body(*known, *there, *(values[size] for size in sizes))

        return call


def argument(atom: Expr, name: str) -> Quantity:
    """What stands for an atom in a function: a quantity of the same form, which the printer must know."""
    form = form_of_target(atom)
    return (Intermediate if form.per_sequence else Parameter)(name, shape=form.shape)


def _zeros(shape: tuple[Any, ...], values: Values) -> Any:
    return np.zeros(in_numbers(shape, values), values["dtype"])


def _loop(first: Callable[[Values], int], last: Callable[[Values], int], direction: int, body: Run) -> Run:
    def run(values: Values) -> None:
        for step in range(first(values), last(values) + direction, direction):
            values[k] = step
            body(values)

    return run
