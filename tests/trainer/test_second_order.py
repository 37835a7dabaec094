"""Levenberg–Marquardt: how fast it converges, and what it does where there is nothing to be gained, or too much."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Package

from derive.backends.numpy.jacobian_code import print_jacobian
from derive.backends.numpy.network_code import print_network
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells

METHOD = ("--method", "levenberg_marquardt")
GENERATED = {
    name: {"network.py": print_network(derivation), "jacobian.py": print_jacobian(derivation)}
    for name in ("linear", "tanh")
    for derivation in [write_derivation(*find_cells([name]))]
}


@pytest.fixture
def second(net: Package) -> Package:
    """The small package, with the generated modules of two cells that have a Jacobian."""
    net.add_cell("tanh", example=None)
    for cell, files in GENERATED.items():
        for name, text in files.items():
            (net.folder / cell / name).write_text(text, encoding="utf-8")
    return net


def trained(package: Package, *words: object) -> dict:
    """What a run says of itself in JSON."""
    done = package.main(*words, *METHOD, "--quiet", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def ones(folder: Path, sequences: int, steps: int, seed: int) -> Path:
    """Random sequences of zeros and ones, and how many ones each has."""
    X = np.random.default_rng(seed).integers(0, 2, (sequences, steps))
    path = folder / f"ones_{seed}_{steps}.npz"
    np.savez(path, X=X, t=X.sum(axis=1))
    return path


# --- how fast ---------------------------------------------------------------------------------------------------------


def test_ten_iterations_are_enough_on_the_data_of_the_tutorial(second):
    run = trained(second, "linear", "--init", "Wx=0.2,Wrec=1.5", "--epochs", 10)
    assert run["loss"] <= 1e-12
    assert [abs(weight - 1) <= 1e-12 for weight in run["weights"].values()] == [True, True]


@pytest.mark.parametrize("seed", range(10))
def test_it_converges_from_afar(second, tmp_path, seed):
    run = trained(
        second, "linear", "--data", ones(tmp_path, 20, 10, seed), "--init", "Wx=-1.5,Wrec=2.0", "--epochs", 50
    )
    assert run["loss"] <= 1e-12
    assert run["weights"] == pytest.approx({"Wx": 1, "Wrec": 1}, abs=1e-9)


def test_the_loss_never_rises(second, tmp_path):
    log = tmp_path / "log.csv"
    trained(second, "linear", "--data", ones(tmp_path, 20, 10, 3), "--init", "Wx=-1.5,Wrec=2.0", "--log", log)
    losses = [float(line.split(",")[1]) for line in log.read_text().splitlines()[1:]]
    assert len(losses) > 10
    assert losses == sorted(losses, reverse=True)


# --- what it does in odd places ---------------------------------------------------------------------------------------


def test_sequences_of_several_lengths_are_one_sum_of_squares(second):
    learner = second.module("trainer.run.second_order").levenberg_marquardt("linear")
    network, sequences = second.module("linear.network"), second.module("trainer.data.sequences")
    random = np.random.default_rng(0)
    groups = [sequences.Group(random.normal(size=(N, T)), random.normal(size=N)) for N, T in ((3, 2), (5, 4))]
    data, parameters = sequences.Sequences(*groups), network.Parameters(0.3, 0.4)
    done = learner.epoch(parameters, learner.start(parameters), data, random, update=False)
    loss, gradient = second.module("trainer.run.first_order").value_and_gradient(network, parameters, data)
    assert done.loss == pytest.approx(loss, rel=1e-13)
    assert done.slope == pytest.approx(max(map(abs, gradient)), rel=1e-12)
    assert done.parameters == parameters


def after(package: Package, X: list[list[float]], t: list[float], start: tuple[float, float], epochs: int = 20):
    """The epochs of a run on the linear cell, each with its loss and what it left."""
    learner = package.module("trainer.run.second_order").levenberg_marquardt("linear")
    sequences = package.module("trainer.data.sequences")
    data = sequences.Sequences(sequences.Group(np.array(X, dtype=float), np.array(t, dtype=float)))
    parameters = package.module("linear.network").Parameters(*start)
    memory, found = learner.start(parameters), []
    with np.errstate(all="ignore"):
        for _ in range(epochs):
            found.append(learner.epoch(parameters, memory, data, np.random.default_rng(0), update=True))
            parameters, memory = found[-1].parameters, found[-1].memory
    return found


def test_at_the_solution_nothing_moves(second):
    epochs = after(second, [[1, 0], [1, 1]], [1, 2], (1.0, 1.0))
    assert {(each.loss, each.slope, each.parameters) for each in epochs} == {(0.0, 0.0, (1.0, 1.0))}
    assert {each.memory for each in epochs} == {((1e-3,),)}
    assert all(each.converged for each in epochs)


def test_a_weight_that_no_residual_depends_on_stays(second):
    epochs = after(second, [[1], [2]], [3, 6], (0.5, 0.7))  # after a single step the recurrence was not used
    assert epochs[-1].parameters == pytest.approx((3, 0.7), abs=1e-14)
    assert epochs[-1].parameters[1] == 0.7


def test_weights_of_equal_effect_share_the_step(second):
    """At Wx = Wrec = 1, x = (1, 0) and (2, 0): both columns of the Jacobian are alike, so that JᵀJ is singular."""
    epochs = after(second, [[1, 0], [2, 0]], [4, 8], (1.0, 1.0))
    assert epochs[-1].loss <= 1e-24
    assert epochs[-1].parameters == pytest.approx((2, 2), rel=1e-9)


def test_where_no_fit_is_exact_it_ends_at_the_minimum_and_stays(second):
    epochs = after(second, [[1], [1]], [0, 1], (7.0, 0.0), epochs=40)
    assert epochs[-1].loss == 0.25
    assert epochs[-1].parameters[0] == pytest.approx(0.5, abs=1e-8)  # the loss is the same for all that are as close
    assert epochs[-1] == epochs[-2]
    assert epochs[-1].converged


def test_a_step_that_overflows_is_tried_again_shorter(second):
    """Where hardly anything depends on Wrec, the first step to be tried throws it so far that its powers overflow."""
    steps = 400
    X = np.zeros((2, steps))
    X[:, -1], X[0, -2] = 1, 1
    X[1, 0] = 1
    epochs = after(second, X.tolist(), [3, 1], (1.0, 0.001), epochs=60)
    assert all(math.isfinite(each.loss) for each in epochs)
    assert epochs[-1].loss < epochs[0].loss


def test_an_overflow_at_the_start_is_said(second, tmp_path):
    data = ones(tmp_path, 20, 100, 0)
    done = second.main("linear", "--data", data, "--init", "Wx=1,Wrec=1e9", *METHOD, "--quiet")
    assert done.code == 1
    assert "diverged at epoch 0: the loss or its gradient overflows at the start Wx=1.0,Wrec=1000000000.0" in done.err


def spoil(package: Package, factor: str) -> None:
    """Multiply the last derivative of the linear cell's loss."""
    path = package.folder / "linear" / "jacobian.py"
    text, line = path.read_text(encoding="utf-8"), "gradient_Wrec = 2 / N * (residuals @ jacobian[:, 1])"
    assert text.count(line) == 1
    path.write_text(text.replace(line, f"{line} * ({factor})"), encoding="utf-8")


def test_a_gradient_that_is_no_number_is_said(second):
    spoil(second, "np.nan")
    done = second.main("linear", *METHOD, "--quiet")
    assert done.code == 1
    assert "diverged at epoch 0" in done.err


def test_a_step_to_where_the_gradient_is_no_number_is_not_taken(second):
    spoil(second, "np.nan if np.mean(residuals**2) < 0.1 else 1")
    losses = [each.loss for each in after(second, [[1, 0], [1, 1]], [1, 2], (0.2, 1.5))]
    assert min(losses) == losses[-1] >= 0.1
    assert losses[-1] < losses[0]


def test_a_cell_with_another_nonlinearity_learns_too(second, tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 6))
    network = second.module("tanh.network")
    np.savez(tmp_path / "own.npz", X=X, t=network.predict(network.Parameters(0.5, 0.8, 2.0), X))
    run = trained(second, "tanh", "--data", tmp_path / "own.npz", "--init", "Wx=0.3,Wrec=0.3,Wy=1")
    assert run["loss"] <= 1e-24
    assert run["weights"] == pytest.approx({"Wx": 0.5, "Wrec": 0.8, "Wy": 2.0}, rel=1e-9)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [("--learning-rate", "0.1"), ("--clip", "1"), ("--batch", "2")], ids=str)
def test_what_it_has_no_use_for_is_refused(second, option):
    message = second.main("linear", *METHOD, *option).bad_input()
    assert message.startswith(f"train: error: {option[0]} ")
    assert f"leave {option[0]} out" in message


def test_a_cell_without_a_jacobian_is_refused(second):
    second.add_cell("other")
    message = second.main("other", *METHOD).bad_input()
    assert "--method levenberg_marquardt: other has no jacobian.py" in message
    assert "cells that have one: linear, tanh; choose another method" in message


def test_batches_of_the_example_are_no_matter(second):
    with (second.folder / "linear" / "example.py").open("a", encoding="utf-8") as file:
        file.write("BATCH = 2\n")
    assert trained(second, "linear", "--tolerance", "1e-12")["reason"] == "tolerance"


def test_the_report_says_that_there_is_no_learning_rate(second):
    out = second.main("linear", *METHOD, "--epochs", 10).out
    assert "learning rate  none, levenberg_marquardt chooses its own steps\n" in out
    assert "3 of 3 rounded predictions match their targets" in out


def test_unless_told_it_stops_after_a_hundred_epochs(second):
    """Steps of a thousandth of their length: a hundred are not enough."""
    method = second.folder / "methods" / "levenberg_marquardt.py"
    method.write_text(method.read_text(encoding="utf-8").replace("d = e / scale", "d = 1e-3 * e / scale"))
    run = trained(second, "linear")
    assert (run["epochs"], run["reason"]) == (100, "epochs")


# --- its end ----------------------------------------------------------------------------------------------------------


def test_where_no_step_lowers_the_loss_it_ends(second, tmp_path):
    log = tmp_path / "log.csv"
    done = second.main("linear", *METHOD, "--log", log)
    assert done.code == 0
    found = re.match(r"linear: 3 sequences of 3 steps, (\d+) epochs, done, no step lowers the loss\n", done.out)
    epochs = int(found[1])
    assert 5 < epochs < 30
    assert [int(line.split(",")[0]) for line in log.read_text().splitlines()[1:]] == list(range(epochs + 1))


def test_epochs_that_end_just_there_are_done(second):
    whole = trained(second, "linear")
    assert whole["reason"] == "converged"
    last = trained(second, "linear", "--epochs", whole["epochs"])
    assert last == whole | {"reason": "epochs"}


def test_a_run_that_has_converged_goes_on_to_the_same_bits_and_ends_at_once(second, tmp_path):
    words = ("linear", "--data", ones(tmp_path, 20, 10, 1), "--init", "Wx=-1.5,Wrec=2.0")
    checkpoint, log = tmp_path / "run.npz", tmp_path / "log.csv"
    followed = (*words, "--checkpoint", checkpoint, "--log", log)
    whole = trained(second, *followed)
    assert whole["reason"] == "converged"
    history = log.read_text()
    assert trained(second, *followed, "--epochs", 500, "--resume") == whole
    assert log.read_text() == history


def test_with_a_part_held_back_it_ends_too_and_the_best_weights_stay(second, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 4))
    t = X.sum(axis=1) + np.random.default_rng(1).normal(size=20)  # no fit is exact
    np.savez(tmp_path / "noisy.npz", X=X, t=t)
    words = ("linear", "--data", tmp_path / "noisy.npz", "--init", "Wx=0.5,Wrec=0.5", "--validation", "0.3")
    log = tmp_path / "log.csv"
    run = trained(second, *words, "--patience", 1000, "--log", log)
    assert run["reason"] == "converged"
    lines = [line.split(",") for line in log.read_text().splitlines()[1:]]
    validation = {int(epoch): float(loss) for epoch, _, loss in lines}
    assert run["validation_loss"] == min(validation.values()) == validation[run["epoch_of_weights"]]
    assert max(validation) == run["epochs"] < 100


@pytest.mark.parametrize("weights", [1, 2, 7])
def test_the_most_damping_leaves_a_loss_as_it_is_within_its_rounding(second, weights):
    method, random = second.module("methods.levenberg_marquardt"), np.random.default_rng(weights)
    for _ in range(20):
        residuals = random.normal(size=30)
        jacobian = random.normal(size=(30, weights)) * 10.0 ** random.uniform(-8, 8, weights)
        change = jacobian @ method.step(residuals, jacobian, method.MOST)
        fall = -2 * residuals @ change / (residuals @ residuals)
        assert 0 < fall <= 2 * weights / method.MOST <= weights * np.finfo(float).eps


def test_a_try_needs_no_jacobian_and_a_step_that_is_taken_only_one(second):
    learner = second.module("trainer.run.second_order").levenberg_marquardt("linear")
    loop, sequences = second.module("trainer.run.loop"), second.module("trainer.data.sequences")
    cell, calls = learner._cell, {"residuals_of": 0, "residuals_and_jacobian": 0}

    def counted(name: str):
        def call(*arguments):
            calls[name] += 1
            return getattr(cell, name)(*arguments)

        return call

    learner._cell = SimpleNamespace(**vars(cell) | {name: counted(name) for name in calls})
    X = np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]])
    data = sequences.Sequences(sequences.Group(X, np.array([1.0, 2, 2])))  # no fit is exact
    start = second.module("linear.network").Parameters(-1.5, 2.0)
    result = loop.train(learner, data, loop.first_snapshot(learner, start, seed=0), epochs=100)
    assert result.reason is loop.Reason.CONVERGED
    assert calls["residuals_and_jacobian"] == result.state.epoch + 1
    assert calls["residuals_of"] > result.state.epoch + 30  # the last epoch tried all lengths in vain


def test_a_run_goes_on_from_a_checkpoint_to_the_same_bits(second, tmp_path):
    words = ("linear", "--data", ones(tmp_path, 20, 10, 1), "--init", "Wx=-1.5,Wrec=2.0")
    whole = trained(second, *words, "--epochs", 12)
    checkpoint = tmp_path / "run.npz"
    trained(second, *words, "--epochs", 5, "--checkpoint", checkpoint)
    assert trained(second, *words, "--epochs", 12, "--checkpoint", checkpoint, "--resume") == whole


def test_a_checkpoint_of_another_method_is_refused(second, tmp_path):
    checkpoint = tmp_path / "run.npz"
    trained(second, "linear", "--epochs", 2, "--checkpoint", checkpoint)
    message = second.main("linear", "--epochs", 3, "--checkpoint", checkpoint, "--resume").bad_input()
    assert "is of a run with --method levenberg_marquardt, and this one has gradient_descent: give the same" in message
