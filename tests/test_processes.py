"""Several cells at a time: the same files as one after the other, and a neat end, however it comes."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from derive.language.errors import CellError
from derive.output.command_line import main

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
SLOW = """
import multiprocessing, os, pathlib, time

if multiprocessing.parent_process():
    pathlib.Path(f"{os.getpid()}.worker").touch()
    time.sleep(60)
"""
"""What keeps a process busy that derives the cell, and says which one it is."""


@pytest.fixture
def folder(tmp_path):
    """A folder with two cells that need a file beside them."""
    (tmp_path / "factor.py").write_text("from sympy import Rational\n\nfactor = Rational(1, 2)\n", encoding="utf-8")
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(CELL.replace("NAME", name), encoding="utf-8")
    return tmp_path


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Begins a command line in a folder, and in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "derive", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def at_work(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A command whose processes are all at work, and the numbers of these."""
    for name in ("one", "other"):
        with (folder / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write(SLOW)
    started, number = command(folder, "one.py", "other.py", "--out", "out"), min(os.cpu_count() or 1, 2)
    end = time.monotonic() + 60
    while len(found := list(folder.glob("*.worker"))) < number:
        assert started.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return started, [int(path.stem) for path in found]


def has_ended(group: int) -> bool:
    """Whether within seconds no process of a group is left."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def contents(folder: Path) -> dict[str, bytes]:
    """What every file of a folder holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


several = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="on one processor there are no further processes")


def test_two_cells_come_out_as_each_does_alone(folder):
    both = command(folder, "other.py", "one.py", "--out", "both/out")
    out, err = both.communicate(timeout=120)
    assert (both.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["reading other", "reading one"]
    assert [line.split(":")[0] for line in lines[2:4]] == ["other", "one"]
    assert lines[5:] == ["open both/out/index.html"]
    for name in ("one", "other"):
        assert command(folder, f"{name}.py", "--out", "alone/out").communicate(timeout=120)[1] == ""
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
def test_an_interrupt_ends_all_of_them(folder, to_all):
    started, _ = at_work(folder)
    (os.killpg if to_all else os.kill)(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=20)
    assert (started.returncode, err) == (130, "derive: interrupted\n")
    assert has_ended(started.pid)
    assert not (folder / "out").exists()


@several
def test_if_the_first_is_killed_none_is_left(folder):
    started, _ = at_work(folder)
    started.kill()
    started.communicate(timeout=20)
    assert has_ended(started.pid)


@several
def test_if_the_others_are_killed_that_is_said(folder):
    started, workers = at_work(folder)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    _, err = started.communicate(timeout=20)
    assert started.returncode == 1
    assert err.startswith("derive: error: a process was killed while it derived")
    assert err.count("\n") == 1
    assert has_ended(started.pid)
    assert not (folder / "out").exists()
