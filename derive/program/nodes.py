"""The nodes of a program.

This is the whole grammar:

    module      Module(name, title, functions, equations)               equations: the numbers of all of them
    function    Function(name, parameters, results, body, meaning)      parameters: symbols and records
    record      Record(name, fields, unpacked)                          symbols that travel together: a trace
    symbol      Symbol(name, type, role, steps, meaning, field)         steps: its rows, one per step; or none
    type        Type(axes, batch, label)                                batch: one value for each of the N sequences
    size        Size(terms, constant)                                   3 H + 1, N, T; and a step: 0, k - 1, T

    expression  Literal(value)            a fraction                    Constant(name)       pi, e
                Dim(size)                 a size as a number            Ref(symbol, step)    a symbol, at a step
                Call(function, args)      entry by entry: add, tanh     Dot(left, right, contracted)
                Reduce(op, of, axes)      sum, mean, max, norm          RowWise(function, args)   softmax, one_hot, …
                Concat(parts, axis)       parts beside one another      Part(of, axis, first, size)
                Compare(relation, left, right)                          Select(condition, then, otherwise)
                Solve(matrix, right)      linear equations              Identity(size)
                Transpose(of)             of a matrix of weights that is no factor of a Dot itself

    statement   Let(target, value, of)    target = value                target: Ref, or Part of one
                Add(target, value, of)    target += value
                Fill(target, of)          an array of zeros
                When(condition, body, of)
                Loop(index, first, last, reverse, kind, body, of)       SCAN: each waits for the one before; ALL: none
                Run(function, arguments, results, of)                   a call of a function of the module

    storage     Buffer(name, type, role, steps, life, meaning)          an array, and how long it keeps its values
                View(name, of, first, size, split)                      rows of a buffer, perhaps in `split` blocks
                Gemm(target, value, add, of)                            a Dot written to a place, or added to it
                Map(stores, of)                                         entrywise statements of one shape, fused
                Pack(target, value, of)                                 a buffer made of the weights once per call

    life        CALL: of the weights; WINDOW, BACKWARD: a row per step of a window, for both passes or the backward one;
                BESIDE: the steps of a window side by side in one matrix; STEP: one step; TOTAL: a sum over all windows

Every statement carries `of`, the numbers of the equations it computes. Nodes are immutable, compare by value, hold
neither SymPy nor text in any language, and at the level of values know nothing of layout: `Dot` names the axes that it
contracts, so x W, δ Wᵀ and hᵀ δ are one kind of node. An axis is a position in `Type.axes`, or `BATCH`.
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
    """The shape and kind of a value.

    Attributes:
        axes: The sizes of its axes, the sequences aside: () a number, (H,) a row, (D, H) a matrix.
        batch: Whether there is one value per sequence.
        label: Whether the values are whole numbers, the names of classes.
    """

    axes: tuple[Size, ...] = ()
    batch: bool = False
    label: bool = False


class Role(Enum):
    """The part that a symbol plays in the cell."""

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
        name: Its name in code; a `Namer` keeps all names apart.
        type: Its type at one step, or for the whole sequence.
        role: Its part in the cell.
        steps: The number of rows where it has one per step; row k is for step k.
        meaning: A few words.
        field: Its name in a record: that of its quantity, from the user or the derivation.
    """

    name: str
    type: Type
    role: Role
    steps: Size | None = None
    meaning: str = ""
    field: str = ""


@dataclass(frozen=True)
class Record:
    """Symbols passed together under one name: `parameters`, `trace`, `adjoints`.

    Attributes:
        name: Its name in code.
        fields: The symbols; each is called by its `field` in the record.
        unpacked: Whether a function gives its fields local names; otherwise it reads `record.field`.
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
    """A symbol: the row of one step, or with no step all of its rows."""

    symbol: Symbol | Buffer | View
    step: Size | None = None


@dataclass(frozen=True)
class Call:
    """A function applied entry by entry; operands with fewer axes, or without sequences, are spread over the others.

    Attributes:
        function: A name in `derive.language.functions`, or one of add, subtract, multiply, divide, power, negative.
        args: Its operands.
    """

    function: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Dot:
    """A sum of products over pairs of axes; the axes left over are those of the left factor, then of the right one."""

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
    """Parts concatenated along an axis; a number counts as a row of one entry."""

    parts: tuple[Expression, ...]
    axis: Axis = 0


@dataclass(frozen=True)
class Part:
    """The entries first, …, first + size - 1 along an axis; with no size the one at `first`, without that axis."""

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
    """The solution y of matrix · y = right."""

    matrix: Expression
    right: Expression


@dataclass(frozen=True)
class Identity:
    """The identity matrix of a size."""

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
"""The numbers of the equations computed by a statement."""


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
    """An array of zeros as target, with all of its rows where it has steps."""

    target: Ref
    of: Equations = ()


@dataclass(frozen=True)
class When:
    """A body run under a condition."""

    condition: Expression
    body: tuple[Statement, ...]
    of: Equations = ()


class Kind(Enum):
    """How the steps of a loop depend on one another."""

    SCAN = "each waits for the one before"
    ALL = "none waits"


@dataclass(frozen=True)
class Loop:
    """A body run for index = first, …, last, both included; downwards if reversed; not at all if the range is empty."""

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
    """An array made once and overwritten many times."""

    name: str
    type: Type
    role: Role
    steps: Size | None
    life: Life
    meaning: str = ""


@dataclass(frozen=True)
class View:
    """Rows first, …, first + size - 1 along axis 0 of a buffer; in `split` equal blocks, where given."""

    name: str
    of: Buffer
    first: Size
    size: Size
    split: int | None = None


@dataclass(frozen=True)
class Gemm:
    """target = left · right, or target += left · right; `value` names the axes contracted."""

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
    """A buffer made of the weights once per call, transposed or stacked."""

    target: Ref
    value: Expression
    of: Equations = ()


Statement: TypeAlias = Let | Add | Fill | When | Loop | Run | Gemm | Map | Pack


@dataclass(frozen=True)
class Function:
    """A function.

    Attributes:
        name: Its name in code.
        parameters: Symbols and records.
        results: The same.
        body: Its statements.
        meaning: A sentence.
    """

    name: str
    parameters: tuple[Symbol | Record, ...]
    results: tuple[Symbol | Record, ...]
    body: tuple[Statement, ...]
    meaning: str = ""


@dataclass(frozen=True)
class Module:
    """A program, complete for a printer.

    Attributes:
        name: Its name in code.
        title: Its name for readers.
        functions: In order of use.
        equations: The numbers of the equations it computes; no pass may lose one.
    """

    name: str
    title: str
    functions: tuple[Function, ...]
    equations: frozenset[int] = frozenset()
