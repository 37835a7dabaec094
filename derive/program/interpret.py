"""Runs a program slowly, straight from its nodes: every printer's code and every pass must agree with it.

An array has its steps first where it has any, then the sequences, then the axes of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from derive.program.nodes import (
    BATCH,
    Add,
    Buffer,
    Call,
    Compare,
    Concat,
    Constant,
    Dim,
    Dot,
    Expression,
    Fill,
    Function,
    Gemm,
    Identity,
    Let,
    Literal,
    Loop,
    Map,
    Module,
    Pack,
    Part,
    Reduce,
    Ref,
    RowWise,
    Run,
    Select,
    Solve,
    Statement,
    Symbol,
    Transpose,
    Type,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.types import SEQUENCES, ProgramError, type_of
from derive.program.verify import Level, verify
from derive.program.walk import symbols_of

Array: TypeAlias = npt.NDArray[Any]


def _softmax(row: Array) -> Array:
    weights = np.exp(row - np.max(row, axis=-1, keepdims=True))
    return weights / np.sum(weights, axis=-1, keepdims=True)


def _one_hot(label: Array, row: Array) -> Array:
    return (label[..., np.newaxis] == np.arange(row.shape[-1])).astype(row.dtype)


def _softmax_cross_entropy(row: Array, label: Array) -> Array:
    largest = np.max(row, axis=-1, keepdims=True)
    chosen = np.take_along_axis(row, label[..., np.newaxis], axis=-1)
    return (np.log(np.sum(np.exp(row - largest), axis=-1, keepdims=True)) + largest - chosen)[..., 0]


ENTRYWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "negative": np.negative,
    "absolute": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "logistic": lambda z: (1 + np.tanh(z / 2)) / 2,
    "softplus": lambda z: np.logaddexp(0, z),
    "logistic_cross_entropy": lambda y, t: np.logaddexp(0, y) - t * y,
}
"""What is applied to every entry."""
ROW_WISE: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "one_hot": _one_hot,
    "softmax_cross_entropy": _softmax_cross_entropy,
}
"""What is applied to whole rows: the last axis."""
RELATIONS: dict[str, Callable[..., Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


class Interpreter:
    """A module that can be run. What it keeps from one run to the next are its buffers.

    Args:
        module: The program, of either level.
        sizes: The value of every name in its sizes, and of N and T.
        functions: What to call for each entry and for each row.
        dtype: What arrays are made of; `object` for numbers of another kind.
    """

    def __init__(
        self,
        module: Module,
        sizes: Mapping[str, int],
        functions: Mapping[str, Callable[..., Any]] = ENTRYWISE | ROW_WISE,
        dtype: npt.DTypeLike = float,
    ) -> None:
        self._functions = {function.name: function for function in module.functions}
        self._at = dict(sizes)
        self._calls = functions
        self._dtype = dtype
        self._buffers: dict[Buffer, Array] = {}
        self._frame: dict[Symbol, Array] = {}

    def run(self, function: str, values: Mapping[str, Any]) -> dict[str, Array]:
        """The results of a function by name, those in records among them.

        Args:
            function: Its name.
            values: Its parameters by name, those in records among them.

        Raises:
            ProgramError: There is no such function or value, or a step lies outside an array.
        """
        known = self._function(function)
        if missing := [each.name for each in symbols_of(known.parameters) if each.name not in values]:
            raise ProgramError(f"{function}: no value for {', '.join(missing)}")
        arguments = [np.asarray(values[each.name]) for each in symbols_of(known.parameters)]
        names = [each.name for each in symbols_of(known.results)]
        return dict(zip(names, self._call(known, arguments), strict=True))

    def _function(self, name: str) -> Function:
        try:
            return self._functions[name]
        except KeyError:
            raise ProgramError(f"no function {name}; there are {', '.join(self._functions)}") from None

    def _call(self, function: Function, arguments: Sequence[Array]) -> list[Array]:
        outer, self._frame = self._frame, dict(zip(symbols_of(function.parameters), arguments, strict=True))
        try:
            self._do(function.body)
            return [self._root(each) for each in symbols_of(function.results)]
        finally:
            self._frame = outer

    # --- expressions: arrays with the sequences first ---

    @singledispatchmethod
    def value(self, expression: Expression) -> Array:
        """The value of an expression."""
        raise ProgramError(f"{type(expression).__name__} has no value")

    @value.register
    def _(self, literal: Literal) -> Array:
        number = literal.value
        return np.asarray(number.numerator if number.denominator == 1 else number.numerator / number.denominator)

    @value.register
    def _(self, constant: Constant) -> Array:
        return np.asarray({"pi": np.pi, "e": np.e}[constant.name])

    @value.register
    def _(self, dim: Dim) -> Array:
        return np.asarray(self._number(dim.size))

    @value.register
    def _(self, ref: Ref) -> Array:
        return self._place(ref)

    @value.register
    def _(self, call: Call) -> Array:
        return np.asarray(self._calls[call.function](*self._alike(call, call.args)))

    @value.register
    def _(self, compare: Compare) -> Array:
        return np.asarray(RELATIONS[compare.relation](*self._alike(compare, (compare.left, compare.right))))

    @value.register
    def _(self, select: Select) -> Array:
        return np.where(*self._alike(select, (select.condition, select.then, select.otherwise)))

    @value.register
    def _(self, dot: Dot) -> Array:
        left, right = type_of(dot.left), type_of(dot.right)
        shared = {theirs: ours for ours, theirs in dot.contracted}
        ours = [*([BATCH] if left.batch else []), *range(len(left.axes))]
        theirs = [*([BATCH] if right.batch else []), *range(len(right.axes))]
        # Axes of the right factor that are its own are numbered on from those of the left one.
        named = [shared.get(axis, axis if axis == BATCH else axis + len(left.axes)) for axis in theirs]
        summed = [axis for axis, _ in dot.contracted]
        kept = [axis for axis in sorted({*ours, *named}) if axis not in summed]
        order = [*kept, *summed]
        product = self._on(order, ours, self.value(dot.left)) * self._on(order, named, self.value(dot.right))
        return np.asarray(np.sum(product, axis=tuple(range(len(kept), len(order)))) if summed else product)

    @staticmethod
    def _on(order: Sequence[int], axes: Sequence[int], array: Array) -> Array:
        """An array with its axes in an order, and one entry along those that it lacks."""
        array = array.transpose([axes.index(axis) for axis in order if axis in axes])
        return array.reshape([array.shape[[a for a in order if a in axes].index(a)] if a in axes else 1 for a in order])

    @value.register
    def _(self, reduce: Reduce) -> Array:
        batch = type_of(reduce.of).batch
        axes = tuple(0 if axis == BATCH else axis + batch for axis in reduce.axes)
        array = self.value(reduce.of)
        if reduce.op == "norm":
            return np.asarray(self._calls["sqrt"](np.sum(array * array, axis=axes)))
        if reduce.op == "mean":
            return np.asarray(np.sum(array, axis=axes) / np.prod([array.shape[axis] for axis in axes]))
        return np.asarray(np.max(array, axis=axes) if reduce.op == "max" else np.sum(array, axis=axes))

    @value.register
    def _(self, row_wise: RowWise) -> Array:
        return np.asarray(self._calls[row_wise.function](*map(self.value, row_wise.args)))

    @value.register
    def _(self, concat: Concat) -> Array:
        batch = type_of(concat).batch
        rows = [self.value(part) if type_of(part).axes else self.value(part)[..., np.newaxis] for part in concat.parts]
        return np.concatenate(rows, axis=concat.axis + batch)

    @value.register
    def _(self, part: Part) -> Array:
        return self._place(part)

    @value.register
    def _(self, solve: Solve) -> Array:
        return np.linalg.solve(self.value(solve.matrix), self.value(solve.right))

    @value.register
    def _(self, identity: Identity) -> Array:
        return np.eye(self._number(identity.size), dtype=self._dtype)

    @value.register
    def _(self, transpose: Transpose) -> Array:
        return self.value(transpose.of).T

    def _alike(self, whole: Expression, operands: Iterable[Expression]) -> list[Array]:
        return [spread_over(self.value(each), type_of(each), type_of(whole)) for each in operands]

    def _number(self, size: Size) -> int:
        return size.number(self._at)

    # --- places ---

    def _place(self, place: Expression) -> Array:
        """The entries of a place: written to, it changes; of an expression its value."""
        match place:
            case Ref(View(_, of, first, size, split), step):
                axis = of.type.batch + (step is None and of.steps is not None)
                array = _part(self._rows(of, step), axis, self._number(first), self._number(size))
                return (
                    array
                    if split is None
                    else array.reshape([*array.shape[:axis], split, -1, *array.shape[axis + 1 :]])
                )
            case Ref(Symbol() | Buffer() as symbol, step):
                return self._rows(symbol, step)
            case Part(of, axis, first, size):
                count = None if size is None else self._number(size)
                return _part(self._place(of), axis + type_of(of).batch, self._number(first), count)
        return self.value(place)

    def _rows(self, symbol: Symbol | Buffer, step: Size | None) -> Array:
        array = self._root(symbol)
        if step is None:
            return np.moveaxis(array, 0, 1) if symbol.steps is not None and symbol.type.batch else array
        return _part(array, 0, self._number(step), None)

    def _root(self, symbol: Symbol | Buffer) -> Array:
        """The array of a symbol; a buffer that nobody has written to holds nan, or zeros where they are labels."""
        if isinstance(symbol, Buffer):
            return self._buffers.setdefault(symbol, self._full(symbol, np.nan))
        if symbol not in self._frame:
            raise ProgramError(f"{symbol.name} is read before it is written")
        return self._frame[symbol]

    def _full(self, symbol: Symbol | Buffer, value: float) -> Array:
        steps = () if symbol.steps is None else (symbol.steps,)
        sequences = (SEQUENCES,) if symbol.type.batch else ()
        shape = [self._number(size) for size in (*steps, *sequences, *symbol.type.axes)]
        return np.zeros(shape, np.intp) if symbol.type.label else np.full(shape, value, self._dtype)

    def _write(self, target: Ref | Part, value: Array, kind: Type) -> None:
        match target:
            case Ref(Symbol() as symbol, step) if symbol not in self._frame or (step is None and symbol.steps is None):
                # A new array: an argument, and what another name holds, stay as they are.
                array = self._full(symbol, np.nan)
                self._frame[symbol] = array if symbol.type.label else array.astype(np.result_type(value, self._dtype))
        self._place(target)[...] = spread_over(value, kind, type_of(target))

    # --- statements ---

    def _do(self, body: Iterable[Statement]) -> None:
        for statement in body:
            self.do(statement)

    @singledispatchmethod
    def do(self, statement: Statement) -> None:
        """Does what a statement says."""
        raise ProgramError(f"{type(statement).__name__} is no statement")

    @do.register(Let)
    @do.register(Pack)
    def _(self, let: Let | Pack) -> None:
        self._write(let.target, self.value(let.value), type_of(let.value))

    @do.register
    def _(self, add: Add) -> None:
        total = Call("add", (add.target, add.value))
        self._write(add.target, self.value(total), type_of(total))

    @do.register
    def _(self, gemm: Gemm) -> None:
        self.do(Add(gemm.target, gemm.value) if gemm.add else Let(gemm.target, gemm.value))

    @do.register
    def _(self, fill: Fill) -> None:
        match fill.target:
            case Ref(Symbol() as symbol):
                self._frame[symbol] = self._full(symbol, 0)
            case target:
                self._place(target)[...] = 0

    @do.register
    def _(self, several: Map) -> None:
        self._do(several.stores)

    @do.register
    def _(self, when: When) -> None:
        if self.value(when.condition):
            self._do(when.body)

    @do.register
    def _(self, loop: Loop) -> None:
        way = -1 if loop.reverse else 1
        for step in range(self._number(loop.first), self._number(loop.last) + way, way):
            self._at[loop.index] = step
            self._do(loop.body)
        self._at.pop(loop.index, None)

    @do.register
    def _(self, run: Run) -> None:
        arguments = [self._root(each) for each in symbols_of(run.arguments)]
        results = self._call(self._function(run.function), arguments)
        self._frame.update(zip(symbols_of(run.results), results, strict=True))


def spread_over(value: Array, kind: Type, whole: Type) -> Array:
    """A value with its axes where those of a larger type are, so that NumPy spreads it over the rest."""
    own = value.shape[1:] if kind.batch else value.shape
    sequences = value.shape[:1] if kind.batch else (1,) * whole.batch
    return value.reshape((*sequences, *(1,) * (len(whole.axes) - len(own)), *own))


def _part(array: Array, axis: int, first: int, size: int | None) -> Array:
    """Entries along an axis, which share their memory with the whole."""
    last = first + (1 if size is None else size)
    if not 0 <= first <= last <= array.shape[axis]:
        raise ProgramError(f"entries {first} to {last - 1} of {array.shape[axis]}")
    place: int | slice = first if size is None else slice(first, last)
    part: Array = array[(*(slice(None),) * axis, place, ...)]
    return part


@dataclass(frozen=True)
class Inputs:
    """What a function is run on.

    Attributes:
        function: Its name.
        sizes: The value of every name in sizes.
        values: Its parameters by name.
    """

    function: str
    sizes: Mapping[str, int]
    values: Mapping[str, Any]


Pass: TypeAlias = Callable[[Module], Module]


def first_wrong_pass(
    module: Module, passes: Iterable[tuple[Level, Pass]], inputs: Inputs, tolerance: float = 1e-12
) -> str | None:
    """The name of the first pass after which a program makes no sense or gives another result, and what is wrong.

    Args:
        module: The program before all of them.
        passes: Each with the level of what it returns.
        inputs: What is run after each.
        tolerance: How much results may differ, relative to the largest entry.

    Returns:
        Nothing where all are right.
    """

    def run() -> dict[str, Array]:
        return Interpreter(module, inputs.sizes).run(inputs.function, inputs.values)

    expected = run()
    for level, each in passes:
        name = getattr(each, "__name__", repr(each))
        try:
            module = each(module)
            verify(module, level)
            found = run()
        except ProgramError as error:
            return f"{name}: {error}"
        for symbol, before in expected.items():
            if symbol not in found:
                return f"{name}: {symbol} is no longer a result"
            if not _agree(before, found[symbol], tolerance):
                return f"{name}: {symbol} is {found[symbol]}, and was {before}"
    return None


def _agree(before: Array, after: Array, tolerance: float) -> bool:
    bound = tolerance * max(1.0, float(np.max(np.abs(before), initial=0)))
    return before.shape == after.shape and bool(np.all(np.abs(after - before) <= bound))
