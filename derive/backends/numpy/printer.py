"""Prints a program as NumPy that reads as if it were written by hand: one method per node, no mathematics.

The values of all sequences at one step are an array with the sequences first. How tightly each operation binds is told
once, in `Binding`; what stands within another operation is put in brackets by it and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from fractions import Fraction
from typing import ClassVar, NamedTuple

from derive.program import walk
from derive.program.nodes import (
    BATCH,
    Add,
    Axis,
    Buffer,
    Call,
    Compare,
    Concat,
    Constant,
    Dim,
    Dot,
    Expression,
    Fill,
    Identity,
    Kind,
    Let,
    Literal,
    Loop,
    Part,
    Record,
    Reduce,
    Ref,
    Role,
    RowWise,
    Run,
    Select,
    Solve,
    Statement,
    Symbol,
    Transpose,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.types import NUMBER, type_of
from derive.program.walk import free


class Binding(IntEnum):
    """How tightly an operation binds, the loosest first."""

    CHOICE = 0
    RELATION = 1
    SUM = 2
    MATRIX_PRODUCT = 3
    PRODUCT = 4
    SIGN = 5
    POWER = 6
    ATOM = 7


class Text(NamedTuple):
    """Code, and how tightly its outermost operation binds."""

    code: str
    binding: Binding = Binding.ATOM


OPERATORS: Mapping[str, tuple[str, Binding, Binding, Binding]] = {
    "add": (" + ", Binding.SUM, Binding.SUM, Binding.MATRIX_PRODUCT),
    "subtract": (" - ", Binding.SUM, Binding.SUM, Binding.MATRIX_PRODUCT),
    "multiply": (" * ", Binding.PRODUCT, Binding.PRODUCT, Binding.SIGN),
    "divide": (" / ", Binding.PRODUCT, Binding.PRODUCT, Binding.SIGN),
    "power": (" ** ", Binding.POWER, Binding.ATOM, Binding.ATOM),
}
"""Each operator of two operands: its sign, how tightly it binds, and how tightly its left and right operand must."""

FUNCTIONS: Mapping[str, str] = {
    **{name: f"np.{name}" for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "sign")},
    "atan": "np.arctan",
    "absolute": "np.abs",
    "maximum": "np.maximum",
    "minimum": "np.minimum",
}
"""The functions of single entries that NumPy has; the others are functions of the generated module."""

HELPERS = ("logistic", "softplus", "logistic_cross_entropy", "softmax", "one_hot", "softmax_cross_entropy")
"""The functions that a generated module brings along where it uses them."""


class Printer:
    """Prints expressions and statements.

    Args:
        records: What a function is given; those that are not unpacked are read as `record.field`.
        dtype: What the type of the numbers is called in the functions that make arrays.
        types: The types of symbols, where the line that gives them a value tells it.
        numbered: Whether the equations' numbers stand behind the lines.
    """

    library: ClassVar[str] = "np"
    """What the library of arrays is called."""
    functions: ClassVar[Mapping[str, str]] = FUNCTIONS
    """Those that the library has."""

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        dtype: str = "dtype",
        types: Mapping[Symbol, str] | None = None,
        numbered: bool = True,
    ) -> None:
        self._dtype, self._types, self._numbered = dtype, types or {}, numbered
        self._bulk = ""
        """The index of the loop whose steps are written as arrays."""
        self._fields = {field: record for record in records if not record.unpacked for field in record.fields}

    # --- statements ---

    def lines(self, body: Iterable[Statement]) -> list[str]:
        """The lines of a body, each indented within it, the equations' numbers behind."""
        return [line for statement in body for line in self._statement(statement)]

    def _statement(self, statement: Statement) -> list[str]:
        match statement:
            case Let(target, value, of):
                return [f"{self._target(target)} = {self.text(value)}{self._numbers(of)}"]
            case Add(target, value, of):
                added = self.text(value)
                if self._bulk and not _mentions(target, self._bulk):
                    added = f"np.sum({added})"
                return [f"{self.text(target)} += {added}{self._numbers(of)}"]
            case Fill(Ref(symbol)):
                return [self._fill(symbol)]
            case When(condition, body):
                return [f"if {self.text(condition)}:", *self._indented(body)]
            case Run(function, arguments, results):
                given, made = (
                    ", ".join(each.name if isinstance(each, Record) else self.text(Ref(each)) for each in several)
                    for several in (arguments, results)
                )
                return [f"{made} = {function}({given})"]
            case Loop(index, first, last, False, Kind.ALL, body) if not self._bulk and _is_of_numbers(body, index):
                self._bulk = index
                lines = [f"{index} = np.arange({first}, {last + 1})", *self.lines(body)]
                self._bulk = ""
                return lines
            case Loop(index, first, last, reverse, _, body):
                end = last - 1 if reverse else last + 1
                return [f"for {index} in range({first}, {end}{', -1' if reverse else ''}):", *self._indented(body)]
        raise NotImplementedError(f"no code for {type(statement).__name__}; add a case to {type(self).__name__}")

    def _target(self, target: Ref | Part) -> str:
        if isinstance(target, Ref) and isinstance(target.symbol, Symbol) and target.symbol in self._types:
            return f"{self.text(target)}: {self._types[target.symbol]}"
        return self.text(target)

    def _indented(self, body: Iterable[Statement]) -> list[str]:
        return [f"    {line}" for line in self.lines(body)]

    def _numbers(self, of: tuple[int, ...]) -> str:
        return f"  # {', '.join(f'({number})' for number in of)}" if of and self._numbered else ""

    def _fill(self, symbol: Symbol | Buffer | View) -> str:
        shape = self.shape(symbol)
        if shape:
            return f"{symbol.name} = np.zeros({tuple_of(shape)}, {self._dtype})"
        # NumPy's mean and sum are of another type than 0.
        is_reduced = isinstance(symbol, Symbol) and symbol.role in (Role.LOSS, Role.LOCAL)
        return f"{symbol.name}: Number = 0" if is_reduced else f"{symbol.name} = 0"

    def shape(self, symbol: Symbol | Buffer | View) -> tuple[Size, ...]:
        """The sizes of the axes of a symbol's array."""
        if isinstance(symbol, View):
            raise NotImplementedError(f"{symbol.name} is a view, and is not made by itself")
        steps = () if symbol.steps is None else (symbol.steps,)
        return (*steps, *((Size.of("N"),) if symbol.type.batch else ()), *symbol.type.axes)

    # --- expressions ---

    def text(self, expression: Expression, at_least: Binding = Binding.CHOICE) -> str:
        """An expression as code, in brackets where it binds less tightly than it must."""
        code, binding = self.expression(expression)
        return code if binding >= at_least else f"({code})"

    def expression(self, expression: Expression) -> Text:
        """An expression as code, with how tightly it binds.

        Raises:
            NotImplementedError: There is no method for the node.
        """
        method = getattr(self, f"_{type(expression).__name__.lower()}", None)
        if method is None:
            raise NotImplementedError(f"no code for {type(expression).__name__}; add a method to {type(self).__name__}")
        text: Text = method(expression)
        return text

    def _literal(self, literal: Literal) -> Text:
        return number(literal.value)

    def _constant(self, constant: Constant) -> Text:
        return Text(f"{self.library}.{constant.name}")

    def _dim(self, dim: Dim) -> Text:
        return size(dim.size)

    def _ref(self, ref: Ref) -> Text:
        name = ref.symbol.name
        if isinstance(ref.symbol, Symbol) and ref.symbol in self._fields:
            name = f"{self._fields[ref.symbol].name}.{ref.symbol.field}"
        return Text(name if ref.step is None else f"{name}[{ref.step}]")

    def _call(self, call: Call) -> Text:
        if call.function in OPERATORS:
            return self._operator(call)
        if call.function == "negative":
            code, binding = self.expression(call.args[0])
            product = Text(code, binding) if binding >= Binding.PRODUCT else Text(f"({code})")
            return Text(f"-{product.code}", min(product.binding, Binding.SIGN))
        is_constant = not any(isinstance(node, Ref) for node in walk.every(call))
        if call.function == "sqrt" and is_constant:
            return Text(f"{self.text(call.args[0], Binding.ATOM)} ** 0.5", Binding.POWER)
        text = self._applied(call.function, call.args)
        return Text(self._number(text) if is_constant else text)

    def _number(self, text: str) -> str:
        """A function of numbers: NumPy's own float64 makes float64 of a float32 beside it, Python's float does not."""
        return f"float({text})"

    def _operator(self, call: Call) -> Text:
        if call.function == "power" and self._bulk and _mentions(call.args[1], self._bulk):
            return Text(self._applied("power", call.args))
        sign, binding, left, right = OPERATORS[call.function]
        first, second = call.args
        return Text(f"{self.text(first, left)}{sign}{self.text(second, right)}", binding)

    def _applied(self, function: str, args: Iterable[Expression]) -> str:
        return f"{self.functions.get(function, function)}({', '.join(map(self.text, args))})"

    def _rowwise(self, call: RowWise) -> Text:
        return Text(self._applied(call.function, call.args))

    def _dot(self, dot: Dot) -> Text:
        left, right = type_of(dot.left), type_of(dot.right)
        ((ours, theirs),) = dot.contracted
        first, second = self._factor(dot.left), self._factor(dot.right)
        if self._position(ours, left.batch) != len(left.axes) + left.batch - 1:
            first = f"{first}.T"
        if self._position(theirs, right.batch) != max(0, len(right.axes) + right.batch - 2):
            second = f"{second}.T"
        return Text(f"{first} @ {second}", Binding.MATRIX_PRODUCT)

    def _position(self, axis: Axis, batch: bool) -> int:
        """The place of an axis in an array: the sequences come first."""
        return 0 if axis == BATCH else axis + batch

    def _factor(self, expression: Expression) -> str:
        """A factor of a matrix product; anything but a name or a call is put in brackets."""
        return self.text(expression, Binding.ATOM)

    def _reduce(self, reduce: Reduce) -> Text:
        inner = type_of(reduce.of)
        positions = sorted(self._position(axis, inner.batch) for axis in reduce.axes)
        axes = len(inner.axes) + inner.batch
        if reduce.op == "norm":
            return Text(f"np.hypot.reduce({self.text(reduce.of)}, axis={positions[0]})")
        if len(positions) == axes:
            return Text(f"{self.library}.{reduce.op}({self.text(reduce.of)})")
        # From the last, where that is shorter: it is the same for one row and for many.
        axis = ", ".join(str(position - axes if position else position) for position in positions)
        return Text(
            f"{self.library}.{reduce.op}({self.text(reduce.of)}, axis={axis if len(positions) == 1 else f'({axis})'})"
        )

    def _concat(self, concat: Concat) -> Text:
        types = [type_of(part) for part in concat.parts]
        parts = ", ".join(map(self.text, concat.parts))
        if not any(each.axes for each in types):
            return Text(f"np.stack(({parts}), axis=-1)" if types[0].batch else f"np.array([{parts}])")
        return Text(f"np.concatenate(({parts}), axis={concat.axis + types[0].batch})")

    def _part(self, part: Part) -> Text:
        chain = [part]  # the entry of a row is one index, [2, m]
        while isinstance(inner := chain[-1].of, Part) and inner.size is None:
            chain.append(inner)
        whole = chain[-1].of
        axes = len(type_of(whole).axes) + type_of(whole).batch
        indices, kept = [":"] * axes, list(range(axes - len(type_of(whole).axes), axes))
        for each in reversed(chain):
            if each.size is None:
                indices[kept.pop(each.axis)] = str(each.first)
            else:
                indices[kept[each.axis]] = f"{each.first}:{each.first + each.size}"
        last = max(place for place, index in enumerate(indices) if index != ":")
        return Text(f"{self.text(whole, Binding.ATOM)}[{', '.join(indices[: last + 1])}]")

    def _compare(self, compare: Compare) -> Text:
        left, right = (self.text(side, Binding.SUM) for side in (compare.left, compare.right))
        return Text(f"{left} {compare.relation} {right}", Binding.RELATION)

    def _select(self, select: Select) -> Text:
        return Text(
            f"{self.library}.where({', '.join(map(self.text, (select.condition, select.then, select.otherwise)))})"
        )

    def _solve(self, solve: Solve) -> Text:
        return Text(f"{self.library}.linalg.solve({self.text(solve.matrix)}, {self.text(solve.right)})")

    def _identity(self, identity: Identity) -> Text:
        return Text(f"{self.library}.eye({identity.size})")

    def _transpose(self, transpose: Transpose) -> Text:
        return Text(f"{self._factor(transpose.of)}.T")


def _is_of_numbers(body: Iterable[Statement], index: str) -> bool:
    """Whether a loop in bulk, written without a loop, takes an array of numbers wherever its body takes one number."""

    def numbers(expression: Expression) -> bool:
        match expression:
            case Ref() | Part():
                return type_of(expression) == NUMBER
            case Call(_, args):
                return all(map(numbers, args))
        return isinstance(expression, Literal | Constant | Dim)

    return all(
        isinstance(each, Let | Add)
        and numbers(each.target)
        and numbers(each.value)
        and (_mentions(each.target, index) or (isinstance(each, Add) and _mentions(each.value, index)))
        for each in body
    )


def _mentions(expression: Expression, index: str) -> bool:
    """Whether an expression depends on the index of a loop."""
    return index in free([expression]).sizes


def number(value: Fraction) -> Text:
    """An exact number as Python has it: 2, 1 / 3, -1 / 2."""
    if value.denominator != 1:
        return Text(f"{value.numerator} / {value.denominator}", Binding.PRODUCT if value > 0 else Binding.SUM)
    return Text(str(value.numerator), Binding.ATOM if value >= 0 else Binding.SIGN)


def size(form: Size) -> Text:
    """A size within an expression."""
    terms = len(form.terms) + (form.constant != 0)
    if terms > 1:
        return Text(str(form), Binding.SUM)
    factors = [abs(coefficient) for _, coefficient in form.terms]
    return Text(str(form), Binding.ATOM if factors in ([], [1]) and not str(form).startswith("-") else Binding.PRODUCT)


def tuple_of(sizes: Iterable[Size | int | str]) -> str:
    """Sizes as a tuple in code."""
    texts = list(map(str, sizes))
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
