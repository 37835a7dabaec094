"""What a formula looks like on paper, node by node; and that it says what the expression says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce

import pytest
from sympy import Abs, Add, Expr, Integer, Matrix, Mul, Rational, S, Sum, Symbol, Tuple, exp, eye, log, sin, sqrt, tanh

from derive import Input, Intermediate, N, Parameter, State, T, Target, k
from derive.cells.linear import W_rec, W_x, cell
from derive.documents.latex import DEEPEST, LONGEST_PRODUCT, Formulas
from derive.language.operations import (
    BatchMean,
    BatchSum,
    Chain,
    Determinant,
    Eigenvalue,
    Hessian,
    Marked,
    Partial,
    Rounded,
    SpectralRadius,
    Total,
    UpdateJacobian,
)
from derive.language.quantities import LOSS, Adjoint, LearningRate
from derive.mathematics.derivation import Equation, Range
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.pullbacks import partial
from derive.mathematics.rules import Relation, Rule

W, U, upper = Parameter("W"), Parameter("U"), Parameter("P", "P^{a}")
x, z, s, t = Input("x"), Intermediate("z"), State("s"), Target("t")
layer, lower_left = State("h", "h^{(1)}"), State("q", "q_a")
delta, delta_z = Adjoint("delta", r"\delta", s), Adjoint("delta_z", r"\delta^{z}", z)
eta = LearningRate("eta_W", r"\eta_{W}", W)
j = Symbol("j", integer=True, positive=True)
jacobian = UpdateJacobian(Tuple(W, eta))


def times(*factors) -> Expr:
    """A product as it is written, not multiplied out."""
    return Mul(*factors, evaluate=False)


def deep(brackets: int) -> Expr:
    """x_4 + (x_3 + (x_2 + …) W) W …, with so many brackets."""
    return reduce(lambda inside, step: x[step] + times(inside, W), range(1, brackets + 1), x[0] + U)


TABLE = [
    # quantities, steps
    (W_rec, r"W_{\mathrm{rec}}"),
    (s[k], "s_k"),
    (s[T], "s_T"),
    (s[k - 1], "s_{k - 1}"),
    (s[10], "s_{10}"),
    (layer[k], "h_k^{(1)}"),
    (layer[k] ** 2, r"\left( h_k^{(1)} \right)^{2}"),
    (delta[k], r"[\delta_k]"),
    (delta_z[k + 1], r"[\delta_{k + 1}^{z}]"),
    # sums
    (x[k] * W_x + s[k - 1] * W_rec, r"s_{k - 1} W_{\mathrm{rec}} + x_k W_x"),
    (-t + s[T], "s_T - t"),
    (t - s[T], "t - s_T"),
    (1 - W, "1 - W"),
    # products
    (W * x[k] * delta[k], r"[\delta_k] x_k W"),
    (U * W * t * x[k] * s[k], "s_k x_k t U W"),
    (times(W, s[T] - t), r"\left( s_T - t \right) W"),
    (times(2 / N, s[T] - t), r"\frac{2}{N} \left( s_T - t \right)"),
    (times(2 / N, s[T] - t, W**2), r"\frac{2}{N} \left( s_T - t \right) W^{2}"),
    (times(-2, U + W), r"-2 \left( U + W \right)"),
    (times(-1, U + W, s[k]), r"-s_k \left( U + W \right)"),
    (-s[k], "-s_k"),
    (-W * s[k] / 2, r"-\frac{1}{2} s_k W"),
    (W - eta * Total(LOSS, W), r"W - \eta_{W} \frac{d \xi}{d W}"),
    # fractions, powers, roots
    (1 / N, r"\frac{1}{N}"),
    (1 / N**2, r"\frac{1}{N^{2}}"),
    (s[k] / 3, r"\frac{1}{3} s_k"),
    (W**-2, r"\frac{1}{W^{2}}"),
    (s[k] / (1 + W), r"s_k \frac{1}{1 + W}"),
    (W ** (k - j), "W^{k - j}"),
    ((1 - W) ** 2, r"\left( 1 - W \right)^{2}"),
    ((U * W) ** k, r"\left( U W \right)^{k}"),
    (sqrt(W), r"\sqrt{W}"),
    (12 - 2 * sqrt(S(305)) / 3, r"12 - \frac{2 \sqrt{305}}{3}"),
    # functions
    (tanh(z[k]), r"\tanh\left( z_k \right)"),
    (s[k] * tanh(z[k]), r"s_k \tanh\left( z_k \right)"),
    (1 - tanh(z[k]) ** 2, r"1 - \tanh^{2}\left( z_k \right)"),
    (sin(W * s[k]), r"\sin\left( s_k W \right)"),
    (exp(-z[k]), "e^{-z_k}"),
    (log(W), r"\log\left( W \right)"),
    (Abs(s[k]), r"\left|{s_k}\right|"),
    # sums over the batch and over time
    (BatchSum(delta[k] * x[k]), r"\sum_{n=1}^{N} [\delta_k^{(n)}] x_k^{(n)}"),
    (BatchSum(W * s[k] + t), r"\sum_{n=1}^{N} \left( s_k^{(n)} W + t^{(n)} \right)"),
    (BatchSum(delta_z[k] * z[k]), r"\sum_{n=1}^{N} [{\delta_k^{z}}^{(n)}] z_k^{(n)}"),
    (BatchSum(tanh(z[k])), r"\sum_{n=1}^{N} \tanh\left( z_k^{(n)} \right)"),
    (BatchMean((s[T] - t) ** 2), r"\frac{1}{N} \sum_{n=1}^{N} \left( s_T^{(n)} - t^{(n)} \right)^{2}"),
    (BatchMean(s[k]) ** 2, r"\left( \frac{1}{N} \sum_{n=1}^{N} s_k^{(n)} \right)^{2}"),
    (BatchSum(s[k]) + s[k], r"\sum_{n=1}^{N} s_k^{(n)} + s_k"),
    (Sum(BatchSum(delta[k] * x[k]), (k, 1, T)), r"\sum_{k=1}^{T} \sum_{n=1}^{N} [\delta_k^{(n)}] x_k^{(n)}"),
    (W_x * Sum(x[j] * W ** (k - j), (j, 1, k)), r"W_x \sum_{j=1}^{k} x_j W^{k - j}"),
    (Sum(W + x[j], (j, 1, k)), r"\sum_{j=1}^{k} \left( x_j + W \right)"),
    (Sum(x[j], (j, 1, k)) ** 2, r"\left( \sum_{j=1}^{k} x_j \right)^{2}"),
    (Sum(x[j], (j, 1, k)) * (s[T] - t) * s[k], r"s_k \left( s_T - t \right) \sum_{j=1}^{k} x_j"),
    # derivatives
    (Partial(s[k], s[k - 1]), r"\frac{\partial s_k}{\partial s_{k - 1}}"),
    (Partial(LOSS, s[T]), r"\frac{\partial \xi}{\partial s_T}"),
    (Total(LOSS, W_rec), r"\frac{d \xi}{d W_{\mathrm{rec}}}"),
    (Total(s[k], s[k - 1]), r"\frac{d s_k}{d s_{k - 1}}"),
    (Total(LOSS, W, W), r"\frac{d^2 \xi}{d W^2}"),
    (Total(LOSS, W_x, W_rec), r"\frac{d^2 \xi}{d W_x\, d W_{\mathrm{rec}}}"),
    (Total(s[T], W) ** 2, r"\left( \frac{d s_T}{d W} \right)^{2}"),
    (Partial(s[k], W) ** 2, r"\left( \frac{\partial s_k}{\partial W} \right)^{2}"),
    (Chain(delta[k], Partial(s[k], W)), r"[\delta_k]\,\frac{\partial s_k}{\partial W}"),
    (
        BatchSum(Chain(Partial(LOSS, s[3]), Partial(s[3], W))),
        r"\sum_{n=1}^{N} \frac{\partial \xi}{\partial s_3^{(n)}}\,\frac{\partial s_3^{(n)}}{\partial W}",
    ),
    (
        Chain(*(Partial(s[step], s[step - 1]) for step in range(9, 0, -1))),
        r"\frac{\partial s_9}{\partial s_8}\,\frac{\partial s_8}{\partial s_7}\,\cdots"
        r"\,\frac{\partial s_2}{\partial s_1}\,\frac{\partial s_1}{\partial s_0}",
    ),
    # marks, once
    (
        Marked(times(2 / N, s[3] - t), delta[3]) * x[3],
        r"[\underbrace{\frac{2}{N} \left( s_3 - t \right)}_{\delta_3}] x_3",
    ),
    (Marked(times(delta[3], W), delta[2]), r"[\underbrace{\delta_3 W}_{\delta_2}]"),
    (Marked(delta[3], delta[3]) * W, r"[\delta_3] W"),
    # matrices
    (Hessian(W, U), "H"),
    (jacobian, "J"),
    (Eigenvalue(2, Hessian(W, U)), r"\lambda_{2}"),
    (Determinant(eye(2), jacobian), r"\det(I + J)"),
    (SpectralRadius(jacobian), r"\max |\lambda(J)|"),
    (Matrix([[1 - 2 * W, W], [Rational(1, 2), -W]]), r"\begin{pmatrix}1 - 2 W & W\\\frac{1}{2} & -W\end{pmatrix}"),
    # decimals
    (Rounded(Rational(1, 3), 4), "0.3333"),
    (Rounded(Rational(-1, 3), 2), "-0.33"),
    (Rounded(12 + 2 * sqrt(S(305)) / 3, 4), "23.64"),
    (Rounded(Rational(3, 2) ** 10, 3), "57.7"),
    (Rounded(Rational(1, 2) ** 10, 3), "0.000977"),
    (Rounded(sqrt(S(3)) / 10**7, 2), r"1.7 \cdot 10^{-7}"),
    (Rounded(Integer(12345678), 3), r"1.23 \cdot 10^{7}"),
    (Rounded(S.One, 3), "1"),
    (Rounded(S.Zero, 3), "0"),
]  # fmt: skip


@pytest.fixture
def formulas():
    """A printer that puts what is marked in square brackets."""
    return Formulas(marked="[{}]")


@pytest.mark.parametrize(("expression", "latex"), TABLE, ids=[latex for _, latex in TABLE])
def test_an_expression_is_written_as(formulas, expression, latex):
    assert formulas.doprint(expression) == latex


WITH_BRACKETS = [
    (times(-1, U + W), r"-\left( U + W \right)"),
    (times(-1, s[T] - t), r"-\left( s_T - t \right)"),
    (Add(x[k], times(-1, U + W), evaluate=False), r"x_k - \left( U + W \right)"),
    (Integer(-2) ** k, r"\left( -2 \right)^{k}"),
    (Rational(2, 3) ** k, r"\left( \frac{2}{3} \right)^{k}"),
    (Rational(-1, 2) ** (k - j), r"\left( -\frac{1}{2} \right)^{k - j}"),
    (lower_left[k], "q_{a,k}"),
    (Total(LOSS, upper, upper), r"\frac{d^2 \xi}{d \left( P^{a} \right)^2}"),
    (Rounded(Integer(100), 3), "100"),
    (Rounded(Integer(60), 2), "60"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "latex"), WITH_BRACKETS, ids=[latex for _, latex in WITH_BRACKETS])
def test_brackets_and_scripts_are_kept(formulas, expression, latex):
    assert formulas.doprint(expression) == latex


def test_a_partial_derivative_of_a_cell_keeps_its_brackets(formulas):
    assert formulas.doprint(partial(-(W + U) * s[k - 1], s[k - 1])) in (r"-\left( U + W \right)", "-U - W")


def test_an_expression_is_written_alike_twice(formulas):
    for expression, latex in TABLE + TABLE:
        assert formulas.doprint(expression) == latex


def test_what_lies_deep_is_dots(formulas):
    assert r"\cdots" not in formulas.doprint(deep(DEEPEST))
    assert formulas.doprint(deep(DEEPEST + 2)).count(r"\cdots") == 1
    assert formulas.doprint(deep(DEEPEST + 2)).count(r"\left(") == DEEPEST + 1


# --- whole equations


def equation(left, right, relation=Relation.EQUALS, over=()) -> Equation:
    return Equation(1, left, right, Rule("a rule", "A law.", relation), (), over)


@pytest.mark.parametrize(
    ("whole", "latex"),
    [
        (equation(s[0], S.Zero), "s_0 = 0"),
        (equation(delta[k], Total(LOSS, s[k]), Relation.DEFINES), r"[\delta_k] := \frac{d \xi}{d s_k}"),
        (equation(W, W - eta * Total(LOSS, W), Relation.BECOMES), r"W \leftarrow W - \eta_{W} \frac{d \xi}{d W}"),
        (equation(SpectralRadius(jacobian), Rounded(Rational(1, 3), 2)), r"\max |\lambda(J)| \approx 0.33"),
    ],
)
def test_an_equation_is_written_as(formulas, whole, latex):
    assert formulas.equation(whole) == latex


def test_paths_are_written_one_a_line_and_dots_for_many(formulas):
    def paths(steps):
        chains = (Chain(*(Partial(s[i + 1], s[i]) for i in range(length))) for length in range(1, steps + 1))
        return formulas.equation(equation(Total(LOSS, W), Add(*map(BatchSum, chains), evaluate=False)))

    assert paths(3).count(r"\\") == 2
    assert r"\cdots" not in paths(3)
    assert r"&+ \cdots \\" in paths(20)


def test_a_very_long_product_is_written_from_the_last_step_with_dots(formulas):
    def product(steps):
        return formulas.doprint(Mul(W, *(1 - s[step] for step in range(1, steps + 1))))

    assert r"\cdots" not in product(LONGEST_PRODUCT - 1)
    first, last = product(LONGEST_PRODUCT + 1).split(r" \cdots ")
    assert re.findall(r"s_(?:{(\d+)}|(\d))", first) == [("25", ""), ("24", ""), ("23", ""), ("22", "")]
    assert re.findall(r"s_(\d)", last) == ["3", "2", "1"]
    assert last.endswith(" W")


@pytest.mark.parametrize(
    ("over", "latex"),
    [
        ((), ""),
        ((Range(k, S.One, T),), r"k = 1, \dots, T"),
        ((Range(k, T - 1, S.One, backwards=True),), r"k = T - 1, \dots, 1"),
        ((Range(k, S.One, T), Range(j, S.Zero, k)), r"k = 1, \dots, T,\; j = 0, \dots, k"),
    ],
)
def test_a_range_is_written_as(formulas, over, latex):
    assert formulas.ranges(equation(s[k], x[k], over=over)) == latex


def group(latex: str, start: int) -> tuple[str, int]:
    """What stands in the braces that open at `start`, and where they end."""
    depth = 0
    for position in range(start, len(latex)):
        depth += {"{": 1, "}": -1}.get(latex[position], 0)
        if depth == 0:
            return latex[start + 1 : position], position + 1
    raise AssertionError(f"a brace is never closed: {latex[start:]}")


def fractions(latex: str) -> Iterator[tuple[str, str]]:
    """Every numerator with its denominator."""
    for found in re.finditer(r"\\frac(?={)", latex):
        above, end = group(latex, found.end())
        yield above, group(latex, end)[0]


def kind(part: str) -> str:
    """The d that a numerator or a denominator begins with, if any."""
    return re.match(r"(\\partial(?= )|d(?=\^2 | ))?", part)[0]


@pytest.mark.parametrize("steps", [3, 9, 30])
def test_partial_and_total_derivatives_never_mix(steps):
    formulas, found = Formulas(marked="{}"), set()
    for each in write_derivation(cell, steps).equations:
        latex = formulas.equation(each)
        assert (r"\partial" in latex) == (each.lhs.has(Partial) or each.rhs.has(Partial))
        for above, below in fractions(latex):
            found.add(kind(above))
            assert kind(above) == kind(below), latex
            assert not (kind(above) == "d" and r"\partial" in above + below), latex
    assert found == {"", "d", r"\partial"}
