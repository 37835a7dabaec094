"""What an expression of a derivation is worth at a point: the interpreter that every check rests on.

It runs the cell's own equations, never the derivation's, and takes every derivative numerically, so it can contradict
the derivation. Numbers are mpmath's at a chosen precision, or SymPy's fractions; values that differ from sequence to
sequence are NumPy arrays of N of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import mpmath
import numpy as np
from sympy import Add, Expr, Float, Function, Integer, Max, Mul, Pow, Rational, Sum, Symbol, sympify
from sympy.core.numbers import NumberSymbol
from sympy.matrices import MatrixBase

from derive.language.cell import Cell
from derive.language.operations import (
    BatchMean,
    BatchOuter,
    BatchSum,
    Chain,
    Determinant,
    Eigenvalue,
    EntrySum,
    Hessian,
    Marked,
    OneHot,
    Partial,
    Rounded,
    Softmax,
    SoftmaxCrossEntropy,
    SpectralRadius,
    Total,
    UpdateJacobian,
)
from derive.language.quantities import (
    LOSS,
    Abbreviation,
    Adjoint,
    At,
    Dimension,
    N,
    Product,
    Quantity,
    T,
    Transpose,
    k,
    quantity_of,
)
from derive.language.shapes import form_of

OWN_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "logistic_cross_entropy": lambda y, t: (
        -t * mpmath.log(1 / (1 + mpmath.exp(-y))) - (1 - t) * mpmath.log(1 - 1 / (1 + mpmath.exp(-y)))
    ),
}
"""The functions that mpmath does not have, by their definition."""

LARGEST_ARGUMENT = 1e15
"""Far beyond this mpmath would fill the memory: with the exponent of exp(z), or the digits of z - 2πn for sin(z)."""
OF_ANY_SIZE = ("atan", "log", "tanh")
"""The functions that this does not concern."""

DIGITS = 110
"""How many digits mpmath works with while a point is evaluated, unless told."""

Value: TypeAlias = Any
"""A number, an array of N numbers (one a sequence), or a matrix of numbers."""


@dataclass(frozen=True, eq=False)
class Point:
    """Where to evaluate: a cell with numbers for its weights and its data.

    Attributes:
        cell: The cell.
        steps: T.
        sequences: N.
        given: The value of every parameter (a number), input and target (an array of N numbers at each step, by atom).
        sizes: The number that each dimension stands for.
        nudge: How far to go to each side for a numerical derivative; the error is its square.
        number: Makes a number of an exact one.
        digits: How many digits mpmath works with.
    """

    cell: Cell
    steps: int
    sequences: int
    given: Mapping[Expr, Value]
    nudge: Any
    number: Callable[[Any], Any] = mpmath.mpmathify
    sizes: Mapping[Dimension, int] = field(default_factory=dict)
    digits: int = DIGITS

    # Numerical derivatives already taken, by what is differentiated and with respect to what.
    _partials: dict[tuple[Expr, Expr], Value] = field(default_factory=dict, init=False)
    _totals: dict[tuple[Expr, ...], Value] = field(default_factory=dict, init=False)

    @cached_property
    def trace(self) -> dict[Expr, Value]:
        """The forward pass: the value of every state and intermediate at every step."""
        with mpmath.workdps(self.digits):
            return self.run(self.given)

    def run(self, given: Mapping[Expr, Value], shifted: Mapping[Expr, Value] | None = None) -> dict[Expr, Value]:
        """Runs the cell's equations.

        Args:
            given: Parameters, inputs and targets.
            shifted: What to add to a quantity once it is computed, by atom; so its derivatives are taken.
        """
        values = dict(given)

        def keep(atom: Expr, right: Expr, index: Mapping[Symbol, int]) -> None:
            values[atom] = self._compute(right, values, index) + self._zeros(atom)
            if shifted and atom in shifted:
                values[atom] = values[atom] + shifted[atom]

        for state, right in self.cell.initial.items():
            keep(state[0], right, {})
        for step in range(1, self.steps + 1):
            rights = self.cell.last_step if step == self.steps else self.cell.step
            for quantity, right in rights.items():
                keep(quantity[step], right, {k: step})
        return values

    def _zeros(self, expression: Expr) -> Value:
        """Zeros of the form of an expression, one for each sequence."""
        sizes = (self.sizes[size] if isinstance(size, Dimension) else size for size in form_of(expression).shape)
        return np.full((self.sequences, *sizes), self.number(0), dtype=object)

    def loss(self, values: Mapping[Expr, Value]) -> Value:
        """The loss, from the values of a forward pass."""
        with mpmath.workdps(self.digits):
            if not self.cell.loss_at_every_step:
                return self._compute(self.cell.loss, values, {})
            return sum(self._compute(self.cell.loss, values, {k: step}) for step in range(1, self.steps + 1))

    def value(self, expression: Expr, index: Mapping[Symbol, int] | None = None) -> Value:
        """What `expression` is worth here.

        Args:
            expression: Any expression of a derivation.
            index: Numbers for the indices that stand free in it.
        """
        with mpmath.workdps(self.digits):
            return self._compute(expression, self.trace, index or {})

    def _compute(self, expression: Expr, values: Mapping[Expr, Value], index: Mapping[Symbol, int]) -> Value:
        def compute(part: Expr, more: Mapping[Symbol, int] | None = None) -> Value:
            return self._compute(part, values, {**index, **(more or {})})

        match expression:
            case At() | Quantity():
                return self._look_up(expression, values, index)
            case Symbol():
                return self.number({T: self.steps, N: self.sequences, **self.sizes, **index}[expression])
            case Integer() | Rational() | Float():
                return self.number(expression)
            case NumberSymbol():  # π is no fraction: mpmath takes its digits only
                return expression if self.number is sympify else mpmath.mpmathify(expression.evalf(self.digits))
            case Add():
                terms = sorted(map(compute, expression.args), key=np.ndim, reverse=True)
                return sum(terms[1:], terms[0])  # arrays first: mpmath is slow to see that it cannot add one
            case Mul() | Chain():
                return _product(expression.args, compute)
            case Pow():
                return compute(expression.base) ** compute(expression.exp)
            case Max():
                return max(map(compute, expression.args))
            case Max():
                return max(map(compute, expression.args))
            case Sum():
                return self._sum(expression, compute)
            case BatchSum():
                return np.sum(compute(expression.args[0]) + self._zeros(expression.args[0]), axis=0)
            case Softmax():
                powers = np.frompyfunc(mpmath.exp, 1, 1)(compute(expression.args[0]))
                return powers / powers.sum(axis=-1, keepdims=True)
            case OneHot():
                label, row = map(compute, expression.args)
                classes = range(row.shape[-1])
                return np.array([[self.number(int(each == i)) for i in classes] for each in label], dtype=object)
            case SoftmaxCrossEntropy():
                chosen = compute(Softmax(expression.args[0])) * compute(OneHot(expression.args[1], expression.args[0]))
                return -np.frompyfunc(mpmath.log, 1, 1)(chosen.sum(axis=-1))
            case EntrySum():
                return np.sum(compute(expression.args[0]), axis=-1 if form_of(expression).per_sequence else None)
            case Product():
                left, right = map(compute, expression.args)
                return left @ right
            case BatchOuter():
                left, right = map(compute, expression.args)
                return left.T @ right
            case Transpose():
                return compute(expression.args[0]).T
            case BatchMean():
                return compute(BatchSum(*expression.args)) / self.sequences
            case Marked() | Rounded():
                return compute(expression.args[0])
            case Partial():
                of, wrt = expression.args
                return self._partial(of, wrt, values, index)
            case Total():
                return self._total(expression.args[0], expression.args[1:], index)
            case MatrixBase():
                return np.array([[compute(entry) for entry in row] for row in expression.tolist()], dtype=object)
            case Hessian():
                weights = expression.args
                return np.array([[self._total(LOSS, (p, q), {}) for q in weights] for p in weights], dtype=object)
            case UpdateJacobian():
                return self._update_jacobian(expression, compute)
            case Determinant():
                return mpmath.det(mpmath.matrix(sum(map(compute, expression.args)).tolist()))
            case Eigenvalue():
                found = mpmath.eigsy(mpmath.matrix(compute(expression.args[1]).tolist()), eigvals_only=True)
                return found[int(expression.args[0]) - 1]
            case SpectralRadius():
                found = mpmath.eig(mpmath.matrix(compute(expression.args[0]).tolist()), left=False, right=False)
                return max(abs(eigenvalue) for eigenvalue in found)
            case Function():
                return _function(type(expression).__name__, [compute(argument) for argument in expression.args])
        raise NotImplementedError(
            f"no value for {type(expression).__name__}; add a case to derive/language/evaluate.py"
        )

    def _look_up(self, atom: Expr, values: Mapping[Expr, Value], index: Mapping[Symbol, int]) -> Value:
        """The value of a quantity; that of an adjoint is the total derivative that it stands for."""
        quantity = quantity_of(atom)
        if isinstance(atom, At):
            atom = quantity[int(self._compute(atom.index, values, index))]
        if isinstance(quantity, Adjoint):
            return self._total(LOSS, (quantity.of[atom.index],), {})
        if isinstance(quantity, Abbreviation):
            place = int(atom.index) if isinstance(atom, At) else 0
            for expression, *ends in quantity.pieces:
                first, last = (int(self._compute(end, values, index)) for end in ends)
                if first <= place <= last:
                    return self._compute(expression, values, {quantity.index: place})
        return self.loss(values) if quantity == LOSS else values[atom]

    def _sum(self, expression: Sum, compute: Callable[..., Value]) -> Value:
        symbol, first, last = expression.limits[0]
        steps = range(int(compute(first)), int(compute(last)) + 1)
        return sum((compute(expression.function, {symbol: step}) for step in steps), self.number(0))

    def _place(self, atom: Expr, index: Mapping[Symbol, int]) -> Expr:
        """`s[k - 1]` as `s[2]`."""
        return atom.quantity[int(self._compute(atom.index, {}, index))] if isinstance(atom, At) else atom

    def _partial(self, of: Expr, wrt: Expr, values: Mapping[Expr, Value], index: Mapping[Symbol, int]) -> Value:
        """∂of/∂wrt: the one equation of `of` is evaluated with `wrt` a little to each side and all else as it is."""
        of, wrt = self._place(of, index), self._place(wrt, index)
        if values is self.trace and (of, wrt) in self._partials:
            return self._partials[of, wrt]
        if of == LOSS:
            right, step = None, {}
        else:
            rights: Mapping[Quantity, Expr] = self.cell.initial
            if of.index > 0:
                rights = self.cell.last_step if of.index == self.steps else self.cell.step
            right, step = rights[of.quantity], {k: int(of.index)}

        def moved(distance: Value) -> Value:
            beside = {**values, wrt: values[wrt] + distance}
            return self.loss(beside) if right is None else self._compute(right, beside, step)

        slope = self._slope(moved, wrt, one_by_one=of == LOSS)
        if values is self.trace:
            self._partials[of, wrt] = slope
        return slope

    def _total(self, of: Expr, wrt: tuple[Expr, ...], index: Mapping[Symbol, int]) -> Value:
        """D of/d wrt: the whole forward pass is run with `wrt` a little to each side."""
        of = self._place(of, index)
        places = tuple(self._place(atom, index) for atom in wrt)
        if (of, *places) not in self._totals:
            self._totals[of, *places] = self._differentiate(of, places)
        return self._totals[of, *places]

    def _differentiate(self, of: Expr, places: tuple[Expr, ...]) -> Value:
        def moved(*distances: Value) -> Value:
            given, shifted = dict(self.given), {}
            for place, distance in zip(places, distances, strict=True):
                if place in given:
                    given[place] = given[place] + distance
                else:
                    shifted[place] = distance
            values = self.run(given, shifted)
            return self._compute(of, values, {})

        if len(places) == 1:
            return self._slope(moved, places[0], one_by_one=of == LOSS)
        first, second = places
        if first == second:
            ahead, here, behind = (
                self._moved_once(moved, distance) for distance in (self.nudge, self.number(0), -self.nudge)
            )
            return (ahead - 2 * here + behind) / self.nudge**2
        corners = [(a, b, moved(a * self.nudge, b * self.nudge)) for a, b in product((1, -1), repeat=2)]
        return sum(a * b * value for a, b, value in corners) / (4 * self.nudge**2)

    def _moved_once(self, moved: Callable[..., Value], distance: Value) -> Value:
        return moved(distance, self.number(0))

    def _slope(self, moved: Callable[[Value], Value], wrt: Expr, *, one_by_one: bool) -> Value:
        """The central difference; under the loss one entry after the other, of every sequence or weight."""
        here = np.asarray(self.trace[wrt], dtype=object)
        if not one_by_one or here.ndim == 0:
            return (moved(self.nudge) - moved(-self.nudge)) / (2 * self.nudge)
        slopes = []
        for place in np.ndindex(here.shape):
            only = np.full(here.shape, self.number(0), dtype=object)
            only[place] = self.nudge
            slopes.append((moved(only) - moved(-only)) / (2 * self.nudge))
        return np.array(slopes, dtype=object).reshape(here.shape)

    def _update_jacobian(self, expression: UpdateJacobian, compute: Callable[..., Value]) -> Value:
        """d(W - η dξ/dW)/dW, from the numerical second derivatives of the loss."""
        pairs = [(pair[0], compute(pair[1])) for pair in expression.args]
        return np.array(
            [[int(p == q) - rate * self._total(LOSS, (p, q), {}) for q, _ in pairs] for p, rate in pairs], dtype=object
        )


def _function(name: str, arguments: list[Value]) -> Value:
    """A function of single entries.

    Raises:
        OverflowError: An argument is so large that the function cannot be evaluated.
    """
    if name not in OF_ANY_SIZE and any(abs(z) > LARGEST_ARGUMENT for each in arguments for z in np.ravel(each)):
        raise OverflowError(f"{name} of a number beyond {LARGEST_ARGUMENT:g}")
    of_each = np.frompyfunc(OWN_FUNCTIONS.get(name) or getattr(mpmath, name), len(arguments), 1)
    return of_each(*arguments)


def _product(factors: tuple[Expr, ...], compute: Callable[[Expr], Value]) -> Value:
    """A product; zero as soon as one number in it is.

    The derivative of a^n, n a^{n-1}, is then zero for n = 0 at a = 0 too, as it should be.
    """
    result: Value = 1
    for factor in sorted(factors, key=lambda factor: isinstance(factor, Pow)):
        value = compute(factor)
        result = value * result if np.ndim(value) else result * value  # mpmath is slow to see that it cannot do it
        if np.ndim(result) == 0 and result == 0:
            return result
    return result
