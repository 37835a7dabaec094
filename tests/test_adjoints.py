"""Every rule of the adjoints against the complex step, on random expressions and batches of several sequences."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Add, Expr, Integer, Mul, Pow, Rational, S, Symbol, cos, exp, lambdify, sin, tanh

from derive import (
    Dimension,
    Input,
    Label,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    mean,
    softmax_cross_entropy,
    softplus,
    total,
)
from derive.language.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.language.quantities import Adjoint, At, N, Product, Quantity, Transpose, quantity_of, varies_by_sequence
from derive.language.shapes import form_of
from derive.mathematics.pullbacks import partial, partial_of_loss, pullback

W, U = Parameter("W"), Parameter("U")
x, s, t = Input("x"), State("s"), Target("t")
delta = Adjoint("delta", r"\delta", s)[k]
ATOMS = (W, U, x[k], s[k], s[k - 1], t)
STEP = 1e-30

atoms = st.sampled_from(ATOMS)
numbers = st.sampled_from([Integer(-1), Integer(2), Rational(1, 2), Rational(-2, 3)])
expressions = st.recursive(
    atoms | numbers,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, power: a**power, inner, st.sampled_from([2, 3])),
        st.builds(tanh, inner),
        st.builds(sin, inner),
        st.builds(lambda a: exp(tanh(a)), inner),  # bounded, so that no example overflows
    ),
    max_leaves=6,
)
batches = st.sampled_from([2, 3, 5])


def values_for(sequences: int) -> dict[Expr, np.ndarray]:
    """A number for each weight and for the adjoint and the data of each sequence."""
    generator = np.random.default_rng(sequences)
    return {atom: generator.uniform(-1, 1, sequences if varies_by_sequence(atom) else None) for atom in (*ATOMS, delta)}


def compute(expression: Expr, values: dict[Expr, np.ndarray]) -> np.ndarray:
    """What an expression with means and sums over the batch is worth; independent of derive.evaluate."""
    sequences = len(values[delta])
    for kind, over_batch in ((BatchMean, np.mean), (BatchSum, np.sum)):
        for part in expression.atoms(kind):
            name = Symbol(f"part{len(values)}")
            inner = np.broadcast_to(compute(part.args[0], values), sequences)
            expression, values = expression.xreplace({part: name}), {**values, name: over_batch(inner)}
    names = {atom: Symbol(f"v{position}") for position, atom in enumerate(values)}
    names[N] = Symbol("sequences")
    function = lambdify(names.values(), expression.xreplace(names), "numpy")
    return function(*values.values(), sequences)


def complex_step(
    expression: Expr, wrt: Expr, values: dict[Expr, np.ndarray], sequence: int | None = None
) -> np.ndarray:
    """The derivative with respect to `wrt`, of all sequences at once or of one of them."""
    moved = np.array(values[wrt], complex)
    moved[... if sequence is None else sequence] += STEP * 1j
    return np.imag(compute(expression, {**values, wrt: moved})) / STEP


def agree(ours, theirs) -> None:
    np.testing.assert_allclose(*np.broadcast_arrays(ours, theirs), rtol=1e-11, atol=1e-11)


@given(expressions, atoms, batches)
def test_partial_is_the_derivative_of_each_sequence(expression, wrt, sequences):
    values = values_for(sequences)
    agree(compute(partial(expression, wrt), values), complex_step(expression, wrt, values))


@given(expressions, st.sampled_from([W, U]), batches)
def test_what_flows_back_to_a_weight_is_summed_over_the_batch(expression, weight, sequences):
    values = values_for(sequences)
    agree(
        compute(pullback(expression, weight, delta), values), complex_step(BatchSum(delta * expression), weight, values)
    )


@given(expressions, st.sampled_from([x[k], s[k], s[k - 1], t]), batches)
def test_what_flows_back_to_a_sequence_comes_from_it_alone(expression, wrt, sequences):
    values = values_for(sequences)
    flow = np.broadcast_to(compute(pullback(expression, wrt, delta), values), sequences)
    for sequence in range(sequences):
        agree(flow[sequence], complex_step(BatchSum(delta * expression), wrt, values, sequence))


@st.composite
def losses(draw) -> Expr:
    """A mean, or a sum, a product or a function of means, with a penalty on a weight."""
    first, second = mean(draw(expressions)), mean(draw(expressions))
    return draw(st.sampled_from([first, first + second / 3, first * second, tanh(first), first**2 + U**2 * W]))


@given(losses(), st.sampled_from([W, U]), batches)
def test_partial_of_a_loss_by_a_weight(loss, weight, sequences):
    values = values_for(sequences)
    agree(compute(partial_of_loss(loss, weight), values), complex_step(loss, weight, values))


@given(losses(), st.sampled_from([x[k], s[k], s[k - 1], t]), batches)
def test_partial_of_a_loss_by_a_sequence_sees_its_own_term_of_the_mean(loss, wrt, sequences):
    values = values_for(sequences)
    slope = np.broadcast_to(compute(partial_of_loss(loss, wrt), values), sequences)
    for sequence in range(sequences):
        agree(slope[sequence], complex_step(loss, wrt, values, sequence))


@given(st.lists(expressions, min_size=2, max_size=4), st.sampled_from([W, s[k - 1]]), batches)
def test_what_flows_back_from_a_sum_is_the_sum(terms, wrt, sequences):
    values = values_for(sequences)
    whole = pullback(reduce(lambda a, b: a + b, terms), wrt, delta)
    agree(compute(whole, values), sum(compute(pullback(term, wrt, delta), values) for term in terms))


@pytest.mark.parametrize("wrt", [W, x[k], s[k], t])
def test_nothing_flows_back_to_what_is_not_used(wrt):
    right = U * s[k - 1] + 1
    assert partial(right, wrt) == pullback(right, wrt, delta) == partial_of_loss(mean(right), wrt) == S.Zero


def test_a_step_is_not_another_step():
    assert partial(s[k] * W, s[k - 1]) == partial(s[T] * W, s[k]) == partial(x[k] * W, s[k]) == S.Zero


@pytest.mark.parametrize("wrt", [W, s[k]])
def test_a_constant_loss_has_no_slope(wrt):
    assert partial_of_loss(mean(Integer(3)), wrt) == S.Zero


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (partial((s[T] - t) ** 2, s[T]), Mul(2, s[T] - t, evaluate=False)),
        (partial(s[k - 1] * W + x[k] * U, s[k - 1]), W),
        (partial(sin(W * s[k - 1]), W), s[k - 1] * cos(W * s[k - 1])),
        (partial_of_loss(mean((s[T] - t) ** 2), s[T]), 2 / N * (s[T] - t)),
        (partial_of_loss(mean((s[T] - t) ** 2) + W**2, W), 2 * W),
        (partial_of_loss(mean(W * s[T]), W), mean(s[T])),
        (pullback(s[k - 1] * W + x[k] * U, U, delta), BatchSum(delta * x[k])),
        (pullback(s[k - 1] * W + x[k] * U, s[k - 1], delta), delta * W),
        (pullback(W + s[k - 1], W, delta), BatchSum(delta)),
    ],
)
def test_a_rule_gives_the_form_that_is_printed(ours, expected):
    assert ours == expected


# --- rows and matrices, every dimension another number ----------------------------------------------------------------

D, H, M = (Dimension(name) for name in "DHM")
SIZES = {D: 2, H: 3, M: 4, N: 5}
a, b = Parameter("a"), Parameter("b", shape=(H,))
e, m = Parameter("e", shape=(M,)), Parameter("m", shape=(M,))
Wx, Wh, V = Parameter("Wx", shape=(D, H)), Parameter("Wh", shape=(H, H)), Parameter("V", shape=(H, M))
row, h, c, y, label = (
    Input("row", shape=(D,)),
    State("h", shape=(H,)),
    State("c"),
    State("y", shape=(M,)),
    Target("label", shape=(M,)),
)
right_class = Label("right_class")
h1, xk = h[k - 1], row[k]
back = Adjoint("delta_h", r"\delta^h", h)[k]
ELEMENTWISE = {
    tanh: np.tanh,
    logistic: lambda z: 1 / (1 + np.exp(-z)),
    softplus: lambda z: np.log(1 + np.exp(z)),
}
RIGHTS = {
    "a product": xk @ Wx,
    "two products and a bias": xk @ Wx + h1 @ Wh + b,
    "a function of them": tanh(xk @ Wx + h1 @ Wh + b),
    "a number times a product": a * (h1 @ Wh) / 2,
    "a number added to a product": h1 @ Wh + a,
    "a product divided": (h1 @ Wh) / (1 + a**2),
    "a bias twice": tanh(b) * h1 + b,
    "a product entry by entry with a row": h1 * (xk @ Wx) * b,
    "a product entry by entry with a product": (xk @ Wx) * logistic(h1 @ Wh),
    "the square of a product": (h1 @ Wh) ** 2,
    "a transpose": h1 @ Wh.T,
    "a matrix and its transpose": h1 @ Wh + h1 @ Wh.T,
    "tied weights": Product(h1 @ V, V.T),
    "tied weights with a function between": Product(tanh(h1 @ V), V.T),
    "a product of a product": (h1 @ Wh) @ Wh,
    "a product of matrices": h1 @ (Wh @ Wh),
    "a product of matrices, one transposed": h1 @ (Wh.T @ Wh),
    "a product with a transposed product": h1 @ Transpose(Product(Wh, Wh)),
    "a transpose of a transpose": h1 @ Transpose(Wh.T),
    "a matrix times a number": h1 @ (a * Wh),
    "a sum of matrices": h1 @ (Wh + Wh.T),
    "a function of a matrix": h1 @ tanh(Wh),
    "a gate inside a product": (h1 * logistic(xk @ Wx + b)) @ Wh,
    "a function of a product in a product": tanh(h1 @ Wh) @ Wh,
    "softplus of a product": softplus(h1 @ Wh),
}


def arrays() -> dict[Expr, np.ndarray]:
    """A value for everything in `RIGHTS`; the sequences come first."""
    generator = np.random.default_rng(1)

    def size(atom: Expr) -> list[int]:
        form = form_of(atom)
        return [SIZES[length] for length in ((N,) if form.per_sequence else ()) + form.shape]

    atoms = (a, b, Wx, Wh, V, xk, h1, c[k], y[T], label, back, e, m)
    values = {atom: generator.uniform(-1, 1, size(atom)) for atom in atoms}
    return {**values, right_class: generator.integers(0, SIZES[M], SIZES[N])}


def worth(expression: Expr, values: dict[Expr, np.ndarray], n: int | None = None) -> np.ndarray:
    """What an expression is worth for sequence n, or what it is for all; one sequence at a time, as on paper."""

    def inner(part: Expr, sequence: int | None = n) -> np.ndarray:
        return worth(part, values, sequence)

    first, *_ = parts = expression.args or (None,)
    match expression:
        case At() | Quantity():
            return values[expression][n] if quantity_of(expression).per_sequence else values[expression]
        case Product():
            return inner(first) @ inner(parts[1])
        case Transpose():
            return inner(first).T
        case BatchOuter():
            return sum(np.outer(inner(first, m), inner(parts[1], m)) for m in range(SIZES[N]))
        case BatchSum() | BatchMean():
            whole = sum(inner(first, m) for m in range(SIZES[N]))
            return whole / SIZES[N] if isinstance(expression, BatchMean) else whole
        case EntrySum():
            return np.sum(inner(first) * np.ones([SIZES[size] for size in form_of(first).shape]))
        case Softmax():
            return np.exp(inner(first)) / np.sum(np.exp(inner(first)))
        case OneHot():
            return np.arange(SIZES[M]) == inner(first)
        case SoftmaxCrossEntropy():
            return np.log(np.sum(np.exp(inner(first)))) - inner(first)[inner(parts[1])]
        case Symbol():
            return SIZES[expression]
        case Add():
            return sum(map(inner, parts))
        case Mul():
            return reduce(np.multiply, map(inner, parts))
        case Pow():
            return inner(first) ** float(parts[1])
        case _ if expression.is_number:
            return float(expression)
    return ELEMENTWISE[expression.func](inner(first))


def slope(scalar, wrt: Expr, values: dict[Expr, np.ndarray]) -> np.ndarray:
    """The derivative of a number by the complex step, entry by entry of `wrt` and sequence by sequence."""
    found = np.zeros(np.shape(values[wrt]))
    for place in np.ndindex(found.shape):
        moved = np.array(values[wrt], complex)
        moved[place] += STEP * 1j
        found[place] = np.imag(scalar({**values, wrt: moved})) / STEP
    return found


def stacked(expression: Expr, wrt: Expr, values: dict[Expr, np.ndarray]) -> np.ndarray:
    """What `expression` is worth, with the shape of the values of `wrt`."""
    if not varies_by_sequence(wrt):
        return worth(expression, values)
    return np.stack([np.broadcast_to(worth(expression, values, n), values[wrt].shape[1:]) for n in range(SIZES[N])])


@pytest.mark.parametrize(
    ("right", "wrt"),
    [
        pytest.param(right, wrt, id=f"{name}, towards {wrt}")
        for name, right in RIGHTS.items()
        for wrt in (a, b, Wx, Wh, V, xk, h1, c[k])
        if right.has(wrt)
    ],
)
def test_what_flows_back_through_rows_and_matrices(right, wrt):
    values, flow = arrays(), pullback(right, wrt, back)
    ours = stacked(flow, wrt, values)
    assert np.shape(ours) == values[wrt].shape

    def whole(changed):
        return sum(np.sum(changed[back][n] * worth(right, changed, n)) for n in range(SIZES[N]))

    np.testing.assert_allclose(ours, slope(whole, wrt, values), rtol=1e-12, atol=1e-13)
    assert form_of(flow) == form_of(wrt)


ROW_LOSSES = {
    "squares": mean(total((y[T] - label) ** 2)),
    "half of the squares": mean(total((y[T] - label) ** 2)) / 2,
    "a cross-entropy of logistic outputs": mean(total(softplus(y[T]) - label * y[T])),
    "weighted by a number": a * mean(total((y[T] - label) ** 2)),
    "a penalty on a number": mean(total((y[T] - label) ** 2)) + a**2,
    "a penalty on a row": mean(total((y[T] - label) ** 2)) + total(b**2) / 2,
    "a penalty on a matrix": mean(total((y[T] - label) ** 2)) + total(V**2) / 2,
    "a product of means": mean(total(y[T])) * mean(total(y[T] * label)),
    "a number in the sum": mean(total(a * (y[T] - label) ** 2)),
    "a row in the sum": mean(total((e * y[T] + m - label) ** 2)),
    "a number added to every entry": mean(total(y[T] * label + a)),
    "a row added to every entry": mean(total(y[T] * label + e + e**2)),
    "a penalty inside the mean": mean(total((y[T] - label) ** 2) + total(V**2) / 3 + a**2),
    "a penalty and nothing else in the mean": mean(total(y[T])) + mean(total(b**2) + a),
    "a number in front of the sum": mean(a * total(e * y[T] ** 2)),
    "a cross-entropy": mean(softmax_cross_entropy(y[T], right_class)),
    "a cross-entropy of weighted scores": mean(softmax_cross_entropy(a * y[T] * e + m, right_class)) / 3,
    "a cross-entropy and a penalty of the scores": mean(
        a * softmax_cross_entropy(tanh(y[T]), right_class) + total(e * y[T] ** 2) / 100
    ),
}


@pytest.mark.parametrize(
    ("loss", "wrt"),
    [
        pytest.param(loss, wrt, id=f"{name}, by {wrt}")
        for name, loss in ROW_LOSSES.items()
        for wrt in (y[T], a, b, V, e, m)
        if loss.has(wrt)
    ],
)
def test_the_slope_of_a_loss_of_rows(loss, wrt):
    values, ours = arrays(), partial_of_loss(loss, wrt)
    numeric = slope(lambda changed: worth(loss, changed), wrt, values)
    np.testing.assert_allclose(*np.broadcast_arrays(stacked(ours, wrt, values), numeric), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (pullback(xk @ Wx + b, Wx, back), BatchOuter(xk, back)),
        (pullback(xk @ Wx + b, b, back), BatchSum(back)),
        (pullback(xk @ Wx + b, xk, back), Product(back, Transpose(Wx))),
        (pullback(h1 @ Wh.T, h1, back), Product(back, Wh)),
        (pullback(h1 @ Wh.T, Wh, back), BatchOuter(back, h1)),
        (pullback(a * h1, a, back), BatchSum(EntrySum(back * h1))),
        (partial_of_loss(mean(total(V**2)), V), 2 * V),
        (partial_of_loss(mean(total(y[T] + a)), a), M),
        (partial_of_loss(mean(a * total(y[T])), a), mean(total(y[T]))),
        (
            partial_of_loss(mean(softmax_cross_entropy(y[T], right_class)), y[T]),
            (Softmax(y[T]) - OneHot(right_class, y[T])) / N,
        ),
    ],
)
def test_a_law_of_matrices_gives_the_form_that_is_printed(ours, expected):
    assert ours == expected
