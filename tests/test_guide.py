"""The guide "Write your own cell": its cell, its commands and its messages are as they stand there."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from derive.mathematics.pipeline import write_derivation
from derive.output.command_line import main
from derive.output.files import files_of_cell

GUIDE = (Path(__file__).parents[1] / "docs/write_your_own_cell.md").read_text(encoding="utf-8")
CELL = re.search(r"```python\n(.*?)```", GUIDE, re.S)[1]
COMMANDS = re.findall(r"^\.venv/bin/python (-m .*)$", GUIDE, re.M)
FOLDER = COMMANDS[0].split()[-1]
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^derive: error: .*$", GUIDE, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the guide has been followed up to the training."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "forgetful.py").write_text(CELL, encoding="utf-8")
    ran(COMMANDS[0], folder)
    return folder


def ran(command: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, *command.split()], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cell_is_derived_certified_and_shown(folder):
    names = {path.name for path in (folder / FOLDER / "forgetful").iterdir()}
    assert {"derivation.html", "derivation.md", "derivation.tex", "network.py", "certificate.json"} <= names


def test_the_network_learns(folder):
    (error,) = re.findall(r"mean squared error on 2000 unseen sequences: ([\d.e-]+)", ran(COMMANDS[1], folder))
    assert float(error) < 0.01


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("x[k] @ W_xf", "x[k] @ W_hf", MESSAGES[0]),
        ("Eq(h[k], (1 - f[k]) * h[k - 1] + f[k] * c[k])", "Eq(h[k], __import__('sympy').floor(c[k]))", MESSAGES[1]),
    ],
)
def test_the_messages_are_those_of_the_guide(right, wrong, message, tmp_path, capsys):
    assert right in CELL
    path = tmp_path / "forgetful.py"
    path.write_text(CELL.replace(right, wrong), encoding="utf-8")
    assert main([str(path), "--out", str(tmp_path / FOLDER)]) == 2
    assert capsys.readouterr().err.strip() == message


def test_every_command_names_the_python_that_has_derive():
    assert set(re.findall(r"^(\S*)python -m ", GUIDE, re.M)) == {".venv/bin/"}


def test_the_guide_and_the_readme_derive_into_folders_of_their_own():
    """A folder with two cells has a trainer that asks which."""
    (readmes,) = re.findall(r"-m derive \w+\.py --out (\w+)", README)
    assert readmes != FOLDER


def test_the_cell_of_the_readme_is_derived_and_drawn_without_a_warning():
    namespace: dict = {}
    exec(re.search(r"```python\n(from sympy import Eq\n.*?)```", README, re.S)[1], namespace)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        files = files_of_cell(write_derivation(namespace["cell"]))
    assert "leaky/figures/learning_rates.svg" in files
