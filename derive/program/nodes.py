"""The nodes of a program.

This is the whole grammar:

    module      Module(name, title, symbols, records, functions)
    function    Function(name, parameters, results, body, meaning)      parameters: symbols and records
    record      Record(name, fields)                                    symbols that travel together: a trace
    symbol      Symbol(name, type, role, steps, meaning)                steps: its rows, one per step; or none
    type        Type(axes, batch, label)                                batch: one value for each of the N sequences
    size        Size: 3 H + 1, N, T; and a step: 0, k - 1, T

    expression  Literal(value)            a fraction                    Constant(name)       pi, e
                Dim(size)                 a size as a number            Ref(symbol, step)    a symbol, at a step
                Call(function, args)      entry by entry: add, tanh     Dot(left, right, contracted)
                Reduce(op, of, axes)      sum, mean, norm               RowWise(function, args)   softmax, one_hot, …
                Concat(parts, axis)       parts beside one another      Part(of, axis, first, size)
                Compare(relation, left, right)                          Select(condition, then, otherwise)
                Solve(matrix, right)      linear equations              Identity(size)
                Transpose(of)             of a matrix of weights that is no factor of a Dot

    statement   Let(target, value, of)    target = value                target: Ref, or Part of one
                Add(target, value, of)    target += value
                Fill(target, of)          target is an array of zeros
                When(condition, body)
                Loop(index, first, last, reverse, kind, body)           SCAN: a step waits for the last; ALL: none does
                Run(function, arguments, results)

    storage     Buffer(name, type, role, rows, life)                    an array, and how long it lives
                View(name, of, first, size, split)                      some of its entries under a name
                Gemm(target, left, right, add, of)                      one matrix product into a place
                Map(stores)                                             entrywise statements of one shape, fused
                Pack(target, value, of)                                 what is made of the weights once per call

Every statement carries `of`, the numbers of the equations that it computes. Nodes are immutable, compare by value, hold
neither SymPy nor text in any language, and know nothing of layout: `Dot` names the axes that it contracts, so x W, δ Wᵀ
and hᵀ δ are one node. An axis is a position in `Type.axes`, or `BATCH`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TypeAlias

from derive.program.sizes import Size

BATCH = -1
"""The axis of the sequences."""

Axis: TypeAlias = int


@dataclass(frozen=True)
class Type:
    """What a value is made of.

    Attributes:
        axes: The sizes of its axes, the sequences aside: () a number, (H,) a row, (D, H) a matrix.
        batch: Whether each sequence has its own.
        label: Whether it is a whole number that names a class.
    """

    axes: tuple[Size, ...] = ()
    batch: bool = False
    label: bool = False


class Role(Enum):
    """What a symbol is to the cell."""

    PARAMETER = "parameter"
    INPUT = "input"
    TARGET = "target"
    STATE = "state"
    INTERMEDIATE = "intermediate"
    ADJOINT = "adjoint"
    TANGENT = "tangent"
    GRADIENT = "gradient"
    RATE = "learning rate"
    LOSS = "loss"
    LOCAL = "local"


@dataclass(frozen=True)
class Symbol:
    """A named value.

    Attributes:
        name: Its name in code; a `Namer` keeps all apart.
        type: What it is at one step, or for the whole sequence.
        role: What it is to the cell.
        steps: How many rows it has, where it has one for each step; row k is for step k.
        meaning: A few words.
        field: What its quantity is called, by the user or in the derivation, and it is in a record.
    """

    name: str
    type: Type
    role: Role
    steps: Size | None = None
    meaning: str = ""
    field: str = ""


@dataclass(frozen=True)
class Record:
    """Symbols that travel together under one name: `parameters`, `trace`, `adjoints`.

    Attributes:
        name: Its name in code.
        fields: The symbols; each is called by its `field` in the record.
        unpacked: Whether a function gives its fields names of their own, or reads `record.field`.
    """

    name: str
    fields: tuple[Symbol, ...]
    unpacked: bool = True


# --- expressions ---


@dataclass(frozen=True)
class Literal:
    """An exact number."""

    value: Fraction

    @classmethod
    def of(cls, value: Fraction | int) -> Literal:
        """A number."""
        return cls(Fraction(value))


@dataclass(frozen=True)
class Constant:
    """A number with a name: `pi` or `e`."""

    name: str


@dataclass(frozen=True)
class Dim:
    """A size as a number: the N of 2 / N."""

    size: Size


@dataclass(frozen=True)
class Ref:
    """A symbol; at a step where it has steps, and with no step all of its rows."""

    symbol: Symbol | Buffer | View
    step: Size | None = None


@dataclass(frozen=True)
class Call:
    """A function, entry by entry; numbers and rows of weights are spread over what has more axes or sequences.

    Attributes:
        function: A name in `derive.language.functions`, or one of add, subtract, multiply, divide, power, negative.
        args: What it is applied to.
    """

    function: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Dot:
    """A sum of products over pairs of axes; what is left has the left factor's axes, then the right one's."""

    left: Expression
    right: Expression
    contracted: tuple[tuple[Axis, Axis], ...]


@dataclass(frozen=True)
class Reduce:
    """`sum`, `mean`, `max` or `norm` over some axes."""

    op: str
    of: Expression
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class RowWise:
    """A function of whole rows: softmax(y), one_hot(t, y), softmax_cross_entropy(y, t)."""

    function: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Concat:
    """Parts beside one another along an axis; a number counts as a row of one entry."""

    parts: tuple[Expression, ...]
    axis: Axis = 0


@dataclass(frozen=True)
class Part:
    """The entries first, …, first + size - 1 along an axis; with no size the one at `first`, the axis gone."""

    of: Expression
    axis: Axis
    first: Size
    size: Size | None = None


@dataclass(frozen=True)
class Compare:
    """A relation, entry by entry: <, <=, >, >=, ==, !=."""

    relation: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Select:
    """`then` where the condition holds, else `otherwise`, entry by entry."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True)
class Solve:
    """The y with matrix · y = right."""

    matrix: Expression
    right: Expression


@dataclass(frozen=True)
class Identity:
    """The matrix with 1 on its diagonal and 0 elsewhere."""

    size: Size


@dataclass(frozen=True)
class Transpose:
    """A matrix of weights with its axes exchanged, where no `Dot` can name the axis instead: A - Bᵀ."""

    of: Expression


Expression: TypeAlias = (
    Literal
    | Constant
    | Dim
    | Ref
    | Call
    | Dot
    | Reduce
    | RowWise
    | Concat
    | Part
    | Compare
    | Select
    | Solve
    | Identity
    | Transpose
)

Equations: TypeAlias = tuple[int, ...]
"""The numbers of the equations that a statement computes."""


# --- statements ---


@dataclass(frozen=True)
class Let:
    """target = value."""

    target: Ref | Part
    value: Expression
    of: Equations = ()


@dataclass(frozen=True)
class Add:
    """target += value."""

    target: Ref | Part
    value: Expression
    of: Equations = ()


@dataclass(frozen=True)
class Fill:
    """The target is an array of zeros, of all its rows where it has steps."""

    target: Ref
    of: Equations = ()


@dataclass(frozen=True)
class When:
    """The body where a condition holds."""

    condition: Expression
    body: tuple[Statement, ...]
    of: Equations = ()


class Kind(Enum):
    """How the steps of a loop depend on one another."""

    SCAN = "each waits for the one before"
    ALL = "none waits"


@dataclass(frozen=True)
class Loop:
    """The body for index = first, …, last, both included; downwards where it is reversed; never where there is none."""

    index: str
    first: Size
    last: Size
    reverse: bool
    kind: Kind
    body: tuple[Statement, ...]
    of: Equations = ()


@dataclass(frozen=True)
class Run:
    """A call of a function of the module: results = function(arguments)."""

    function: str
    arguments: tuple[Symbol | Record, ...]
    results: tuple[Symbol | Record, ...]
    of: Equations = ()


# --- storage ---


class Life(Enum):
    """How long a buffer keeps what it holds."""

    CALL = "one call: made of the weights"
    WINDOW = "a row for each step of a window, until the backward pass has used it"
    BACKWARD = "a row for each step of a window, while the backward pass is at that window"
    BESIDE = "the steps of a window beside one another, as one matrix, with ones where nothing is written"
    STEP = "one step"
    TOTAL = "the sum over all windows"


@dataclass(frozen=True)
class Buffer:
    """An array that is made once and written again and again."""

    name: str
    type: Type
    role: Role
    steps: Size | None
    life: Life
    meaning: str = ""


@dataclass(frozen=True)
class View:
    """Entries first, …, first + size - 1 along axis 0 of a buffer; in `split` equal blocks where that is given."""

    name: str
    of: Buffer
    first: Size
    size: Size
    split: int | None = None


@dataclass(frozen=True)
class Gemm:
    """target = left · right, or target += left · right; the axes of `value` say which are contracted."""

    target: Ref
    value: Dot
    add: bool = False
    of: Equations = ()


@dataclass(frozen=True)
class Map:
    """Entrywise statements of one shape, in order: one pass over memory where the language has loops."""

    stores: tuple[Let | Add, ...]
    of: Equations = ()


@dataclass(frozen=True)
class Pack:
    """A buffer made of the weights once per call: transposed, stacked."""

    target: Ref
    value: Expression
    of: Equations = ()


Statement: TypeAlias = Let | Add | Fill | When | Loop | Run | Gemm | Map | Pack


@dataclass(frozen=True)
class Function:
    """A function.

    Attributes:
        name: Its name in code.
        parameters: What it takes: symbols and records.
        results: What it returns.
        body: What it does.
        meaning: A sentence.
    """

    name: str
    parameters: tuple[Symbol | Record, ...]
    results: tuple[Symbol | Record, ...]
    body: tuple[Statement, ...]
    meaning: str = ""


@dataclass(frozen=True)
class Module:
    """A program: everything that a printer prints.

    Attributes:
        name: Its name in code.
        title: Its name for readers.
        functions: In order of use.
        equations: The numbers of the equations that it computes; no pass may lose one.
    """

    name: str
    title: str
    functions: tuple[Function, ...]
    equations: frozenset[int] = frozenset()
