"""Prints single operations on buffers as calls of NumPy that write into arrays which are there already.

Arrays have the sequences last. A loop over the steps takes their rows, `h[k]`; one in bulk takes all steps at once:
`h` for those of the window, `h_before` and `h_after` for those before and after them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar, cast

from derive.backends.numpy.printer import FUNCTIONS, Binding, Printer, Text
from derive.program.names import Namer
from derive.program.nodes import (
    BATCH,
    Axis,
    Buffer,
    Call,
    Concat,
    Dim,
    Dot,
    Equations,
    Expression,
    Function,
    Gemm,
    Kind,
    Let,
    Life,
    Literal,
    Loop,
    Pack,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Statement,
    Symbol,
    View,
)
from derive.program.passes.windows import FIRST, LAST, N_STEPS
from derive.program.sizes import Size
from derive.program.types import type_of
from derive.program.walk import Node, every, rebuild

UFUNCS = {
    **{name: name for name in ("add", "subtract", "multiply", "divide", "power", "negative")},
    **{name: text.removeprefix("np.") for name, text in FUNCTIONS.items()},
}
"""The functions of NumPy that take a place for the result, by their names in a program."""
WIDTH = 112


class Locals:
    """The names of local variables: the user's are taken already, and all others are kept apart from them.

    Args:
        namer: Gives them.
    """

    def __init__(self, namer: Namer) -> None:
        self._namer = namer
        self._own: dict[tuple[str, ...], str] = {}

    def own(self, *words: str) -> str:
        """The name of something that is no quantity: `window`, or `h_before` for what belongs to one."""
        if words not in self._own:
            self._own[words] = self._namer.name("_".join(words))
        return self._own[words]


class Halves(Printer):
    """Prints ½ as 0.5."""

    def _literal(self, literal: Literal) -> Text:
        return Text("0.5") if literal.value == Fraction(1, 2) else super()._literal(literal)


class Neutral(Halves):
    """Prints functions by their names in a program, for comments."""

    functions: ClassVar[Mapping[str, str]] = {}


class FastPrinter(Halves):
    """Prints the body of one function.

    Args:
        function: The function.
        comments: The equations as code, by their numbers.
        names: The names of local variables.
        dimensions: The names of the sizes, each with the name by which a window knows it.
    """

    def __init__(
        self,
        function: Function,
        comments: Mapping[int, str],
        names: Locals,
        dimensions: Mapping[str, str],
    ) -> None:
        super().__init__(numbered=False)
        self._comments, self._names, self._dimensions = comments, names, dimensions
        self._said: set[int] = set()
        self._loop: Loop | None = None  # the one in bulk, while it is printed
        self._body = tuple(cast(Statement, rebuild(each, self._with_local_sizes)) for each in function.body)
        self._in_bulk = {
            ref.symbol
            for statement in self._body
            for loop in every(statement)
            if isinstance(loop, Loop) and loop.kind is Kind.ALL
            for ref in every(loop)
            if isinstance(ref, Ref)
        }
        self._used: dict[str, dict[str, str]] = {}

    def function(self) -> list[str]:
        """The lines of the function: what it takes out of the window, and its statements."""
        lines = self.lines(self._body)
        return [*self.header(), *lines]

    def _with_local_sizes(self, node: Node) -> Node:
        local = {N_STEPS: self._names.own("n"), LAST: self._names.own("last"), FIRST: self._names.own("first")}
        match node:
            case Ref(_, Size() as step):
                return replace(node, step=step.at(local))
            case Dim(form):
                return replace(node, size=form.at(local))
            case Loop(_, first, last):
                return replace(node, first=first.at(local), last=last.at(local))
        return node

    # --- what it takes out of the window ---

    def header(self) -> list[str]:
        """Local names for what the body uses, each of one kind in lines of their own."""
        sources = {
            "weights": ("{}.{}", self._names.own("weights")),
            "rows": ("{}.rows.{}", self._names.own("window")),
            "now": ("{}.now.{}", self._names.own("window")),
            "before": ("{}.before.{}", self._names.own("window")),
            "after": ("{}.after.{}", self._names.own("window")),
            "beside": ("{}.beside.{}", self._names.own("window")),
            "window": ("{}.{}", self._names.own("window")),
            "sizes": ('{}.sizes["{}"]', self._names.own("window")),
        }
        lines: list[str] = []
        for kind, (source, owner) in sources.items():
            pairs = [(local, source.format(owner, name)) for local, name in self._used.get(kind, {}).items()]
            lines += _assignments(pairs)
        return lines

    def _local(self, kind: str, name: str, local: str | None = None) -> str:
        """The local name of something, which the header will set."""
        local = local or name
        self._used.setdefault(kind, {})[local] = name
        return local

    def _sized(self, form: Size) -> None:
        """Notes the sizes in a linear form."""
        for name in form.names:
            for attribute in ("n", "last", "first"):
                if name == self._names.own(attribute):
                    self._local("window", attribute, name)
            if name in self._dimensions or name in ("N", "T"):
                self._local("sizes", self._dimensions.get(name, name), name)

    # --- statements ---

    def _statement(self, statement: Statement) -> list[str]:
        said = self._say(getattr(statement, "of", ()))
        match statement:
            case Loop(_, _, _, _, Kind.ALL, body):
                self._loop = statement
                lines = self.lines(body)
                self._loop = None
                return lines
            case Loop(_, first, last):
                for bound in (first, last):
                    self._sized(bound)
            case Let(Ref(Buffer() | View()) as target, Call(function, args)) if function in UFUNCS:
                return [*said, f"{UFUNCS[function]}({', '.join(map(self.text, (*args, target)))})"]
            case Let(Ref(Buffer() | View()) as target, value):
                return [*said, f"copyto({self.text(target)}, {self.text(value)})"]
            case Gemm(target, value, True):
                left, right = self._matrix(value.left), self._matrix(value.right)
                return [*said, f"{self.text(target)} += {left}.dot({right}.T)"]
            case Gemm(target, Dot(matrix, factor)) if self._loop is not None:
                return [*said, f"np.matmul({', '.join(map(self.text, (matrix, factor, target)))})"]
            case Gemm(target, Dot(matrix, factor)):
                return [*said, f"{self.text(matrix)}.dot({self.text(factor)}, {self.text(target)})"]
        return [*said, *super()._statement(statement)]

    def _say(self, of: Equations) -> list[str]:
        """The equations of a statement as comments, each where it is computed first."""
        lines: list[str] = []
        for number in sorted(of):
            if number not in self._said:
                self._said.add(number)
                text = f"({number}) {self._comments[number]}"
                lines += textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="#     ")
        return lines

    # --- places ---

    def _dim(self, dim: Dim) -> Text:
        self._sized(dim.size)
        return super()._dim(dim)

    def _ref(self, ref: Ref) -> Text:
        place = ref.symbol
        if isinstance(place, Symbol):
            is_target = place.role is Role.TARGET and place.steps is None
            return Text(self._local("window", "target", place.name) if is_target else place.name)
        buffer = place.of if isinstance(place, View) else place
        if buffer.life is Life.CALL:
            split = f".reshape({place.split}, -1, 1)" if isinstance(place, View) and place.split else ""
            return Text(self._local("weights", buffer.name) + split)
        if buffer.life is Life.TOTAL:
            return Text(f"{self._local('window', 'totals', self._names.own('totals'))}.{place.name}")
        if self._loop is not None:
            return Text(self._steps(ref, self._loop))
        if buffer.life is Life.STEP:
            return Text(self._local("rows", place.name))
        self._sized(cast(Size, ref.step))
        local = self._names.own(place.name, "rows") if place in self._in_bulk else place.name
        return Text(f"{self._local('rows', place.name, local)}[{ref.step}]")

    def _steps(self, ref: Ref, loop: Loop) -> str:
        """All steps of a loop in bulk."""
        kind = {0: "now", -1: "before", 1: "after"}[(cast(Size, ref.step) - loop.index).constant]
        name = ref.symbol.name
        is_matrix = isinstance(ref.symbol, Buffer) and ref.symbol.life is Life.BESIDE
        word = "steps" if is_matrix else kind
        local = self._local(kind, name, name if word == "now" else self._names.own(name, word))
        whole = loop.last == Size.of(self._names.own("n"))
        if whole:
            return local
        self._sized(loop.last)
        return f"{local}[: {loop.last}]"

    def _matrix(self, side: Expression) -> str:
        """A factor whose steps are beside one another."""
        local = self._local("beside", cast(Ref, side).symbol.name)
        loop = cast(Loop, self._loop)
        if loop.last == Size.of(self._names.own("n")):
            return local
        self._sized(loop.last + "N")
        return f"{local}[:, : ({loop.last}) * N]"

    # --- expressions, with the sequences last ---

    def _dot(self, dot: Dot) -> Text:
        if dot.contracted == ((BATCH, BATCH),):
            flat = ".ravel()" if self._loop is not None else ""
            left, right = self._factor(dot.left), self._factor(dot.right)
            if type_of(dot.left).axes:
                return Text(f"{left}.dot({right}.T)")
            return Text(f"{left}{flat}.dot({right}{flat})")
        if type_of(dot.right).batch:
            return Text(f"np.matmul({self.text(dot.left)}, {self.text(dot.right)})")
        return super()._dot(dot)

    def _reduce(self, reduce: Reduce) -> Text:
        inner = type_of(reduce.of)
        count = len(inner.axes) + inner.batch
        positions = [-1 if axis == BATCH else axis - count for axis in sorted(reduce.axes, reverse=True)]
        if self._loop is not None and BATCH in reduce.axes:
            positions, count = [0, *positions], count + 1
        elif self._loop is not None:
            count += 1
        axes = f"({', '.join(map(str, sorted(positions)))})" if len(positions) > 1 else str(positions[0])
        axis = "" if len(positions) == count else f", axis={axes}"
        return Text(f"np.{reduce.op}({self.text(reduce.of)}{axis})")

    def _rowwise(self, call: RowWise) -> Text:
        texts = [
            f"np.swapaxes({self.text(arg)}, -1, -2)" if type_of(arg).axes and type_of(arg).batch else self.text(arg)
            for arg in call.args
        ]
        applied = f"{call.function}({', '.join(texts)})"
        return Text(f"np.swapaxes({applied}, -1, -2)" if type_of(call).axes else applied)

    def _position(self, axis: Axis, batch: bool) -> int:
        return -1 if axis == BATCH else axis

    def _part(self, part: Part) -> Text:
        """A part of a part by all its indices at once."""
        if not isinstance(part.of, Part):
            return super()._part(part)
        inner = part.of
        for each in (part, inner):
            self._sized(each.first + (each.size or Size()))
        outer = _range(part.first, part.size)
        if inner.size is None:
            return Text(f"{self.text(inner.of)}[{_range(inner.first, None)}, {outer}]")
        chosen = [":", ":"]
        chosen[inner.axis], chosen[part.axis] = _range(inner.first, inner.size), outer
        return Text(f"{self.text(inner.of)}[{', '.join(chosen)}]")


def _range(first: Size, size: Size | None) -> str:
    if size is None:
        return str(first)
    begin = "" if first == Size() else str(first)
    return f"{begin}:{first + size}"


def _assignments(pairs: list[tuple[str, str]]) -> list[str]:
    """Lines that give names to values, several in a line as long as it stays short."""
    lines: list[str] = []
    while pairs:
        count = 1
        while count < len(pairs) and len(_assignment(pairs[: count + 1])) <= WIDTH:
            count += 1
        lines.append(_assignment(pairs[:count]))
        pairs = pairs[count:]
    return lines


def _assignment(pairs: Iterable[tuple[str, str]]) -> str:
    names, values = zip(*pairs, strict=True)
    return f"{', '.join(names)} = {', '.join(values)}"


class PackPrinter(Halves):
    """Prints what is made of the weights."""

    def pack(self, pack: Pack) -> str:
        """The value of one buffer: a matrix in one block of memory, a row as a column."""
        kind = type_of(pack.target)
        if kind.batch:
            return f"{self.text(pack.value, Binding.ATOM)}[:, np.newaxis]"
        is_new = len(kind.axes) < 2 or isinstance(pack.value, Concat)
        return self.text(pack.value) if is_new else f"np.ascontiguousarray({self.text(pack.value)})"

    def _concat(self, concat: Concat) -> Text:
        parts = ", ".join(map(self.text, concat.parts))
        return Text(f"np.concatenate(({parts}){f', axis={concat.axis}' if concat.axis else ''})")
