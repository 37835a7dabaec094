"""The generated module of the linear cell against outside witnesses: a loop, SymPy, the complex step."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from generated.linear import network
from generated.linear.network import Parameters, gradients, loss, predict, value_and_gradient

FOLDER = Path(network.__file__).parent
SHAPES = [(1, 1), (1, 7), (7, 1), (3, 3), (10, 10), (5, 4), (4, 12), (20, 10), (1, 2000), (3, 2000)]
SHORT = [(N, T) for N, T in SHAPES if T <= 12]
WEIGHTS = [(0.2, 1.5), (1.0, 1.0), (0.7, 0.0), (0.0, 0.9), (-1.3, -0.8), (1.2, -1.0), (2.5, 30.0), (1e-3, -40.0)]
TAME = [(Wx, Wrec) for Wx, Wrec in WEIGHTS if abs(Wrec) <= 1]  # their powers stay finite, however long the sequence


class Data(NamedTuple):
    X: np.ndarray
    t: np.ndarray


def drawn(N: int, T: int, seed: int = 0) -> Data:
    generator = np.random.default_rng(seed)
    return Data(generator.normal(size=(N, T)), generator.normal(size=N))


def bits(N: int, T: int) -> Data:
    X = np.random.default_rng(N + T).integers(0, 2, size=(N, T))
    return Data(X, X.sum(axis=1))


def by_complex_step(parameters: Parameters, data: Data, step: float = 1e-30) -> Parameters:
    """Im f(w + ih) / h, one weight at a time."""
    moved = (parameters._replace(**{name: complex(value, step)}) for name, value in parameters._asdict().items())
    return Parameters(*(np.imag(loss(at, *data)) / step for at in moved))


def by_a_loop(parameters: Parameters, data: Data) -> tuple[float, Parameters]:
    """The loss and its gradient one number at a time, forwards in time: what each state does when a weight moves."""
    Wx, Wrec = parameters
    value = slope_Wx = slope_Wrec = 0.0
    for sequence, target in zip(data.X.tolist(), data.t.tolist(), strict=True):
        state = state_by_Wx = state_by_Wrec = 0.0
        for x in sequence:
            state_by_Wx = state_by_Wx * Wrec + x
            state_by_Wrec = state_by_Wrec * Wrec + state
            state = state * Wrec + x * Wx
        value += (state - target) ** 2 / len(data.t)
        slope_Wx += 2 * (state - target) * state_by_Wx / len(data.t)
        slope_Wrec += 2 * (state - target) * state_by_Wrec / len(data.t)
    return value, Parameters(slope_Wx, slope_Wrec)


def assert_close(ours, theirs, relative: float = 1e-12) -> None:
    """Relative to the largest entry: beside a large one, a small one has as many digits as there are."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.max(np.abs(theirs)))


# --- the gradient -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize(("N", "T"), SHORT)
def test_the_gradient_is_the_complex_step(N, T, weights):
    parameters, data = Parameters(*weights), drawn(N, T)
    assert_close(gradients(parameters, *data), by_complex_step(parameters, data))


@pytest.mark.parametrize("weights", [*TAME, (0.3, 1.01)], ids=str)
@pytest.mark.parametrize("N", [1, 3])
def test_the_gradient_is_the_complex_step_over_2000_steps(N, weights):
    parameters, data = Parameters(*weights), drawn(N, 2000)
    assert_close(gradients(parameters, *data), by_complex_step(parameters, data))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize(("N", "T"), SHORT)
def test_loss_and_gradient_are_those_of_a_plain_loop(N, T, weights):
    parameters, data = Parameters(*weights), drawn(N, T, seed=1)
    value, gradient = value_and_gradient(parameters, *data)
    expected_value, expected_gradient = by_a_loop(parameters, data)
    assert value == pytest.approx(expected_value, rel=1e-12)
    assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(("N", "T"), [(1, 1), (1, 3), (2, 2), (3, 1), (2, 4)])
def test_loss_and_gradient_are_those_of_sympy(N, T):
    weights = sympy.symbols("Wx Wrec")
    X = np.arange(N * T).reshape(N, T) % 5 - 1
    t = np.arange(N) + 2
    states = [sum((int(x) * weights[0] * weights[1] ** (T - 1 - k) for k, x in enumerate(row)), 0) for row in X]
    mean = sum((state - int(target)) ** 2 for state, target in zip(states, t, strict=True)) / N
    at = {weights[0]: sympy.Rational(3, 4), weights[1]: sympy.Rational(-5, 4)}
    value, gradient = value_and_gradient(Parameters(0.75, -1.25), X, t)
    assert value == pytest.approx(float(mean.subs(at)), rel=1e-13)
    assert_close(gradient, [float(mean.diff(weight).subs(at)) for weight in weights])


def test_without_recurrence_the_gradient_sees_only_the_last_two_steps():
    X, t = drawn(4, 6)
    earlier = X.copy()
    earlier[:, :-2] = 99
    assert gradients(Parameters(0.7, 0.0), earlier, t) == gradients(Parameters(0.7, 0.0), X, t)


# --- what may be passed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (bool, [[True, False, True], [True, True, True]]),
        (np.int8, [[127, 127, 127], [-128, -128, 127]]),
        (np.uint8, [[255, 255, 255], [0, 1, 255]]),
        (np.int64, [[2**40, 1, -(2**40)], [0, 1, 2]]),
        (np.float32, [[0.5, 0.25, -1.5], [1, 0, 1]]),
        (np.float64, [[0.1, 0.2, 0.3], [1, 0, 1]]),
    ],
)
def test_X_of_every_dtype_counts_as_its_numbers(dtype, values):
    X, t, parameters = np.array(values, dtype), np.array([1.5, 2.0]), Parameters(0.5, 2.0)
    expected = by_a_loop(parameters, Data(X.astype(np.float64), t))
    value, gradient = value_and_gradient(parameters, X, t)
    assert (value, *gradient) == pytest.approx((expected[0], *expected[1]), rel=1e-6 if dtype is np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float64])
@pytest.mark.parametrize("t_dtype", [np.int8, np.uint8, np.float32, np.float64])
def test_all_but_float32_is_computed_in_float64(dtype, t_dtype):
    X, t = np.ones((2, 3), dtype), np.ones(2, t_dtype)
    value, gradient = value_and_gradient(Parameters(0.5, 0.5), X, t)
    assert {np.asarray(number).dtype for number in (value, *gradient)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("t_dtype", [np.int64, np.float32, np.float64])
def test_float32_stays_float32_to_the_gradient(t_dtype):
    X, t = bits(5, 4)
    X, t, parameters = X.astype(np.float32), t.astype(t_dtype), Parameters(0.2, 1.5)
    trace = network.forward(parameters, X)
    value, gradient = value_and_gradient(parameters, X, t)
    results = (*trace, *network.backward(parameters, trace, t), predict(parameters, X), value, *gradient)
    assert {np.asarray(result).dtype for result in results} == {np.dtype(np.float32)}


def test_lists_are_as_good_as_arrays():
    X, t = [[1, 0, 0], [1, 1, 0], [1, 1, 1]], [1, 2, 3]
    parameters = Parameters(0.2, 1.5)
    assert value_and_gradient(parameters, X, t) == value_and_gradient(parameters, np.array(X), np.array(t))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_layout_does_not_matter(order):
    X, t = drawn(4, 6)
    expected = value_and_gradient(Parameters(0.2, 1.5), X, t)
    assert value_and_gradient(Parameters(0.2, 1.5), np.array(X, order=order), t) == expected
    assert value_and_gradient(Parameters(0.2, 1.5), np.repeat(X, 2, axis=0)[::2], t) == expected


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1), (0, 3), (3, 0), (0,)], ids=str)
@pytest.mark.parametrize("function", [loss, gradients, value_and_gradient])
def test_X_of_another_shape_is_refused_with_its_shape(function, shape):
    with pytest.raises(ValueError, match=re.escape(f"X holds N sequences of T steps, N × T; its shape is {shape}")):
        function(Parameters(1.0, 1.0), np.ones(shape), np.ones(3))


@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (3, 1), (1, 3), (0,)], ids=str)
@pytest.mark.parametrize("function", [loss, gradients, value_and_gradient])
def test_t_of_another_shape_is_refused_with_its_shape(function, shape):
    with pytest.raises(ValueError, match=re.escape(f"3 of them; its shape is {shape}")):
        function(Parameters(1.0, 1.0), np.ones((3, 2)), np.ones(shape))


def test_predict_refuses_a_single_sequence_without_its_batch():
    with pytest.raises(ValueError, match=re.escape("(4,)")):
        predict(Parameters(1.0, 1.0), np.ones(4))


def test_inputs_are_left_as_they_were():
    X, t = drawn(3, 3)
    before = X.copy(), t.copy()
    for array in (X, t):
        array.flags.writeable = False
    trace = network.forward(Parameters(0.2, 1.5), X)
    kept = [array.copy() for array in trace]
    network.backward(Parameters(0.2, 1.5), trace, t)
    value_and_gradient(Parameters(0.2, 1.5), X, t)
    np.testing.assert_equal((X, t, *trace), (*before, *kept))
    assert not any(np.shares_memory(array, X) for array in trace)


# --- the functions among themselves -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "T"), SHORT)
def test_the_functions_agree(N, T):
    parameters, (X, t) = Parameters(0.3, -1.1), drawn(N, T, seed=2)
    trace = network.forward(parameters, X)
    (delta,) = network.backward(parameters, trace, t)
    value, gradient = value_and_gradient(parameters, X, t)
    assert value == loss(parameters, X, t) == np.mean((predict(parameters, X) - t) ** 2)
    assert gradient == gradients(parameters, X, t)
    assert_close(gradient, [np.sum(delta[1:] * trace.x[1:]), np.sum(delta[1:] * trace.s[:-1])])
    np.testing.assert_equal(predict(parameters, X), trace.s[T])
    np.testing.assert_equal(trace.x[1:], X.T)


@pytest.mark.parametrize(("N", "T"), SHORT)
def test_delta_is_what_the_loss_changes_by_when_a_state_does(N, T):
    parameters, (X, t) = Parameters(0.3, -1.1), drawn(N, T, seed=3)
    (delta,) = network.backward(parameters, network.forward(parameters, X), t)
    # With W_x taken into the inputs, a nudge of x_k is a nudge of s_k.
    inputs, moved = X * parameters.Wx, np.zeros((N, T))
    for n, k in np.ndindex(N, T):
        nudged = inputs.astype(complex)
        nudged[n, k] += 1e-30j
        moved[n, k] = loss(parameters._replace(Wx=1.0), nudged, t).imag / 1e-30
    assert_close(delta[1:], moved.T)


def test_descend_moves_each_weight_by_its_own_rate():
    assert network.descend(Parameters(1.0, 2.0), Parameters(4.0, 8.0), Parameters(0.5, 0.25)) == Parameters(-1.0, 0.0)


def test_a_step_of_descent_lowers_the_loss():
    parameters, (X, t) = Parameters(0.2, 1.5), bits(20, 10)
    down = network.descend(parameters, gradients(parameters, X, t), Parameters(1e-7, 1e-7))
    assert loss(down, X, t) < loss(parameters, X, t)


@pytest.mark.parametrize(("N", "T"), SHAPES)
def test_weights_of_one_count_ones_exactly(N, T):
    X, t = bits(N, T)
    np.testing.assert_array_equal(predict(Parameters(1, 1), X), t)
    assert value_and_gradient(Parameters(1, 1), X, t) == (0, (0, 0))


# --- properties; small whole numbers in batches of a power of two, so that all arithmetic is exact --------------------

WHOLE = st.integers(-2, 2)


@st.composite
def whole_data(draw) -> Data:
    N, T = draw(st.sampled_from([1, 2, 4, 8])), draw(st.integers(1, 8))
    rows = draw(st.lists(st.lists(st.integers(-3, 3), min_size=T, max_size=T), min_size=N, max_size=N))
    return Data(np.array(rows), np.array(draw(st.lists(st.integers(-9, 9), min_size=N, max_size=N))))


@given(whole_data(), WHOLE, WHOLE, WHOLE)
def test_predict_is_linear_in_Wx(data, first, second, Wrec):
    together = predict(Parameters(first + 3 * second, Wrec), data.X)
    np.testing.assert_array_equal(
        together, predict(Parameters(first, Wrec), data.X) + 3 * predict(Parameters(second, Wrec), data.X)
    )


@given(whole_data(), WHOLE, WHOLE, st.randoms())
def test_the_order_of_the_sequences_does_not_matter(data, Wx, Wrec, random):
    order = random.sample(range(len(data.t)), len(data.t))
    parameters = Parameters(Wx, Wrec)
    assert value_and_gradient(parameters, data.X[order], data.t[order]) == value_and_gradient(parameters, *data)


@given(whole_data(), WHOLE, WHOLE)
def test_data_given_twice_leave_the_mean_alone(data, Wx, Wrec):
    parameters, twice = Parameters(Wx, Wrec), [np.concatenate([array, array]) for array in data]
    assert value_and_gradient(parameters, *twice) == value_and_gradient(parameters, *data)


@given(whole_data(), WHOLE, WHOLE)
def test_zeros_in_front_change_nothing(data, Wx, Wrec):
    parameters, longer = Parameters(Wx, Wrec), np.pad(data.X, [(0, 0), (3, 0)])
    assert value_and_gradient(parameters, longer, data.t) == value_and_gradient(parameters, *data)


# --- the numbers behind the lines -------------------------------------------------------------------------------------

NUMBERED = re.findall(r"^ *(\S.*?)  # \((\d+)\)$", (FOLDER / "network.py").read_text(encoding="utf-8"), re.MULTILINE)


def page_lines() -> set[tuple[str, str]]:
    """The lines of code on the page, each with the number of the equation that it stands below."""
    page = (FOLDER / "derivation.html").read_text(encoding="utf-8")
    found = set()
    for number, block in re.findall(r'<div class="equation" id="eq-(\d+)">(.*?)\n</div>', page, re.DOTALL):
        for code in re.findall(r"<code>(.*?)</code>", block, re.DOTALL):
            found |= {(unescape(line), number) for line in code.splitlines()}
    return found


def test_the_lines_with_a_number_are_the_calculation():
    calculation = {"s[0]", "s[k]", "delta[T]", "delta[k]", "gradient_Wx", "gradient_Wrec", "value", "Wx", "Wrec"}
    assert {re.split(r" \+?= ", line)[0] for line, _ in NUMBERED} == calculation


@pytest.mark.parametrize(("line", "number"), NUMBERED)
def test_the_number_behind_a_line_is_an_equation(line, number, linear):
    assert int(number) in {equation.number for equation in linear.equations}


def test_the_page_shows_the_very_lines_that_run():
    assert page_lines() == set(NUMBERED)
