"""A formula is read as what it was written from: LaTeX, parsed by the convention at the top of `latex.py`.

There are three sequences with rows of three numbers, and all weights are 3 × 3: no misreading is caught by its shape.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Add, Eq, Expr, Function, Mul, Pow, Rational, nsimplify, sqrt, tanh

from derive import Cell, Dimension, Input, Intermediate, N, Parameter, State, T, Target, k, logistic, mean, total
from derive.documents.latex import Formulas
from derive.language.operations import BatchOuter, BatchSum, EntrySum, logistic_cross_entropy
from derive.language.quantities import Adjoint, Product, Transpose
from derive.mathematics.pipeline import write_derivation

H = Dimension("H")
h, y = State("h", "H", shape=(H,)), Intermediate("y", r"Y_a", shape=(H,))
t, delta = Target("t", r"\hat{Y}", shape=(H,)), Adjoint("delta_h", r"\delta^{H}", h)
V, W = Parameter("V", shape=(H, H)), Parameter("W", "W_{hh}", shape=(H, H))
a, b = Parameter("a"), Parameter("b", "b_y", shape=(H,))
x = Input("x", "X", shape=(H,))
generator = np.random.default_rng(1)
VALUES = {each: generator.uniform(0.5, 2, (3, 3)) for each in (h[k], h[k - 1], y[k], t, delta[k], V, W)}
VALUES |= {a: 1.7, b: generator.uniform(0.5, 2, 3), N: 3.0}
FUNCTIONS: dict[str, Callable] = {
    r"\tanh": np.tanh,
    r"\sigma": lambda z: 1 / (1 + np.exp(-z)),
    r"\log": np.log,
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}
formulas = Formulas(marked="{}")
NAMES = {formulas.doprint(each): value for each, value in VALUES.items()}
NAMES |= {
    f"{{{name}}}^{{(n)}}" if "^" in name else f"{name}^{{(n)}}": NAMES[name] for name in list(NAMES) if name not in "aN"
}
TOKEN = re.compile(
    "|".join(map(re.escape, sorted(NAMES, key=len, reverse=True)))
    + r"|\\left[(\[]|\\right[)\]]|\\sum_\{n=1\}\^\{N\}|\\sum_\{j\}|\\[a-zA-Z]+|\d+|[-+{}^]|_\{j\}|\S"
)


class Reader:
    """The value of a formula, by the convention: one method a level, the loosest first."""

    def __init__(self, latex: str) -> None:
        self.tokens = TOKEN.findall(latex)

    def read(self) -> np.ndarray:
        value = self.terms()
        assert not self.tokens, self.tokens
        return value

    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *expected: str) -> str:
        assert not expected or self.next() in expected, (self.tokens, expected)
        return self.tokens.pop(0)

    def terms(self) -> np.ndarray:
        value = -self.entrywise() if self.next() == "-" and self.take() else self.entrywise()
        while self.next() in ("+", "-"):
            value = value + self.entrywise() if self.take() == "+" else value - self.entrywise()
        return value

    def entrywise(self) -> np.ndarray:
        value = self.side_by_side()
        while self.next() == r"\odot":
            self.take()
            value = value * self.side_by_side()
        return value

    def side_by_side(self) -> np.ndarray:
        value = self.raised()
        while self.next() not in ("", "+", "-", r"\odot", "}", r"\right)", r"\right]"):
            factor = self.raised()
            value = value @ factor if np.ndim(value) and np.ndim(factor) else value * factor
        return value

    def raised(self) -> np.ndarray:
        value = self.whole()
        if self.next() == "^":
            exponent = (self.take(), self.take("{"), self.take(), self.take("}"))[2]
            return np.transpose(value) if exponent == r"\top" else value ** int(exponent)
        return value

    def whole(self) -> np.ndarray:
        token = self.take()
        if token in NAMES or token.isdigit():
            return NAMES[token] if token in NAMES else float(token)
        if token == r"\left(":
            return self.until(r"\right)")
        if token == r"\sum_{n=1}^{N}":
            return np.sum(self.entrywise(), axis=0)
        if token == r"\sum_{j}":
            value = (self.take(r"\left["), self.until(r"\right]"), self.take("_{j}"))[1]
            return np.sum(value, axis=-1)
        if token == r"\frac":
            above, below = ((self.take("{"), self.until("}"))[1] for _ in range(2))
            return above / below
        if token == r"\sqrt":
            return np.sqrt((self.take("{"), self.until("}"))[1])
        exponent = int((self.take(), self.take("{"), self.take(), self.take("}"))[2]) if self.next() == "^" else 1
        if self.next() in FUNCTIONS:  # log σ(…)
            return FUNCTIONS[token](self.whole())
        return FUNCTIONS[token]((self.take(r"\left("), self.until(r"\right)"))[1]) ** exponent

    def until(self, closing: str) -> np.ndarray:
        value = self.terms()
        self.take(closing)
        return value


def value_of(expression: Expr) -> np.ndarray:
    """The value of an expression, node by node."""
    if expression in VALUES:
        return VALUES[expression]
    if expression.is_number:
        return float(expression.evalf())
    inside = [value_of(each) for each in expression.args]
    match expression:
        case Add():
            return reduce(np.add, inside)
        case Mul():
            return reduce(np.multiply, inside)
        case Pow():
            return np.power(*inside)
        case Product():
            return np.matmul(*inside)
        case BatchOuter():
            return np.matmul(inside[0].T, inside[1])
        case Transpose():
            return np.transpose(*inside)
        case BatchSum():
            return np.sum(*inside, axis=0)
        case EntrySum():
            return np.sum(*inside, axis=-1)
        case logistic_cross_entropy():
            sigma = FUNCTIONS["logistic"](inside[0])
            return -inside[1] * np.log(sigma) - (1 - inside[1]) * np.log(1 - sigma)
        case Function():
            return FUNCTIONS[expression.func.__name__](*inside)
    raise AssertionError(expression)


def assert_is_read_as_written(expression: Expr) -> None:
    latex = formulas.doprint(expression)
    try:
        value = Reader(latex).read()
    except (AssertionError, KeyError, ValueError) as error:
        raise AssertionError(f"cannot be read: {latex}") from error
    np.testing.assert_allclose(value, value_of(expression), rtol=1e-9, err_msg=latex)


def times(*factors: Expr) -> Expr:
    return Mul(*factors, evaluate=False)


OF_A_ROW = {
    "plus": lambda row: row + y[k],
    "minus": lambda row: y[k] - row,
    "negative": lambda row: times(-1, row),
    "one less": lambda row: 1 - row,
    "entry by entry": lambda row: times(row, t),
    "entry by entry, last": lambda row: times(delta[k], row),
    "times a weight for each entry": lambda row: times(a, b, row),
    "times a number": lambda row: times(3, row),
    "times a fraction": lambda row: times(Rational(2, 3) / N, row),
    "times a weight": lambda row: times(a, row),
    "squared": lambda row: Pow(row, 2, evaluate=False),
    "one over": lambda row: 1 / row**2,
    "root": lambda row: sqrt(1 + row**2),
    "tanh": tanh,
    "logistic": logistic,
    "cross-entropy": lambda row: logistic_cross_entropy(row, t),
    "matrix product": lambda row: Product(row, W),
    "transposed matrix product": lambda row: Product(row, Transpose(W)),
    "product with a product": lambda row: Product(row, V @ W),
    "product with a sum": lambda row: Product(row, V + W),
    "product with products entry by entry": lambda row: Product(row, V * W),
    "product with a negative": lambda row: Product(row, -W),
    "product with a multiple": lambda row: Product(row, 2 * W),
    "product with an outer product": lambda row: Product(y[k], BatchOuter(row, delta[k])),
    "sum over the sequences": lambda row: times(y[k], BatchSum(row)),
    "sum over the sequences, first": lambda row: BatchSum(row) + y[k],
}
OF_A_MATRIX = {
    "transpose": Transpose,
    "plus": lambda matrix: matrix + V,
    "minus": lambda matrix: V - matrix,
    "negative": lambda matrix: times(-1, matrix),
    "entry by entry": lambda matrix: times(matrix, V),
    "times a number": lambda matrix: times(Rational(2, 3), matrix),
    "times a weight": lambda matrix: times(a, matrix),
    "squared": lambda matrix: Pow(matrix, 2, evaluate=False),
    "tanh": tanh,
    "matrix product": lambda matrix: Product(matrix, V),
    "matrix product, last": lambda matrix: Product(V, matrix),
    "product of a row": lambda matrix: Product(h[k - 1], matrix),
}
MAKES_A_MATRIX = {
    "outer product": lambda row: BatchOuter(row, delta[k]),
    "outer product, last": lambda row: BatchOuter(h[k - 1], row),
}


def pairs(outer: dict, inner: dict, start: Expr):
    for (above, f), (below, g) in itertools.product(outer.items(), inner.items()):
        yield pytest.param(f(g(start)), id=f"{above} of {below}")


@pytest.mark.parametrize("expression", [*pairs(OF_A_ROW, OF_A_ROW, h[k]), *pairs(MAKES_A_MATRIX, OF_A_ROW, h[k])])
def test_two_operations_on_rows(expression):
    assert_is_read_as_written(expression)


@pytest.mark.parametrize("expression", [*pairs(OF_A_MATRIX, OF_A_MATRIX, W), *pairs(OF_A_MATRIX, MAKES_A_MATRIX, h[k])])
def test_two_operations_on_matrices(expression):
    assert_is_read_as_written(expression)


ROWS = st.recursive(
    st.sampled_from([h[k], h[k - 1], y[k], t, delta[k], h[k - 1] @ W]),
    lambda rows: st.one_of(
        st.builds(lambda one, other: one + other, rows, rows),
        st.builds(lambda one, other: one - other, rows, rows),
        st.builds(times, rows, rows),
        *(st.builds(OF_A_ROW[name], rows) for name in ("tanh", "squared", "matrix product", "times a fraction")),
    ),
    max_leaves=5,
)


@given(ROWS)
def test_any_expression_of_rows(row):
    # What lies deeper than a few brackets gives way to dots.
    if r"\cdots" not in formulas.doprint(row):
        assert_is_read_as_written(row)


@pytest.mark.parametrize(
    ("expression", "latex"),
    [
        ((h[k] * y[k]) @ W, r"\left( H_k \odot Y_{a,k} \right) W_{hh}"),
        ((h[k] @ W) * y[k], r"\left( H_k W_{hh} \right) \odot Y_{a,k}"),
        (BatchOuter(h[k], delta[k]), r"H_k^{\top} \delta_k^{H}"),
        (BatchOuter(h[k] * y[k], delta[k]), r"\left( H_k \odot Y_{a,k} \right)^{\top} \delta_k^{H}"),
        (BatchOuter(delta[k], h[k]), r"\left( \delta_k^{H} \right)^{\top} H_k"),
        (BatchOuter(h[k], 3 * delta[k]), r"H_k^{\top} \left( 3 \delta_k^{H} \right)"),
        (h[k] @ W.T, r"H_k W_{hh}^{\top}"),
        (Transpose(W + V), r"\left( V + W_{hh} \right)^{\top}"),
        (Transpose(W @ W), r"\left( W_{hh} W_{hh} \right)^{\top}"),
        (Add(h[k], times(-2, y[k] - t)), r"H_k - 2 \left( Y_{a,k} - \hat{Y} \right)"),
        (times(a, b, h[k]), r"H_k a \odot b_y"),
        (BatchSum(h[k]) * BatchSum(t), r"\left( \sum_{n=1}^{N} H_k^{(n)} \right) \odot \sum_{n=1}^{N} \hat{Y}^{(n)}"),
    ],
)  # fmt: skip
def test_it_is_written_as(expression, latex):
    assert formulas.doprint(expression) == latex


@pytest.mark.parametrize(
    ("factor", "latex"),
    [(Rational(2, 3) / N, r"\frac{2}{3 N}"), (3 * N, "3 N"), (Rational(2, 5), r"\frac{2}{5}"), (N, "N"),
     (1 / (50 * N), r"\frac{1}{50 N}"), (2 / N**2, r"\frac{2}{N^{2}}"), (1 + sqrt(2), r"\left( \sqrt{2} + 1 \right)")],
)  # fmt: skip
def test_numbers_and_N_are_one_fraction(factor, latex):
    assert formulas.doprint(times(factor, h[k])) == rf"{latex} H_k"


SQUARES = mean(total((y[T] - t) ** 2))


@pytest.mark.parametrize("loss", [SQUARES / 3, SQUARES / 100, 0.1 * SQUARES, SQUARES * Rational(2, 5)], ids=str)
def test_a_fraction_of_a_loss_is_derived_and_printed(loss):
    equations = (Eq(h[0], 0), Eq(h[k], tanh(h[k - 1] @ W + x[k] @ V)), Eq(y[T], h[T] * b))
    derivation = write_derivation(Cell("part", "Part of a loss", (W, V, b, x, h, y, t), equations, y[T], loss))
    (start,) = (each for each in derivation.backward.start if each.lhs.quantity.of == y)
    factor = re.search(r"= \\frac\{(\d+)\}\{(\d*) ?N\}", formulas.equation(start))
    assert Rational(int(factor[1]), int(factor[2] or 1)) == 2 * nsimplify(loss / SQUARES)
