"""The history of a run as CSV or JSON lines."""

import csv
import json

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
    "content", ["a,b\n1,2\n", '{"name": 1}\n', "notes\n", "\x00\xff\n", "epoch,loss,validation_loss\n"]
)
def test_a_file_of_another_kind_is_never_overwritten(net, data, tmp_path, write, ending, content):
    log = write(f"log.{ending}", content)
    words = ("linear", "--data", data, *LEARNING, "--epochs", 3, "--log", log)
    assert "is there already" in net.main(*words).bad_input()
    message = net.main(*words, "--checkpoint", tmp_path / "run.npz", "--resume")
    assert message.code == 2
    assert f"--log {log} is not the log of such a run" in message.err.splitlines()[-1]
    assert log.read_bytes() == content.encode()


@pytest.mark.parametrize("name", ["log", "log.txt", "log.json"])
def test_another_ending_is_refused(net, tmp_path, name):
    message = net.main("linear", "--log", tmp_path / name).bad_input()
    assert "expected .csv or .jsonl" in message


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
