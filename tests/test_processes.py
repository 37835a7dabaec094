"""Several cells at a time: the same files as one after the other, and a neat end, however it comes."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from derive.language.errors import CellError
from derive.output.command_line import main
from tests.said import without_progress

ROOT = Path(__file__).parents[1]

CELL = """\
from sympy import Eq

from derive import Cell, Input, Parameter, State, T, Target, k, mean
from factor import factor

v, w, x, s, t = Parameter("v"), Parameter("w"), Input("x"), State("s"), Target("t")
print("reading NAME")

cell = Cell(
    name="NAME",
    title="A sum",
    quantities=(v, w, x, s, t),
    equations=(Eq(s[0], 0), Eq(s[k], factor * v * s[k - 1] + w * x[k])),
    output=s[T],
    loss=mean((s[T] - t) ** 2),
)
"""
ENDLESS = """
import multiprocessing, os, signal

if multiprocessing.parent_process():
    os.write(1, f"at work: {os.getpid()}\\n".encode())
    while True:
        signal.pause()
"""
"""What keeps a process that derives the cell from ever getting done, once it has said which one it is."""


@pytest.fixture
def folder(tmp_path):
    """A folder with two cells that need a file beside them."""
    (tmp_path / "factor.py").write_text("from sympy import Rational\n\nfactor = Rational(1, 2)\n", encoding="utf-8")
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(CELL.replace("NAME", name), encoding="utf-8")
    return tmp_path


@pytest.fixture
def command(folder):
    """Begins a command line in the folder, and in a group of processes of its own, of which the test leaves none."""
    begun = []

    def command(*words: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "derive", *words],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return begun[-1]

    yield command
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        with process:  # closes its pipes, and waits for it
            pass


@pytest.fixture
def at_work(folder, command):
    """A command whose processes are all at work and never get done, and the numbers of these."""
    for name in ("one", "other"):
        with (folder / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write(ENDLESS)
    started, workers = command("one.py", "other.py", "--out", "out"), []
    for line in started.stdout:
        workers += map(int, re.findall(r"^at work: (\d+)$", line))
        if len(workers) == 2:
            return started, workers
    return pytest.fail(f"it ended by itself: {started.stderr.read()}")


def errors_of_all(started: subprocess.Popen[str]) -> str:
    """What a command said on standard error, which stays open until the last of its processes has ended."""
    return started.communicate()[1]


def contents(folder: Path) -> dict[str, bytes]:
    """What every file of a folder holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


several = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="on one processor there are no further processes")


def test_two_cells_come_out_as_each_does_alone(folder, command):
    both = command("other.py", "one.py", "--out", "both/out")
    out, err = both.communicate()
    assert (both.returncode, without_progress(err)) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["reading other", "reading one"]
    assert [line.split(":")[0] for line in lines[2:4]] == ["other", "one"]
    assert lines[5:] == ["open both/out/index.html"]
    for name in ("one", "other"):
        assert without_progress(command(f"{name}.py", "--out", "alone/out").communicate()[1]) == ""
    assert contents(folder / "both") == contents(folder / "alone")


def test_a_mistake_in_one_of_them_is_one_line(folder, monkeypatch, capsys):
    """The number of steps is looked at by the process that derives."""
    monkeypatch.chdir(folder)
    said = []
    for words in (("one.py",), ("one.py", "other.py")):
        assert main([*words, "--steps", "0", "--out", "out"]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert said[0].startswith("derive: error: ")
    assert said[0].count("\n") == 1
    assert not (folder / "out").exists()


def test_a_mistake_in_a_cell_goes_from_process_to_process():
    error = CellError("tiny", "state s", "has no start", "write s[0]")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is CellError
    assert (str(copy), copy.exit_code, vars(copy)) == (str(error), 2, vars(error))


@several
@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "a signal to the first"])
def test_an_interrupt_ends_all_of_them(folder, at_work, to_all):
    started, _ = at_work
    (os.killpg if to_all else os.kill)(started.pid, signal.SIGINT)
    assert errors_of_all(started) == "derive: interrupted\n"
    assert started.returncode == 130
    assert not (folder / "out").exists()


@several
def test_if_the_first_is_killed_none_is_left(at_work):
    started, _ = at_work
    started.kill()
    errors_of_all(started)
    assert started.returncode == -signal.SIGKILL


@several
def test_if_the_others_are_killed_that_is_said(folder, at_work):
    started, workers = at_work
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    err = errors_of_all(started)
    assert started.returncode == 1
    assert err.startswith("derive: error: a process was killed while it derived")
    assert err.count("\n") == 1
    assert not (folder / "out").exists()
