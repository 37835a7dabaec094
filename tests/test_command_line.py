"""python -m derive: what it says, what it writes, and with which exit code it ends."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from derive import Cell
from derive.output.cell_files import read_cell
from derive.output.command_line import main
from derive.output.package import COMMANDS
from tests.said import without_progress

ROOT = Path(__file__).parents[1]

TINY = """\
from sympy import Eq

from derive import Cell, Example, Input, Parameter, State, T, Target, k, mean

v = Parameter("v", meaning="weight of the input")
w = Parameter("w", meaning="weight of the previous state")
b = Parameter("b", meaning="bias")
x, s, t = Input("x"), State("s"), Target("t")

cell = Cell(
    name="tiny",
    title="A count with a bias",
    quantities=(v, w, b, x, s, t),
    equations=(Eq(s[0], 0), Eq(s[k], s[k - 1] * w + x[k] * v + b)),
    output=s[T],
    loss=mean((s[T] - t) ** 2),
    example=Example(
        title="Four sequences of three steps",
        X=((1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 0, 1)),
        t=(1, 2, 3, 1),
        start={"v": 0.5, "w": 0.8, "b": 0.1},
        learning_rates={"v": 0.02, "w": 0.02, "b": 0.02},
        epochs=5000,
    ),
)
"""
CYCLE = TINY.replace("Eq(s[k], s[k - 1] * w + x[k] * v + b)", "Eq(s[k], s[k] * w)")


def line_of(words: str) -> int:
    """The line of tiny.py that has some words first."""
    return TINY[: TINY.index(words)].count("\n") + 1


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def refusal(self, code: int = 2) -> str:
        """The message, after the checks that every refusal must stand."""
        assert self.code == code
        assert self.out == ""
        assert re.fullmatch(r"derive: error: [^\n]+\n", self.err)
        return self.err.removeprefix("derive: error: ").rstrip("\n")


@pytest.fixture
def derive(tmp_path, monkeypatch, capsys):
    """The command line, run in this process and in a folder that holds tiny.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(TINY, encoding="utf-8")

    def run(*words: object) -> Ended:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
        return Ended(code, *capsys.readouterr())

    return run


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def command(*words: str, cwd: Path) -> Ended:
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)
    return Ended(done.returncode, done.stdout, without_progress(done.stderr))


@pytest.fixture(scope="module")
def my_net(tmp_path_factory) -> Path:
    """A package derived from a user's own file."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "tiny.py").write_text(TINY, encoding="utf-8")
    ended = command("-m", "derive", "tiny.py", "--out", "my_net", cwd=folder)
    assert ended.code == 0, ended.err
    return folder / "my_net"


# --- mistakes on the command line ------------------------------------------------------------------------------------


def test_an_unknown_cell_is_answered_with_those_there_are(derive, tmp_path):
    shipped = sorted(path.stem for path in (ROOT / "derive/cells").glob("*.py") if path.stem != "__init__")
    message = derive("lineer").refusal()
    assert message.startswith(f"there is no cell 'lineer'; shipped are {', '.join(shipped)}")
    assert "my_cell.py" in message
    assert names(tmp_path) == {"tiny.py"}


def test_one_unknown_cell_among_known_ones_stops_all(derive, tmp_path):
    assert "there is no cell 'lineer'" in derive("linear", "lineer").refusal()
    assert names(tmp_path) == {"tiny.py"}


MISTAKES = {
    "--steps 0": "--steps 0: .*give 1 or more",
    "--steps -3": "--steps -3: .*give 1 or more",
    "--steps x": "--steps: .*'x'",
    "--steps 2.5": "--steps: .*'2.5'",
    "--steps": "--steps: expected one argument",
    "--out": "--out: expected one argument",
    "--colour": "--colour",
    "--check --pdf": "--pdf: not allowed with argument --check",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_in_the_options_is_one_line(words, derive, tmp_path):
    assert re.search(MISTAKES[words], derive("linear", *words.split()).refusal())
    assert names(tmp_path) == {"tiny.py"}


def test_out_that_is_a_file_is_refused(derive, tmp_path):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    ended = derive("tiny.py", "--out", "taken")
    assert ended.code == 1
    assert re.fullmatch(r"derive: error: taken\S*: [^\n]+; choose another folder with --out\n", ended.err)
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"
    assert names(tmp_path) == {"tiny.py", "taken"}


def test_out_that_cannot_be_written_to_is_refused(derive, tmp_path):
    ended = derive("tiny.py", "--out", "/proc/derive")  # not even root writes there
    assert ended.code == 1
    assert re.fullmatch(r"derive: error: /proc/derive: [^\n]+; choose another folder with --out\n", ended.err)
    assert names(tmp_path) == {"tiny.py"}


# --- mistakes in a cell's file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param(None, "mine.py: no such file", id="no file"),
        pytest.param("", "mine.py: it defines no cell; end it with cell = Cell(…)", id="an empty file"),
        pytest.param("cell = 3\n", "mine.py: it defines no cell; end it with cell = Cell(…)", id="no Cell"),
        pytest.param("x = 1\ny = (\n", "mine.py, line 2: '(' was never closed", id="a syntax error"),
        pytest.param(
            "if True:\nx = 1\n", "mine.py, line 2: expected an indented block after", id="an indentation error"
        ),
        pytest.param("x = 1\n\ny = 1 / 0\n", "mine.py, line 3: ZeroDivisionError: division by zero", id="an exception"),
        pytest.param(
            "def f():\n    return {}['W']\n\nf()\n", "mine.py, line 2: KeyError: 'W'", id="an exception in a function"
        ),
        pytest.param(
            "import no_such_thing\n", "mine.py, line 1: ModuleNotFoundError: No module named", id="a missing module"
        ),
        pytest.param(
            TINY.replace("s[T] - t", "s[T] - u"),
            f"mine.py, line {line_of('loss=')}: NameError: name 'u'",
            id="a typing error",
        ),
        pytest.param(
            'raise ValueError("one\\ntwo")\n', "mine.py, line 1: ValueError: one", id="a message of two lines"
        ),
        pytest.param(
            TINY.replace("title=", "titel="),
            f"mine.py, line {line_of('example=')}: TypeError: ",
            id="an unknown argument",
        ),
        pytest.param("import sys\n\nsys.exit(3)\n", "mine.py: it ends the program by itself", id="it exits"),
        pytest.param("raise SystemExit\n", "mine.py: it ends the program by itself", id="it raises SystemExit"),
        pytest.param(
            CYCLE, "cell 'tiny', equations of s: it needs itself within one step; ", id="an equation that needs itself"
        ),
        pytest.param(
            TINY.replace("(v, w, b, x, s, t)", "(v, w, x, s, t)"),
            "cell 'tiny', equation s[k] = ",
            id="an undeclared weight",
        ),
        pytest.param(TINY.replace('"tiny"', '"my cell"'), "cell 'my cell', its name: ", id="a name with a space"),
        pytest.param(TINY.replace('"tiny"', '"train"'), "cell 'train', its name: ", id="the name of the trainer"),
        pytest.param(TINY.replace('"tiny"', '"assets"'), "cell 'assets', its name: ", id="the name of the assets"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_says_where(source, says, derive, tmp_path):
    if source is not None:
        (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    assert derive("mine.py", "--out", "out").refusal().startswith(says)
    assert names(tmp_path) <= {"tiny.py", "mine.py"}


@pytest.mark.parametrize("content", [b"caf\xe9 = 1\n", b"x = 1\n\0\n"], ids=["not UTF-8", "a null byte"])
def test_a_file_that_is_no_python_text_is_one_line(content, derive, tmp_path):
    (tmp_path / "mine.py").write_bytes(content)
    message = derive("mine.py", "--out", "out").refusal()
    assert message.startswith("mine.py")
    assert "None" not in message


def test_a_folder_named_like_a_file_is_one_line(derive, tmp_path):
    (tmp_path / "mine.py").mkdir()
    assert derive("mine.py", "--out", "out").refusal().startswith("mine.py: ")


def test_two_cells_of_one_name_are_refused(derive, tmp_path):
    (tmp_path / "mine.py").write_text(TINY.replace("A count", "Another count"), encoding="utf-8")
    ended = derive("tiny.py", "mine.py", "--out", "out")
    assert ended.code == 2
    assert "'tiny'" in ended.err
    assert names(tmp_path) == {"tiny.py", "mine.py"}


# --- what it writes --------------------------------------------------------------------------------------------------


def test_deriving_says_what_was_checked_and_what_to_open(derive, tmp_path):
    ended = derive("tiny.py", "--out", "out")
    assert (ended.code, ended.err) == (0, "")
    checked, wrote, opens = ended.out.splitlines()
    assert re.fullmatch(r"tiny: \d+ equations derived and checked \(\d+\.\d s\)", checked)
    count = len([path for path in (tmp_path / "out").rglob("*") if path.is_file()])
    assert wrote == f"{count} files in out, {count} of them new or changed"
    assert opens == "open out/index.html"
    assert 'href="tiny/derivation.html"' in (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert (tmp_path / "out/tiny/derivation.html").is_file()
    assert derive("tiny.py", "--out", "out").out.splitlines()[1] == f"{count} files in out, none of them new or changed"


def test_steps_sets_how_many_are_written_out(derive, tmp_path):
    assert derive("linear", "--steps", "1", "--out", "out").code == 0
    assert "## Unrolled for $`T = 1`$" in (tmp_path / "out/linear/derivation.md").read_text(encoding="utf-8")
    code = ast.parse((tmp_path / "out/linear/network.py").read_text(encoding="utf-8"))
    theirs = ast.parse((ROOT / "generated/linear/network.py").read_text(encoding="utf-8"))
    assert ast.dump(code) == ast.dump(theirs)  # the numbers behind the lines are comments


def test_check_tells_an_up_to_date_folder_from_a_changed_one(derive, tmp_path):
    assert derive("tiny.py", "--out", "out").code == 0
    ended = derive("tiny.py", "--check", "--out", "out")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("out is up to date\n")
    network = tmp_path / "out/tiny/network.py"
    network.write_text(network.read_text(encoding="utf-8").replace("s[k - 1] * w", "s[k - 1] / w"), encoding="utf-8")
    changed = network.read_bytes()
    ended = derive("tiny.py", "--check", "--out", "out")
    assert ended.code == 1
    assert re.search(r"^-.* / w.*\n\+.* \* w", ended.out, re.MULTILINE)
    assert network.read_bytes() == changed


def test_check_of_a_folder_that_is_not_there_writes_nothing(derive, tmp_path):
    ended = derive("tiny.py", "--check", "--out", "out")
    assert ended.code == 1
    assert "out/tiny/network.py is missing" in ended.out
    assert names(tmp_path) == {"tiny.py"}


@pytest.mark.parametrize("out", [".", "..", "deep/my_net"])
def test_the_package_knows_its_name_however_out_is_written(out, derive, tmp_path, monkeypatch):
    here = tmp_path / "here/inside"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert derive(tmp_path / "tiny.py", "--out", out).code == 0
    folder = (here / out).resolve()
    assert f"python -m {folder.name}.train" in (folder / "__init__.py").read_text(encoding="utf-8")


# --- a user's own cell -----------------------------------------------------------------------------------------------


def test_a_cell_of_ones_own_trains(my_net):
    ended = command("-m", "my_net.train", cwd=my_net.parent)
    assert ended.code == 0, ended.err
    assert "tiny: 4 sequences of 3 steps, 5000 epochs, done" in ended.out
    assert "4 of 4 rounded predictions match their targets" in ended.out


def test_a_cell_of_ones_own_has_everything_that_a_shipped_one_has(my_net):
    documents = {f"derivation.{ending}" for ending in ("html", "md", "tex")}
    assert names(my_net / "tiny") >= {"__init__.py", "network.py", "example.py", "certificate.json"} | documents
    beside = {"assets", "index.html", "__init__.py", "trainer", "methods", *(f"{command}.py" for command in COMMANDS)}
    assert names(my_net) == beside | {"tiny"}
    assert "python -m my_net.train" in (my_net / "__init__.py").read_text(encoding="utf-8")


def test_a_cell_of_ones_own_is_checked_like_a_shipped_one(my_net):
    ended = command("-m", "derive", "tiny.py", "--check", "--out", "my_net", cwd=my_net.parent)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("my_net is up to date\n")


def test_a_difference_in_a_folder_of_ones_own_is_not_mended_by_make(derive):
    ended = derive("tiny.py", "--check", "--out", "my_net")
    assert ended.code == 1
    assert "run make derive" not in ended.out  # that writes generated/, from the shipped cells
    assert "python -m derive" in ended.out


@pytest.mark.parametrize(
    "title", ["A & B, 50% <fast> #1 x_y {z} $5 ~ ^", 'a "name"', 'three """ quotes', r"\alpha \name", "Größe"]
)
def test_a_title_is_written_as_it_is(title, derive, tmp_path):
    (tmp_path / "mine.py").write_text(TINY.replace('"A count with a bias"', repr(title)), encoding="utf-8")
    ended = derive("mine.py", "--out", "out")
    assert (ended.code, ended.err) == (0, "")
    for name in ("network.py", "example.py", "__init__.py"):
        code = (tmp_path / "out/tiny" / name).read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(code)).startswith(title)
    assert f"<h1>{title}</h1>" in unescape((tmp_path / "out/tiny/derivation.html").read_text(encoding="utf-8"))


def test_deriving_leaves_nothing_beside_the_users_file(my_net):
    assert names(my_net.parent) == {"tiny.py", "my_net"}


def test_a_users_file_may_hold_a_dataclass(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    source = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + TINY
    source += "\n\n@dataclass\nclass Options:\n    bias: float = 0.1\n"
    (tmp_path / "tiny.py").write_text(source, encoding="utf-8")
    assert isinstance(read_cell(tmp_path / "tiny.py"), Cell)


def test_a_users_file_hides_no_other_module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "numpy.py").write_text(TINY, encoding="utf-8")
    read_cell(tmp_path / "numpy.py")
    assert sys.modules["numpy"] is np


def test_what_a_users_file_imports_may_lie_beside_it(tmp_path):
    beside, elsewhere = tmp_path / "beside", tmp_path / "elsewhere"
    beside.mkdir()
    elsewhere.mkdir()
    (beside / "my_helper.py").write_text(TINY.replace("cell = ", "helped = "), encoding="utf-8")
    (beside / "mine.py").write_text("from my_helper import helped\n\ncell = helped\n", encoding="utf-8")
    ended = command("-m", "derive", "../beside/mine.py", "--out", "out", cwd=elsewhere)
    assert (ended.code, ended.err) == (0, "")
    assert (elsewhere / "out/tiny/network.py").is_file()
    assert names(beside) == {"mine.py", "my_helper.py"}


@pytest.mark.parametrize("name", ["trainer/cells.py", "train.py", "tiny/notes.py", "tiny/network.py"])
def test_a_file_of_the_user_in_the_way_is_left_as_it_is(name, derive, tmp_path):
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine = 1\n", encoding="utf-8")
    ended = derive("tiny.py", "--out", "out")
    assert mine.read_text(encoding="utf-8") == "mine = 1\n"
    if name == "tiny/notes.py":  # in nobody's way
        assert ended.code == 0
        return
    assert ended.code == 1
    cure = "was not written by derive; nothing was changed; choose another folder with --out"
    assert ended.err == f"derive: error: out/{name}: {cure}\n"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_explains_the_options_and_the_exit_codes():
    ended = command("-m", "derive", "--help", cwd=ROOT)
    words = " ".join(ended.out.split())
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"Exit codes: 0 done; 1 .*; 2 ", words)
    assert all(option in words for option in ("--out FOLDER", "--steps T", "--check", "--pdf", "CELL"))
    assert "(default: generated)" in words
    assert "(default: 3)" in words
    assert "about a minute for 20 steps" in words


def test_an_error_in_a_process_of_its_own_is_one_line_too(tmp_path):
    assert "there is no cell 'lineer'" in command("-m", "derive", "lineer", cwd=tmp_path).refusal()


def test_make_alone_lists_every_target(require_tool):
    done = subprocess.run([require_tool("make"), "--no-print-directory"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.fullmatch(r"make (\w+) +(\S.*)", line).groups() for line in done.stdout.splitlines())
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == set(phony.split()) - {"help", "FORCE"}
