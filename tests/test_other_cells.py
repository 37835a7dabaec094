"""Other cells than the shipped ones: derived, certified, and run against the recurrence written in Python."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sympy import Eq, Rational, cos, exp, sin, tanh

from derive import Cell, Example, Input, Intermediate, Parameter, State, T, Target, k, mean
from derive.backends.numpy.network_code import print_network
from derive.certify.equations import check_equation, points_for
from derive.certify.gradient import check_against_diff
from derive.mathematics.derivation import Derivation, Table
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import CHAIN
from derive.mathematics.unroll import MOST_WRITTEN_OUT, SHOWN_STEPS
from tests.certifying import certified

W, U, b, start = Parameter("W"), Parameter("U"), Parameter("b"), Parameter("start", "w_0")
x, z, y = Input("x"), Intermediate("z"), Intermediate("y")
s, c, t = State("s"), State("c"), Target("t")
zero = Eq(s[0], 0)
inner = Eq(z[k], s[k - 1] * W + x[k] * U)


def described(*equations: Eq, loss=None, output=s[T], example=None) -> Cell:
    """A cell of these equations, with the quantities that they use."""
    loss = loss or mean((s[T] - t) ** 2)
    used = {atom for side in (*equations, loss) for atom in (W, U, b, start, x, z, s, c, y, t) if side.has(atom)}
    quantities = tuple(quantity for quantity in (W, U, b, start, x, z, s, c, y, t) if quantity in used)
    return Cell("other", "Another cell", quantities, equations, output, loss, example=example)


def module(derivation: Derivation) -> SimpleNamespace:
    """The generated module, run from its text."""
    namespace = {"__name__": "network"}
    exec(compile(print_network(derivation), "network.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


# The cell, and by hand: one step, from the state, the input and the weights by name.
WORKING = {
    "a bias": (described(zero, Eq(s[k], s[k - 1] * W + x[k] * U + b)), lambda s, x, W, U, b: s * W + x * U + b),
    "a leak": (described(zero, Eq(s[k], (1 - W) * s[k - 1] + W * x[k])), lambda s, x, W: (1 - W) * s + W * x),
    "a factor of two weights": (
        described(zero, Eq(s[k], (1 - W) * U * s[k - 1] + x[k] * U)),
        lambda s, x, W, U: (1 - W) * U * s + x * U,
    ),
    "a sum of weights": (
        described(zero, Eq(s[k], (W + U) * s[k - 1] + x[k] * W * U)),
        lambda s, x, W, U: (W + U) * s + x * W * U,
    ),
    "a square of a weight": (
        described(zero, Eq(s[k], W**2 * s[k - 1] + x[k] * W)),
        lambda s, x, W: W**2 * s + x * W,
    ),
    "a number for a factor": (described(zero, Eq(s[k], s[k - 1] / 2 + x[k] * U)), lambda s, x, U: s / 2 + x * U),
    "no factor": (described(zero, Eq(s[k], s[k - 1] + x[k] * U)), lambda s, x, U: s + x * U),
    "an input that gates": (
        described(zero, Eq(s[k], s[k - 1] * W * x[k] + x[k] * U)),
        lambda s, x, W, U: s * W * x + x * U,
    ),
    "an input squared": (
        described(zero, Eq(s[k], s[k - 1] * W + x[k] ** 2 * U)),
        lambda s, x, W, U: s * W + x**2 * U,
    ),
    "a named linear step": (
        described(zero, inner, Eq(s[k], z[k] + x[k] * b)),
        lambda s, x, W, U, b: s * W + x * U + x * b,
    ),
}
LOSSES = {
    "half of it": (mean((s[T] - t) ** 2) / 2, lambda s, t: np.mean((s - t) ** 2) / 2),
    "the fourth power": (mean((s[T] - t) ** 4), lambda s, t: np.mean((s - t) ** 4)),
}
LOSS_CELLS = {
    name: (described(zero, Eq(s[k], s[k - 1] * W + x[k] * U), loss=loss), by_hand)
    for name, (loss, by_hand) in LOSSES.items()
}


def squared(state, t):
    return np.mean((state - t) ** 2)


def run(step, loss, weights, X, t):
    """The loss by hand."""
    state = np.zeros(len(X))
    for column in X.T:
        state = step(state, column, **weights)
    return loss(state, t)


def agrees_with_python(derivation: Derivation, step, loss=squared) -> None:
    """The generated loss against the recurrence in Python, its gradient against the complex step of that."""
    network, generator = module(derivation), np.random.default_rng(7)
    for sequences, steps in ((1, 1), (3, 3), (4, 2), (2, 5)):
        X, t = generator.normal(size=(sequences, steps)), generator.normal(size=sequences)
        weights = {weight.name: generator.normal() for weight in derivation.cell.parameters}
        value, gradient = network.value_and_gradient(network.Parameters(**weights), X, t)
        np.testing.assert_allclose(value, run(step, loss, weights, X, t), rtol=1e-13)
        numeric = [
            np.imag(run(step, loss, {**weights, name: weights[name] + 1e-30j}, X, t)) / 1e-30 for name in weights
        ]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("cell", "step"), WORKING.values(), ids=WORKING)
def test_a_cell_is_derived_and_certified_and_runs(cell, step):
    derivation = write_derivation(cell)
    certificate = certified(derivation, print_network(derivation))
    assert len(certificate["equations"]) == len(derivation.equations)
    agrees_with_python(derivation, step)


@pytest.mark.parametrize(("cell", "loss"), LOSS_CELLS.values(), ids=LOSS_CELLS)
def test_a_loss_is_derived_and_certified_and_runs(cell, loss):
    derivation = write_derivation(cell)
    certified(derivation, print_network(derivation))
    agrees_with_python(derivation, lambda s, x, W, U: s * W + x * U, loss)


NONLINEAR = {
    "tanh, named inside": (
        described(zero, inner, Eq(s[k], tanh(z[k]))),
        lambda s, x, W, U: np.tanh(s * W + x * U),
    ),
    "tanh, in one equation": (
        described(zero, Eq(s[k], tanh(s[k - 1] * W + x[k] * U))),
        lambda s, x, W, U: np.tanh(s * W + x * U),
    ),
    "tanh with a bias": (
        described(zero, Eq(z[k], s[k - 1] * W + x[k] * U + b), Eq(s[k], tanh(z[k]))),
        lambda s, x, W, U, b: np.tanh(s * W + x * U + b),
    ),
    "tanh and what was there": (
        described(zero, inner, Eq(s[k], s[k - 1] + tanh(z[k]))),
        lambda s, x, W, U: s + np.tanh(s * W + x * U),
    ),
    "a sine": (
        described(zero, inner, Eq(s[k], sin(z[k]))),
        lambda s, x, W, U: np.sin(s * W + x * U),
    ),
    "a cosine times a sine": (
        described(zero, inner, Eq(s[k], sin(z[k]) * cos(z[k] * b))),
        lambda s, x, W, U, b: np.sin(s * W + x * U) * np.cos((s * W + x * U) * b),
    ),
    "a bell": (
        described(zero, inner, Eq(s[k], exp(-(z[k] ** 2)))),
        lambda s, x, W, U: np.exp(-((s * W + x * U) ** 2)),
    ),
    "the square of the state": (
        described(zero, Eq(s[k], s[k - 1] ** 2 * W + x[k] * U)),
        lambda s, x, W, U: s**2 * W + x * U,
    ),
    "the logistic map": (
        described(zero, Eq(s[k], s[k - 1] * (1 - s[k - 1]) * W + x[k] * U)),
        lambda s, x, W, U: s * (1 - s) * W + x * U,
    ),
}


@pytest.mark.parametrize(("cell", "step"), NONLINEAR.values(), ids=NONLINEAR)
def test_a_nonlinear_cell_is_derived_and_every_equation_holds_and_it_runs(cell, step):
    derivation = write_derivation(cell)
    check_against_diff(derivation)
    points = points_for(derivation)
    entries = [check_equation(equation, points) for equation in derivation.equations]
    silent = [equation for equation, entry in zip(derivation.equations, entries, strict=True) if "values" not in entry]
    # The definitions of the adjoints, that of the input among them, and the update.
    assert len(silent) == len(cell.computed) + 1 + len(cell.parameters)
    agrees_with_python(derivation, step)


def test_two_states_are_certified():
    derivation = write_derivation(
        described(zero, Eq(c[0], 1), Eq(c[k], c[k - 1] * U + x[k] * s[k - 1]), Eq(s[k], s[k - 1] * W + c[k]))
    )
    certified(derivation, print_network(derivation))
    assert {adjoint.latex for adjoint in derivation.backward.adjoints.values()} == {r"\delta^{s}", r"\delta^{c}"}


def test_a_last_step_of_its_own_is_certified():
    derivation = write_derivation(described(zero, inner, Eq(s[k], tanh(z[k])), Eq(s[T], z[T])))
    certified(derivation, print_network(derivation))


SPECIAL = {
    "a product of means": described(zero, Eq(s[k], s[k - 1] * W + x[k]), loss=mean((s[T] - t) ** 2) * mean(s[T])),
    "another start than zero": described(Eq(s[0], 1), Eq(s[k], s[k - 1] * W + x[k] * U)),
    "a float for a start": described(Eq(s[0], 0.5), Eq(s[k], s[k - 1] * W + x[k] * U)),
    "a factor that depends on the step": described(zero, Eq(s[k], s[k - 1] * W * k + x[k] * U)),
    "a state that grows fast": NONLINEAR["the square of the state"][0],
    "a learnt start": described(Eq(s[0], start), Eq(s[k], s[k - 1] * W + x[k] * U)),
    "a penalty on a weight": described(
        zero, Eq(s[k], s[k - 1] * W + x[k] * U), loss=mean((s[T] - t) ** 2) + W**2 * Rational(1, 10)
    ),
    "an output map": described(
        zero, Eq(s[k], s[k - 1] * W + x[k]), Eq(y[T], s[T] * b), output=y[T], loss=mean((y[T] - t) ** 2)
    ),
    "a loss at every step": described(
        zero, Eq(s[k], s[k - 1] * W + x[k]), Eq(y[k], s[k] * b), output=y[k], loss=mean((y[k] - t[k]) ** 2)
    ),
}


@pytest.mark.parametrize("cell", SPECIAL.values(), ids=SPECIAL)
def test_a_special_cell_is_certified(cell):
    derivation = write_derivation(cell)
    certified(derivation, print_network(derivation))


TREES = {
    **{name: SPECIAL[name] for name in ("a learnt start", "a penalty on a weight", "an output map")},
    "two states side by side": described(
        zero,
        Eq(c[0], start),
        Eq(s[k], s[k - 1] * W + x[k] * U),
        Eq(c[k], c[k - 1] * U + x[k]),
        loss=mean((s[T] + c[T] - t) ** 2),
    ),
    "a state that nothing looks back at": described(
        zero, Eq(s[k], x[k] * W + U), output=s[k], loss=mean((s[k] - t[k]) ** 2)
    ),
}


@pytest.mark.parametrize("cell", TREES.values(), ids=TREES)
def test_many_steps_of_a_cell_with_one_path_to_each_use_of_a_weight_hold(cell):
    derivation = write_derivation(cell, MOST_WRITTEN_OUT + 1)
    points = points_for(derivation)
    for equation in derivation.equations:
        check_equation(equation, points)
    paths = [equation for equation in derivation.equations if equation.rule == CHAIN]
    assert 0 < len(paths) <= len(cell.parameters) * (2 * SHOWN_STEPS + 1)


def test_rates_that_diverge_gain_no_digit():
    example = Example("diverges", ((1, 0), (1, 1)), (1, 2), {"W": 1, "U": 1}, {"W": 2, "U": 2}, 10, {"W": 1, "U": 1})
    derivation = write_derivation(described(zero, Eq(s[k], s[k - 1] * W + x[k] * U), example=example))
    (rates,) = (
        entry
        for section in derivation.sections
        for entry in section.entries
        if isinstance(entry, Table) and "learning rates" in entry.header
    )
    assert rates.rows[0][4] != "0"
