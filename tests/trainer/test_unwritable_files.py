"""Files that cannot be written, or should not be: one line, the weights are printed, and what is there stays."""

import errno
import os
import resource
import shutil

import pytest
from conftest import LEARNING, epoch_of


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
