"""The modules that do without a recurrence: closed_form.py, moments.py, descent.py."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest
from sympy import Eq, Rational

from derive import Cell, Input, Parameter, State, T, Target, k, mean
from derive.backends.numpy.closed_form_code import print_closed_form
from derive.backends.numpy.descent_code import print_descent
from derive.backends.numpy.examples import print_example
from derive.backends.numpy.loading import load_package
from derive.backends.numpy.moments_code import print_moments
from derive.backends.numpy.network_code import print_network
from derive.language.errors import CertificateError
from derive.mathematics.pipeline import write_derivation
from tests.certifying import certified, check_module

DTYPES = ("bool", "int8", "uint16", "int64", "float16", "float32", "float64")


def sources_of(derivation):
    """The texts of network.py and of every module beside it that there is."""
    printed = {
        "closed_form.py": print_closed_form(derivation),
        "moments.py": print_moments(derivation),
        "descent.py": print_descent(derivation),
    }
    return print_network(derivation), {name: text for name, text in printed.items() if text is not None}


@pytest.fixture(scope="module")
def sources(linear):
    return sources_of(linear)


@pytest.fixture(scope="module")
def modules(linear, sources):
    network, others = sources
    example = print_example(linear.cell, linear.cell.example)
    return load_package({"network.py": network, "example.py": example, **others}, "linear")


@pytest.fixture
def data():
    draw = np.random.default_rng(5)
    X = draw.integers(0, 2, (50, 7))
    return X, X.sum(axis=1)


def flat(result):
    value, gradient = result
    return np.array([value, *gradient])


def biased() -> Cell:
    """One that learns its start and a bias, has another factor, and half the squared error."""
    w, a, bias, start = (Parameter(name) for name in ("w", "a", "c", "s0"))
    x, s, t = Input("x"), State("s"), Target("t")
    return Cell(
        name="biased",
        title="An affine cell",
        quantities=(w, a, bias, start, x, s, t),
        equations=(Eq(s[0], start), Eq(s[k], (1 - a) * s[k - 1] + a * w * x[k] + bias)),
        output=s[T],
        loss=mean((s[T] - t) ** 2) / 2,
    )


def one_weight() -> Cell:
    """One whose factor is a square, and whose loss has a number in front of every term."""
    a = Parameter("a")
    x, s, t = Input("x"), State("s"), Target("t")
    return Cell(
        name="one_weight",
        title="One weight",
        quantities=(a, x, s, t),
        equations=(Eq(s[0], 0), Eq(s[k], a**2 * s[k - 1] + a * x[k])),
        output=s[T],
        loss=mean((2 * s[T] - 3 * t) ** 2),
    )


def named_alike() -> Cell:
    """One whose weights are called as the sums and polynomials would be."""
    C, tau = Parameter("C"), Parameter("b", r"\tau")
    x, s, t = Input("u"), State("B"), Target("c")
    return Cell(
        name="named_alike",
        title="Names that are taken",
        quantities=(C, tau, x, s, t),
        equations=(Eq(s[0], 0), Eq(s[k], C * s[k - 1] + tau * x[k])),
        output=s[T],
        loss=mean((s[T] - t) ** 2),
    )


def summed() -> Cell:
    """One whose factor is 1: its bias adds up to T times itself."""
    w, bias = Parameter("w"), Parameter("b")
    x, s, t = Input("x"), State("s"), Target("t")
    return Cell(
        name="summed",
        title="A sum of inputs",
        quantities=(w, bias, x, s, t),
        equations=(Eq(s[0], 0), Eq(s[k], s[k - 1] + w * x[k] + bias)),
        output=s[T],
        loss=mean((s[T] - t) ** 2),
    )


@pytest.mark.parametrize("cell", [biased(), one_weight(), named_alike(), summed()], ids=lambda cell: cell.name)
def test_other_affine_cells_have_them_and_they_are_proved(cell):
    derivation = write_derivation(cell)
    network, others = sources_of(derivation)
    assert set(others) == {"closed_form.py"} | (set() if cell.name in ("biased", "summed") else {"moments.py"})
    assert [each["code"] for each in certified(derivation, network, others)["code"]] == [
        "network.py",
        *others,
        "lambdify",
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_dtype(modules, data, dtype):
    X, t = data[0].astype(dtype), data[1].astype("int8" if dtype == "bool" else dtype)
    parameters = modules["network.py"].Parameters(0.9, 1.01)
    theirs = flat(modules["network.py"].value_and_gradient(parameters, *data))
    loose = {"float16": 2e-2, "float32": 1e-5}.get(dtype, 1e-13)
    by_moments = modules["moments.py"].Moments.of(X, t)
    np.testing.assert_allclose(flat(modules["closed_form.py"].value_and_gradient(parameters, X, t)), theirs, rtol=loose)
    np.testing.assert_allclose(
        flat(modules["moments.py"].value_and_gradient(parameters, by_moments)), theirs, rtol=1e-13
    )


def test_float32_stays_float32(modules, data):
    X, t = (array.astype(np.float32) for array in data)
    value, gradient = modules["closed_form.py"].value_and_gradient(modules["network.py"].Parameters(0.9, 1.01), X, t)
    assert {np.asarray(number).dtype for number in (value, *gradient)} == {np.dtype(np.float32)}


def test_complex_steps_go_through(modules, data):
    network, closed_form, moments = (modules[name] for name in ("network.py", "closed_form.py", "moments.py"))
    gradient = network.gradients(network.Parameters(0.9, -1.01), *data)
    by_moments = moments.Moments.of(*data)
    for position in range(2):
        weights = [0.9, -1.01]
        weights[position] += 1e-30j
        parameters = network.Parameters(*weights)
        for value in (closed_form.loss(parameters, *data), moments.loss(parameters, by_moments)):
            assert value.imag / 1e-30 == pytest.approx(gradient[position], rel=1e-12)


@pytest.mark.parametrize("sequences", [1, 3, 4, 5, 8, 9, 50])
def test_borders_of_blocks_and_chunks(modules, data, monkeypatch, sequences):
    X, t = (array[:sequences] for array in data)
    closed_form, moments = modules["closed_form.py"], modules["moments.py"]
    parameters = modules["network.py"].Parameters(0.9, 1.01)
    whole = flat(closed_form.value_and_gradient(parameters, X, t))
    of_whole = moments.Moments.of(X, t)
    monkeypatch.setattr(closed_form, "CHUNK", 4)
    monkeypatch.setattr(closed_form, "BLOCK_BYTES", 3 * 7 * 8)
    monkeypatch.setattr(moments, "BLOCK_BYTES", 4 * 7 * 8)
    np.testing.assert_allclose(flat(closed_form.value_and_gradient(parameters, X, t)), whole, rtol=1e-14)
    seen = []
    in_blocks = moments.Moments.of(X, t, lambda done, N: seen.append((done, N)))
    assert seen == [(min(done + 4, sequences), sequences) for done in range(0, sequences, 4)]
    np.testing.assert_array_equal(in_blocks.table, of_whole.table)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_mapped_data(modules, data, tmp_path, mode):
    X, t = data
    np.save(tmp_path / "X.npy", X.astype(np.int8))
    np.save(tmp_path / "t.npy", t.astype(np.float32))
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode=mode) for name in "Xt"]
    if mode != "r":
        mapped[0][0, 0] = X[0, 0] = 9
    parameters = modules["network.py"].Parameters(0.9, 1.01)
    theirs = flat(modules["network.py"].value_and_gradient(parameters, X, t))
    by_moments = modules["moments.py"].Moments.of(*mapped)
    np.testing.assert_allclose(
        flat(modules["moments.py"].value_and_gradient(parameters, by_moments)), theirs, rtol=1e-13
    )
    # Giving memory back has not lost what was written to it.
    np.testing.assert_allclose(
        flat(modules["closed_form.py"].value_and_gradient(parameters, *mapped)), theirs, rtol=1e-13
    )


def test_moments_add_up_and_are_saved(modules, data, tmp_path):
    X, t = data
    Moments = modules["moments.py"].Moments
    both = Moments.of(X[:20], t[:20]) + Moments.of(X[20:], t[20:])
    whole = Moments.of(X, t)
    both.save(tmp_path / "moments")
    again = Moments.load(tmp_path / "moments")
    for found in (both, again):
        assert (found.N, found.T, found.tau) == (whole.N, whole.T, whole.tau)
        np.testing.assert_array_equal(found.table, whole.table)
    with pytest.raises(ValueError, match="not of 7 and 6 steps"):
        whole + Moments.of(X[:, :6], t)


@pytest.mark.parametrize(
    ("X", "t", "message"),
    [
        (np.zeros(3), np.zeros(3), r"X holds N sequences of T steps, N × T; its shape is \(3,\)"),
        (np.zeros((0, 3)), np.zeros(0), r"X holds N sequences of T steps, N × T; its shape is \(0, 3\)"),
        (np.zeros((2, 3)), np.zeros(3), r"t holds one target a sequence, 2 of them; its shape is \(3,\)"),
        (np.full((2, 3), "a"), np.zeros(2), "X holds (real )?numbers; its dtype is <U1"),
        (np.zeros((2, 3)), np.full(2, "a"), "t holds (real )?numbers; its dtype is <U1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(modules, X, t, message):
    with pytest.raises(ValueError, match=message):
        modules["closed_form.py"].loss(modules["network.py"].Parameters(1.0, 1.0), X, t)
    with pytest.raises(ValueError, match=message):
        modules["moments.py"].Moments.of(X, t)


def exactly(Wx, Wrec, X, t):
    """Loss and gradient in arithmetic of 50 digits."""
    steps = X.shape[1]
    w, a = mpmath.mpf(Wx), mpmath.mpf(Wrec)
    powers = [a ** (steps - 1 - j) for j in range(steps)]
    slopes = [(steps - 1 - j) * a ** (steps - 2 - j) if j < steps - 1 else mpmath.mpf(0) for j in range(steps)]
    value = by_w = by_a = mpmath.mpf(0)
    for row, target in zip(X.tolist(), t.tolist(), strict=True):
        u, v = (mpmath.fdot(zip(row, factors, strict=True)) for factors in (powers, slopes))
        residual = w * u - target
        value, by_w, by_a = value + residual**2, by_w + 2 * residual * u, by_a + 2 * w * residual * v
    return [number / len(X) for number in (value, by_w, by_a)]


@pytest.mark.parametrize("steps", [10, 100])
@pytest.mark.parametrize("weights", [(0.9, 1.01), (0.9, -0.9), (0.9, 1.3), (1 + 1e-4, 1.0), (1 + 1e-8, 1.0)])
def test_the_estimated_errors_are_above_the_true_ones(modules, steps, weights):
    draw = np.random.default_rng(1)
    X = draw.normal(size=(10, steps))
    t = X.sum(axis=1)
    moments = modules["moments.py"]
    parameters, found = modules["network.py"].Parameters(*weights), moments.Moments.of(X, t)
    value, gradient = moments.value_and_gradient(parameters, found)
    of_loss, of_gradient = moments.relative_errors(parameters, found)
    with mpmath.workdps(50):
        true_value, *true_gradient = exactly(*weights, X, t)
        largest = max(map(abs, true_gradient))
        assert abs(value - true_value) / true_value <= of_loss
        assert max(abs(a - b) for a, b in zip(gradient, true_gradient, strict=True)) / largest <= of_gradient
    # Where the estimate is small, so is the truth; it must not cry wolf far from the optimum.
    assert weights[0] > 1 or max(of_loss, of_gradient) < 1e-11


def test_descent_is_training_on_the_example(modules):
    network, example = modules["network.py"], modules["example.py"]
    parameters = example.START
    for _ in range(2000):
        gradient = network.gradients(parameters, example.X, example.t)
        parameters = network.descend(parameters, gradient, example.LEARNING_RATES)
    np.testing.assert_allclose(modules["descent.py"].descend(2000), parameters, rtol=1e-12)


@pytest.mark.parametrize("name", ["closed_form.py", "moments.py", "descent.py"])
def test_the_certificate_finds_a_changed_line(linear, sources, name):
    network, others = sources
    example = print_example(linear.cell, linear.cell.example)
    lines = others[name].splitlines()
    numbered = [i for i, line in enumerate(lines) if re.search(r"# \(\d+\)$", line) and "=" in line]
    assert numbered
    for i in numbered:
        left, equals, right = re.split(r"( \+?= )", lines[i], maxsplit=1)
        code, _, number = right.rpartition("  # ")
        changed = [*lines[:i], f"{left}{equals}1.0625 * ({code})  # {number}", *lines[i + 1 :]]
        with pytest.raises(CertificateError, match=name):
            check_module(
                linear, {"network.py": network, "example.py": example, **others, name: "\n".join(changed)}, name
            )


@pytest.mark.parametrize("factor", [Rational(1, 2), Rational(1, 3), Rational(-1, 2), Rational(2, 3), 2, -1])
def test_a_factor_that_is_a_number_has_a_closed_form_too(factor):
    """SymPy writes a power of 1/2 as one of 2 with the sign of its exponent changed."""
    w = Parameter("w")
    x, s, t = Input("x"), State("s"), Target("t")
    cell = Cell(
        name="constant",
        title="A factor that is not learnt",
        quantities=(w, x, s, t),
        equations=(Eq(s[0], 0), Eq(s[k], factor * s[k - 1] + w * x[k])),
        output=s[T],
        loss=mean((s[T] - t) ** 2),
    )
    derivation = write_derivation(cell)
    network, others = sources_of(derivation)
    modules = load_package({"network.py": network, **others}, "constant")
    draw = np.random.default_rng(5)
    X, t = draw.normal(size=(20, 6)), draw.normal(size=20)
    parameters = modules["network.py"].Parameters(0.7)
    expected = flat(modules["network.py"].value_and_gradient(parameters, X, t))
    np.testing.assert_allclose(
        flat(modules["closed_form.py"].value_and_gradient(parameters, X, t)), expected, rtol=1e-12
    )
