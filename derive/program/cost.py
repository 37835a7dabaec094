"""The work of a program, as formulas in the sizes: operations, values of functions, and bytes moved.

An operation is an addition, a multiplication, a division, a power or a comparison of two numbers: a product of matrices
that sums over n terms takes n multiplications and n - 1 additions for each entry. The values of functions such as tanh
and exp are counted apart, as one is worth many operations. What is moved is what each statement reads, each place once,
and what it writes: in bytes, with 8 for a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from derive.program.nodes import (
    BATCH,
    Add,
    Axis,
    Call,
    Compare,
    Dot,
    Expression,
    Fill,
    Function,
    Gemm,
    Let,
    Loop,
    Map,
    Module,
    Pack,
    Part,
    Reduce,
    Ref,
    RowWise,
    Run,
    Solve,
    Statement,
    Type,
    When,
)
from derive.program.polynomials import Polynomial
from derive.program.sizes import Size
from derive.program.types import SEQUENCES, ProgramError, type_of
from derive.program.walk import Node, every, parts

BYTES = 8
"""Of a number."""
OPERATORS = frozenset({"add", "subtract", "multiply", "divide", "power", "negative", "minimum", "maximum"})
"""What counts as one operation for each entry."""
ZERO = Polynomial()


@dataclass(frozen=True)
class Cost:
    """An amount of work.

    Attributes:
        operations: Additions, multiplications, divisions, powers and comparisons.
        functions: Values of functions.
        bytes: What is read and written.
    """

    operations: Polynomial = ZERO
    functions: Polynomial = ZERO
    bytes: Polynomial = ZERO

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.operations + other.operations, self.functions + other.functions, self.bytes + other.bytes)

    def __mul__(self, times: Polynomial | Size | int) -> Cost:
        return Cost(self.operations * times, self.functions * times, self.bytes * times)


def cost_of(node: Expression | Statement | Function, module: Module | None = None) -> Cost:
    """The work of an expression, a statement or a function; of a loop that of all its steps.

    Args:
        node: What is counted.
        module: Where the functions are that it calls.

    Raises:
        ProgramError: It calls a function and no module is given, or the steps of a loop take more and more work.
    """
    match node:
        case Let(target, value) | Pack(target, value) | Gemm(target, value, False):
            return _work(value) + Cost(bytes=_moved(value) + _bytes(target))
        case Add(target, value) | Gemm(target, value, True):
            added = Cost(_entries(target), ZERO, _moved(Call("add", (target, value))) + _bytes(target))
            return _work(value) + added
        case Fill(target):
            return Cost(bytes=_bytes(target))
        case Map(stores, _):
            return _sum(cost_of(each, module) for each in stores)
        case When(condition, body):
            return _work(condition) + _sum(cost_of(each, module) for each in body)
        case Loop(index, first, last, reverse):
            step = per_step(node, module)
            if any(index in names for each in (step.operations, step.functions, step.bytes) for names, _ in each.terms):
                raise ProgramError(f"the work of a step depends on {index}")
            return step * ((first - last if reverse else last - first) + 1)
        case Run(function):
            called = [each for each in module.functions if each.name == function] if module else []
            if not called:
                raise ProgramError(f"no function {function}")
            return cost_of(called[0], module)
        case Function():
            return _sum(cost_of(each, module) for each in node.body)
    return _work(node)


def per_step(loop: Loop, module: Module | None = None) -> Cost:
    """The work of one step of a loop."""
    return _sum(cost_of(each, module) for each in loop.body)


def loops(function: Function) -> Iterator[Loop]:
    """The loops of a function that are in no other loop, in order."""
    return (each for each in function.body if isinstance(each, Loop))


def _sum(costs: Iterable[Cost]) -> Cost:
    total = Cost()
    for each in costs:
        total += each
    return total


def _work(expression: Node) -> Cost:
    """The operations and functions of an expression; what it reads is counted with its statement."""
    return _sum(_work(part) for part in parts(expression)) + _own_work(expression)


def _own_work(expression: Node) -> Cost:
    """The work of one node, without what is below it."""
    match expression:
        case Call(function, args):
            if not any(isinstance(each, Ref) for each in every(expression)):
                return Cost()  # of sizes alone, as in 2 / N: computed once
            if function in OPERATORS:
                return Cost(_entries(expression) * (len(args) - 1 or 1))
            return Cost(functions=_entries(expression))
        case Compare():
            return Cost(_entries(expression))
        case Dot(left, _, contracted):
            summed = _product(_size(type_of(left), axis) for axis, _ in contracted)
            return Cost(_entries(expression) * (summed * 2 - 1))
        case Reduce(op, of, axes):
            summed = _product(_size(type_of(of), axis) for axis in axes)
            results = _entries(expression)
            added = Cost(results * (summed - 1))
            match op:
                case "mean":
                    return added + Cost(results)
                case "norm":
                    return added + Cost(results * summed, results)
            return added
        case RowWise("softmax", (row,)):
            # The largest entry, what the others are below it, their exponentials, the sum of these, and quotients.
            return Cost(_entries(row) * 4 - _rows(row) * 2, _entries(row))
        case RowWise("softmax_cross_entropy", (row, _)):
            # The same, with the logarithm of the sum in place of quotients, plus the largest entry, less the label's.
            return Cost(_entries(row) * 3, _entries(row) + _rows(row))
        case Solve(matrix, right):
            # Elimination takes 2/3 n³ operations to leading order, and 2 n² for each column on the right.
            n = Polynomial.of(type_of(matrix).axes[0])
            return Cost(n * n * n * Fraction(2, 3) + _entries(right) * n * 2)
    return Cost()


def _entries(expression: Expression) -> Polynomial:
    kind = type_of(expression)
    return _product((*kind.axes, *([SEQUENCES] if kind.batch else [])))


def _rows(row: Expression) -> Polynomial:
    """The number of rows."""
    kind = type_of(row)
    return _product((*kind.axes[:-1], *([SEQUENCES] if kind.batch else [])))


def _size(kind: Type, axis: Axis) -> Size:
    return SEQUENCES if axis == BATCH else kind.axes[axis]


def _product(sizes: Iterable[Size]) -> Polynomial:
    total = Polynomial.of(1)
    for size in sizes:
        total *= size
    return total


def _moved(value: Expression) -> Polynomial:
    """The bytes that are read: every place once."""
    total = ZERO
    for place in dict.fromkeys(_places(value)):
        total += _bytes(place)
    return total


def _places(node: Node) -> Iterator[Ref | Part]:
    """The places that a node reads; of a part, that alone."""
    match node:
        case Ref():
            yield node
        case Part(of) if all(isinstance(each, Ref | Part) for each in every(of)):
            yield node
        case _:
            for part in parts(node):
                yield from _places(part)


def _bytes(place: Ref | Part) -> Polynomial:
    return _entries(place) * BYTES
