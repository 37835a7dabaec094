"""Checkpoints: a run that was interrupted goes on to the same bits, and nothing is lost on the way."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from conftest import LEARNING

from derive.optimizers import METHODS


@pytest.fixture(autouse=True)
def hears_ctrl_c():
    """A test run in the background ignores Ctrl-C, and a trainer in its process would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def files(tmp_path):
    """Where a run writes its weights, its checkpoint and its log."""

    def files(name):
        paths = {option: tmp_path / f"{name}.{ending}" for option, ending in ENDINGS.items()}
        return [word for option, path in paths.items() for word in (option, path)], paths

    return files


ENDINGS = {"--output": "json", "--checkpoint": "npz", "--log": "csv"}


def interrupt_after(net, monkeypatch, calls, number=signal.SIGINT):
    """Let a signal come while the gradient is computed for the n-th time."""
    network = net.module("linear.network")
    value_and_gradient, made = network.value_and_gradient, []

    def interrupted(*arguments):
        made.append(arguments)
        if len(made) == calls:
            signal.raise_signal(number)
        return value_and_gradient(*arguments)

    monkeypatch.setattr(network, "value_and_gradient", interrupted)


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


@pytest.mark.parametrize("option", ["--output", "--checkpoint", "--log"])
def test_the_data_are_never_written_to(net, data, option):
    before = data.read_bytes()
    net.main("linear", "--data", data, option, data).bad_input()
    link = data.with_name("link.csv")
    link.symlink_to(data)
    net.main("linear", "--data", data, option, link).bad_input()
    assert data.read_bytes() == before


def test_two_options_cannot_name_one_file(net, tmp_path):
    path = tmp_path / "file.json"
    message = net.main("linear", "--checkpoint", path, "--output", path).bad_input()
    assert f"the file {path} is named twice" in message


KILLED_100_TIMES = """
import json, os, random, signal, sys, time
import numpy as np
from net.train import main

words = sys.argv[1:]
draw = random.Random(1)


def identity():
    return os.stat("run.npz").st_ino if os.path.exists("run.npz") else None


# The trainer is imported once; each run is a process of its own all the same.
for kill in range(100):
    before, child = identity(), os.fork()
    if child == 0:
        os._exit(main(words))
    if kill % 2:  # every other run may write a checkpoint first
        while identity() == before and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.04))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the run ended by itself with exit code {os.waitstatus_to_exitcode(status)}"
    with open("log.csv", "rb") if os.path.exists("log.csv") else open(os.devnull, "rb") as log:
        logged = max(0, len(log.read().splitlines()) - 2)
    checkpointed = 0
    if os.path.exists("run.npz"):
        with np.load("run.npz", allow_pickle=False) as archive:
            checkpointed = json.loads(str(archive["content"]))["epoch"]
    print(logged, checkpointed, flush=True)
"""


@pytest.mark.parametrize("every", [1, 7])
def test_killed_100_times_a_resume_always_works(net, data, tmp_path, every):
    """At most the epochs since the last checkpoint are lost, and the end is that of a run that nobody killed."""
    folder = net.folder.parent
    run = ("linear", "--data", data, *LEARNING, "--batch", 5, "--quiet")
    files = ("--checkpoint", "run.npz", "--checkpoint-every", every, "--log", "log.csv", "--resume")
    script = folder / "killer.py"
    script.write_text(KILLED_100_TIMES, encoding="utf-8")
    words = [str(word) for word in (*run, "--epochs", 10**9, *files)]
    checkpoints = []
    with subprocess.Popen(
        [sys.executable, script, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as killer:
        for line in killer.stdout:
            checkpoints.append(tuple(map(int, line.split())))
        errors = killer.stderr.read()
    assert killer.returncode == 0, errors
    assert errors == ""  # no resume was refused
    assert len(checkpoints) == 100

    assert all(logged - checkpointed <= every for logged, checkpointed in checkpoints)
    reached = [checkpointed for _, checkpointed in checkpoints]
    assert all(later >= earlier for earlier, later in pairwise(reached))
    assert reached[-1] > 50 * every  # every other run got further

    end = ("--epochs", reached[-1] + 20)
    assert net.run(*run, *end, *files, "--output", "resumed.json").code == 0
    assert net.run(*run, *end, "--log", "whole.csv", "--output", "whole.json").code == 0
    assert (folder / "resumed.json").read_text() == (folder / "whole.json").read_text()
    assert (folder / "log.csv").read_text() == (folder / "whole.csv").read_text()
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def epoch_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["content"]))["epoch"]


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("option", ["--checkpoint", "--output"])
def test_a_disk_that_fills_up_keeps_the_old_file_and_the_weights_are_printed(net, files, monkeypatch, option):
    words, paths = files("run")
    assert net.main("linear", "--epochs", 3, *words).code == 0
    before = paths[option].read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    done = net.main("linear", "--epochs", 6, option, paths[option], *(["--resume"] if "check" in option else []))
    assert done.code == 1
    complaints = [line for line in done.err.splitlines() if line.startswith("train: error")]
    assert complaints == [f"train: error: {paths[option]} was not written: No space left on device"]
    assert "weights        Wx=" in done.out
    assert paths[option].read_bytes() == before
    assert not list(paths[option].parent.glob("*.part"))


def test_a_disk_that_has_room_again_is_no_failure(net, files, monkeypatch):
    words, paths = files("run")
    fsync, calls = os.fsync, []

    def sometimes(descriptor):
        calls.append(descriptor)
        return full() if len(calls) == 3 else fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sometimes)
    assert net.main("linear", "--epochs", 9, "--checkpoint-every", 2, *words).code == 0
    assert epoch_of(paths["--checkpoint"]) == 9


def test_where_files_may_not_grow_the_run_ends_with_its_weights(net, tmp_path):
    """A real limit of the system: no file may be longer than 1,000 bytes, and a checkpoint is."""
    paths = tmp_path / "run.npz", tmp_path / "log.csv"
    words = ("linear", "--epochs", 500, "--checkpoint", paths[0], "--log", paths[1])
    done = net.run(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
    assert done.code == 1
    complaints = [line for line in done.err.splitlines() if line.startswith("train: error")]
    assert complaints == [f"train: error: {path} was not written: File too large" for path in paths]
    assert "Traceback" not in done.err
    assert "weights        Wx=" in done.out
    assert not paths[0].exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_read_only_folder_is_refused_before_training(net, tmp_path, monkeypatch):
    def fail(path, *rest, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(type(tmp_path), "touch", fail)
    for option, name in (("--checkpoint", "run.npz"), ("--log", "log.csv")):
        message = net.main("linear", option, tmp_path / name).bad_input()
        assert f"{option} {tmp_path / name} cannot be written: Read-only file system: name a file elsewhere" in message


@pytest.mark.parametrize("option", ["--checkpoint", "--log"])
def test_a_path_that_is_no_file_is_refused(net, tmp_path, option):
    ending = {"--checkpoint": "npz", "--log": "csv"}[option]
    folder = tmp_path / f"folder.{ending}"
    folder.mkdir()
    assert "is a folder: name a file in it" in net.main("linear", option, folder).bad_input()
    missing = tmp_path / "nowhere" / f"file.{ending}"
    assert "create it first" in net.main("linear", option, missing).bad_input()


def test_a_diverging_run_keeps_its_last_finite_state(net, files):
    words, paths = files("run")
    done = net.main("linear", "--learning-rate", "Wrec=5", *words)
    assert done.code == 1
    epoch = epoch_of(paths["--checkpoint"])
    assert f"{epoch} epochs, diverged" in done.out
    assert len(paths["--log"].read_text().splitlines()) == epoch + 2  # the header, and epoch 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "function"), [("train", "write_weights"), ("checkpoints", "save"), ("train", "show")]
)
def test_a_signal_while_the_end_is_written_loses_nothing(net, data, files, monkeypatch, number, module, function):
    words, paths = files("run")
    undisturbed = getattr(net.module(module), function)

    def disturbed(*arguments):
        signal.raise_signal(number)
        signal.raise_signal(number)
        return undisturbed(*arguments)

    monkeypatch.setattr(net.module(module), function, disturbed)
    done = net.main("linear", "--data", data, *LEARNING, "--epochs", 7, *words)
    assert epoch_of(paths["--checkpoint"]) >= 0
    assert set(json.loads(paths["--output"].read_text())) == {"Wx", "Wrec"}
    assert "weights        Wx=" in done.out
    # A signal while a checkpoint is written ends the training behind it.
    assert done.code == (EXIT_CODES[number] if module == "checkpoints" else 0)
    assert "Traceback" not in done.err


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def test_a_signal_to_a_run_that_ignores_it_is_ignored(net, data, monkeypatch):
    """As under nohup, or in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt_after(net, monkeypatch, 5)
        done = net.main("linear", "--data", data, *LEARNING, "--epochs", 7)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 0
    assert "7 epochs, done" in done.out


def test_sigterm_to_a_process_leaves_a_checkpoint(net, tmp_path):
    path, output = tmp_path / "run.npz", tmp_path / "weights.json"
    words = ("linear", "--epochs", 10**9, "--checkpoint", path, "--checkpoint-every", 10**8, "--output", output)
    with subprocess.Popen(
        net.command(*words), cwd=net.folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not process.stderr.readline().startswith("epoch 500 "):
                assert process.poll() is None
            process.terminate()
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 143
    assert "epochs, interrupted by SIGTERM" in out
    assert "Traceback" not in err
    epoch = epoch_of(path)
    assert f" {epoch} epochs, " in out
    assert epoch >= 500
    assert set(json.loads(output.read_text())) == {"Wx", "Wrec"}


def test_a_folder_that_goes_away_ends_no_run(net, data, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    folder.mkdir()
    network, calls = net.module("linear.network"), []
    value_and_gradient = network.value_and_gradient

    def removing(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            shutil.rmtree(folder)
        return value_and_gradient(*arguments)

    monkeypatch.setattr(network, "value_and_gradient", removing)
    files = {"--checkpoint": folder / "run.npz", "--output": folder / "weights.json"}
    words = (word for pair in files.items() for word in pair)
    done = net.main("linear", "--data", data, *LEARNING, "--epochs", 20, "--checkpoint-every", 2, *words)
    assert done.code == 1
    complaints = [line for line in done.err.splitlines() if line.startswith("train: error")]
    assert complaints == [f"train: error: {path} was not written: No such file or directory" for path in files.values()]
    assert "20 epochs, done" in done.out
    assert "weights        Wx=" in done.out
