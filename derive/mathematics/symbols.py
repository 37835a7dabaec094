"""The symbols of a derivation, explained before its equations: quantities with their shapes, and what else occurs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from sympy import Add, Expr, Mul, Pow, preorder_traversal

from derive.language.cell import Cell
from derive.language.operations import (
    BatchMean,
    BatchOuter,
    BatchSum,
    EntrySum,
    OneHot,
    Partial,
    Softmax,
    SoftmaxCrossEntropy,
    Total,
    logistic,
    logistic_cross_entropy,
    softplus,
)
from derive.language.quantities import (
    LOSS,
    Adjoint,
    At,
    Dimension,
    Input,
    LearningRate,
    N,
    Product,
    Quantity,
    State,
    T,
    Target,
    Transpose,
    k,
)
from derive.language.shapes import form_of
from derive.mathematics.derivation import Equation, Section, Table


def table_of_quantities(cell: Cell) -> Table:
    """The quantities of a cell and what counts them, with the shapes unless all are numbers."""
    rows: list[tuple[Any, ...]] = [(q, q.name, shape_of(q), _meaning(q)) for q in (*cell.quantities, LOSS)]
    rows += [
        (N, "N", "", "how many sequences there are"),
        (T, "T", "", "how many steps a sequence has"),
        (k, "k", "", r"the step, $1, \dots, T$"),
        *((size, size.name, "", _what_it_counts(size, cell)) for size in cell.dimensions),
    ]
    table = Table(("symbol", "in code", "shape", "meaning"), tuple(rows))
    return _without(table, "shape") if cell.is_scalar else table


def _without(table: Table, title: str) -> Table:
    kept = [place for place, each in enumerate(table.header) if each != title]
    header, *rows = (tuple(row[place] for place in kept) for row in (table.header, *table.rows))
    return Table(header, tuple(rows))


def shape_of(quantity: Quantity) -> str:
    """N × H for what a step holds of all sequences, D × H for a weight, 1 for a number."""
    sizes = map(str, [*([N] if quantity.per_sequence else []), *quantity.dimensions])
    return "${}$".format(r" \times ".join(sizes) or "1")


def _meaning(quantity: Quantity) -> str:
    """Its role, and what the user says of it where that is more."""
    given = quantity.meaning.removeprefix("the ")
    return f"{quantity.role}: {quantity.meaning}" if given and given != quantity.role else quantity.role


def _what_it_counts(size: Dimension, cell: Cell) -> str:
    """The entries of an input, a state or a target rather than those of a weight."""
    having = [quantity for quantity in cell.quantities if size in quantity.dimensions]
    first = min(having, key=lambda quantity: not isinstance(quantity, Input | State | Target))
    return f"how many entries a row of ${first.latex}$ has"


Occurs: TypeAlias = Callable[[Expr], bool]
"""Whether a node of an expression prints as a certain symbol."""


def _is(*kinds: type[Any]) -> Occurs:
    return lambda node: isinstance(node, kinds)


def _factors_with_entries(node: Expr) -> int:
    return sum(bool(form_of(factor).shape) for factor in node.args) if isinstance(node, Mul) else 0


def multiplies(node: Expr, *, sequences: int = 0, rows: int = 0, numbers: int = 0) -> bool:
    """Whether a node multiplies at least so many rows of every sequence, rows or matrices of weights, and numbers."""
    if not isinstance(node, Mul) or not form_of(node).shape:
        return False
    forms = [form_of(factor) for factor in node.args if not factor.is_number]
    of_sequences = sum(form.per_sequence for form in forms)
    of_weights = sum(bool(form.shape) for form in forms if not form.per_sequence)
    if not of_sequences:  # weights alone follow the same law
        of_sequences, of_weights = of_weights, 0
    return of_sequences >= sequences and of_weights >= rows and sum(not form.shape for form in forms) >= numbers


def adds_several(node: Expr) -> bool:
    """Whether a node adds rows of every sequence, or matrices of weights."""
    forms = [form_of(term) for term in node.args] if isinstance(node, Add) else []
    return max(sum(bool(form.shape) and form.per_sequence is kind for form in forms) for kind in (True, False)) > 1


def adds_a_number(node: Expr) -> bool:
    """Whether a node adds a number to every entry of a row, or takes the entries from it."""
    return isinstance(node, Add) and bool(form_of(node).shape) and not all(form_of(term).shape for term in node.args)


def adds_one_row_to_all(node: Expr) -> bool:
    """Whether a node adds a row of weights to the row of every sequence."""
    forms = [form_of(term) for term in node.args] if isinstance(node, Add) else []
    return len({form.per_sequence for form in forms if form.shape}) > 1


SYMBOLS: tuple[tuple[str, str, Occurs], ...] = (
    ("$A B$", "the matrix product", _is(Product, BatchOuter)),
    (r"$A^{\top}$", "the transpose", _is(Transpose, BatchOuter)),
    (r"$A^{\top} B$", "where $A$ and $B$ have one sequence a row, a sum over the sequences", _is(BatchOuter)),
    (r"$A \odot B$", "the product entry by entry", lambda node: _factors_with_entries(node) > 1),
    (
        "$A^2$",
        "the square of every entry; other powers likewise",
        lambda node: isinstance(node, Pow) and bool(form_of(node).shape),
    ),
    ("$1 - A$", "1 less every entry: a number stands for a whole matrix of it", adds_a_number),
    ("$A + b$", "the row $b$ of weights is added to the row of every sequence", adds_one_row_to_all),
    (r"$(\dots)^{(n)}$", r"what belongs to sequence $n = 1, \dots, N$", _is(BatchSum, BatchMean)),
    (r"$[\dots]_j$", "entry $j$ of a row", _is(EntrySum)),
    (r"$\sigma(z)$", "the logistic function, $1 / (1 + e^{-z})$", _is(logistic, logistic_cross_entropy)),
    (r"$\mathrm{softplus}(z)$", r"$\log (1 + e^z)$", _is(softplus)),
    (
        r"$\mathrm{softmax}(y)$",
        r"the row with the entries $e^{y_j} / \sum_i e^{y_i}$; an index picks one",
        _is(Softmax, SoftmaxCrossEntropy),
    ),
    (r"$\mathrm{onehot}(t)$", "the row with 1 at the place of the label $t$, and 0 elsewhere", _is(OneHot)),
    (r"$\partial q / \partial p$", "the partial derivative, of the one equation for $q$", _is(Partial)),
    (r"$d \xi / d p$", "the total derivative, through every path from $p$ to the loss", _is(Total)),
    (r"$\delta$", "an adjoint: the derivative of the loss with respect to what a step computes", _is(Adjoint)),
    (r"$\eta$", "a learning rate, one for each weight", _is(LearningRate)),
)
"""How a symbol is written, what it means, and where it occurs."""


def table_of_symbols(equations: tuple[Equation, ...]) -> Table:
    """The symbols in the equations beside quantities."""
    nodes = {node for each in equations for side in (each.lhs, each.rhs) for node in preorder_traversal(side)}
    nodes |= {node.quantity for node in nodes if isinstance(node, At)}
    found = tuple((written, means) for written, means, occurs in SYMBOLS if any(map(occurs, nodes)))
    return Table(("written", "means"), found)


def with_symbols(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """The sections, with the table of symbols before the first equation."""
    first, *others = sections
    equations = tuple(entry for section in sections for entry in section.entries if isinstance(entry, Equation))
    place = first.entries.index(equations[0])
    entries = (*first.entries[:place], table_of_symbols(equations), *first.entries[place:])
    return (replace(first, entries=entries), *others)
