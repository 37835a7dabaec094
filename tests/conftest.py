"""What the tests share."""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from derive.cells.linear import cell
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells

ROOT = Path(__file__).parents[1]

# The same examples every time, so that a change is to blame for a failure; the nightly run looks for new ones.
settings.register_profile("default", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("DERIVE_HYPOTHESIS", "default"))
# What SymPy caches lives as long as the process; to look at all of it again and again takes a tenth of the time.
gc.set_threshold(200_000, 50, 100)

SLOW = (
    "test_outputs.py",
    "test_mutations.py",
    "test_random_cells.py",
    "test_page.py",
    "test_tex.py",
    "test_all_cells.py",
    "test_fastest.py",
    "test_command_line.py",
    "test_processes.py",
    "test_benchmarks.py",
    "test_witnesses.py",
)
"""The files that come last, the longest first; the first of them derives what most of the others need (`derived`)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what is told in a second before what takes longer."""
    items.sort(key=lambda item: SLOW.index(item.path.name) + 1 if item.path.name in SLOW else 0)


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> Iterator[None]:
    """A test run in the background ignores Ctrl-C, and so would what runs in its process, and what it begins."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def require_tool(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where DERIVE_REQUIRE_TOOLS=1."""
    path = shutil.which(name)
    if path is None:
        missing = pytest.fail if os.environ.get("DERIVE_REQUIRE_TOOLS") == "1" else pytest.skip
        missing(f"{name} is not installed")
    return path


@pytest.fixture(scope="session", name="require_tool")
def require_tool_fixture():
    """`require_tool(name)`, for a test that runs another program."""
    return require_tool


def require_module(name: str, group: str) -> ModuleType:
    """A module of an optional group of dependencies; as with a program, its absence skips, or fails."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        missing = pytest.fail if os.environ.get("DERIVE_REQUIRE_TOOLS") == "1" else pytest.skip
        missing(f"{name} is not installed: make setup EXTRAS=test,lint,{group}")


@pytest.fixture(scope="session", name="require_module")
def require_module_fixture():
    """`require_module(name, group)`, for a test that needs a large library."""
    return require_module


@pytest.fixture(autouse=True)
def no_word_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sees to it that a slow machine says no more than a fast one of what is derived in this process."""
    monkeypatch.setattr("derive.output.progress.PATIENCE", threading.TIMEOUT_MAX)


@pytest.fixture(scope="session")
def linear() -> Derivation:
    """The derivation of the linear cell, three steps written out."""
    return write_derivation(cell)


IN_ONE_PROCESS = """
import os, sys
os.cpu_count = lambda: 1
from derive.output.command_line import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all shipped cells are derived into, once for all workers; to be left as it is.

    The last cell goes first, where `make derive` begins with the first, and one process derives them all: if SymPy
    remembers anything of one cell that shows in another, the files are not those of generated/.
    """
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    folder = shared / "derived/generated"
    with (shared / "derived.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
        if not folder.exists():
            names = [cell.name for cell in find_cells([])]
            command = [sys.executable, "-c", IN_ONE_PROCESS, *reversed(names), "--out", str(folder)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def derived_linear(derived: Path) -> Path:
    """The linear cell's folder there."""
    return derived / "linear"
