"""Cells of rows and matrices: derived, certified, and their generated gradient against the complex step."""

from __future__ import annotations

import warnings
from types import ModuleType

import numpy as np
import pytest
from sympy import Eq, Expr, Rational, tanh

from derive import (
    Cell,
    CellError,
    Dimension,
    Example,
    Input,
    Intermediate,
    Label,
    Parameter,
    State,
    T,
    Target,
    TaskExample,
    k,
    logistic,
    mean,
    softmax_cross_entropy,
    softplus,
    total,
)
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.language.operations import BatchSum, Softmax
from derive.language.quantities import Product, Quantity
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import SUBSTITUTE
from derive.output.task_checks import check_task
from tests.certifying import certified

D, H, M = (Dimension(name) for name in "DHM")
Wx, Wh, b = Parameter("Wx", shape=(D, H)), Parameter("Wh", shape=(H, H)), Parameter("b", shape=(H,))
Ux, Uh, d = Parameter("Ux", shape=(D, H)), Parameter("Uh", shape=(H, H)), Parameter("d", shape=(H,))
V, e, start, a = (
    Parameter("V", shape=(H, M)),
    Parameter("e", shape=(M,)),
    Parameter("start", shape=(H,)),
    Parameter("a"),
)
x, z, r, u, h = Input("x", shape=(D,)), *(Intermediate(name, shape=(H,)) for name in "zru"), State("h", shape=(H,))
c, y, t = State("c", shape=(H,)), Intermediate("y", shape=(M,)), Target("t", shape=(M,))
v, tx = Intermediate("v", shape=(D,)), Target("t", shape=(D,))
EVERYTHING = (Wx, Wh, b, Ux, Uh, d, V, e, start, a, x, z, r, u, c, h, y, v, t, tx)

squares = mean(total((y[T] - t) ** 2))
zero, recurrence = Eq(h[0], 0), Eq(h[k], tanh(x[k] @ Wx + h[k - 1] @ Wh + b))


def described(*equations: Eq, loss: Expr = squares, output: Expr = y[T]) -> Cell:
    """A cell of these equations, with the quantities that they use."""
    used = {quantity for quantity in EVERYTHING if any(side.has(quantity) for side in (*equations, loss))}
    quantities = tuple(quantity for quantity in EVERYTHING if quantity in used)
    return Cell("rows", "A cell of rows", quantities, equations, output, loss)


gates = (
    Eq(z[k], logistic(x[k] @ Wx + h[k - 1] @ Wh + b)),
    Eq(r[k], logistic(x[k] @ Ux + h[k - 1] @ Uh + d)),
)

CELLS = {
    "tanh and an output map": described(zero, recurrence, Eq(y[T], h[T] @ V + e)),
    "two gates and a product entry by entry": described(
        zero,
        *gates,
        Eq(u[k], tanh(x[k] @ Wx + (r[k] * h[k - 1]) @ Wh)),
        Eq(h[k], (1 - z[k]) * h[k - 1] + z[k] * u[k]),
        Eq(y[T], h[T] @ V),
    ),
    "two states": described(
        zero,
        Eq(c[0], 0),
        *gates,
        Eq(c[k], z[k] * c[k - 1] + r[k] * tanh(x[k] @ Ux)),
        Eq(h[k], r[k] * tanh(c[k])),
        Eq(y[T], h[T] @ V),
    ),
    "a loss at every step of logistic outputs": described(
        zero,
        recurrence,
        Eq(y[k], h[k] @ V + e),
        loss=mean(total(softplus(y[k]) - t[k] * y[k])),
        output=y[k],
    ),
    "squares of logistic outputs at every step": described(
        zero, recurrence, Eq(y[k], logistic(h[k] @ V)), loss=mean(total((y[k] - t[k]) ** 2)), output=y[k]
    ),
    "a learnt initial state": described(Eq(h[0], start), recurrence, Eq(y[T], h[T] @ V)),
    "tied weights": described(zero, recurrence, Eq(v[T], h[T] @ Wx.T), loss=mean(total((v[T] - tx) ** 2)), output=v[T]),
    "a matrix and its transpose in one step": described(
        zero, Eq(h[k], tanh(x[k] @ Wx + h[k - 1] @ Wh + h[k - 1] @ Wh.T)), Eq(y[T], h[T] @ V)
    ),
    "a product of products": described(
        zero, Eq(h[k], tanh(x[k] @ Wx + Product(h[k - 1] @ Wh, Uh))), Eq(y[T], h[T] @ V)
    ),
    "a number that scales": described(zero, Eq(h[k], tanh(x[k] @ Wx + a * (h[k - 1] @ Wh) + a)), Eq(y[T], h[T] @ V)),
    "a weight within the loss": described(
        zero, recurrence, Eq(y[T], h[T] @ V), loss=mean(total((a * y[T] + e - t) ** 2) + total(V**2) / 3 + a**2)
    ),
    "no product of states": described(zero, Eq(h[k], b * h[k - 1] + x[k] @ Wx), Eq(y[T], h[T] @ V)),
}


def sigma(z):
    return 1 / (1 + np.exp(-z))


def rnn(w, X, t):
    state = np.zeros((len(X), len(w.b)))
    for row in np.swapaxes(X, 0, 1):
        state = np.tanh(row @ w.Wx + state @ w.Wh + w.b)
    return np.mean(np.sum((state @ w.V + w.e - t) ** 2, axis=1))


def gated(w, X, t):
    state = np.zeros((len(X), len(w.b)))
    for row in np.swapaxes(X, 0, 1):
        z, r = sigma(row @ w.Wx + state @ w.Wh + w.b), sigma(row @ w.Ux + state @ w.Uh + w.d)
        state = (1 - z) * state + z * np.tanh(row @ w.Wx + (r * state) @ w.Wh)
    return np.mean(np.sum((state @ w.V - t) ** 2, axis=1))


def two_states(w, X, t):
    memory = state = np.zeros((len(X), len(w.b)))
    for row in np.swapaxes(X, 0, 1):
        z, r = sigma(row @ w.Wx + state @ w.Wh + w.b), sigma(row @ w.Ux + state @ w.Uh + w.d)
        memory = z * memory + r * np.tanh(row @ w.Ux)
        state = r * np.tanh(memory)
    return np.mean(np.sum((state @ w.V - t) ** 2, axis=1))


BY_HAND = {
    "tanh and an output map": rnn,
    "two gates and a product entry by entry": gated,
    "two states": two_states,
}
SIZES = (  # N, T, D, H, O
    (1, 1, 2, 3, 4),
    (5, 3, 2, 4, 3),
    (2, 6, 3, 1, 1),
    (3, 3, 3, 3, 3),
    (1, 2, 1, 5, 2),
)


@pytest.fixture(scope="module", params=CELLS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def derivation(name) -> Derivation:
    return write_derivation(CELLS[name])


@pytest.fixture(scope="module")
def network(derivation) -> ModuleType:
    return load(print_network(derivation), "rows")


def drawn(cell: Cell, network: ModuleType, sizes: tuple[int, ...], dtype=np.float64, scale: float = 1):
    """Weights, inputs and targets."""
    N, steps, *others = sizes
    known, generator = dict(zip((D, H, M), others, strict=True)), np.random.default_rng(3)

    def numbers(quantity: Quantity, *before: int) -> np.ndarray:
        return generator.normal(size=(*before, *(known[size] for size in quantity.dimensions))).astype(dtype)[()]

    weights = network.Parameters(*(numbers(weight) for weight in cell.parameters))
    every_step = [steps] if cell.target_at_every_step else []
    return weights, scale * numbers(cell.inputs[0], N, steps), numbers(cell.targets[0], N, *every_step)


def complex_step(loss, weights, X, t) -> list[np.ndarray]:
    slopes = []
    for name, weight in weights._asdict().items():
        slope = np.zeros(np.shape(weight))
        for place in np.ndindex(slope.shape):
            moved = np.array(weight, complex)
            moved[place] += 1e-30j
            slope[place] = np.imag(loss(weights._replace(**{name: moved[()]}), X, t)) / 1e-30
        slopes.append(slope)
    return slopes


def test_it_is_certified(derivation):
    certificate = certified(derivation, print_network(derivation))
    assert len(certificate["equations"]) == len(derivation.equations)


number, gate = Input("x"), Intermediate("gate")
penalty = mean(total((y[T] - t) ** 2)) + total(Wh**2) / 10
first, output_map = Eq(h[k], tanh(x[k] @ Wx + h[k - 1] @ Wh)), Eq(y[T], h[T] @ V)
SPECIAL = {
    "a start at a half": ((Wx, Wh, V, x, h, y, t), (Eq(h[0], Rational(1, 2)), first, output_map), squares),
    "a penalty on a matrix": ((Wx, Wh, V, x, h, y, t), (zero, first, output_map), penalty),
}


@pytest.mark.parametrize(("quantities", "equations", "loss"), SPECIAL.values(), ids=SPECIAL)
def test_a_special_cell_is_certified(quantities, equations, loss):
    derivation = write_derivation(Cell("rows", "A cell of rows", quantities, equations, y[T], loss))
    certified(derivation, print_network(derivation))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_gradient_is_the_complex_step(name, network, sizes):
    weights, X, t = drawn(CELLS[name], network, sizes)
    loss = BY_HAND.get(name, network.loss)
    value, gradient = network.value_and_gradient(weights, X, t)
    np.testing.assert_allclose(value, loss(weights, X, t), rtol=1e-13)
    for weight, ours, theirs in zip(weights, gradient, complex_step(loss, weights, X, t), strict=True):
        assert np.shape(ours) == np.shape(weight)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


def test_a_step_of_descent_has_one_rate_a_weight(name, network):
    weights, X, t = drawn(CELLS[name], network, SIZES[1])
    gradient, rates = network.gradients(weights, X, t), np.linspace(0.1, 0.2, len(weights))
    moved = network.descend(weights, gradient, network.Parameters(*rates))
    for now, before, slope, rate in zip(moved, weights, gradient, rates, strict=True):
        np.testing.assert_array_equal(now, before - rate * slope)


def test_what_is_float32_stays_float32(name, network):
    weights, X, t = drawn(CELLS[name], network, SIZES[1], np.float32)
    value, gradient = network.value_and_gradient(weights, X, t)
    assert {np.asarray(each).dtype for each in (value, network.predict(weights, X), *gradient)} == {np.dtype("f4")}


@pytest.mark.parametrize("scale", [1000, -1000])
def test_large_inputs_overflow_nothing(name, network, scale):
    weights, X, t = drawn(CELLS[name], network, SIZES[1], scale=scale)
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        value, gradient = network.value_and_gradient(weights, X, t)
    assert all(np.isfinite(each).all() for each in (value, *gradient))


@pytest.mark.parametrize("function", ["logistic", "softplus"])
def test_a_function_of_its_own_is_exact_at_both_ends(function):
    cell = CELLS["a loss at every step of logistic outputs"]  # softplus, and its derivative
    ours = getattr(load(print_network(write_derivation(cell)), "rows"), function)
    z = np.array([-1000.0, -30, -1, 0, 1, 30, 1000])
    exact = {
        "logistic": [0, np.exp(-30) / (1 + np.exp(-30)), 1 / (1 + np.e), 0.5, 1 / (1 + 1 / np.e), 1, 1],
        "softplus": [0, np.log1p(np.exp(-30)), np.log1p(1 / np.e), np.log(2), np.log1p(np.e), 30, 1000],
    }
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(ours(z), exact[function], rtol=1e-12, atol=1e-15)


def test_an_input_or_a_target_of_another_shape_is_refused_with_its_shape(name, network):
    weights, X, t = drawn(CELLS[name], network, SIZES[1])
    for wrong in (X[0], X[..., 0], X[..., np.newaxis], X[:0], X[:, :0]):
        shape = str(wrong.shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=rf"X holds .*{shape}"):
            network.predict(weights, wrong)
    for wrong in (t[0], t[1:], t[..., 0], t[..., :-1], t[..., np.newaxis], np.swapaxes(t, 0, 1)):
        shape = str(wrong.shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=rf"t holds .*{shape}"):
            network.value_and_gradient(weights, X, wrong)


@pytest.mark.parametrize("more", [1, -1])
def test_an_input_of_another_width_is_refused(name, network, more):
    weights, X, _ = drawn(CELLS[name], network, SIZES[1])
    width = X.shape[2] + more
    with pytest.raises(ValueError, match=rf"expected an array .* D = {width} as in X"):
        network.predict(weights, np.zeros((*X.shape[:2], width)))


label = Label("label")
soft = mean(softmax_cross_entropy(y[T], label))
REFUSED = {
    "softmax in a step": (
        (Wx, Wh, b, V, x, h, y, t),
        (zero, Eq(h[k], Softmax(h[k - 1] @ Wh + x[k] @ Wx + b)), output_map),
        squares,
    ),
    "softmax in a loss": (
        (Wx, Wh, b, V, x, h, y, t),
        (zero, first, output_map),
        mean(total((Softmax(y[T]) - t) ** 2)),
    ),
    "a cross-entropy in a step": (
        (Wx, Wh, V, x, h, r, y, label),
        (zero, first, Eq(r[k], h[k] + softmax_cross_entropy(h[k], label)), output_map),
        soft,
    ),
    "a sum over the batch in a step": (
        (Wx, Wh, b, V, x, h, y, t),
        (zero, Eq(h[k], tanh(x[k] @ Wx + h[k - 1] @ Wh) + BatchSum(h[k - 1])), output_map),
        squares,
    ),
    "a function of a cross-entropy": (
        (Wx, Wh, V, x, h, y, label),
        (zero, first, output_map),
        mean(softmax_cross_entropy(y[T], label) ** 2),
    ),
    "a product of a cross-entropy and a sum": (
        (Wx, Wh, V, x, h, y, label),
        (zero, first, output_map),
        mean(softmax_cross_entropy(y[T], label) * total(y[T])),
    ),
    "a calculation with a label": (
        (Wx, Wh, V, x, h, y, label),
        (zero, first, output_map),
        mean(softmax_cross_entropy(y[T], label) * label),
    ),
    "a cross-entropy with a target of numbers": (
        (Wx, Wh, V, x, h, y, t),
        (zero, first, output_map),
        mean(softmax_cross_entropy(y[T], t)),
    ),
    "a state that leads nowhere": (
        (Wx, Wh, V, x, h, c, y, t),
        (zero, first, Eq(c[0], 0), Eq(c[k], c[k - 1] + h[k]), output_map),
        squares,
    ),
    "an example of numbers": (
        (Wx, Wh, V, x, h, y, t),
        (zero, first, output_map),
        squares,
        Example(
            "numbers", ((1, 2),), (1,), dict.fromkeys(("Wx", "Wh", "V"), 1), dict.fromkeys(("Wx", "Wh", "V"), 1), 10
        ),
    ),
    "a task with a target at every step": (
        (Wx, Wh, V, x, h, y, t),
        (zero, first, output_map),
        squares,
        TaskExample("sums", "binary_addition", {"examples": 10, "bits": 4, "seed": 1}, {"H": 2}, 0.1, 1),
    ),
    "a task with an input of one number": (
        (Wx, Wh, V, x, h, y, t),
        (zero, first, output_map),
        squares,
        TaskExample("sums", "adding_problem", {"examples": 10, "steps": 1, "seed": 1}, {"H": 2}, 0.1, 1),
    ),
    "an input of one number": (
        (Wh, b, V, number, h, y, t),
        (zero, Eq(h[k], tanh(number[k] * b + h[k - 1] @ Wh)), output_map),
        squares,
    ),
    "one gate for a whole row": (
        (Wx, Wh, b, V, x, gate, h, y, t),
        (
            zero,
            Eq(gate[k], logistic(total(b * h[k - 1]))),
            Eq(h[k], gate[k] * tanh(x[k] @ Wx + h[k - 1] @ Wh)),
            output_map,
        ),
        squares,
    ),
    "a loss of a whole row": (
        (Wx, Wh, V, x, h, y, t),
        (zero, first, output_map),
        mean(total(y[T] * t) ** 2),
    ),
}
WORDS = {
    "softmax in a step": "there is no rule for Softmax, in softmax",
    "softmax in a loss": "there is no rule for Softmax, in softmax",
    "a cross-entropy in a step": "there is no rule for SoftmaxCrossEntropy",
    "a sum over the batch in a step": "there is no rule for BatchSum",
    "a function of a cross-entropy": "a function of a cross-entropy",
    "a product of a cross-entropy and a sum": "a function of a",
    "a calculation with a label": "a calculation with the label label",
    "a cross-entropy with a target of numbers": "compares with t, which is no label",
    "a state that leads nowhere": "state 'c': the loss does not depend on it",
    "an example of numbers": "an Example has numbers, one target a sequence, and the cell is of rows",
    "a task with a target at every step": r"its targets are \(10, 4, 1\), and those of the cell \(N, M\)",
    "a task with an input of one number": "1 steps have no two places to mark",
    "an input of one number": "a number of each sequence",
    "one gate for a whole row": "a sum of entries in a step",
    "a loss of a whole row": "a function of a sum of entries",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_law_is_refused_with_a_cure(name):
    quantities, equations, loss, *example = REFUSED[name]
    with pytest.raises(CellError, match=WORDS[name]):
        check_task(Cell("rows", "A cell of rows", quantities, equations, y[T], loss, "", (), *example))


def test_one_row_for_all_sequences_is_not_put_into_a_product():
    """A step that adds up weights alone gives every sequence the same row; its name stays in the nested output."""
    equations = (zero, Eq(h[k], b + h[k - 1] @ Wh), Eq(y[T], h[T] @ V + (x[T] @ Wx) @ V))
    nested = [e for e in write_derivation(described(*equations)).equations if e.rule is SUBSTITUTE]
    assert [each.rhs.has(h[1]) for each in nested] == [True]
