"""What an expression of a derivation is worth at a point: the interpreter that every check rests on.

It runs the cell's own equations, never the derivation's, and takes every derivative numerically, so it can contradict
the derivation. A value is an array with these axes, each of size 1 where nothing varies along it:

| axis  | 0             | 1             | 2, 3                           |
|-------|---------------|---------------|--------------------------------|
| along | perturbations | the sequences | the entries of a row or matrix |

A derivative with respect to many entries is one run of the equations: perturbation p moves entry p a little to one
side, perturbation P + p to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations_with_replacement, product
from typing import Any, TypeAlias

import mpmath
import numpy as np
from sympy import Add, Expr, Float, Function, Integer, Mul, Pow, Rational, Sum, Symbol
from sympy.core.numbers import NumberSymbol
from sympy.matrices import MatrixBase

from derive.language.arithmetic import BITS, Arithmetic, Value
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
    Parameter,
    Product,
    Quantity,
    T,
    Transpose,
    k,
    quantity_of,
)
from derive.language.shapes import form_of
from derive.language.whole import step_of, whole

NUDGE = Rational(1, 2**80)
"""How far a central difference goes to each side: 8e-25. It is wrong by the square of this; a second one also by its
rounding divided by the square: either leaves 48 digits."""

Values: TypeAlias = dict[Expr, Value]
"""The value of every quantity at every step, by atom."""
SIDES = tuple(product((1, -1), repeat=2))
"""To which sides two weights are moved for a second derivative."""
WEIGHTS = -1
"""Where what does not belong to a step is perturbed: before the first."""


@dataclass(frozen=True, eq=False)
class Point:
    """Where to evaluate: a cell with numbers for its weights and its data.

    Attributes:
        cell: The cell.
        steps: T.
        sequences: N.
        given: The value of every parameter, input and target, by atom.
        arithmetic: The kind of numbers.
        sizes: The number that each dimension stands for.
    """

    cell: Cell
    steps: int
    sequences: int
    given: Mapping[Expr, Value]
    arithmetic: Arithmetic
    sizes: Mapping[Dimension, int] = field(default_factory=dict)

    # Numerical derivatives already taken, by what is differentiated and with respect to what.
    _partials: dict[tuple[Expr, Expr], Value] = field(default_factory=dict, init=False)
    _totals: dict[tuple[Expr, ...], Value] = field(default_factory=dict, init=False)
    _corners: dict[Expr, Value] = field(default_factory=dict, init=False)
    # Forward passes with everything of one step perturbed, and which perturbations are of which atom.
    _moved: dict[int, tuple[Values, dict[Expr, slice], int]] = field(default_factory=dict, init=False)

    @cached_property
    def trace(self) -> Values:
        """The forward pass: the value of every state and intermediate at every step."""
        return self._run({**self.given}, {})

    def value(self, expression: Expr, index: Mapping[Symbol, int] | None = None) -> Value:
        """What `expression` is worth here, an array with the axes of this module's table.

        Args:
            expression: Any expression of a derivation.
            index: Numbers for the indices that are free in it.
        """
        return self._compute(expression, self.trace, index or {})

    def number(self, expression: Expr) -> Any:
        """What an expression that is one number for the whole batch is worth, exactly."""
        return self.arithmetic.exactly(self.value(expression).item())

    def whole(self, expression: Expr, index: Mapping[Symbol, int]) -> int | None:
        """A whole number computed from indices, the sizes, T and N; None where something else is in it."""
        return whole(expression, {T: self.steps, N: self.sequences, **self.sizes, **index})

    def step(self, expression: Expr, index: Mapping[Symbol, int]) -> int:
        """The step that an index stands for."""
        return step_of(expression, {T: self.steps, **index})

    def losses_along(self, directions: Sequence[Mapping[Expr, Value]], distance: Any) -> Value:
        """The loss after a step of some length along each direction; all of them by one run.

        Args:
            directions: For each the atoms that it moves, with arrays of numbers of the shape of their values.
            distance: How far to go, a number of the point's own kind.
        """
        moves: Values = {}
        for place, direction in enumerate(directions):
            for atom, towards in direction.items():
                shape = self.given[atom].shape[1:]
                if atom not in moves:
                    moves[atom] = self._zeros(len(directions), *shape)
                moves[atom][place] = self.arithmetic.times(distance, np.reshape(towards, shape))
        losses = self._loss(self._run({**self.given}, moves))
        return np.broadcast_to(losses, (len(directions), 1)).ravel()  # one for all, where nothing reaches the loss

    def directional(self, directions: Sequence[Mapping[Expr, Value]]) -> list[Any]:
        """The derivative of the loss along each direction; see `losses_along`."""
        nudge = self.arithmetic.number(NUDGE)
        sides = [self.losses_along(directions, distance) for distance in (nudge, -nudge)]
        return list(self._slope(np.concatenate(sides), len(directions)))

    # --- the forward pass ---

    def _run(self, values: Values, moves: Mapping[Expr, Value], since: int = 0) -> Values:
        """Runs the cell's equations.

        Args:
            values: Parameters, inputs and targets, and what is computed before step `since`.
            moves: What to add to a quantity, once it is computed, by atom; so its derivatives are taken.
            since: The first step to compute; 0 for the initial states.
        """
        for atom, move in moves.items():
            if atom in self.given:
                values[atom] = values[atom] + move

        def keep(atom: Expr, right: Expr, index: Mapping[Symbol, int]) -> None:
            value = self._repeated(self._compute(right, values, index), atom)
            values[atom] = value + moves[atom] if atom in moves else value

        if since <= 0:
            for state, right in self.cell.initial.items():
                keep(state[0], right, {})
        for step in range(max(since, 1), self.steps + 1):
            rights = self.cell.last_step if step == self.steps else self.cell.step
            for quantity, right in rights.items():
                keep(quantity[step], right, {k: step})
        return values

    def _zeros(self, *shape: int) -> Value:
        return np.full(shape, self.arithmetic.number(0), dtype=self.arithmetic.dtype)

    def _shape(self, expression: Expr) -> tuple[int, ...]:
        """The sizes of the axes 2, … of an expression."""
        sizes = (self.sizes[size] if isinstance(size, Dimension) else size for size in form_of(expression).shape)
        return tuple(sizes)

    def _repeated(self, value: Value, expression: Expr) -> Value:
        """A value for every sequence, and for every entry that `expression` has."""
        shape = self._shape(expression)
        padded = value.reshape(*value.shape, *[1] * (2 + len(shape) - value.ndim))
        return np.broadcast_to(padded, (len(value), self.sequences, *shape))

    def _loss(self, values: Mapping[Expr, Value]) -> Value:
        """The loss, from the values of a forward pass."""
        if not self.cell.loss_at_every_step:
            return self._compute(self.cell.loss, values, {})
        losses = (self._compute(self.cell.loss, values, {k: step}) for step in range(1, self.steps + 1))
        return sum(losses, self._constant(0))

    def _constant(self, exact: Any) -> Value:
        return np.full((1, 1), self.arithmetic.number(exact), dtype=self.arithmetic.dtype)

    # --- one method an operation ---

    def _compute(self, expression: Expr, values: Mapping[Expr, Value], index: Mapping[Symbol, int]) -> Value:
        def compute(part: Expr, more: Mapping[Symbol, int] | None = None) -> Value:
            return self._compute(part, values, {**index, **more} if more else index)

        arithmetic = self.arithmetic
        match expression:
            case At() | Quantity():
                return self._look_up(expression, values, index)
            case Symbol():
                return self._constant(self.whole(expression, index))
            case Integer() | Rational() | Float() | NumberSymbol():
                return self._constant(expression)
            case Add():
                terms = with_equal_axes(*map(compute, expression.args))
                return sum(terms[1:], terms[0])
            case Mul() | Chain():
                return self._product(expression.args, compute, index)
            case Pow():
                return self._power(expression, compute, index)
            case Sum():
                symbol, first, last = expression.limits[0]
                steps = range(self.step(first, index), self.step(last, index) + 1)
                terms = with_equal_axes(
                    self._constant(0), *(compute(expression.function, {symbol: step}) for step in steps)
                )
                return sum(terms[1:], terms[0])
            case BatchSum():
                value = compute(expression.args[0])
                return value.sum(axis=1, keepdims=True) * (self.sequences if value.shape[1] == 1 else 1)
            case BatchMean():
                return arithmetic.over(compute(BatchSum(*expression.args)), self._constant(self.sequences))
            case Softmax():
                powers = arithmetic.function("exp", compute(expression.args[0]))
                return arithmetic.over(powers, np.broadcast_to(powers.sum(axis=-1, keepdims=True), powers.shape))
            case OneHot():
                label, row = map(compute, expression.args)
                classes = arithmetic.array(np.arange(row.shape[-1]))
                return arithmetic.array((label[..., None] == classes).astype(int))
            case SoftmaxCrossEntropy():
                scores, label = expression.args
                chosen = arithmetic.times(compute(Softmax(scores)), compute(OneHot(label, scores)))
                return -arithmetic.function("log", chosen.sum(axis=-1))
            case EntrySum():
                value = compute(expression.args[0])
                return value.sum(axis=tuple(range(2, value.ndim)))
            case Product():
                left, right = map(compute, expression.args)
                return arithmetic.matmul(left, right[:, 0] if left.ndim == 3 else right)
            case BatchOuter():
                left, right = (self._repeated(compute(part), part) for part in expression.args)
                return arithmetic.matmul(np.swapaxes(left, 1, 2), right)[:, None]
            case Transpose():
                return np.swapaxes(compute(expression.args[0]), -1, -2)
            case Marked() | Rounded():
                return compute(expression.args[0])
            case Partial():
                return self._partial(*(self._place(atom, index) for atom in expression.args))
            case Total():
                return self._total(*(self._place(atom, index) for atom in expression.args))
            case MatrixBase():
                return self._matrix([[compute(entry) for entry in row] for row in expression.tolist()])
            case Hessian():
                weights = expression.args
                return self._matrix([[self._total(LOSS, p, q) for q in weights] for p in weights])
            case UpdateJacobian():
                return self._update_jacobian(expression, compute)
            case Determinant() | Eigenvalue() | SpectralRadius():
                with mpmath.workprec(BITS):
                    return self._constant(self._of_matrix(expression, compute))
            case Function():
                arguments = with_equal_axes(*map(compute, expression.args))
                return arithmetic.function(type(expression).__name__, *arguments)
        raise NotImplementedError(
            f"no value for {type(expression).__name__}; add a case to derive/language/evaluate.py"
        )

    def _product(
        self, factors: tuple[Expr, ...], compute: Callable[[Expr], Value], index: Mapping[Symbol, int]
    ) -> Value:
        """A product; zero where a whole number in it is.

        The derivative of a^n, n a^{n-1}, is then zero for n = 0 at a = 0 too, as it should be.
        """
        whole = [self.whole(factor, index) for factor in factors]
        if 0 in whole:
            return self._constant(0)
        result = compute(factors[0])
        for factor, number in zip(factors[1:], whole[1:], strict=True):
            # A whole number needs no shift in fixed-point arithmetic.
            result = (
                result * number
                if number is not None
                else self.arithmetic.times(*with_equal_axes(result, compute(factor)))
            )
        return result

    def _power(self, power: Pow, compute: Callable[[Expr], Value], index: Mapping[Symbol, int]) -> Value:
        exponent = self.whole(power.exp, index)
        if exponent is None:
            return self.arithmetic.function("power", *with_equal_axes(compute(power.base), compute(power.exp)))
        return self.arithmetic.power(compute(power.base), exponent)

    def _look_up(self, atom: Expr, values: Mapping[Expr, Value], index: Mapping[Symbol, int]) -> Value:
        """The value of a quantity; that of an adjoint is the total derivative that it stands for."""
        quantity, atom = quantity_of(atom), self._place(atom, index)
        if isinstance(quantity, Adjoint):
            return self._total(LOSS, quantity.of[atom.index])
        if isinstance(quantity, Abbreviation):
            place = int(atom.index) if isinstance(atom, At) else 0
            for expression, first, last in quantity.pieces:
                if self.step(first, index) <= place <= self.step(last, index):
                    return self._compute(expression, values, {quantity.index: place})
        return self._loss(values) if quantity == LOSS else values[atom]

    def _place(self, atom: Expr, index: Mapping[Symbol, int]) -> Expr:
        """`s[k - 1]` as `s[2]`."""
        if not isinstance(atom, At) or isinstance(atom.index, Integer):
            return atom
        return atom.quantity[self.step(atom.index, index)]

    def _matrix(self, rows: list[list[Value]]) -> Value:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def _of_matrix(self, expression: Expr, compute: Callable[[Expr], Value]) -> Any:
        """A determinant or an eigenvalue, of mpmath's."""
        match expression:
            case Determinant():
                return mpmath.det(self._of_mpmath(sum(map(compute, expression.args))))
            case Eigenvalue():
                place, matrix = expression.args
                return mpmath.eigsy(self._of_mpmath(compute(matrix)), eigvals_only=True)[int(place) - 1]
        found = mpmath.eig(self._of_mpmath(compute(expression.args[0])), left=False, right=False)
        return max(abs(eigenvalue) for eigenvalue in found)

    def _of_mpmath(self, matrix: Value) -> Any:
        return mpmath.matrix([[self.arithmetic.exactly(entry) for entry in row] for row in matrix[0, 0]])

    def _update_jacobian(self, expression: UpdateJacobian, compute: Callable[..., Value]) -> Value:
        """d(W - η dξ/dW)/dW, from the numerical second derivatives of the loss."""
        pairs = [(pair[0], compute(pair[1])) for pair in expression.args]
        return self._matrix(
            [
                [self._constant(int(p == q)) - self.arithmetic.times(rate, self._total(LOSS, p, q)) for q, _ in pairs]
                for p, rate in pairs
            ]
        )

    # --- derivatives ---

    def _moves(self, atoms: Iterable[Expr]) -> tuple[Values, dict[Expr, slice], int]:
        """Perturbations of each entry of the values of some atoms, to either side.

        Returns:
            What to add to each, which of the perturbations to one side are of which atom, and how many these are.
        """
        places: dict[Expr, slice] = {}
        count = 0
        for atom in atoms:
            places[atom] = slice(count, count := count + self.trace[atom].size)
        nudge = self.arithmetic.number(NUDGE)
        moves = {}
        for atom, mine in places.items():
            shape = self.trace[atom].shape[1:]
            move = self._zeros(2 * count, *shape)
            for place, entry in zip(range(mine.start, mine.stop), np.ndindex(shape), strict=True):
                move[place, *entry] = nudge
                move[count + place, *entry] = -nudge
            moves[atom] = move
        return moves, places, count

    def _slope(self, values: Value, count: int) -> Value:
        """The central differences of values, of which the first half is perturbed to one side."""
        twice = np.full((1,) * values.ndim, self.arithmetic.number(2 * NUDGE), dtype=self.arithmetic.dtype)
        values = np.broadcast_to(values, (2 * count, *values.shape[1:]))
        return self.arithmetic.over(values[:count] - values[count:], twice)

    def _partial(self, of: Expr, wrt: Expr) -> Value:
        """∂of/∂wrt: the one equation of `of` is evaluated with `wrt` a little to each side and all else as it is."""
        if (of, wrt) not in self._partials:
            moves, _, count = self._moves([wrt])
            beside = {**self.trace, wrt: self.trace[wrt] + moves[wrt]}
            if of == LOSS:
                value = self._loss(beside)
            else:
                rights: Mapping[Quantity, Expr] = self.cell.initial
                if of.index > 0:
                    rights = self.cell.last_step if of.index == self.steps else self.cell.step
                value = self._compute(rights[of.quantity], beside, {k: int(of.index)})
            self._partials[of, wrt] = self._by_entry(self._slope(value, count), of, wrt)
        return self._partials[of, wrt]

    def _total(self, of: Expr, *wrt: Expr) -> Value:
        """D of/d wrt: the whole forward pass is run with `wrt` a little to each side."""
        if (of, *wrt) not in self._totals:
            self._totals[of, *wrt] = self._first(of, *wrt) if len(wrt) == 1 else self._second(of, *wrt)
        return self._totals[of, *wrt]

    def _first(self, of: Expr, wrt: Expr) -> Value:
        since = self._begins(wrt)
        if since is None:
            raise NotImplementedError(f"no value for the derivative of {of} by {wrt}")
        if since not in self._moved:
            moves, places, count = self._moves(atom for atom in self.trace if self._begins(atom) == since)
            before = self.given if since == WEIGHTS else self.trace
            self._moved[since] = self._run({**before}, moves, since), places, count
        values, places, count = self._moved[since]
        return self._by_entry(self._slope(self._compute(of, values, {}), count)[places[wrt]], of, wrt)

    def _begins(self, atom: Expr) -> int | None:
        """The step at which what depends on an atom begins; None where it is nothing that is differentiated by."""
        if isinstance(atom, Parameter):
            return WEIGHTS
        differentiated = {*self.cell.inputs, *self.cell.computed}
        return int(atom.index) if isinstance(atom, At) and atom.quantity in differentiated else None

    def _by_entry(self, slopes: Value, of: Expr, wrt: Expr) -> Value:
        """Slopes along axis 0, one an entry of `wrt`, in the shape that the derivative has.

        What differs from sequence to sequence depends on the same sequence only, so that what all sequences of `wrt`
        add to it is the derivative.
        """
        shape = self.trace[wrt].shape
        if of == LOSS:
            return slopes.reshape(shape)
        if len(shape) > 2 or slopes.ndim > 2:
            raise NotImplementedError(f"no value for the derivative of {of} by {wrt}: a row or a matrix")
        return slopes.sum(axis=0, keepdims=True)

    def _second(self, of: Expr, first: Expr, second: Expr) -> Value:
        """The second derivative by two weights that are numbers, from four corners; all pairs are one run."""
        if of not in self._corners:
            value = self._compute(of, self._at_corners, {})
            self._corners[of] = np.broadcast_to(value, (4 * len(self._pairs), *value.shape[1:]))
        place = 4 * self._pairs[frozenset((first, second))]
        corners = self._corners[of][place : place + 4]
        signed = sum(a * b * value for (a, b), value in zip(SIDES, corners, strict=True))[None]
        return self.arithmetic.over(signed, self._constant(4 * NUDGE**2))

    @cached_property
    def _pairs(self) -> dict[frozenset[Expr], int]:
        """The place of each pair of weights that are numbers."""
        weights = [weight for weight in self.cell.parameters if not weight.dimensions]
        pairs = combinations_with_replacement(weights, 2)
        return {frozenset(pair): place for place, pair in enumerate(pairs)}

    @cached_property
    def _at_corners(self) -> Values:
        """The forward pass with each pair of weights moved to its four corners."""
        nudge = self.arithmetic.number(NUDGE)
        moves: Values = {weight: self._zeros(4 * len(self._pairs), 1) for pair in self._pairs for weight in pair}
        for pair, place in self._pairs.items():
            first, *others = pair
            for corner, (a, b) in enumerate(SIDES):
                moves[first][4 * place + corner] += a * nudge
                moves[others[0] if others else first][4 * place + corner] += b * nudge
        return self._run({**self.given}, moves)


def with_equal_axes(*values: Value) -> list[Value]:
    """Values with the same number of axes: a number goes with every entry of a row or matrix."""
    axes = max(value.ndim for value in values)
    return [
        value if value.ndim == axes else value.reshape(*value.shape, *[1] * (axes - value.ndim)) for value in values
    ]


assert NUDGE.q.bit_length() < BITS // 3  # else a second difference has no digits left
