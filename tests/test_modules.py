"""What a generated module does with targets, weights and constants, for cells that are not shipped."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from sympy import E, Eq, Expr, Rational, cbrt, exp, log, pi, sin, sqrt, tanh

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
    softplus,
    total,
)
from derive.backends.numpy.lambdified import Lambdified
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.language.quantities import N
from derive.mathematics.pipeline import write_derivation
from tests.certifying import check_network

D, H, M = (Dimension(name) for name in "DHM")
w, a, x, s, t = Parameter("w"), Parameter("a"), Input("x"), State("s"), Target("t")
U, W, V = Parameter("U", shape=(D, H)), Parameter("W", shape=(H, H)), Parameter("V", shape=(H, M))
X, h, y, c = Input("x", shape=(D,)), State("h", shape=(H,)), Intermediate("y", shape=(M,)), Label("c")
quantities = (w, a, x, s, t, U, W, V, X, h, y, c)


def cell_of(*equations: Eq, output: Expr, loss: Expr) -> Cell:
    used = [q for q in quantities if any(side.has(q) for side in (*equations, loss))]
    return Cell("tried", "A cell", tuple(used), equations, output, loss)


def numbers(loss: Expr, step: Expr = w * s[k - 1] + x[k]) -> Cell:
    return cell_of(Eq(s[0], 0), Eq(s[k], step), output=s[T], loss=loss)


def rows(loss: Expr) -> Cell:
    recurrence = Eq(h[k], tanh(h[k - 1] @ W + X[k] @ U))
    return cell_of(Eq(h[0], 0), recurrence, Eq(y[T], h[T] @ V), output=y[T], loss=loss)


def module_of(cell: Cell) -> ModuleType:
    return load(print_network(write_derivation(cell)), cell.name)


# --- targets ----------------------------------------------------------------------------------------------------------

TARGETS = {
    "a weight beside the target": numbers(mean((w * s[T] - t) ** 2)),
    "a weight beside the target of every step": numbers(mean((w * s[k] - t[k]) ** 2)),
    "a weight times the target": numbers(mean((s[T] - w * t) ** 2)),
    "one target for every step": numbers(mean((s[k] - t) ** 2)),
    "the states in front of the scores": rows(mean(softmax_cross_entropy(y[T], c) + total(h[T] ** 2) / 100)),
}


@pytest.mark.parametrize("cell", TARGETS.values(), ids=TARGETS)
def test_the_gradient_is_right_however_the_loss_uses_the_target(cell):
    check_network(cell, print_network(write_derivation(cell)))


def test_the_number_of_classes_is_that_of_the_scores():
    network = module_of(TARGETS["the states in front of the scores"])
    parameters = network.Parameters(U=np.ones((2, 3)), W=np.eye(3), V=np.ones((3, 4)))
    assert network.loss(parameters, np.ones((1, 2, 2)), [3]) > 0
    with pytest.raises(ValueError, match="labels from 0 to 3; they run from 4 to 4"):
        network.loss(parameters, np.ones((1, 2, 2)), [4])


def test_complex_targets_are_refused():
    network = module_of(numbers(mean((s[T] - t) ** 2)))
    with pytest.raises(ValueError, match="t holds real numbers; its dtype is complex128"):
        network.value_and_gradient(network.Parameters(0.5), np.ones((2, 3)), np.ones(2) + 1j)


@pytest.mark.parametrize("cell", TARGETS.values(), ids=TARGETS)
def test_in_memory_it_is_the_same(cell):
    derivation = write_derivation(cell)
    network, functions = load(print_network(derivation), cell.name), Lambdified(derivation)
    draw, sizes = np.random.default_rng(0), {"D": 2, "H": 3, "M": 4, "N": 5, "T": 6}
    shapes = [
        tuple(sizes[size] for size in shape) for shape in (*network.SHAPES.values(), *network.DATA_SHAPES.values())
    ]
    *weights, inputs, targets = (draw.normal(size=shape) for shape in shapes)
    targets = (targets > 0).astype(int) if c in cell.quantities else targets
    data = network.Parameters(*(weight[()] for weight in weights)), inputs, targets
    theirs, ours = network.value_and_gradient(*data), functions.value_and_gradient(*data)
    for our, their in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-12, atol=1e-14)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> ModuleType:
    b = Parameter("b", shape=(H,))
    recurrence = Eq(h[k], tanh(w * (h[k - 1] @ W) + X[k] @ U + b))
    step = (Eq(h[0], 0), recurrence, Eq(y[T], h[T] @ V))
    target = Target("t", shape=(M,))
    used = (U, W, b, V, w, X, h, y, target)
    return module_of(Cell("tried", "A cell", used, step, y[T], mean(total((y[T] - target) ** 2))))


GOOD = {"U": np.ones((2, 3)), "W": np.ones((3, 3)), "b": np.ones(3), "V": np.ones((3, 4)), "w": 0.5}
KNOWN = "as in X and the weights before it"


@pytest.mark.parametrize(
    ("weight", "value", "message"),
    [
        ("U", np.ones((3, 2)), f"U is an array (3, 2) of float64, expected an array (D, H) with D = 2 {KNOWN}"),
        ("W", np.ones((3, 4)), f"W is an array (3, 4) of float64, expected an array (H, H) with H = 3 {KNOWN}"),
        ("b", np.ones((5, 3)), f"b is an array (5, 3) of float64, expected an array (H,) with H = 3 {KNOWN}"),
        ("b", 0.0, f"b is a float, expected an array (H,) with H = 3 {KNOWN}"),
        ("b", [0, 0, 0], f"b is a list, expected an array (H,) with H = 3 {KNOWN}"),
        ("V", np.full((3, 4), "1"), f"V is an array (3, 4) of <U1, expected an array (H, M) with H = 3 {KNOWN}"),
        ("w", np.ones(3), "w is an array (3,) of float64, expected one number"),
        ("w", [0.5], "w is a list, expected one number"),
        ("w", None, "w is a NoneType, expected one number"),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", ["predict", "loss", "value_and_gradient"])
def test_a_weight_that_does_not_fit_is_named(network, function, weight, value, message):
    data = (np.ones((5, 6, 2)),) if function == "predict" else (np.ones((5, 6, 2)), np.ones((5, 4)))
    with pytest.raises(ValueError) as caught:
        getattr(network, function)(network.Parameters(**{**GOOD, weight: value}), *data)
    assert str(caught.value) == message


def test_inputs_with_rows_of_another_length_than_the_weights_are_refused(network):
    with pytest.raises(ValueError, match=r"expected an array .* with D = 7 as in X and"):
        network.predict(network.Parameters(**GOOD), np.ones((5, 6, 7)))


def test_a_row_of_the_input_has_the_length_that_the_cell_says():
    pair, map_of_pair = Input("x", shape=(2,)), Parameter("U", shape=(2, H))
    recurrence = Eq(h[k], tanh(h[k - 1] @ W + pair[k] @ map_of_pair))
    row = Target("t", shape=(H,))
    loss = mean(total((h[T] - row) ** 2))
    network = module_of(Cell("tried", "A cell", (W, map_of_pair, pair, h, row), (Eq(h[0], 0), recurrence), h[T], loss))
    with pytest.raises(ValueError, match=r"X is an array \(5, 6, 3\) of float64, expected an array \(N, T, 2\)"):
        network.predict(network.Parameters(np.ones((3, 3)), np.ones((2, 3))), np.ones((5, 6, 3)))


@pytest.mark.parametrize("value", [np.ones(3), [0.5], None, "0.5"], ids=str)
def test_a_cell_of_numbers_takes_one_number_a_weight(value):
    network = module_of(numbers(mean((s[T] - t) ** 2)))
    with pytest.raises(ValueError, match=r"^w is one number; its shape is "):
        network.predict(network.Parameters(value), np.ones((2, 3)))


@pytest.mark.parametrize("value", [1, 0.5, 0.5j, True, np.float32(0.5), np.array(0.5)], ids=repr)
def test_every_kind_of_number_is_a_weight(value):
    network = module_of(numbers(mean((s[T] - t) ** 2)))
    assert network.predict(network.Parameters(value), np.ones((2, 3))).shape == (2,)


# --- constants --------------------------------------------------------------------------------------------------------

ROOTS = [sqrt(2), sqrt(Rational(2, 3)), 1 / sqrt(3), cbrt(2), sqrt(pi), sqrt(E), sqrt(N), 1 / sqrt(T)]
VALUES = [pi, E, exp(2), exp(-sqrt(2)), log(2), log(N + 1), sin(1), tanh(1) ** 2, logistic(1), softplus(2), 2**pi]


@pytest.mark.parametrize("constant", [*ROOTS, *VALUES], ids=str)
def test_float32_stays_float32_beside_a_constant(constant):
    cell = numbers(mean((constant * s[T] - t) ** 2), step=constant * w * s[k - 1] + x[k])
    network, X, t_ones = module_of(cell), np.ones((2, 3), np.float32), np.ones(2, np.float32)
    plain = constant.replace(logistic, lambda z: 1 / (1 + exp(-z))).replace(softplus, lambda z: log(1 + exp(z)))
    number = float(plain.subs({N: 2, T: 3}))
    ratio = number / 2
    exact = (number * (1 + ratio + ratio**2) - 1) ** 2
    for weight in (np.float32(0.5), 0.5):
        value, gradient = network.value_and_gradient(network.Parameters(weight), X, t_ones)
        assert {np.asarray(result).dtype for result in (value, *gradient)} == {np.dtype(np.float32)}
        assert value == pytest.approx(exact, rel=1e-5)
    assert network.loss(network.Parameters(0.5), np.ones((2, 3)), np.ones(2)) == pytest.approx(exact, rel=1e-13)


def test_float32_stays_float32_beside_the_root_of_a_dimension():
    cell = rows(mean(softmax_cross_entropy(y[T] * sqrt(M), c)))
    network = module_of(cell)
    parameters = network.Parameters(*(np.ones(shape, np.float32) for shape in ((2, 3), (3, 3), (3, 4))))
    value, gradient = network.value_and_gradient(parameters, np.ones((5, 6, 2), np.float32), np.zeros(5, int))
    assert {np.asarray(number).dtype for number in (value, *gradient)} == {np.dtype(np.float32)}


# --- what it says of itself -------------------------------------------------------------------------------------------


def test_the_adjoints_say_whether_they_are_computed_at_the_start():
    loss = mean((s[T] - t) ** 2)
    given = print_network(write_derivation(numbers(loss)))
    learnt = cell_of(Eq(s[0], a), Eq(s[k], w * s[k - 1] + x[k]), output=s[T], loss=loss)
    assert "with respect to s[k]. Shape (T + 1, N), row 0 not used." in given
    assert "with respect to s[k]. Shape (T + 1, N)." in print_network(write_derivation(learnt))


@pytest.mark.parametrize("name", ["check_weights", "weight", "number", "name", "shape", "array", "classes", "labels"])
def test_a_quantity_may_be_called_like_something_inside_a_helper(name):
    weight, state = Parameter(name), State(name)
    for own, kept in ((weight, s), (w, state)):
        recurrence = Eq(kept[k], own * kept[k - 1] + x[k])
        loss = mean((kept[T] - t) ** 2)
        cell = Cell("tried", "A cell", (own, x, kept, t), (Eq(kept[0], 0), recurrence), kept[T], loss)
        check_network(cell, print_network(write_derivation(cell)))
