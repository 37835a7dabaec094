"""What a generated module does with targets, weights and constants, for cells that are not shipped."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from sympy import Eq, Expr, tanh

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
    mean,
    softmax_cross_entropy,
    total,
)
from derive.certify import check_code
from derive.lambdified import Lambdified
from derive.lower import lower
from derive.modules import load, print_network
from derive.pipeline import write_derivation

D, H, M = (Dimension(name) for name in "DHM")
w, x, s, t = Parameter("w"), Input("x"), State("s"), Target("t")
U, W, V = Parameter("U", shape=(D, H)), Parameter("W", shape=(H, H)), Parameter("V", shape=(H, M))
X, h, y, c = Input("x", shape=(D,)), State("h", shape=(H,)), Intermediate("y", shape=(M,)), Label("c")
quantities = (w, x, s, t, U, W, V, X, h, y, c)


def cell_of(*equations: Eq, output: Expr, loss: Expr) -> Cell:
    used = [q for q in quantities if any(side.has(q) for side in (*equations, loss))]
    return Cell("tried", "A cell", tuple(used), equations, output, loss)


def numbers(loss: Expr, step: Expr = w * s[k - 1] + x[k]) -> Cell:
    return cell_of(Eq(s[0], 0), Eq(s[k], step), output=s[T], loss=loss)


def rows(loss: Expr) -> Cell:
    recurrence = Eq(h[k], tanh(h[k - 1] @ W + X[k] @ U))
    return cell_of(Eq(h[0], 0), recurrence, Eq(y[T], h[T] @ V), output=y[T], loss=loss)


def module_of(cell: Cell) -> ModuleType:
    return load(print_network(lower(write_derivation(cell))), cell.name)


# --- targets ----------------------------------------------------------------------------------------------------------

TARGETS = {
    "a weight beside the target": numbers(mean((w * s[T] - t) ** 2)),
    "a weight beside the target of every step": numbers(mean((w * s[k] - t[k]) ** 2)),
    "a weight times the target": numbers(mean((s[T] - w * t) ** 2)),
    "one target for every step": numbers(mean((s[k] - t) ** 2)),
    "the states in front of the scores": rows(mean(softmax_cross_entropy(y[T], c) + total(h[T] ** 2) / 100)),
    "a number against a sum": rows(mean(total(y[T] ** 2) - t)),
}


@pytest.mark.parametrize("cell", TARGETS.values(), ids=TARGETS)
def test_the_gradient_is_right_however_the_loss_uses_the_target(cell):
    check_code(cell, print_network(lower(write_derivation(cell))))


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
    program = lower(write_derivation(cell))
    network, functions = load(print_network(program), cell.name), Lambdified(program)
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
