"""Every rule of the adjoints against the complex step, on random expressions and batches of several sequences."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Expr, Integer, Mul, Rational, S, Symbol, cos, exp, lambdify, sin, tanh

from derive import Input, Parameter, State, T, Target, k, mean
from derive.adjoints import partial, partial_of_loss, pullback
from derive.operations import BatchMean, BatchSum
from derive.quantities import Adjoint, N, varies_by_sequence

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
