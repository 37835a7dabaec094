"""Weights: --init, --learning-rate, --seed, and the file that --output writes."""

import errno
import json
import os

import numpy as np
import pytest

SHORT = ("linear", "--epochs", 3)


def weights(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("init", "facts"),
    [
        ("Wz=1", ["unknown weight 'Wz'", "expected Wx, Wrec"]),
        ("Wx=1,wrec=2", ["unknown weight 'wrec'", "expected Wx, Wrec"]),
        ("Wx=abc", ["'abc' is not a number"]),
        ("Wx=", ["'' is not a number"]),
        ("Wx=1_0", ["'1_0' is not a number"]),
        ("Wx=1,Wx=2", ["Wx is given twice"]),
        ("Wx=nan", ["Wx must be a finite number"]),
        ("Wrec=-inf", ["Wrec must be a finite number"]),
        ("Wx", ["'Wx' is not NAME=VALUE", "Wx=0.1,Wrec=0.1"]),
        ("0.2", ["'0.2' is not NAME=VALUE", "Wx=0.1,Wrec=0.1"]),
        ("Wx=0,2", ["'2' is not NAME=VALUE"]),
        ("Wx=1,", ["'' is not NAME=VALUE"]),
        ("", ["'' is not NAME=VALUE"]),
    ],
)
def test_unusable_init_is_refused(net, init, facts):
    message = net.main(*SHORT, "--init", init).bad_input()
    assert "--init" in message
    for fact in facts:
        assert fact in message


@pytest.mark.parametrize(
    ("rate", "facts"),
    [
        ("0", ["finite and above 0"]),
        ("-0.1", ["finite and above 0"]),
        ("nan", ["finite and above 0"]),
        ("inf", ["finite and above 0"]),
        ("Wx=0.1,Wrec=0", ["finite and above 0"]),
        ("Wz=0.1", ["unknown weight 'Wz'", "expected Wx, Wrec"]),
        ("Wx=0.1,Wx=0.1", ["Wx is given twice"]),
        ("fast", ["'fast' is not NAME=VALUE", "Wx=0.1,Wrec=0.1"]),
        ("0,02", ["'0' is not NAME=VALUE"]),
        ("Wx=fast", ["'fast' is not a number"]),
        ("Wx=1_0", ["'1_0' is not a number"]),
        ("1_0", ["'1_0' is not NAME=VALUE"]),
    ],
)
def test_unusable_learning_rate_is_refused(net, rate, facts):
    message = net.main(*SHORT, "--learning-rate", rate).bad_input()
    assert "--learning-rate" in message
    for fact in facts:
        assert fact in message


def test_init_names_some_weights_and_the_example_the_others(net, tmp_path):
    output = tmp_path / "weights.json"
    done = net.main("linear", "--epochs", 0, "--init", " Wrec = -1.25 ", "--output", output)
    assert done.code == 0
    assert weights(output) == {"Wx": 0.2, "Wrec": -1.25}


def test_one_learning_rate_is_for_all_weights_and_named_ones_for_theirs(net):
    module = net.module("trainer.run.weights")
    Parameters = net.module("linear.network").Parameters
    defaults = Parameters(0.02, 0.0006)
    assert module.choose_learning_rates(defaults, None) == defaults
    assert module.choose_learning_rates(defaults, "1e-3") == Parameters(0.001, 0.001)
    assert module.choose_learning_rates(defaults, "Wrec=0.5") == Parameters(0.02, 0.5)
    assert module.choose_learning_rates(defaults, "Wrec=1,Wx=2") == Parameters(2, 1)


def test_the_same_seed_draws_the_same_start(net, tmp_path):
    drawn = []
    for number, words in enumerate([("--seed", 1), ("--seed", 1), ("--seed", 2), ("--seed", 1, "--init", "Wx=0.5")]):
        path = tmp_path / f"{number}.json"
        assert net.main("linear", "--epochs", 0, *words, "--output", path).code == 0
        drawn.append(weights(path))
    assert drawn[0] == drawn[1]
    assert drawn[0]["Wx"] != drawn[2]["Wx"]
    assert drawn[3] == {"Wx": 0.5, "Wrec": drawn[0]["Wrec"]}
    assert all(-1 <= weight < 1 for start in drawn for weight in start.values())


def test_arrays_are_drawn_written_and_read_back(net, tmp_path):
    module = net.module("trainer.run.weights")
    template = net.module("linear.network").Parameters(np.zeros((2, 3)), 0.5)
    start = module.choose_start(template, 7, None)
    assert start.Wx.shape == (2, 3)
    assert isinstance(start.Wrec, float)

    path = tmp_path / "weights.json"
    module.write_weights(path, start)
    again = module.choose_start(template, None, str(path))
    np.testing.assert_array_equal(again.Wx, start.Wx)
    assert again.Wrec == start.Wrec

    with pytest.raises(net.module("trainer.errors").InputError, match=r"Wx is an array: give it in a \.json"):
        module.choose_start(template, None, "Wx=1")


def test_written_weights_read_back_exactly(net, tmp_path):
    output = tmp_path / "weights.json"
    done = net.main("linear", "--epochs", 100, "--output", output)
    assert done.code == 0
    assert f"Wx={weights(output)['Wx']!r},Wrec={weights(output)['Wrec']!r}" in done.out

    again = net.main("linear", "--epochs", 0, "--init", output, "--output", output)
    assert again.code == 0
    assert again.out.splitlines()[3:] == done.out.splitlines()[3:]


def test_training_may_go_on_from_a_weights_file(net, tmp_path):
    half, whole = tmp_path / "half.json", tmp_path / "whole.json"
    net.main("linear", "--epochs", 50, "--output", half)
    net.main("linear", "--epochs", 50, "--init", half, "--output", half)
    net.main("linear", "--epochs", 100, "--output", whole)
    assert weights(half) == weights(whole)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("", ["--init", "is empty: name a file that holds data"]),
        ("[1, 2]", ["no JSON object"]),
        ("{", ["no JSON object"]),
        (b"\xff\xfe{", ["--init", "is not UTF-8 text (is it UTF-16?): save it in UTF-8"]),
        (100_000 * "[", ["no JSON object"]),
        ('{"Wz": 1}', ["unknown weight 'Wz'", "expected Wx, Wrec"]),
        ('{"Wx": "1"}', ["Wx is not one finite number"]),
        ('{"Wx": null}', ["Wx is not one finite number"]),
        ('{"Wx": true}', ["Wx is not one finite number"]),
        ('{"Wx": NaN}', ["Wx is not one finite number"]),
        ('{"Wx": [1, 2]}', ["Wx is numbers of shape (2,), and this network takes one number", "the same cell"]),
        ('{"Wx": [[1], [1, 2]]}', ["Wx is not one finite number"]),
        ('{"Wx": {"a": 1}}', ["Wx is not one finite number"]),
    ],
)
def test_unusable_weights_file_is_refused(net, write, content, facts):
    message = net.main(*SHORT, "--init", write("weights.json", content)).bad_input()
    assert "weights.json" in message
    for fact in facts:
        assert fact in message


def test_missing_weights_file_is_refused(net, tmp_path):
    message = net.main(*SHORT, "--init", tmp_path / "nowhere.json").bad_input()
    assert f"--init {tmp_path / 'nowhere.json'}: no such file: check its name and folder" in message
    (tmp_path / "folder.json").mkdir()
    message = net.main(*SHORT, "--init", tmp_path / "folder.json").bad_input()
    assert "folder.json is a folder: name a file in it" in message


def test_a_weights_file_with_a_byte_order_mark_is_read(net, write, tmp_path):
    output = tmp_path / "weights.json"
    done = net.main("linear", "--epochs", 0, "--init", write("my.json", '\ufeff{"Wx": 2}'), "--output", output)
    assert done.code == 0
    assert weights(output)["Wx"] == 2


def never_trained(net, monkeypatch):
    """Make a training that should not have begun fail."""
    monkeypatch.delattr(net.module("linear.network"), "value_and_gradient")


def test_output_into_a_missing_folder_is_refused_before_training(net, tmp_path, monkeypatch):
    never_trained(net, monkeypatch)
    message = net.main(*SHORT, "--output", tmp_path / "nowhere" / "w.json").bad_input()
    assert f"there is no folder {tmp_path / 'nowhere'}" in message


def test_output_to_a_folder_is_refused(net, tmp_path, monkeypatch):
    never_trained(net, monkeypatch)
    assert "is a folder" in net.main(*SHORT, "--output", tmp_path).bad_input()


def test_output_to_a_device_is_refused(net, monkeypatch):
    never_trained(net, monkeypatch)
    message = net.main(*SHORT, "--output", os.devnull).bad_input()
    assert "not a regular file" in message


def test_output_to_a_read_only_file_is_refused(net, write, monkeypatch, as_owner_without_rights):
    never_trained(net, monkeypatch)
    path = write("weights.json", "old")
    path.chmod(0o444)
    assert "is read-only" in net.main(*SHORT, "--output", path).bad_input()
    assert path.read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_output_into_a_read_only_folder_is_refused(net, tmp_path, monkeypatch):
    never_trained(net, monkeypatch)
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    message = net.main(*SHORT, "--output", folder / "w.json").bad_input()
    assert "cannot be written: Permission denied" in message


def test_output_into_a_read_only_file_system_is_refused(net, tmp_path, monkeypatch):
    def fail(path, *rest, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    never_trained(net, monkeypatch)
    monkeypatch.setattr(type(tmp_path), "touch", fail)
    message = net.main(*SHORT, "--output", tmp_path / "w.json").bad_input()
    assert "w.json cannot be written: Read-only file system" in message


def test_the_check_before_training_leaves_nothing_behind(net, tmp_path):
    path = tmp_path / "weights.json"
    net.module("trainer.files").check_writable("--output", path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net"]


def test_bad_input_leaves_the_weights_file_untouched(net, write):
    output = write("weights.json", "old")
    net.main("linear", "--output", output, "--init", "Wz=1").bad_input()
    net.main("linear", "--output", output, "--data", "nowhere.csv").bad_input()
    assert output.read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_at_the_end_loses_no_weights(net, write, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output = write("weights.json", "old")
    monkeypatch.setattr(os, step, fail)
    done = net.main(*SHORT, "--output", output)
    assert done.code == 1
    assert "weights        Wx=" in done.out
    last = done.err.splitlines()[-1]
    assert last.startswith("train: error: ")
    assert "weights.json was not written: No space left on device" in last
    assert output.read_text() == "old"
    assert sorted(entry.name for entry in output.parent.iterdir()) == ["net", "weights.json"]


def test_a_link_stays_a_link(net, write, tmp_path):
    target = write("target.json", "old")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    assert net.main(*SHORT, "--output", link).code == 0
    assert link.is_symlink()
    assert set(weights(target)) == {"Wx", "Wrec"}
