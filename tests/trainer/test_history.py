"""The history of a run as CSV or JSON lines."""

import csv
import errno
import json
import os

import pytest
from conftest import LEARNING


def read(path):
    """Return the lines of a log as mappings from its columns to numbers."""
    lines = path.read_text().splitlines()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in lines]
    return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_there_is_a_line_for_every_epoch_with_the_loss_of_its_weights(net, data, tmp_path, ending):
    log = tmp_path / f"log.{ending}"
    words = ("linear", "--data", data, *LEARNING)
    assert net.main(*words, "--epochs", 7, "--log", log).code == 0
    lines = read(log)
    assert [line["epoch"] for line in lines] == list(range(8))
    for epochs in (0, 3, 7):
        done = json.loads(net.main(*words, "--epochs", epochs, "--json").out)
        assert lines[epochs]["loss"] == done["loss"]  # to the last bit
    assert set(lines[0]) == {"epoch", "loss"}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_validation_loss_has_a_column(net, data, tmp_path, ending):
    log = tmp_path / f"log.{ending}"
    words = ("linear", "--data", data, *LEARNING, "--validation", 0.25, "--epochs", 5, "--json")
    done = json.loads(net.main(*words, "--log", log).out)
    lines = read(log)
    assert set(lines[0]) == {"epoch", "loss", "validation_loss"}
    assert min(line["validation_loss"] for line in lines) == done["validation_loss"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_pandas_reads_it(net, data, tmp_path, require_module, ending):
    pandas = require_module("pandas", "witnesses")
    log = tmp_path / f"log.{ending}"
    assert net.main("linear", "--data", data, *LEARNING, "--validation", 0.25, "--epochs", 5, "--log", log).code == 0
    frame = pandas.read_csv(log) if ending == "csv" else pandas.read_json(log, lines=True)
    assert list(frame.columns) == ["epoch", "loss", "validation_loss"]
    assert frame["epoch"].tolist() == list(range(6))
    assert frame["loss"].tolist() == pytest.approx([line["loss"] for line in read(log)], rel=1e-15)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("torn", ["", "3", '{"epoch": 3, "lo', "3,0."])
def test_a_torn_last_line_is_written_anew(net, data, tmp_path, ending, torn):
    """As a kill leaves it: the log runs ahead of the checkpoint, and its last line is not finished."""
    log, checkpoint = tmp_path / f"log.{ending}", tmp_path / "run.npz"
    words = ("linear", "--data", data, *LEARNING, "--log", log, "--checkpoint", checkpoint)
    assert net.main(*words, "--epochs", 3).code == 0
    kept = log.read_bytes()
    log.write_bytes(kept + torn.encode())
    assert net.main(*words, "--epochs", 8, "--resume").code == 0
    assert [line["epoch"] for line in read(log)] == list(range(9))
    assert log.read_bytes().startswith(kept)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", '{"name": 1}\n', "notes\n", "notes", "\x00\xff\n", "epoch,loss,validation_loss\n"]
)
def test_a_file_of_another_kind_is_never_overwritten(net, data, tmp_path, write, ending, content):
    log = write(f"log.{ending}", content)
    words = ("linear", "--data", data, *LEARNING, "--epochs", 3)
    kept = ("--checkpoint", tmp_path / "run.npz", "--resume", "--quiet")
    assert "is there already" in net.main(*words, "--log", log).bad_input()
    assert "is there already" in net.main(*words, "--log", log, *kept).bad_input()  # there is no checkpoint yet
    assert net.main(*words, *kept).code == 0
    assert f"--log {log} is not the log of such a run" in net.main(*words, "--log", log, *kept).bad_input()
    assert log.read_bytes() == content.encode()


@pytest.mark.parametrize("name", ["log", "log.txt", "log.json"])
def test_another_ending_is_refused(net, tmp_path, name):
    message = net.main("linear", "--log", tmp_path / name).bad_input()
    assert "expected .csv or .jsonl" in message


def test_a_log_that_lacks_epochs_is_refused(net, data, tmp_path):
    log, words = tmp_path / "log.csv", ("linear", "--data", data, *LEARNING, "--checkpoint", tmp_path / "run.npz")
    assert net.main(*words, "--epochs", 9, "--log", log).code == 0
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:4]))
    message = net.main(*words, "--epochs", 12, "--log", log, "--resume", "--quiet").bad_input()
    assert f"--log {log} lacks epochs before 9: name another file" in message
    assert log.read_text() == "".join(lines[:4])


def test_a_run_that_reads_no_target_leaves_no_log(net, savez, tmp_path):
    log = tmp_path / "log.csv"
    network = net.folder / "linear" / "network.py"
    refusing = "\n\ndef value_and_gradient(parameters, X, t):\n    raise ValueError('no such label')\n"
    network.write_text(network.read_text() + refusing, encoding="utf-8")
    assert "no such label" in net.main("linear", "--epochs", 3, "--log", log).bad_input()
    assert not log.exists()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_log_that_could_not_grow_has_whole_lines_and_what_is_missing_is_written_when_there_is_room(
    net, data, tmp_path, monkeypatch, ending
):
    """A disk that takes a part of a line, then nothing, and at the end has room again."""
    log = net.module("trainer.report.history").Log(tmp_path / f"log.{ending}", 0, validates=False)
    results = [net.module("trainer.run.loop").Result(state_of(net, epoch), epoch / 7, None, None) for epoch in range(9)]
    log(results[0])
    room = [8]

    class Disk:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            taken = content[: room[0]]
            room[0] -= len(taken)
            if not taken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(taken)

    monkeypatch.setattr(log, "_file", Disk(log._file))
    for result in results[1:]:
        log(result)
    assert log.failure.errno == errno.ENOSPC
    torn = (tmp_path / f"log.{ending}").read_text()
    assert not torn.endswith("\n")
    room[0] = 10**6
    log.close()
    assert log.failure is None
    assert [line["loss"] for line in read(tmp_path / f"log.{ending}")] == [epoch / 7 for epoch in range(9)]


def state_of(net, epoch):
    return net.module("trainer.run.loop").Snapshot(epoch, (), (), {})


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_ending_may_be_in_capitals(net, data, tmp_path, ending):
    """Also of a log that a run goes on with."""
    logs = [tmp_path / f"log.{ending}", tmp_path / f"log.{ending.upper()}"]
    for log in logs:
        words = ("linear", "--data", data, *LEARNING, "--log", log, "--checkpoint", tmp_path / f"{log.suffix}.npz")
        assert net.main(*words, "--epochs", 3).code == 0
        assert net.main(*words, "--epochs", 6, "--resume").code == 0
    assert len(read(logs[0])) == 7
    assert logs[1].read_bytes() == logs[0].read_bytes()


def test_an_empty_file_may_be_written_to(net, write):
    log = write("log.csv", "")
    assert net.main("linear", "--epochs", 2, "--log", log).code == 0
    assert len(read(log)) == 3
