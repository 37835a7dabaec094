"""Runs a network in memory: the functions of network.py without a file, their formulas by SymPy's `lambdify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from sympy import Add, Dummy, Expr, Mul, Pow, Rational, sqrt
from sympy import lambdify as compiled

from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import network_of, print_network
from derive.language.functions import FUNCTIONS
from derive.language.quantities import T
from derive.mathematics.derivation import Derivation
from derive.program.interpret import ENTRYWISE, Array, Interpreter, spread_over
from derive.program.nodes import Call, Expression, Literal, Module, Record
from derive.program.types import type_of

OPERATIONS: Mapping[str, Callable[..., Expr]] = {
    "add": Add,
    "subtract": lambda left, right: Add(left, Mul(-1, right)),
    "multiply": Mul,
    "divide": lambda left, right: Mul(left, Pow(right, -1)),
    "power": Pow,
    "negative": lambda inner: Mul(-1, inner),
    "sqrt": sqrt,
}
"""What SymPy has for each operation of a program; `FUNCTIONS` has the functions."""


class Compiled(Interpreter):
    """An interpreter that evaluates what is entrywise by functions that `lambdify` makes, each of them once.

    Args:
        module: The program.
        sizes: See `Interpreter`.
        dtype: See `Interpreter`.
        known: The functions made so far, by the formula; added to.
    """

    def __init__(self, module: Module, sizes: Mapping[str, int], dtype: Any, known: dict[Call, Formula]) -> None:
        super().__init__(module, sizes, dtype=dtype)
        self._known = known

    def value(self, expression: Expression) -> Array:
        """The value of an expression."""
        if not isinstance(expression, Call):
            return super().value(expression)
        if expression not in self._known:
            self._known[expression] = Formula(expression)
        formula = self._known[expression]
        operands = (spread_over(self.value(each), type_of(each), type_of(expression)) for each in formula.operands)
        return np.asarray(formula.function(*operands))


class Formula:
    """An entrywise formula as a function of the functions in it, and of what is not entrywise.

    A function within a formula is a formula of its own: SymPy takes long to look at functions of functions.

    Attributes:
        operands: What the function takes the values of.
        function: The function, by `lambdify`.

    Args:
        call: The formula.
    """

    def __init__(self, call: Call) -> None:
        names: dict[Expression, Dummy] = {}
        operation = OPERATIONS.get(call.function) or function_named(call.function)
        formula = operation(*(self._formula(each, names) for each in call.args))
        self.operands = tuple(names)
        self.function: Callable[..., Any] = compiled([*names.values()], formula, [ENTRYWISE, "numpy"])

    def _formula(self, expression: Expression, names: dict[Expression, Dummy]) -> Expr:
        match expression:
            case Call(function, args) if function in OPERATIONS:
                return OPERATIONS[function](*(self._formula(each, names) for each in args))
            case Literal(value):
                return Rational(value.numerator, value.denominator)
        return names.setdefault(expression, Dummy(real=True))


def function_named(name: str) -> Callable[..., Expr]:
    """SymPy's function of a name."""
    return next(function for function, known in FUNCTIONS.items() if known == name)


class Lambdified:
    """The functions of a generated module; they take and return what those of the module do.

    Attributes:
        Parameters: The NamedTuple of the weights.

    Args:
        derivation: What to run.
        module: Its network.py, where that has been loaded already.
    """

    def __init__(self, derivation: Derivation, module: Any = None) -> None:
        self._cell, self._network = derivation.cell, network_of(derivation)
        # The records and the checks of what a caller passes are the module's own; the calculation is not.
        self._module = module or load(print_network(derivation), derivation.cell.name)
        self.Parameters = self._module.Parameters
        self._formulas: dict[Call, Formula] = {}

    def forward(self, parameters: Any, X: Any) -> Any:
        """The inputs and everything computed from them, a `Trace`."""
        (x,) = (self._network.scope.of(each) for each in self._cell.inputs)
        given = {x.name: self._module.time_first(X, parameters)}
        found = self._run("forward", given[x.name], self._weights(parameters) | given)
        return self._record(self._module.Trace, self._network.trace, found | given)

    def backward(self, parameters: Any, trace: Any, t: Any) -> Any:
        """The adjoints, an `Adjoints`."""
        known = self._after_forward(parameters, trace, t)
        return self._record(self._module.Adjoints, self._network.adjoints, self._run("backward", trace[0], known))

    def value_and_gradient(self, parameters: Any, X: Any, t: Any) -> tuple[Any, Any]:
        """The loss, and its derivative with respect to every weight."""
        trace = self.forward(parameters, X)
        known = self._after_forward(parameters, trace, t)
        known |= self._run("backward", trace[0], known)
        found = self._run("sum_over_time", trace[0], known)
        return self._loss_of(trace, known), self.Parameters(*(slope[()] for slope in found.values()))

    def loss(self, parameters: Any, X: Any, t: Any) -> Any:
        """The loss."""
        trace = self.forward(parameters, X)
        return self._loss_of(trace, self._after_forward(parameters, trace, t))

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
        function = next(each for each in self._network.module.functions if each.name == "descend")
        values: dict[str, Any] = {}
        for record, given in zip(function.parameters, (parameters, gradient, learning_rates), strict=True):
            assert isinstance(record, Record)  # all that this function takes
            values |= zip((field.name for field in record.fields), given, strict=True)
        sizes = self._sizes_of_weights(parameters)
        found = Compiled(self._network.module, sizes, np.result_type(*parameters), self._formulas)
        return self.Parameters(*(value[()] for value in found.run("descend", values).values()))

    def _loss_of(self, trace: Any, known: Mapping[str, Any]) -> Any:
        (value,) = self._run("loss_of", trace[0], known).values()
        return value[()]

    def _weights(self, parameters: Any) -> dict[str, Any]:
        return dict(zip((field.name for field in self._network.parameters.fields), parameters, strict=True))

    def _after_forward(self, parameters: Any, trace: Any, t: Any) -> dict[str, Any]:
        fields = (field.name for field in self._network.trace.fields)
        known = self._weights(parameters) | dict(zip(fields, trace, strict=True))
        return known | {self._network.scope.of(self._cell.targets[0]).name: self._targets(parameters, trace, t)}

    def _targets(self, parameters: Any, trace: Any, t: Any) -> Array:
        """The targets that a caller passes, checked by the module, with time first."""
        sizes = self._sizes(parameters, trace[0])
        shape = tuple(size.number(sizes) for size in self._network.shape_of_targets)
        classes = [size.number(sizes) for size in self._network.classes]
        return self._module.as_targets(t, shape, min(classes) if classes else trace[0].dtype)

    def _run(self, function: str, x: Array, known: Mapping[str, Any]) -> dict[str, Array]:
        fields = self._network.parameters.fields
        weights = [known[field.name] for field in fields]
        sizes = self._sizes(weights, x)
        return Compiled(self._network.module, sizes, x.dtype, self._formulas).run(function, known)

    def _sizes(self, parameters: Any, x: Array) -> dict[str, int]:
        """The value of every size: of the steps, the sequences, and the dimensions."""
        steps, sequences, *row = x.shape
        sizes = {"T": steps - 1, "N": sequences}
        (symbol,) = (self._network.scope.of(each) for each in self._cell.inputs)
        return sizes | dict(zip(map(str, symbol.type.axes), row, strict=True)) | self._sizes_of_weights(parameters)

    def _sizes_of_weights(self, parameters: Any) -> dict[str, int]:
        fields = zip(self._network.parameters.fields, parameters, strict=True)
        pairs = (zip(map(str, field.type.axes), np.shape(value), strict=True) for field, value in fields)
        return reduce(lambda known, more: known | dict(more), pairs, {})

    @staticmethod
    def _record(kind: Any, record: Record, values: Mapping[str, Any]) -> Any:
        return kind(*(values[field.name] for field in record.fields))
