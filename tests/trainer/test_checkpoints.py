"""Checkpoints: a run that goes on ends at the same bits, and one that is made of something else is refused."""

import json
import signal

import numpy as np
import pytest
from conftest import LEARNING, epoch_of, interrupt_after

from derive.methods.update_rules import METHODS

OPTIONS = {
    "all sequences": (),
    "batches": ("--batch", "5"),
    "clipped": ("--batch", "4", "--clip", "0.5"),
    "validated": ("--batch", "4", "--validation", "0.25", "--seed", "7"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(net, data, files, monkeypatch, method, options):
    words = ("linear", "--data", data, *LEARNING, "--method", method, "--epochs", 30, *options)
    whole, whole_paths = files("whole")
    assert net.main(*words, *whole).code == 0

    parts, paths = files("parts")
    for calls, number, code in [(13, signal.SIGINT, 130), (8, signal.SIGTERM, 143)]:
        with monkeypatch.context() as patch:
            interrupt_after(net, patch, calls, number)
            assert net.main(*words, *parts, "--resume").code == code
    done = net.main(*words, *parts, "--resume")
    assert done.code == 0
    assert "train: going on after epoch " in done.err
    assert paths["--output"].read_text() == whole_paths["--output"].read_text()
    assert paths["--log"].read_text() == whole_paths["--log"].read_text()
    assert contents(paths["--checkpoint"]) == contents(whole_paths["--checkpoint"])


def contents(path):
    """What a checkpoint holds: its arrays, and its text, in which the random state is."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name].tolist() for name in archive.files}


def test_a_longer_run_goes_on_where_a_shorter_one_ended(net, data, files):
    words = ("linear", "--data", data, *LEARNING, "--batch", 5)
    whole, whole_paths = files("whole")
    assert net.main(*words, *whole, "--epochs", 25).code == 0
    parts, paths = files("parts")
    assert net.main(*words, *parts, "--epochs", 10).code == 0
    assert net.main(*words, *parts, "--epochs", 25, "--resume").code == 0
    assert paths["--output"].read_text() == whole_paths["--output"].read_text()
    assert paths["--log"].read_text() == whole_paths["--log"].read_text()


def test_with_validation_a_longer_run_reports_what_an_uninterrupted_one_does(net, data, files):
    words = ("linear", "--data", data, *LEARNING, "--batch", 4, "--validation", 0.25, "--json")
    whole = json.loads(net.main(*words, "--epochs", 25).out)
    parts, _ = files("parts")
    assert net.main(*words, *parts, "--epochs", 10).code == 0
    assert json.loads(net.main(*words, *parts, "--epochs", 25, "--resume").out) == whole


def test_a_checkpoint_that_has_all_epochs_says_so(net, data, files):
    words, paths = files("run")
    assert net.main("linear", "--data", data, *LEARNING, "--epochs", 10, *words).code == 0
    before = paths["--checkpoint"].read_bytes()
    done = net.main("linear", "--data", data, *LEARNING, "--epochs", 10, *words, "--resume")
    assert done.code == 0
    assert "going on after epoch 10 of" in done.err
    assert "--epochs 10 asks for no more" in done.err
    assert "10 epochs, done" in done.out
    assert paths["--checkpoint"].read_bytes() == before


def test_resume_without_a_file_begins(net, files):
    words, paths = files("run")
    done = net.main("linear", "--epochs", 3, *words, "--resume")
    assert done.code == 0
    assert "yet: training begins" in done.err
    assert paths["--checkpoint"].exists()


def test_a_checkpoint_is_never_overwritten_by_a_new_run(net, files):
    words, paths = files("run")
    assert net.main("linear", "--epochs", 3, *words).code == 0
    before = paths["--checkpoint"].read_bytes()
    message = net.main("linear", "--epochs", 3, "--checkpoint", paths["--checkpoint"]).bad_input()
    assert "is there already: go on with --resume" in message
    assert paths["--checkpoint"].read_bytes() == before


def test_a_diverging_run_keeps_its_last_finite_state(net, files):
    words, paths = files("run")
    done = net.main("linear", "--learning-rate", "Wrec=5", *words)
    assert done.code == 1
    epoch = epoch_of(paths["--checkpoint"])
    assert f"{epoch} epochs, diverged" in done.out
    assert len(paths["--log"].read_text().splitlines()) == epoch + 2  # the header, and epoch 0


CHANGES = {
    "method": (("--method", "adam"), ["--method gradient_descent", "this one has adam"]),
    "rate": (("--learning-rate", "Wx=0.002"), ["--learning-rate", "Wx=0.002", "give the same"]),
    "batch": (("--batch", "3"), ["--batch all", "this one has 3"]),
    "clip": (("--clip", "2"), ["--clip none", "this one has 2.0"]),
    "seed": (("--seed", "5"), ["--seed 0", "this one has 5"]),
    "validation": (("--validation", "0.5"), ["other data"]),
    "start": (("--init", "Wx=0.9,Wrec=1.2"), ["another start", "--init"]),
}


@pytest.mark.parametrize(("words", "facts"), CHANGES.values(), ids=CHANGES)
def test_another_run_is_refused_and_the_difference_named(net, data, files, words, facts):
    options, paths = files("run")
    run = ("linear", "--data", data, *LEARNING, "--epochs", 3)
    assert net.main(*run, *options).code == 0
    before = {path: path.read_bytes() for path in paths.values()}
    message = net.main(*run, *words, *options, "--resume").bad_input()
    for fact in facts:
        assert fact in message.replace("a run with ", "")
    assert {path: path.read_bytes() for path in paths.values()} == before


def test_other_data_are_refused(net, savez, files):
    words, _ = files("run")
    X, t = np.array([[1, 0], [1, 1]]), np.array([1, 2])
    run = ("linear", "--epochs", 3, "--data")
    assert net.main(*run, savez(X=X, t=t), *words).code == 0
    for changed in ({"X": X, "t": t + 1}, {"X": 1 - X, "t": t}, {"X": X.astype(float), "t": t}):
        message = net.main(*run, savez(**changed), *words, "--resume").bad_input()
        assert "is of other data: give those that it was made with" in message


def test_another_cell_is_refused_and_another_derivation_of_the_same(net, files):
    net.add_cell("second")
    words, _ = files("run")
    assert net.main("linear", "--epochs", 3, *words).code == 0
    message = net.main("second", "--epochs", 3, *words, "--resume").bad_input()
    assert "is of the cell linear, not of second" in message
    source = net.folder / "linear" / "network.py"
    source.write_text(source.read_text() + "\n# changed\n", encoding="utf-8")
    message = net.main("linear", "--epochs", 3, *words, "--resume").bad_input()
    assert "other code of linear" in message


def test_a_damaged_checkpoint_is_refused_at_every_length(net, files):
    words, paths = files("run")
    assert net.main("linear", "--epochs", 3, *words).code == 0
    path = paths["--checkpoint"]
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    damaged += [b"no archive", whole[:300] + b"\xff" + whole[301:]]
    for content in damaged:
        path.write_bytes(content)
        message = net.main("linear", "--epochs", 3, *words, "--resume").bad_input()
        assert "is no checkpoint of this trainer: name another file, or remove it" in message
        assert path.read_bytes() == content


class Pickled:
    """Leaves a trace wherever it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_never_loaded(net, files, tmp_path):
    words, paths = files("run")
    trace = tmp_path / "executed"
    np.savez(paths["--checkpoint"], content=np.array([Pickled(trace)], dtype=object))
    assert "is no checkpoint" in net.main("linear", *words, "--resume").bad_input()
    assert not trace.exists()


def test_options_that_miss_the_checkpoint_are_refused(net):
    assert "--resume without --checkpoint" in net.main("linear", "--resume").bad_input()
    assert "--checkpoint-every without --checkpoint" in net.main("linear", "--checkpoint-every", 5).bad_input()
