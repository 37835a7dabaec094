"""Outside witnesses of every gradient: PyTorch's own modules, and JAX on forward passes written here by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.language.cell import Cell
from derive.language.quantities import Label
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells

CELLS = {cell.name: cell for cell in find_cells([])}
BOUND = 1e-10
"""How far a gradient may be from a witness, relative to its largest entry."""


class Sizes(NamedTuple):
    """How many sequences and steps, and how large each dimension is; V, the number of classes, is D."""

    N: int
    T: int
    D: int
    H: int
    M: int


SIZES = [
    Sizes(4, 6, 2, 5, 3),
    Sizes(3, 3, 2, 4, 3),  # N = T
    Sizes(1, 5, 3, 2, 4),
    Sizes(5, 1, 3, 4, 2),
    Sizes(2, 4, 3, 3, 2),  # D = H
    Sizes(3, 5, 2, 4, 4),  # H = M
    Sizes(4, 4, 4, 4, 4),
    Sizes(1, 1, 1, 1, 1),
]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: " ".join(map(str, sizes)))


@cache
def network_of(cell: Cell) -> ModuleType:
    return load(print_network(write_derivation(cell)), cell.name)


class Case(NamedTuple):
    """A generated module, and the numbers that it and a witness are given."""

    network: ModuleType
    parameters: Any
    X: np.ndarray
    t: np.ndarray


def drawn(name: str, sizes: Sizes) -> Case:
    cell, generator = CELLS[name], np.random.default_rng(sum(map(ord, name)))
    entries = {"V": sizes.D, **sizes._asdict()}

    def normal(quantity: Any, *before: int) -> np.ndarray:
        return generator.normal(size=(*before, *(entries[str(size)] for size in quantity.dimensions)))

    network, (x,), (target,) = network_of(cell), cell.inputs, cell.targets
    every_step = (sizes.T,) if cell.target_at_every_step else ()
    t = normal(target, sizes.N, *every_step)
    if isinstance(target, Label):
        t = generator.integers(0, sizes.D, t.shape)
    parameters = network.Parameters(*(normal(weight) for weight in cell.parameters))
    return Case(network, parameters, normal(x, sizes.N, sizes.T), t)


def assert_witnessed(case: Case, value: Any, gradient: Any) -> None:
    ours, our_gradient = case.network.value_and_gradient(*case[1:])
    assert float(ours) == pytest.approx(float(value), rel=BOUND)
    scale = max(np.abs(each).max() for each in our_gradient)
    for name, slope, theirs in zip(case.parameters._fields, our_gradient, gradient, strict=True):
        theirs = np.asarray(theirs)
        assert np.shape(slope) == theirs.shape, name
        assert theirs.dtype == np.float64
        np.testing.assert_allclose(slope, theirs, rtol=0, atol=BOUND * (np.abs(theirs).max() or scale), err_msg=name)


# --- PyTorch: its weights stand transposed, one gate below the other, and for one bias of ours it has two -----------


@pytest.fixture(scope="module")
def torch(require_module):
    return require_module("torch", "witnesses")


class Layer(NamedTuple):
    """A module of PyTorch, and our weights in the order of its gates."""

    module: str
    input: str
    state: str
    input_bias: str
    state_bias: str


LAYERS = {
    "vanilla_rnn": Layer("RNN", "Wx", "Wrec", "b", "b"),
    "gru": Layer("GRU", "Wxr Wxu Wxc", "Whr Whu Whc", "br bu bxc", "br bu bhc"),
    "lstm": Layer("LSTM", "Wxi Wxf Wxg Wxo", "Whi Whf Whg Who", "bi bf bg bo", "bi bf bg bo"),
}


@every_size
@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_is_that_of_pytorchs_module(name, sizes, torch):
    case, layer = drawn(name, sizes), LAYERS[name]
    weights = case.parameters._asdict()
    recurrent = getattr(torch.nn, layer.module)(sizes.D, sizes.H, batch_first=True, dtype=torch.float64)
    output = torch.nn.Linear(sizes.H, sizes.M, dtype=torch.float64)
    places = {  # what PyTorch holds, our weights, and which part of each it is: two biases share one of ours
        recurrent.weight_ih_l0: (layer.input.split(), 1),
        recurrent.weight_hh_l0: (layer.state.split(), 1),
        recurrent.bias_ih_l0: (layer.input_bias.split(), 0.25),
        recurrent.bias_hh_l0: (layer.state_bias.split(), 0.75),
        output.weight: (["Wy"], 1),
        output.bias: (["by"], 1),
    }
    two_of_them = set(layer.input_bias.split()) & set(layer.state_bias.split())
    with torch.no_grad():
        for held, (names, part) in places.items():
            ours = [weights[each].T * (part if each in two_of_them else 1) for each in names]
            held.copy_(torch.from_numpy(np.concatenate(ours)))
    y = output(recurrent(torch.from_numpy(case.X))[0][:, -1])
    loss = torch.nn.functional.mse_loss(y, torch.from_numpy(case.t), reduction="sum") / sizes.N
    loss.backward()
    for held, (names, _) in places.items():
        parts = held.grad.numpy().reshape(len(names), -1, *held.shape[1:])
        weights.update({each: part.T for each, part in zip(names, parts, strict=True)})
    assert_witnessed(case, loss.detach(), weights.values())


@every_size
def test_the_gradient_of_the_gru_with_the_reset_before_is_that_of_pytorch(sizes, torch):
    case = drawn("gru_reset_before", sizes)
    p = type(case.parameters)(*(torch.tensor(weight, requires_grad=True) for weight in case.parameters))
    h = torch.zeros(sizes.N, sizes.H, dtype=torch.float64)
    for x in torch.from_numpy(case.X).unbind(1):
        r = torch.sigmoid(x @ p.Wxr + h @ p.Whr + p.br)
        u = torch.sigmoid(x @ p.Wxu + h @ p.Whu + p.bu)
        h = torch.lerp(torch.tanh(x @ p.Wxc + (r * h) @ p.Whc + p.bxc), h, u)
    error = h @ p.Wy + p.by - torch.from_numpy(case.t)
    loss = error.square().sum(1).mean()
    loss.backward()
    assert_witnessed(case, loss.detach(), [weight.grad for weight in p])


# --- JAX: the loss of every cell, written by hand -------------------------------------------------------------------


@pytest.fixture(scope="module")
def jax(require_module):
    found = require_module("jax", "witnesses")
    found.config.update("jax_enable_x64", True)
    return found


def jax_losses(jax: ModuleType) -> dict[str, Callable[..., Any]]:
    """The loss of weights, inputs and targets, by the cell's name."""
    np, tanh, sigmoid = jax.numpy, jax.numpy.tanh, jax.nn.sigmoid

    def steps(X):
        return np.swapaxes(X, 0, 1)

    def squared(y, t):
        return np.sum((y - t) ** 2) / len(t)

    def linear(p, X, t):
        return squared(sum(p.Wx * x * p.Wrec ** (X.shape[1] - 1 - i) for i, x in enumerate(X.T)), t)

    def logistic(p, X, t):
        s = np.zeros(len(X))
        for x in X.T[:-1]:
            s = sigmoid(s * p.Wrec + x * p.Wx)
        return squared(s * p.Wrec + X.T[-1] * p.Wx, t)

    def tanh_network(p, X, t):
        s = np.zeros(len(X))
        for x in X.T:
            s = tanh(s * p.Wrec + x * p.Wx)
        return squared(p.Wy * s, t)

    def vanilla(p, X, start):
        h, outputs = np.tile(start, (len(X), 1)), []
        for x in steps(X):
            h = tanh(x @ p.Wx + h @ p.Wrec + p.b)
            outputs.append(h @ p.Wy + p.by)
        return np.stack(outputs, axis=1)

    def vanilla_rnn(p, X, t):
        return squared(vanilla(p, X, np.zeros_like(p.b))[:, -1], t)

    def binary_adder(p, X, t):
        y = vanilla(p, X, p.start)
        return -np.sum(t * jax.nn.log_sigmoid(y) + (1 - t) * jax.nn.log_sigmoid(-y)) / len(X)

    def character_model(p, X, t):
        scores = jax.nn.log_softmax(vanilla(p, X, np.zeros_like(p.b)))
        return -np.sum(scores * jax.nn.one_hot(t, scores.shape[-1])) / len(X)

    def gru(p, X, t, reset_before=False):
        h = np.zeros((len(X), len(p.Whr)))
        for x in steps(X):
            r, u = sigmoid(x @ p.Wxr + h @ p.Whr + p.br), sigmoid(x @ p.Wxu + h @ p.Whu + p.bu)
            past = (r * h) @ p.Whc if reset_before else r * (h @ p.Whc + p.bhc)
            h = u * h + (1 - u) * tanh(x @ p.Wxc + past + p.bxc)
        return squared(h @ p.Wy + p.by, t)

    def gru_reset_before(p, X, t):
        return gru(p, X, t, reset_before=True)

    def lstm(p, X, t, peephole=lambda letter: 0):
        c = h = np.zeros((len(X), len(p.Whi)))
        for x in steps(X):
            i = sigmoid(x @ p.Wxi + h @ p.Whi + c * peephole("i") + p.bi)
            f = sigmoid(x @ p.Wxf + h @ p.Whf + c * peephole("f") + p.bf)
            c = f * c + i * tanh(x @ p.Wxg + h @ p.Whg + p.bg)
            h = sigmoid(x @ p.Wxo + h @ p.Who + c * peephole("o") + p.bo) * tanh(c)
        return squared(h @ p.Wy + p.by, t)

    def lstm_peephole(p, X, t):
        return lstm(p, X, t, lambda letter: getattr(p, f"p{letter}"))

    by_hand = (linear, logistic, vanilla_rnn, binary_adder, character_model, gru, gru_reset_before, lstm, lstm_peephole)
    return {"tanh": tanh_network, **{function.__name__: function for function in by_hand}}


@every_size
@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_is_that_of_jax(name, sizes, jax):
    case = drawn(name, sizes)
    assert_witnessed(case, *jax.value_and_grad(jax_losses(jax)[name])(*case[1:]))
