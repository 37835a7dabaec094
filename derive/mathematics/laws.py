"""The laws by which an adjoint flows back through rows and matrices: those of the operations that a cell has.

None is written down here: `pullbacks.pullback` derives each from its operation, as it does in the derivation itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Eq, Expr, Function, Pow, preorder_traversal

from derive.language.cell import Cell
from derive.language.operations import Total
from derive.language.quantities import (
    LOSS,
    Adjoint,
    Dimension,
    Intermediate,
    Parameter,
    Product,
    Quantity,
    Transpose,
    bare_of,
)
from derive.language.shapes import form_of
from derive.mathematics.derivation import Table
from derive.mathematics.pullbacks import pullback
from derive.mathematics.symbols import Occurs, adds_a_number, adds_one_row_to_all, adds_several, multiplies

H = Dimension("H")
A, B, Q = (Intermediate(letter, shape=(H,)) for letter in "ABQ")
V, W, U = (Parameter(letter, shape=(H, H)) for letter in "VWU")
b, c = Parameter("b", shape=(H,)), Parameter("c")

LAWS: tuple[tuple[str, Quantity, Expr, Occurs], ...] = (
    ("matrix product", Q, A @ W, lambda node: isinstance(node, Product) and form_of(node).per_sequence),
    ("matrix product", U, V @ W, lambda node: isinstance(node, Product) and not form_of(node).per_sequence),
    ("transpose", U, W.T, lambda node: isinstance(node, Transpose)),
    ("sum", Q, A + B, adds_several),
    ("a number less", Q, 1 - A, adds_a_number),
    ("one row for every sequence", Q, A + b, adds_one_row_to_all),
    ("product entry by entry", Q, A * B, lambda node: multiplies(node, sequences=2)),
    ("product entry by entry", Q, A * b, lambda node: multiplies(node, sequences=1, rows=1)),
    ("product with a number", Q, A * c, lambda node: multiplies(node, sequences=1, numbers=1)),
)
"""A law's name, what is computed by its operation, and where that occurs."""


def table_of_laws(cell: Cell) -> Table:
    """The laws that the equations of a cell need."""
    rights = (*cell.initial.values(), *cell.step.values(), *cell.last_step.values())
    nodes = {node for right in rights for node in preorder_traversal(right)}
    found = [(name, left, right) for name, left, right, occurs in LAWS if any(map(occurs, nodes))]
    if any(form_of(value).shape for value in cell.initial.values()):
        found.append(("one row for every sequence", Q, b))
    entrywise = {node.xreplace({node.args[0]: A}) for node in nodes if _is_of_one_entry(node)}
    found += [("entry by entry", Q, right) for right in sorted(entrywise, key=str)]
    rows = tuple((Eq(left, right, evaluate=False), tuple(flows(left, right)), name) for name, left, right in found)
    return Table(("from", "follows", "law"), rows)


def _is_of_one_entry(node: Expr) -> bool:
    """Whether a node is a function, or a fixed power, of every entry of a row."""
    return (
        isinstance(node, Function | Pow) and bool(form_of(node).shape) and all(each.is_number for each in node.args[1:])
    )


def flows(left: Quantity, right: Expr) -> Iterator[Eq]:
    """What an operation passes on to each of its operands, the rows of sequences first."""
    for operand in sorted(bare_of(right), key=lambda each: (not each.per_sequence, each.name)):
        yield Eq(derivative(operand), pullback(right, operand, derivative(left)), evaluate=False)


def derivative(quantity: Quantity) -> Expr:
    """δ^A for what each sequence has, dξ/dW for a weight."""
    if not quantity.per_sequence:
        return Total(LOSS, quantity)
    return Adjoint(f"delta_{quantity}", rf"\delta^{{{quantity}}}", quantity)
