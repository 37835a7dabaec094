"""The shape of every operation, and what is said of two shapes that do not go together."""

from __future__ import annotations

import re

import pytest
from sympy import Eq, Expr, Integer, S, Sum, tanh

from derive import (
    Cell,
    CellError,
    Dimension,
    Input,
    Intermediate,
    N,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    mean,
    softplus,
    total,
)
from derive.language.operations import BatchOuter, BatchSum
from derive.language.quantities import LOSS, Adjoint, LearningRate, Product, Transpose
from derive.language.shapes import Form, ShapeError, dimensions_of, form_of

D, H, M = (Dimension(name) for name in "DHM")
a, b = Parameter("a"), Parameter("b", shape=(H,))
Wx, Wh, V = Parameter("Wx", shape=(D, H)), Parameter("Wh", shape=(H, H)), Parameter("V", shape=(H, M))
x, z, h = Input("x", shape=(D,)), Intermediate("z", shape=(H,)), State("h", shape=(H,))
y, t, c = Intermediate("y", shape=(M,)), Target("t", shape=(M,)), State("c")
delta = Adjoint("delta_h", r"\delta^h", h)

FORMS = {
    # a name
    a: "()",
    b: "(H)",
    Wx: "(D, H)",
    x[k]: "(N, D)",
    t: "(N, M)",
    c[k - 1]: "(N)",
    delta[k + 1]: "(N, H)",
    LOSS: "()",
    LearningRate.of_weight(Wx): "()",
    Parameter("P", shape=(3, H)): "(3, H)",
    # no name
    S.Half: "()",
    Integer(2) / N: "()",
    # products and transposes
    x[k] @ Wx: "(N, H)",
    h[k] @ V: "(N, M)",
    Wx @ Wh: "(D, H)",
    Wh.T: "(H, H)",
    V.T: "(M, H)",
    Transpose(Wx @ Wh): "(H, D)",
    y[k] @ V.T: "(N, H)",
    (h[k] @ Wh) @ V: "(N, M)",
    h[k] @ (Wh @ V): "(N, M)",
    (h[k] * b) @ V: "(N, M)",
    h[k] @ (Wh + Wh.T): "(N, H)",
    # entry by entry
    x[k] @ Wx + h[k - 1] @ Wh + b: "(N, H)",
    h[k] * z[k] * b: "(N, H)",
    a * h[k] + a: "(N, H)",
    h[k] ** 2: "(N, H)",
    2 * Wx: "(D, H)",
    tanh(h[k]): "(N, H)",
    logistic(x[k] @ Wx): "(N, H)",
    softplus(c[k]): "(N)",
    # sums
    total(h[k]): "(N)",
    total(b): "()",
    mean(c[k]): "()",
    mean(total((y[T] - t) ** 2)): "()",
    BatchSum(delta[k]): "(H)",
    BatchSum(c[k]): "()",
    BatchOuter(x[k], delta[k]): "(D, H)",
    Sum(BatchOuter(x[k], delta[k]), (k, 1, T)): "(D, H)",
}


@pytest.mark.parametrize(("expression", "form"), FORMS.items(), ids=map(str, FORMS))
def test_the_form_of(expression, form):
    assert str(form_of(expression)) == form


def test_a_form_says_whether_each_sequence_has_its_own():
    assert form_of(x[k] @ Wx) == Form(True, (H,))
    assert form_of(b) == Form(False, (H,))


# The operation as it is written in the message, and both shapes, or the one that is wrong.
REFUSED = {
    "a row too long for a matrix": (h[k] @ Wx, "product h[k] @ Wx: (N, H) times (D, H)"),
    "two matrices": (Wx @ V.T, "product Wx @ V.T: (D, H) times (M, H)"),
    "a bias is no row of a sequence": (b @ Wh, "product b @ Wh: b is a row of weights, (H)"),
    "a number is no row": (c[k] @ Wh, "product c[k] @ Wh: (N) times (H, H)"),
    "a matrix before a row": (Wh @ h[k], "product Wh @ h[k]: the right factor must be a matrix of weights, (N, H)"),
    "a row by a bias": (h[k] @ b, "product h[k] @ b: the right factor must be a matrix of weights, (H)"),
    "the inner of two products": ((x[k] @ Wh) @ V, "product x[k] @ Wh: (N, D) times (H, H)"),
    "a product within a function": (tanh(x[k] @ Wh), "product x[k] @ Wh: (N, D) times (H, H)"),
    "the transpose of a row": (h[k] @ Transpose(b), "b.T: only a matrix of weights has a transpose, (H)"),
    "the transpose of a state": (Transpose(h[k]), "h[k].T: only a matrix of weights has a transpose, (N, H)"),
    "a sum of two rows": (h[k] + x[k], "x[k] + h[k]: x[k] is (N, D) and h[k] is (N, H), entry by entry"),
    "a sum of a row and a bias": (x[k] + b, "b + x[k]: b is (H) and x[k] is (N, D), entry by entry"),
    "a product of two rows": (h[k] * y[k], "y[k]*h[k]: y[k] is (N, M) and h[k] is (N, H), entry by entry"),
    "a sum of two matrices": (Wx + Wh, "Wh + Wx: Wh is (H, H) and Wx is (D, H), entry by entry"),
    "a matrix entry by entry with a number": (
        Wh * c[k],
        "Wh*c[k]: Wh is (H, H) and c[k] is (N), entry by entry",
    ),
    "a mean of rows": (mean(h[k]), "mean(h[k]): one number a sequence, (N, H); write total(…)"),
}


CURES = {
    "a matrix entry by entry with a row": (x[k] * Wx, "write x[k] @ Wx"),
    "a square matrix entry by entry with a row": (Wh * h[k], "write h[k] @ Wh"),
    "a matrix before a row": (Wx @ x[k], "write x[k] @ Wx"),
    "a matrix before a row, transposed": (Wx @ h[k], "write h[k] @ Wx.T"),
    "a row of weights": (b @ Wh, "name it first, with an Intermediate z: Eq(z[k], b), and write z[k] @ Wh"),
    "a number of each sequence": (c[k] * h[k], "give the number shape=(1,), and take it @ a matrix"),
    "no order of the two": (V @ x[k], "mend a shape= or a factor"),
}


@pytest.mark.parametrize(("expression", "cure"), CURES.values(), ids=CURES)
def test_a_shape_mistake_comes_with_what_to_write(expression: Expr, cure):
    with pytest.raises(ShapeError) as caught:
        form_of(expression)
    assert caught.value.cure.startswith(cure)


@pytest.mark.parametrize(("expression", "words"), REFUSED.values(), ids=REFUSED)
def test_shapes_that_do_not_go_together_are_named_with_the_operation(expression: Expr, words):
    with pytest.raises(ShapeError) as caught:
        form_of(expression)
    said = str(caught.value)
    operation, _, rest = words.partition(": ")
    assert said.startswith(f"{operation}: ")
    assert [part for part in re.split(" and | times |, (?=[(e])", rest) if part not in said] == []


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (lambda: h[k] @ Wh @ V, Product(Product(h[k], Wh), V)),
        (lambda: h[k] @ V @ V.T, Product(Product(h[k], V), Transpose(V))),
        (lambda: tanh(y[k]) @ V.T, Product(tanh(y[k]), Transpose(V))),
        (lambda: h[k] @ (Wh.T @ Wh), Product(h[k], Product(Transpose(Wh), Wh))),
        (lambda: (h[k] * z[k]) @ Wh, Product(h[k] * z[k], Wh)),
    ],
    ids=["a product of products", "a product with a transpose", "a function with a transpose", "transposes", "a gate"],
)
def test_an_at_sign_may_stand_between_any_two_factors(written, means):
    assert written() == means


def test_dimensions_are_listed_once_in_order():
    assert dimensions_of((x, Wx, Parameter("P", shape=(3, M)), V)) == (D, H, M)


# --- in the description of a cell -------------------------------------------------------------------------------------


def described(**changes) -> Cell:
    """A small cell of rows without a mistake, but for what is changed."""
    fields = {
        "quantities": (Wx, Wh, V, b, x, z, h, y, t),
        "equations": (
            Eq(h[0], 0),
            Eq(z[k], x[k] @ Wx + h[k - 1] @ Wh + b),
            Eq(h[k], tanh(z[k])),
            Eq(y[T], h[T] @ V),
        ),
        "output": y[T],
        "loss": mean(total((y[T] - t) ** 2)),
    }
    return Cell("small", "A small cell", **{**fields, **changes})


def pre(right: Expr) -> dict:
    """Another right-hand side for z[k]."""
    return {"equations": (Eq(h[0], 0), Eq(z[k], right), Eq(h[k], tanh(z[k])), Eq(y[T], h[T] @ V))}


def called(name: str) -> dict:
    """The dimension D called otherwise."""
    other = Dimension(name)
    row, matrix = Input("x", shape=(other,)), Parameter("Wx", shape=(other, H))
    quantities = (matrix, Wh, V, b, row, z, h, y, t)
    return {**pre(row[k] @ matrix + h[k - 1] @ Wh + b), "quantities": quantities}


P, number = Parameter("P", shape=(D, H, M)), Target("t")
MISTAKES = {
    "a product": (
        pre(x[k] @ Wh + h[k - 1] @ Wh + b),
        "equation z[k] = ",
        "product x[k] @ Wh: (N, D) times (H, H)",
    ),
    "a product the wrong way round": (pre(Wx @ x[k] + b), "equation z[k] = ", "product Wx @ x[k]: the right factor"),
    "a sum": (pre(x[k] + h[k - 1] @ Wh + b), "equation z[k] = ", "(N, D)"),
    "the two sides": (pre(h[k - 1] @ V), "equation z[k] = ", "z[k] is (N, H) and the right-hand side is (N, M)"),
    "the loss": ({"loss": mean((y[T] - t) ** 2)}, "loss mean(", "(N, M); write total(…)"),
    "rows of the loss": (
        {"loss": mean(total((h[T] - t) ** 2))},
        "loss mean(",
        "-t is (N, M) and h[T] is (N, H), entry by entry",
    ),
    "a product in the loss": (
        {"loss": mean(total((h[T] @ V - t) ** 2))},
        "loss mean(",
        "a matrix product in the loss; name it as an intermediate",
    ),
    "a parameter of three dimensions": (
        {"quantities": (Wx, Wh, V, b, x, z, h, y, t, P), **pre(x[k] @ Wx + total(P))},
        "quantity 'P'",
        "its shape has more than 2 dimensions",
    ),
    "an input that is a matrix": (
        {"quantities": (Wx, Wh, V, b, Input("x", shape=(D, H)), z, h, y, t)}
        | pre(Input("x", shape=(D, H))[k] + h[k - 1] @ Wh + b + total(Wx)),
        "quantity 'x'",
        "its shape has more than 1 dimensions",
    ),
    "an entry that is a number in total": (
        {"loss": mean(total(total(y[T]) - total(t)))},
        "loss mean(",
        "total is of the entries of a row",
    ),
    "a target of another shape": (
        {"loss": mean(total(y[T] ** 2) - number), "quantities": (Wx, Wh, V, b, x, z, h, y, number)},
        "loss mean(",
        "the target t is (N), and y is (N, M); give it the shape of what it is compared with",
    ),
    "a shape that is no tuple": (
        {"quantities": (Wx, Wh, V, Parameter("b", shape=H), x, z, h, y, t)},
        "quantity 'b'",
        "its shape H is no tuple; write shape=(H,)",
    ),
    "a dimension by its name": (
        {"quantities": (Wx, Wh, V, Parameter("b", shape=("H",)), x, z, h, y, t)},
        "quantity 'b'",
        "is a text; write Dimension('H')",
    ),
    "a dimension of nothing": (
        {"quantities": (Wx, Wh, V, Parameter("b", shape=(0,)), x, z, h, y, t)},
        "quantity 'b'",
        "the dimension 0 of its shape; give a Dimension, or a whole number, 1 or more",
    ),
    "half a dimension": (
        {"quantities": (Wx, Wh, V, Parameter("b", shape=(2.5,)), x, z, h, y, t)},
        "quantity 'b'",
        "the dimension 2.5 of its shape",
    ),
    "a dimension is the name of the targets": (called("t"), "dimension t", "is taken"),
    "a dimension is a name of the code": (called("T"), "dimension T", "is taken"),
    "a dimension is a quantity": (called("h"), "dimension h", "is taken"),
    "a dimension is no identifier": (called("D-1"), "dimension D-1", "no Python identifier"),
}


def test_a_cell_of_rows_without_a_mistake_is_accepted():
    cell = described()
    assert cell.dimensions == (D, H, M)
    assert not cell.is_scalar


@pytest.mark.parametrize(("changes", "where", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_shape_mistake_in_a_cell_is_refused_with_the_equation(changes, where, says):
    with pytest.raises(CellError) as caught:
        described(**changes)
    assert str(caught.value).startswith(f"cell 'small', {where}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
