"""The guide "Train a network": its commands, in their order, do what it says."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/train_a_network.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/python (-m .*)$", GUIDE, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the data of the guide."""
    folder = tmp_path_factory.mktemp("guide")
    python = re.search(r"```python\n(.*?)```", GUIDE, re.S)[1]
    subprocess.run([sys.executable, "-c", python], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def ran(folder):
    """What every command of the guide printed, by a word of it that no other has."""

    def run(command: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [sys.executable, *command.split()]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    outputs = {command: run(command) for command in COMMANDS}

    def ran(word: str) -> str:
        (output,) = (text for command, text in outputs.items() if word in command)
        return output

    return ran


def weights_in(report: str) -> list[float]:
    return [float(value) for value in re.search(r"^weights +Wx=(.*),Wrec=(.*)$", report, re.M).groups()]


def test_rprop_and_levenberg_marquardt_learn_to_count(ran):
    assert weights_in(ran("rprop --epochs 500 --plot")) == pytest.approx((1, 1), abs=1e-3)
    assert weights_in(ran("levenberg_marquardt")) == pytest.approx((1, 1), abs=1e-9)


def test_a_fifth_is_held_back_and_the_best_weights_are_written(ran, folder):
    report = ran("--validation")
    assert report.startswith("linear: 160 sequences of 10 steps, ")
    assert re.search(r"^validation .* on 40 sequences of 10 steps$", report, re.M)
    written = json.loads((folder / "weights.json").read_text())
    assert list(written.values()) == weights_in(report)


def test_the_history_has_a_line_for_every_epoch(ran, folder):
    ran("--checkpoint")
    with (folder / "history.csv").open(newline="") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(3001))
    assert (folder / "run.npz").exists()


def test_figures_are_drawn(ran, folder):
    ran("generated.gradients")
    for name in ("training.svg", "gradients.svg"):
        assert (folder / name).read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_every_entry_of_the_gradient_is_checked(ran):
    report = ran("generated.check")
    assert re.search(r"^Wx ", report, re.M)
    assert re.search(r"^Wrec ", report, re.M)


def test_json_is_one_object(ran):
    found = json.loads(ran("--json"))
    assert found["exit_code"] == 0
    assert found["epochs"] == 500


def test_every_command_names_the_python_that_has_numpy():
    assert len(COMMANDS) == 8
    assert set(re.findall(r"^(\S*)python -m ", GUIDE, re.M)) == {".venv/bin/"}


def test_the_exit_codes_are_those_of_the_help():
    in_guide = re.findall(r"^\| (\d+) \|", GUIDE, re.M)
    in_help = re.findall(r"^  (\d+) ", (ROOT / "derive/trainer/commands/options.py").read_text(encoding="utf-8"), re.M)
    assert in_guide == in_help
