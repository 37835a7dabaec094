"""Sequences held back: who goes where, the best weights on them, and when training stops."""

import json
import math

import numpy as np
import pytest

LEARNING = ("--init", "Wx=0.5,Wrec=1.2", "--learning-rate", "0.002")


@pytest.fixture
def noisy(savez):
    """Forty sequences of six steps, the targets with so much noise that too much training shows."""
    random = np.random.default_rng(4)
    X = random.normal(size=(40, 6))
    return savez(X=X, t=X.sum(axis=1) + random.normal(size=40))


@pytest.fixture
def watched(net, monkeypatch):
    """Run the trainer, and return what each epoch found besides."""

    def run(*words):
        found = []
        loop = net.module("trainer.commands.train")
        train = loop.train

        def watching(*arguments):
            *most, observe = arguments
            return train(*most, lambda result: found.append(result) or observe(result))

        with monkeypatch.context() as patch:
            patch.setattr(loop, "train", watching)
            done = net.main("linear", *words, "--json")
        assert done.code == 0
        return json.loads(done.out), found

    return run


def test_the_best_weights_on_the_sequences_held_back_are_kept(net, watched, noisy, tmp_path):
    output = tmp_path / "weights.json"
    words = ("--data", noisy, *LEARNING, "--validation", 0.25, "--epochs", 60, "--batch", 3, "--output", output)
    done, found = watched(*words)
    best = min(found, key=lambda result: result.validation)
    assert 0 < best.state.epoch < 60  # neither the first nor the last
    assert done["epoch_of_weights"] == best.state.epoch
    assert done["validation_loss"] == best.validation
    with np.load(noisy) as archive:
        X, t = archive["X"], archive["t"]
    trained = np.setdiff1d(np.arange(40), np.random.default_rng(0).permutation(40)[:10])
    loss = net.module("linear.network").loss(best.state.parameters, X[trained], t[trained])
    assert done["loss"] == pytest.approx(loss, rel=1e-14)
    assert json.loads(output.read_text()) == best.state.parameters._asdict() == done["weights"]
    assert done["epochs"] == 60


@pytest.mark.parametrize("patience", [1, 4])
def test_training_stops_when_the_validation_loss_has_not_fallen_for_so_long(watched, noisy, patience):
    words = ("--data", noisy, *LEARNING, "--validation", 0.25, "--epochs", 1000, "--batch", 3)
    done, found = watched(*words, "--patience", patience)
    losses = [result.validation for result in found]
    best = losses.index(min(losses))
    assert done["reason"] == "patience"
    assert done["epoch_of_weights"] == best
    assert done["epochs"] == best + patience == len(losses) - 1
    # It did not stop one epoch too late: up to there no loss was the least for so long.
    for epoch in range(len(losses) - 1):
        assert epoch - losses.index(min(losses[: epoch + 1])) < patience


def test_the_validation_loss_is_the_loss_on_what_was_held_back(net, watched, noisy):
    _, found = watched("--data", noisy, *LEARNING, "--validation", 0.3, "--seed", 6, "--epochs", 3)
    with np.load(noisy) as archive:
        X, t = archive["X"], archive["t"]
    held_back = np.random.default_rng(6).permutation(40)[:12]
    trained = np.setdiff1d(np.arange(40), held_back)
    network = net.module("linear.network")
    for result in found:
        parameters = result.state.parameters
        assert result.validation == pytest.approx(network.loss(parameters, X[held_back], t[held_back]), rel=1e-14)
        assert result.loss == pytest.approx(network.loss(parameters, X[trained], t[trained]), rel=1e-14)


def test_the_report_says_how_many_are_held_back_and_which_epoch_is_kept(net, noisy):
    done = net.main("linear", "--data", noisy, *LEARNING, "--validation", 0.25, "--batch", 3, "--epochs", 40)
    lines = done.out.splitlines()
    assert lines[0] == "linear: 30 sequences of 6 steps, 40 epochs, done"
    assert lines[3].startswith("weights of     epoch ")
    assert lines[6].startswith("validation     ")
    assert lines[6].endswith(" on 10 sequences of 6 steps")
    stopped = net.main("linear", "--data", noisy, *LEARNING, "--validation", 0.25, "--batch", 3, "--patience", 2)
    assert "epochs, stopped early, the validation loss no longer falls" in stopped.out.splitlines()[0]


def test_a_seed_divides_and_shuffles_alike(net, noisy):
    words = ("linear", "--data", noisy, *LEARNING, "--validation", 0.25, "--batch", 3, "--epochs", 5, "--json")
    first, again, other = (json.loads(net.main(*words, "--seed", seed).out) for seed in (1, 1, 2))
    assert first == again
    assert first["loss"] != other["loss"]


def test_a_validation_loss_that_is_not_finite_ends_the_run(net, savez):
    """Of two sequences one is so long that its loss overflows: which of them is held back is the seed's."""
    X = np.array([[1.0], [1e200]])
    done = net.main("linear", "--data", savez(X=X, t=np.ones(2)), "--validation", 0.5, "--init", "Wx=1,Wrec=1")
    assert done.code == 1
    assert "diverged" in done.err


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (("--patience", "3"), ["--patience looks at the validation loss", "--validation SHARE"]),
        (("--validation", "0.2", "--patience", "0"), ["'0' is not a whole number, 1 or more"]),
        (("--validation", "0"), ["'0' is not a number between 0 and 1"]),
        (("--validation", "1"), ["'1' is not a number between 0 and 1"]),
        (("--validation", "nan"), ["'nan' is not a number between 0 and 1"]),
        (("--validation", "a fifth"), ["'a fifth' is not a number between 0 and 1"]),
        (("--validation", "0.01"), ["--validation 0.01", "3 sequences"]),
        (("--validation", "0.99"), ["--validation 0.99", "3 sequences"]),
    ],
)
def test_a_division_that_leaves_nothing_is_refused(net, words, facts):
    message = net.main("linear", *words).bad_input()
    for fact in facts:
        assert fact in message


def test_quiet_prints_nothing_and_json_one_object(net, noisy):
    quiet = net.run("linear", "--data", noisy, *LEARNING, "--epochs", 3, "--quiet")
    assert quiet == (0, "", "")
    done = net.run("linear", "--data", noisy, *LEARNING, "--epochs", 3, "--quiet", "--json")
    assert done.err == ""
    assert done.out.count("\n") == 1
    found = json.loads(done.out)
    assert found["exit_code"] == done.code == 0
    assert found["reason"] == "epochs"
    assert found["sequences"] == {"6": 40}
    assert found["held_back"] == {}
    assert found["validation_loss"] is None
    assert all(map(math.isfinite, found["weights"].values()))


def test_json_of_a_run_that_diverged_is_json(net):
    done = net.main("linear", "--init", "Wx=1e200,Wrec=1e200", "--json", "--quiet")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["reason"], found["exit_code"], found["loss"]) == ("diverged", 1, None)
    assert done.err.count("\n") == 1


def test_quiet_still_prints_what_would_be_lost(net):
    """Without --output the weights that a failed run reached are nowhere else."""
    done = net.main("linear", "--learning-rate", "Wrec=5", "--quiet")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "weights        Wx=" in done.out
