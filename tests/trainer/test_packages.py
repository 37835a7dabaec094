"""The trainer in packages of other names and places, with cells of any name that is free."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_package

from derive.output.command_line import main

NAMES = ("data", "report")
"""Cells with the names of folders of the trainer."""

CELL = """
from sympy import Eq

from derive import Cell, Example, Input, Parameter, State, T, Target, k, mean

v, w = Parameter("v"), Parameter("w")
x, s, t = Input("x"), State("s"), Target("t")
cell = Cell(
    name="{name}",
    title="A count",
    quantities=(v, w, x, s, t),
    equations=(Eq(s[0], 0), Eq(s[k], s[k - 1] * w + x[k] * v)),
    output=s[T],
    loss=mean((s[T] - t) ** 2),
    example=Example(
        title="Ones among three",
        X=((1, 0, 0), (1, 1, 0), (1, 1, 1)),
        t=(1, 2, 3),
        start={{"v": 0.9, "w": 1.1}},
        learning_rates={{"v": 0.02, "w": 0.02}},
        epochs=10,
    ),
)
"""


def trained(package: str, cell: str, folder: Path) -> dict:
    """What a run in a process of its own says of itself."""
    command = [sys.executable, "-m", f"{package}.train", cell, "--quiet", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    """A folder with a package of cells that are called as folders of the trainer are."""
    folder = tmp_path_factory.mktemp("names")
    for name in NAMES:
        (folder / f"{name}.py").write_text(CELL.format(name=name), encoding="utf-8")
    assert main([*(str(folder / f"{name}.py") for name in NAMES), "--out", str(folder / "net")]) == 0
    return folder


@pytest.mark.parametrize("cell", NAMES)
@pytest.mark.parametrize("method", ["gradient_descent", "rprop", "levenberg_marquardt"])
def test_a_cell_may_be_called_as_a_folder_of_the_trainer(cell, method, derived):
    command = [sys.executable, "-m", "net.train", cell, "--method", method, "--epochs", "20", "--quiet", "--json"]
    done = subprocess.run(command, cwd=derived, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cell"] == cell
    assert found["loss"] < 0.2


@pytest.mark.parametrize("cell", NAMES)
@pytest.mark.parametrize("command", ["check", "gradients"])
def test_the_other_commands_look_at_such_a_cell(command, cell, derived):
    words = [sys.executable, "-m", f"net.{command}", cell]
    done = subprocess.run(words, cwd=derived, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{cell}: 3 sequences of 3 steps\n")


@pytest.mark.parametrize("package", ["other_name", "trainer", "deep.down.net", "a.trainer.b"])
def test_the_package_may_have_any_name_and_lie_in_any_folder(package, net, tmp_path):
    place = tmp_path / "elsewhere" / package.replace(".", "/")
    make_package(place)
    (net.folder / "linear").rename(place / "linear")
    found = trained(package, "linear", tmp_path / "elsewhere")
    assert found["cell"] == "linear"
    assert found["loss"] < 1e-3
