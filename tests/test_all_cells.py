"""What holds for every shipped cell: its numbers, its documents, its module, and the floating point of that."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruff import find_ruff_bin

from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.language.cell import Cell
from derive.language.quantities import Label
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells
from derive.output.modules import formatted
from tests.certifying import numbers_for

ROOT = Path(__file__).parents[1]
CELLS = {cell.name: cell for cell in find_cells([])}
UNBOUNDED = {"linear"}
"""The cells whose state is as large as their input, or larger."""


@pytest.fixture(scope="module", params=CELLS.values(), ids=CELLS)
def cell(request) -> Cell:
    return request.param


@pytest.fixture(scope="module")
def derivation(cell):
    return write_derivation(cell)


@pytest.fixture(scope="module")
def source(derivation):
    return formatted(print_network(derivation))


@pytest.fixture(scope="module")
def files(cell, derived):
    """What is written for a cell, without the pictures."""
    return {path.name: path.read_text(encoding="utf-8") for path in (derived / cell.name).iterdir() if path.is_file()}


def test_the_equations_are_numbered_without_a_gap(derivation):
    numbers = [equation.number for equation in derivation.equations]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(used < equation.number for equation in derivation.equations for used in equation.uses)


def test_every_document_holds_every_equation(derivation, files):
    shown = {equation.number for section in derivation.sections for equation in section.shown_equations}
    assert shown == set(range(1, len(derivation.equations) + 1))  # three steps: nothing is elided
    for name, anchor in {
        "derivation.md": r'id="eq-(\d+)"',
        "derivation.html": r'id="eq-(\d+)"',
        "derivation.tex": r"\\label\{eq:(\d+)\}",
    }.items():
        assert {int(number) for number in re.findall(anchor, files[name])} == shown, name


def test_every_generated_module_is_in_the_projects_style(files, tmp_path):
    for name, text in files.items():
        if name.endswith(".py"):
            (tmp_path / name).write_text(text, encoding="utf-8")
    for command in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        options = ["--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
        done = subprocess.run([find_ruff_bin(), *command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_generated_module_loads_only_numpy(source, tmp_path):
    (tmp_path / "network.py").write_text(source, encoding="utf-8")
    program = "import sys, numpy; bare = set(sys.modules); import network; print(*set(sys.modules) - bare)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) <= {"network", "numpy"}


def test_only_the_display_grows_with_the_steps_that_are_written_out(cell, derivation):
    assert list(inspect.signature(write_derivation).parameters) == ["cell", "steps", "report"]
    longer = write_derivation(cell, steps=6)
    assert len(longer.equations) > len(derivation.equations)
    assert re.sub(r"# \(\d+\)", "", print_network(longer)) == re.sub(r"# \(\d+\)", "", print_network(derivation))


# --- the floating point of the generated modules ---------------------------------------------------------------------


def drawn(cell: Cell, source: str):
    network = load(source, cell.name)
    return network, *numbers_for(cell, network, 3, 5)[:3]


@pytest.mark.parametrize("size", [-1000, 1000])
def test_a_large_input_gives_a_finite_loss_and_gradient(cell, source, size):
    if cell.name in UNBOUNDED:
        pytest.skip("its state is not bounded")
    network, parameters, X, t = drawn(cell, source)
    for inputs in (np.full_like(X, size), size * np.sign(X)):
        value, gradient = network.value_and_gradient(parameters, inputs, t)
        assert np.isfinite(value)
        assert all(np.isfinite(slope).all() for slope in gradient)


def test_float32_stays_float32(cell, source):
    network, parameters, X, t = drawn(cell, source)
    single = network.Parameters(*(np.float32(weight) for weight in parameters))
    exact_value, exact = network.value_and_gradient(parameters, X, t)
    targets = t if isinstance(cell.targets[0], Label) else np.float32(t)
    value, gradient = network.value_and_gradient(single, np.float32(X), targets)
    assert {np.asarray(each).dtype for each in (value, *gradient)} == {np.dtype(np.float32)}
    assert value == pytest.approx(exact_value, rel=1e-5)
    largest = max(np.abs(slope).max() for slope in exact)
    for ours, theirs in zip(gradient, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * largest)
