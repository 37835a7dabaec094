"""What a page says before its equations: the symbols that occur in them, their shapes, and the laws that are used."""

from __future__ import annotations

from functools import cache

import pytest
from sympy import Eq, Function, Sum, preorder_traversal, tanh

from derive import (
    Cell,
    Dimension,
    Input,
    Intermediate,
    Label,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    mean,
    softmax_cross_entropy,
    total,
)
from derive.documents.document import Format
from derive.documents.markdown import Markdown
from derive.language.checks.equations import IN_A_STEP
from derive.language.functions import FUNCTIONS
from derive.language.operations import logistic_cross_entropy
from derive.language.order import BY_ROLE
from derive.mathematics.derivation import Derivation, Table
from derive.mathematics.laws import LAWS, table_of_laws
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.pullbacks import THROUGH
from derive.mathematics.symbols import table_of_quantities
from derive.output.cell_files import find_cells

CELLS = {cell.name: cell for cell in find_cells([])}
D, H, M = (Dimension(name) for name in "DHM")
W_x, W, b = Parameter("Wx", "W_x", shape=(D, H)), Parameter("W", shape=(H, H)), Parameter("b", shape=(H,))
V, a = Parameter("V", shape=(H, M)), Parameter("a")
x, z, h = Input("x", "X", shape=(D,)), Intermediate("z", "Z", shape=(H,)), State("h", "H", shape=(H,))
y, t, label = Intermediate("y", "Y", shape=(M,)), Target("t", shape=(M,)), Label("t")


@cache
def derivation_of(name: str) -> Derivation:
    return write_derivation(CELLS[name])


def shown(table: Table, form: Format | None = None) -> list[list[str]]:
    """A table as Markdown, without what marks a formula."""
    form = form or Markdown(BY_ROLE)
    return [[form.value(value).replace("$`", "").replace("`$", "") for value in row] for row in table.rows]


def tables(derivation: Derivation, section: str) -> list[Table]:
    (found,) = (each for each in derivation.sections if each.title == section)
    return [entry for entry in found.entries if isinstance(entry, Table)]


# --- shapes


def test_a_table_of_quantities_has_their_shapes():
    rows = {row[0]: row for row in shown(table_of_quantities(CELLS["vanilla_rnn"]))}
    assert rows["W_x"][2] == r"D \times H"
    assert rows["b"][2] == "H"
    assert rows["X"][2] == r"N \times D"
    assert rows[r"\hat{Y}"][2] == r"N \times M"
    assert rows[r"\xi"][2] == "1"
    assert rows["N"][3] == "how many sequences there are"
    assert rows["T"][3] == "how many steps a sequence has"
    assert rows["D"][3] == "how many entries a row of X has"
    assert rows["M"][3] == r"how many entries a row of \hat{Y} has"


def test_a_cell_of_numbers_has_no_column_of_shapes():
    table = table_of_quantities(CELLS["linear"])
    assert table.header == ("symbol", "in code", "meaning")
    assert {row[0] for row in shown(table)} >= {"N", "T", "k"}


@pytest.mark.parametrize("name", CELLS)
def test_every_quantity_and_every_dimension_has_a_row(name):
    rows = table_of_quantities(CELLS[name]).rows
    assert {row[0] for row in rows} >= {*CELLS[name].quantities, *CELLS[name].dimensions}


# --- symbols

EXPLAINED = {
    r"\sigma(z)": {"logistic", "gru", "gru_reset_before", "lstm", "lstm_peephole", "binary_adder"},
    r"\mathrm{softmax}(y)": {"character_model"},
    r"\mathrm{onehot}(t)": {"character_model"},
    r"\mathrm{softplus}(z)": set(),
    r"\partial q / \partial p": {"linear", "logistic", "tanh"},
    "A B": CELLS.keys() - {"linear", "logistic", "tanh"},
    r"A^{\top} B": CELLS.keys() - {"linear", "logistic", "tanh"},
    "A + b": CELLS.keys() - {"linear", "logistic", "tanh"},
    r"[\dots]_j": CELLS.keys() - {"linear", "logistic", "tanh", "character_model"},
    r"(\dots)^{(n)}": CELLS.keys(),
    r"\delta": CELLS.keys(),
    r"\eta": CELLS.keys(),
}


@pytest.mark.parametrize("written", EXPLAINED)
def test_a_symbol_is_explained_where_it_occurs_and_nowhere_else(written):
    explaining = {name for name in CELLS if written in dict(shown(tables(derivation_of(name), "The cell")[1]))}
    assert explaining == EXPLAINED[written]


def test_the_symbols_stand_before_the_first_equation():
    entries = derivation_of("lstm").sections[0].entries
    assert sum(isinstance(entry, Table) for entry in entries[: entries.index(derivation_of("lstm").equations[0])]) == 2


# --- laws

products = r"\delta^{A} = \delta^{Q} W^{\top}, \frac{d \xi}{d W} = A^{\top} \delta^{Q}"
LAWS_OF_EVERYTHING = {
    "Q = A W": products,
    "U = V W": r"\frac{d \xi}{d V} = \frac{d \xi}{d U} W^{\top}, \frac{d \xi}{d W} = V^{\top} \frac{d \xi}{d U}",
    r"U = W^{\top}": r"\frac{d \xi}{d W} = \left( \frac{d \xi}{d U} \right)^{\top}",
    "Q = A + B": r"\delta^{A} = \delta^{Q}, \delta^{B} = \delta^{Q}",
    "Q = 1 - A": r"\delta^{A} = -\delta^{Q}",
    "Q = A + b": r"\delta^{A} = \delta^{Q}, \frac{d \xi}{d b} = \sum_{n=1}^{N} {\delta^{Q}}^{(n)}",
    r"Q = A \odot B": r"\delta^{A} = \delta^{Q} \odot B, \delta^{B} = \delta^{Q} \odot A",
    r"Q = A \odot b": r"\delta^{A} = \delta^{Q} \odot b, "
    r"\frac{d \xi}{d b} = \sum_{n=1}^{N} {\delta^{Q}}^{(n)} \odot A^{(n)}",
    "Q = A c": r"\delta^{A} = \delta^{Q} c, "
    r"\frac{d \xi}{d c} = \sum_{n=1}^{N} \sum_{j} \left[ {\delta^{Q}}^{(n)} \odot A^{(n)} \right]_{j}",
    "Q = b": r"\frac{d \xi}{d b} = \sum_{n=1}^{N} {\delta^{Q}}^{(n)}",
    "Q = A^{2}": r"\delta^{A} = 2 \delta^{Q} \odot A",
    r"Q = \sigma\left( A \right)": r"\delta^{A} = \delta^{Q} \odot \sigma\left( A \right) \odot "
    r"\left( 1 - \sigma\left( A \right) \right)",
    r"Q = \tanh\left( A \right)": r"\delta^{A} = \delta^{Q} \odot \left( 1 - \tanh^{2}\left( A \right) \right)",
}


def test_each_operation_has_its_law():
    step = tanh(h[k - 1] @ (W @ W.T) + x[k] @ W_x + b) * b + (1 - logistic(z[k])) * h[k - 1] * a
    equations = (Eq(h[0], b), Eq(z[k], h[k - 1] ** 2), Eq(h[k], step), Eq(y[T], h[T] @ V))
    cell = Cell("all", "All", (W_x, W, b, V, a, x, z, h, y, t), equations, y[T], mean(total((y[T] - t) ** 2)))
    assert {operation: follows for operation, follows, _ in shown(table_of_laws(cell))} == LAWS_OF_EVERYTHING


def test_a_law_that_is_not_used_is_not_stated():
    gate = Input("g", "G", shape=(H,))
    equations = (Eq(h[0], 0), Eq(h[k], tanh(h[k - 1] @ W)), Eq(y[T], (h[T] * gate[T]) @ V))
    loss = mean(softmax_cross_entropy(y[T], label))
    cell = Cell("few", "Few", (W, V, gate, h, y, label), equations, y[T], loss)
    assert [row[0] for row in shown(table_of_laws(cell))] == [
        "Q = A W", r"Q = A \odot B", r"Q = \tanh\left( A \right)",
    ]  # fmt: skip


@pytest.mark.parametrize("operation", [each for each in THROUGH if each in IN_A_STEP], ids=lambda each: each.__name__)
def test_no_operation_is_without_a_law(operation):
    """A law added to `pullbacks.THROUGH` is stated too; those of a loss alone are the rules of its own equations."""
    assert any(right.has(operation) for _, _, right, _ in LAWS)


@pytest.mark.parametrize("name", sorted(CELLS.keys() - {"linear", "logistic", "tanh"}))
def test_a_page_of_matrices_states_the_laws_of_its_functions(name):
    cell = CELLS[name]
    (laws,) = tables(derivation_of(name), "The chain rule for rows and matrices")
    used = {node.func for right in cell.last_step.values() for node in preorder_traversal(right)} & FUNCTIONS.keys()
    stated = {row[0].rhs.func for row in laws.rows if isinstance(row[0].rhs, Function)}
    assert used == stated != {logistic_cross_entropy}
    assert shown(laws)[0][:2] == ["Q = A W", products]


def test_a_page_of_numbers_has_no_matrix_laws():
    assert "The chain rule for rows and matrices" not in {each.title for each in derivation_of("linear").sections}


# --- words


@pytest.mark.parametrize(("name", "other"), [("gru", "gru_reset_before"), ("gru_reset_before", "gru")])
def test_the_two_forms_of_the_gru_name_each_other_and_their_paper(name, other):
    assert f"`{other}`" in CELLS[name].about
    assert "Cho et al. (2014)" in CELLS[name].about
    assert "Keras" in CELLS[name].about


def test_a_gradient_without_a_sum_over_steps_is_not_labelled_as_one():
    gradient = derivation_of("lstm").backward.gradients[CELLS["lstm"].parameters[-2]]
    assert not gradient.rhs.has(Sum)
    assert "steps" not in gradient.rule.name
