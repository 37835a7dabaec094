"""Update rules and batches: the generated functions against plain loops, and what the trainer does with them."""

import json
import math

import numpy as np
import pytest
from sympy import Function, Symbol, expand, sqrt

from derive.documents.update_rules_page import print_optimizers_page
from derive.methods import update_rules
from derive.methods.update_rules import METHODS

GRADIENTS = (0.5, -2.0, 1e-3, 3.0, 0.0, 0.0, -1.0, -0.5, -0.1)
"""They keep their sign, change it, and are 0."""
ETA = 0.1


def sign(number):
    return (number > 0) - (number < 0)


def by_hand(name):
    """Where a weight that starts at 1 goes under GRADIENTS; from the papers, one number after the other."""
    w, v, m, r, step_size, before = 1.0, 0.0, 0.0, 0.0, ETA, 0
    for step, g in enumerate(GRADIENTS, start=1):
        if name == "gradient_descent":
            w -= ETA * g
        elif name in ("momentum", "nesterov"):
            v = 0.9 * v - ETA * g
            w += v
        elif name == "rprop":
            step_size *= 1.2 if sign(g) == before != 0 else 0.5
            before = sign(g)
            w -= before * step_size
        elif name == "irprop_minus":
            if sign(g) * before > 0:
                step_size = min(1.2 * step_size, 50)
            elif sign(g) * before < 0:
                step_size = max(0.5 * step_size, 1e-6)
                g = 0
            before = sign(g)
            w -= before * step_size
        elif name == "rmsprop":
            r = 0.9 * r + 0.1 * g * g
            w -= ETA * g / (math.sqrt(r) + 1e-8)
        elif name == "rmsprop_nesterov":
            r = 0.5 * r + 0.5 * g * g
            v = 0.8 * v - ETA * g / (math.sqrt(r) + 1e-6)
            w += v
        elif name == "adam":
            m, r = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * g * g
            w -= ETA * (m / (1 - 0.9**step)) / (math.sqrt(r / (1 - 0.999**step)) + 1e-8)
        else:
            pytest.fail(f"add {name} here")
    ahead = {"nesterov": 0.9, "rmsprop_nesterov": 0.8}.get(name, 0)
    return w + ahead * v


@pytest.mark.parametrize("name", METHODS)
def test_a_method_moves_a_weight_as_its_paper_says(bare_net, name):
    method = bare_net.module("methods.update_rules").METHODS[name]
    for start in (1.0, np.ones((2, 3))):
        leaves = (start, *method.start(start, ETA))
        for g in GRADIENTS:
            leaves = method.update(leaves[0], g * np.ones_like(start), ETA, *leaves[1:])
        np.testing.assert_allclose(leaves[0], by_hand(name) * np.ones_like(start), rtol=1e-13)


TORCH = {
    "gradient_descent": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "irprop_minus": ("Rprop", {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50)}),
    "rmsprop": ("RMSprop", {"alpha": 0.9}),
    "adam": ("Adam", {}),
}
"""The methods that PyTorch has, too, by its names."""


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_moves_the_weights_alike(bare_net, require_module, name):
    torch = require_module("torch", "witnesses")
    method, random = bare_net.module("methods.update_rules").METHODS[name], np.random.default_rng(1)
    start = random.normal(size=(3, 4))
    weight = torch.tensor(start.copy(), requires_grad=True)
    optimizer, options = TORCH[name]
    witness = getattr(torch.optim, optimizer)([weight], lr=ETA, **options)
    leaves = (start, *method.start(start, ETA))
    for _ in range(50):
        gradient = random.normal(size=start.shape)
        weight.grad = torch.tensor(gradient)
        witness.step()
        leaves = method.update(leaves[0], gradient, ETA, *leaves[1:])
    np.testing.assert_allclose(leaves[0], weight.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_types_of_its_weights_and_a_state_of_plain_numbers(bare_net, name):
    method = bare_net.module("methods.update_rules").METHODS[name]
    for start in (1.0, np.ones(3, "float32"), np.ones((2, 3))):
        leaves = (start, *method.start(start, ETA))
        for g in GRADIENTS:
            weight, *state = leaves = method.update(leaves[0], start * g, ETA, *leaves[1:])
        assert np.shape(weight) == np.shape(start)
        if isinstance(start, float):
            assert all(isinstance(leaf, float) for leaf in leaves)
        else:
            assert weight.dtype == start.dtype
            for leaf in state:
                assert isinstance(leaf, float) or (leaf.shape, leaf.dtype) == (start.shape, start.dtype)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_documented_with_source_and_usual_values(bare_net, name):
    method, module = METHODS[name], bare_net.module("methods.update_rules")
    docstring = " ".join(getattr(module, name).__doc__.split())
    for text in (method.idea, method.remark, method.source):
        assert text in docstring
    for constant, value in method.defaults.items():
        assert f"{constant.name}: " in docstring
        assert getattr(module, name).__kwdefaults__[constant.name] == value
    page = print_optimizers_page()
    assert f"## {method.title}\n" in page
    assert f"Source: {method.source}.\n" in page
    assert f"| [`{name}`](#{method.title.lower().replace(' ', '-')}) | {method.idea} |" in page


@pytest.mark.parametrize("name", ["nesterov", "rmsprop_nesterov"])
def test_nesterov_momentum_takes_its_gradient_where_the_weight_is_kept(name):
    """In symbols: from W = w + μ v, w and v move as in the usual form, and W is where the next gradient is due."""
    w, v, mu = Symbol("w"), update_rules.v, update_rules.mu
    slope = Function("slope")(w + mu * v)
    values = {update_rules.W: w + mu * v, update_rules.g: slope}
    for equation in METHODS[name].equations:
        values[equation.lhs] = equation.rhs.subs(values, simultaneous=True)
    r = values.get(update_rules.r)
    push = update_rules.eta * (slope if r is None else slope / (sqrt(r) + update_rules.epsilon))
    velocity = mu * v - push
    assert expand(values[v] - velocity) == 0
    assert expand(values[update_rules.W] - ((w + velocity) + mu * velocity)) == 0


def test_nesterov_momentum_agrees_with_its_usual_form(bare_net):
    """The gradient of w⁴/4 - w at the place where the velocity would carry the weight."""
    method = bare_net.module("methods.update_rules").METHODS["nesterov"]
    leaves, w, velocity = (2.0, *method.start(2.0, 0.02)), 2.0, 0.0
    for _ in range(100):
        velocity = 0.9 * velocity - 0.02 * ((w + 0.9 * velocity) ** 3 - 1)
        w += velocity
        leaves = method.update(leaves[0], leaves[0] ** 3 - 1, 0.02, *leaves[1:])
        assert leaves[0] == pytest.approx(w + 0.9 * velocity, rel=1e-12)
        assert leaves[1] == pytest.approx(velocity, rel=1e-10, abs=1e-12)


def test_rmsprop_with_nesterov_momentum_agrees_with_the_loop_of_roelants(bare_net):
    """He moves the weight by the old velocity, takes the gradient there, and moves it on by the new gradient."""
    method = bare_net.module("methods.update_rules").METHODS["rmsprop_nesterov"]
    leaves, w, velocity, average = (2.0, *method.start(2.0, 0.05)), 2.0, 0.0, 0.0
    for _ in range(100):
        carried = 0.8 * velocity
        w += carried
        assert leaves[0] == pytest.approx(w, rel=1e-10)
        slope = w**3 - 1
        average = 0.5 * average + 0.5 * slope**2
        push = 0.05 * slope / (math.sqrt(average) + 1e-6)
        velocity = carried - push
        w -= push
        leaves = method.update(leaves[0], leaves[0] ** 3 - 1, 0.05, *leaves[1:])


def test_only_irprop_minus_bounds_its_step_size(bare_net):
    methods = bare_net.module("methods.update_rules").METHODS

    def step_size_after(name, gradients):
        leaves = (1.0, *methods[name].start(1.0, ETA))
        for g in gradients:
            leaves = methods[name].update(leaves[0], g, ETA, *leaves[1:])
        return leaves[1]

    same, changing = [1.0] * 101, [1.0, -1.0, -1.0, 1.0] * 50  # a change of sign, then the update after the rest
    assert step_size_after("irprop_minus", same) == 50
    assert step_size_after("irprop_minus", changing) == 1e-6
    assert step_size_after("rprop", same) == pytest.approx(0.5 * 1.2**100 * ETA, rel=1e-12)
    assert step_size_after("rprop", [1.0, -1.0] * 50) == pytest.approx(0.5**100 * ETA, rel=1e-12)


def counting(N, T):
    """Random rows of zeros and ones, and how many ones there are."""
    X = np.random.default_rng(seed=1).integers(0, 2, size=(N, T)).astype(float)
    return X, np.sum(X, axis=1)


def rprop_by_hand(X, t, weights, epochs):
    """RProp for the network that counts ones, with step sizes from 0.001; one sequence and one step after the other."""
    weights, step_sizes, before = list(weights), [0.001, 0.001], [0, 0]
    for _ in range(epochs):
        Wx, Wrec = weights
        gradient = [0.0, 0.0]
        for row, target in zip(X.tolist(), t.tolist(), strict=True):
            states = [0.0]
            for x in row:
                states.append(states[-1] * Wrec + x * Wx)
            delta = 2 / len(t) * (states[-1] - target)
            for k in range(len(row), 0, -1):
                gradient[0] += delta * row[k - 1]
                gradient[1] += delta * states[k - 1]
                delta *= Wrec
        for i in range(2):
            step_sizes[i] *= 1.2 if sign(gradient[i]) == before[i] else 0.5
            before[i] = sign(gradient[i])
            weights[i] -= before[i] * step_sizes[i]
    return weights


def test_rprop_learns_to_count_from_a_start_where_the_gradient_explodes(net):
    """The run of Roelants' notes: 20 sequences of 10 steps, from (-1.5, 2)."""
    X, t = counting(20, 10)
    network, rprop = net.module("linear.network"), net.module("methods.update_rules").METHODS["rprop"]
    start, rates = network.Parameters(-1.5, 2.0), network.Parameters(rprop.learning_rate, rprop.learning_rate)
    assert net.module("trainer.run.updates").largest_entry(network.gradients(start, X, t)) > 1e6
    result = net.train(X, t, start, rates, 500, method=rprop)
    assert result.state.parameters == pytest.approx(rprop_by_hand(X, t, start, 500), rel=1e-9)
    assert result.state.parameters == pytest.approx((1, 1), abs=0.01)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_diverges_ends_with_one_line_by_any_method(net, savez, name):
    """Bounded steps diverge, too, where 400 steps raise the weight to the 400th power."""
    X, t = counting(5, 400)
    done = net.main(
        "linear", "--data", savez(X=X, t=t), "--method", name, "--learning-rate", 50, "--init", "Wx=1,Wrec=1.1"
    )
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if not line.startswith("epoch")]
    assert len(lines) == 1
    assert lines[0].startswith("train: diverged at epoch ")
    assert "lower the learning rate of" in lines[0]
    assert "the last finite weights are Wx=" in lines[0]
    assert "diverged" in done.out


def test_the_page_shows_the_equations():
    page = print_optimizers_page()
    assert r"\hat{m} &\leftarrow \frac{m}{1 - \beta_1^{n}}" in page
    assert r"W &\leftarrow W - \frac{\eta \hat{m}}{\sqrt{\hat{r}} + \varepsilon}" in page
    assert r"W &\leftarrow B + v + \mu v" in page
    assert (
        r"\begin{cases} \eta^{+} \Delta & \text{if } s g > 0 \\ \eta^{-} \Delta & \text{otherwise} \end{cases}" in page
    )
    assert r"\min\left( \eta^{+} \Delta, \Delta_{\max} \right) & \text{if } s g > 0" in page


def test_gradient_descent_is_that_of_the_network(net, tmp_path):
    outputs = [tmp_path / "plain.json", tmp_path / "named.json"]
    assert net.main("linear", "--epochs", 50, "--output", outputs[0]).code == 0
    assert net.main("linear", "--epochs", 50, "--method", "gradient_descent", "--output", outputs[1]).code == 0
    assert outputs[0].read_text() == outputs[1].read_text()


@pytest.mark.parametrize("name", [name for name in METHODS if name != "gradient_descent"])
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
    sequences, batches = net.module("trainer.data.sequences"), net.module("trainer.run.first_order").batches
    data = sequences.Sequences(sequences.Group(np.zeros((7, 2)), np.arange(7)))
    random = np.random.default_rng(seed=1)
    epochs = [[part.groups[0].t for part in batches(data, 3, random)] for _ in range(2)]
    for epoch in epochs:
        assert [len(numbers) for numbers in epoch] == [3, 3, 1]
        assert sorted(np.concatenate(epoch)) == list(range(7))
    assert any(np.any(first != second) for first, second in zip(*epochs, strict=True))
    assert list(batches(data, 9, random)) == [data]


def test_batches_agree_with_a_plain_loop(net):
    network, example = net.module("linear.network"), net.module("linear.example")
    start, rates = network.Parameters(0.9, 1.1), network.Parameters(0.01, 0.001)
    result = net.train(example.X, example.t, start, rates, 3, batch=2, seed=5)
    random, expected = np.random.default_rng(5), start
    for _ in range(3):
        order = random.permutation(3)
        for rows in (order[:2], order[2:]):
            expected = network.descend(expected, network.gradients(expected, example.X[rows], example.t[rows]), rates)
    assert result.state.parameters == expected
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
