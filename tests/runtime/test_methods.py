"""Update rules and batches: the generated functions against plain loops, and what the trainer does with them."""

import json
import math

import numpy as np
import pytest

from derive.optimizer_files import print_optimizers_page
from derive.optimizers import METHODS

GRADIENTS = (0.5, -2.0, 1e-3, 3.0)
ETA = 0.1


def by_hand(name):
    """Where a weight that starts at 1 goes under GRADIENTS; from the papers, one number after the other."""
    w, v, m, r = 1.0, 0.0, 0.0, 0.0
    for step, g in enumerate(GRADIENTS, start=1):
        if name == "gradient_descent":
            w -= ETA * g
        elif name == "momentum":
            v = 0.9 * v - ETA * g
            w += v
        elif name == "rmsprop":
            r = 0.9 * r + 0.1 * g * g
            w -= ETA * g / (math.sqrt(r) + 1e-8)
        elif name == "adam":
            m, r = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * g * g
            w -= ETA * (m / (1 - 0.9**step)) / (math.sqrt(r / (1 - 0.999**step)) + 1e-8)
        else:
            pytest.fail(f"add {name} here")
    return w


@pytest.mark.parametrize("name", METHODS)
def test_a_method_moves_a_weight_as_its_paper_says(bare_net, name):
    method = bare_net.module("optimizers").METHODS[name]
    for start in (1.0, np.ones((2, 3))):
        leaves = (start, *[0.0] * method.state)
        for g in GRADIENTS:
            leaves = method.update(leaves[0], g * np.ones_like(start), ETA, *leaves[1:])
        np.testing.assert_allclose(leaves[0], by_hand(name) * np.ones_like(start), rtol=1e-13)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_documented_with_source_and_usual_values(bare_net, name):
    method, module = METHODS[name], bare_net.module("optimizers")
    docstring = getattr(module, name).__doc__
    assert method.source in docstring
    for constant, value in method.defaults.items():
        assert f"{constant.name}: " in docstring
        assert getattr(module, name).__kwdefaults__[constant.name] == value
    page = print_optimizers_page()
    assert f"## {method.title}\n" in page
    assert method.source in page


def test_the_page_shows_the_equations():
    page = print_optimizers_page()
    assert r"\hat{m} \leftarrow \frac{m}{1 - \beta_1^{n}}" in page
    assert r"W \leftarrow W - \frac{\eta \hat{m}}{\sqrt{\hat{r}} + \varepsilon}" in page


def test_gradient_descent_is_that_of_the_network(net, tmp_path):
    outputs = [tmp_path / "plain.json", tmp_path / "named.json"]
    assert net.main("linear", "--epochs", 50, "--output", outputs[0]).code == 0
    assert net.main("linear", "--epochs", 50, "--method", "gradient_descent", "--output", outputs[1]).code == 0
    assert outputs[0].read_text() == outputs[1].read_text()


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adam"])
def test_the_trainer_takes_a_method_and_its_usual_learning_rate(net, name):
    done = net.main("linear", "--method", name, "--epochs", 100)
    assert done.code == 0
    rate = METHODS[name].learning_rate
    assert done.out.splitlines()[2] == f"learning rate  Wx={rate},Wrec={rate}, {name}"
    losses = [float(line.split()[-1]) for line in done.err.splitlines() if line.startswith("epoch")]
    assert losses[-1] < losses[0]


def test_an_unknown_method_is_refused(net):
    message = net.main("linear", "--method", "adams").bad_input()
    assert "--method" in message
    assert "momentum" in message


def test_every_sequence_is_seen_once_an_epoch_and_the_last_batch_may_be_smaller(net):
    batches = net.module("training").batches
    random = np.random.default_rng(seed=1)
    epochs = [list(batches(7, 3, random)) for _ in range(2)]
    for epoch in epochs:
        assert [len(rows) for rows, _ in epoch] == [3, 3, 1]
        assert sorted(np.concatenate([rows for rows, _ in epoch])) == list(range(7))
        assert sum(share for _, share in epoch) == pytest.approx(1)
    assert any(np.any(first != second) for (first, _), (second, _) in zip(*epochs, strict=True))
    assert list(batches(7, 9, random)) == [(slice(None), 1.0)]


def test_batches_agree_with_a_plain_loop(net):
    network, example = net.module("linear.network"), net.module("linear.example")
    start, rates = network.Parameters(0.9, 1.1), network.Parameters(0.01, 0.001)
    result = net.module("training").train(network, example.X, example.t, start, rates, 3, batch=2, seed=5)
    random, expected = np.random.default_rng(5), start
    for _ in range(3):
        order = random.permutation(3)
        for rows in (order[:2], order[2:]):
            expected = network.descend(expected, network.gradients(expected, example.X[rows], example.t[rows]), rates)
    assert result.parameters == expected
    assert result.loss == pytest.approx(network.loss(expected, example.X, example.t))


def test_the_seed_decides_the_order_of_the_batches(net, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        path = tmp_path / "weights.json"
        words = ("--batch", 1, "--epochs", 3, "--init", "Wx=1.1,Wrec=1.1", "--seed", seed, "--output", path)
        assert net.main("linear", *words).code == 0
        weights.append(json.loads(path.read_text()))
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (("--batch", "0"), ["--batch", "'0' is not a whole number, 1 or more"]),
        (("--batch", "half"), ["--batch", "'half' is not a whole number"]),
        (("--batch", "2", "--tolerance", "0.1"), ["--tolerance", "give --batch 3"]),
    ],
)
def test_unusable_batches_are_refused(net, words, facts):
    message = net.main("linear", *words).bad_input()
    for fact in facts:
        assert fact in message
