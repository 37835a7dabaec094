"""What is written: all of it or nothing, nothing of the user's touched, and the same bytes every time."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest

from derive.language.errors import DeriveError
from derive.language.names import RESERVED_FILES
from derive.mathematics.ledger import Ledger
from derive.output import command_line
from derive.output.command_line import main
from derive.output.files import differences, write
from derive.output.package import print_index, shared_files
from derive.output.processes import Derived

ROOT = Path(__file__).parents[1]
MARK = {"__init__.py": b'"""Written by `python -m derive`."""\n'}
"""What makes a folder derive's own."""
OURS = MARK | {f"{folder}/{name}": text for folder in ("linear", "trainer", "methods") for name, text in MARK.items()}
TEXT_ENDINGS = {".py", ".json", ".html", ".md", ".tex", ".svg"}


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones and caches too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(files: dict[str, bytes], folder: Path) -> Path:
    """The files below a folder, put there without the code under test."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def files(derived_linear: Path) -> dict[str, bytes]:
    """Everything that `make derive` writes for the linear cell."""
    ours = {f"linear/{name}": text for name, text in content(derived_linear).items()}
    found = shared_files("generated") | ours
    return found | {"index.html": print_index(found, Path("generated/is/not/here/generated"))}


@pytest.fixture(scope="module")
def texts(files: dict[str, bytes]) -> dict[str, str]:
    """The files that a person reads, by name; MathJax is not ours."""
    ours = {name: text for name, text in files.items() if Path(name).suffix in TEXT_ENDINGS}
    return {name: text.decode() for name, text in ours.items()}


# --- all or nothing ---------------------------------------------------------------------------------------------------


def breaking(rule: str) -> Callable[..., object]:
    """`Ledger.equation`, with one added to the right-hand side of every equation that follows by a rule."""
    original = Ledger.equation

    def equation(self, lhs, rhs, by, *others, **options):
        return original(self, lhs, rhs + 1 if by.name == rule else rhs, by, *others, **options)

    return equation


@pytest.mark.parametrize("rule", ["local partial derivative", "contribution of a step", "chain rule, one path"])
def test_a_wrong_equation_stops_everything_with_both_values_and_the_point(rule, tmp_path, monkeypatch, capsys):
    before = content(copied({"linear/network.py": b"old", "mine.txt": b"mine"}, tmp_path))
    monkeypatch.setattr(Ledger, "equation", breaking(rule))
    assert main(["linear", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    number = r"-?\d+\.\d+(e[+-]?\d+)?"
    assert re.match(r"derive: error: cell 'linear', equation \(\d+\) \S.* = \S.*: left ", printed.err)
    assert re.search(rf": left {number}, right {number}, at T = \d+, N = \d+, ", printed.err)
    assert re.search(rf", Wx = {number}, Wrec = {number}\n$", printed.err)
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert content(tmp_path) == before


def test_a_wrong_recurrence_stops_everything_with_the_weight(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Ledger, "equation", breaking("adjoint recurrence"))
    assert main(["linear", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert re.match(
        r"derive: error: cell 'linear': that forward mode gives the gradient for W\w+, .* is not proved: ", error
    )
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


OF_EVERY_STEP = """
from sympy import Eq
from derive import Cell, Input, Parameter, State, T, Target, k, mean

W, x, s, t = Parameter("W"), Input("x"), State("s"), Target("t")
step = Eq(s[0], 0), Eq(s[k], s[k - 1] * W + x[k])
cell = Cell("steps", "A loss at every step", (W, x, s, t), step, s[k], mean((s[k] - t[k]) ** 2))
"""


def test_a_wrong_recurrence_is_found_by_diff_where_there_is_no_forward_mode(tmp_path, monkeypatch, capsys):
    (tmp_path / "steps.py").write_text(OF_EVERY_STEP)
    monkeypatch.setattr(Ledger, "equation", breaking("derivative of the loss"))
    assert main([str(tmp_path / "steps.py"), "--out", str(tmp_path / "out")]) == 1
    assert re.match(r"derive: error: cell 'steps', T = \d+: the derived gradient for W", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file can grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_folder_as_it_was(tmp_path):
    before = content(copied(MARK | {"a.py": b"old a", "b/b.py": b"old b", "mine.txt": b"mine"}, tmp_path))
    new = {"a.py": b"new a", "b/b.py": b"new b" * 10_000, "c.py": b"c"}
    with disk_full_at(10_000), pytest.raises(DeriveError, match=r"File too large; .*--out"):
        write(new, tmp_path)
    assert content(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["__init__.py", "a.py", "b", "mine.txt"]


def test_a_full_disk_leaves_no_half_of_a_first_run(files, tmp_path):
    with disk_full_at(100_000), pytest.raises(DeriveError, match="File too large"):
        write(files, tmp_path / "out")
    assert content(tmp_path) == {}


def test_a_folder_in_the_place_of_a_file_leaves_everything_as_it_was(tmp_path):
    before = content(copied(MARK | {"a.py": b"old a", "b.py/mine.txt": b"mine"}, tmp_path))
    with pytest.raises(DeriveError, match=r"b\.py: "):
        write({"a.py": b"new a", "b.py": b"new b"}, tmp_path)
    assert content(tmp_path) == before


def test_a_file_in_the_place_of_a_folder_leaves_everything_as_it_was(tmp_path):
    before = content(copied(MARK | {"a.py": b"old a", "linear": b"mine"}, tmp_path))
    with pytest.raises(DeriveError, match=r"linear: "):
        write({"a.py": b"new a", "linear/network.py": b"new"}, tmp_path)
    assert content(tmp_path) == before


def test_an_interrupted_move_leaves_whole_files_and_no_temporary_folder(tmp_path, monkeypatch):
    old, new = ({f"{name}.py": word * 1000 for name in "abc"} for word in (b"old", b"new"))
    copied(MARK | old, tmp_path)
    calls = []

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        write(new, tmp_path)
    there = content(tmp_path)
    assert there.keys() == (MARK | old).keys()
    assert all(there[name] in (old[name], new[name]) for name in old)


def test_files_of_the_user_survive(files, tmp_path):
    mine = {"mine.txt": b"1", "linear/notes.md": b"2", "linear/figures/photo.png": b"3", "other_cell/network.py": b"4"}
    write(files, copied(mine, tmp_path))
    assert content(tmp_path) == files | mine


@pytest.mark.parametrize(
    ("mine", "marked"),
    [
        ("check.py", []),
        ("index.html", []),
        ("trainer/run/loop.py", []),
        ("trainer/run/loop.py", ["__init__.py"]),
        ("train.py", ["linear/__init__.py"]),
        ("__init__.py", []),
        ("linear/network.py", []),
        ("linear/network.py", ["__init__.py"]),
        ("linear/__init__.py", ["__init__.py"]),
    ],
)
def test_a_file_that_derive_did_not_write_is_not_overwritten(mine, marked, files, tmp_path):
    before = content(copied({name: OURS[name] for name in marked} | {mine: b"mine = 1\n"}, tmp_path))
    with pytest.raises(DeriveError, match=rf"{mine}: was not written by derive; nothing was changed; .*--out$"):
        write(files, tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["check.py", "index.html", "trainer/run/loop.py", "__init__.py", "linear/network.py", "linear/__init__.py"]
)
def test_a_file_that_derive_wrote_is_overwritten(name, files, tmp_path):
    write(files, copied(files | OURS | {name: OURS.get(name, b"old")}, tmp_path))
    assert content(tmp_path) == files


def test_the_mark_is_in_every_folder_that_is_written(files):
    inits = {name: text.decode() for name, text in files.items() if name.endswith("__init__.py")}
    of_trainer = {f"trainer/{part}/__init__.py" for part in ("data", "run", "report", "commands")}
    assert inits.keys() == OURS.keys() | of_trainer
    assert all("`python -m derive`" in text for name, text in inits.items() if name not in of_trainer)


def test_no_cell_may_have_the_name_of_what_is_beside_the_cells(files):
    at_the_top = {path.partition("/")[0].partition(".")[0] for path in files}
    assert at_the_top - {"linear", "__init__"} == RESERVED_FILES


def test_a_file_that_has_its_content_already_is_not_written_again(tmp_path):
    folder = copied(OURS | {"same.py": b"same", "linear/changed.py": b"old"}, tmp_path)
    for name in ("same.py", "linear/changed.py"):
        os.utime(folder / name, ns=(0, 0))
    assert write({"same.py": b"same", "linear/changed.py": b"new"}, folder) == ["linear/changed.py"]
    assert (folder / "same.py").stat().st_mtime_ns == 0
    assert (folder / "linear/changed.py").stat().st_mtime_ns > 0
    assert write({"same.py": b"same", "linear/changed.py": b"new"}, folder) == []


def test_what_is_written_is_readable_by_others(tmp_path):
    (tmp_path / "touched").touch()
    write({"linear/network.py": b""}, tmp_path)
    assert (tmp_path / "linear/network.py").stat().st_mode == (tmp_path / "touched").stat().st_mode


# --- whether a folder is up to date -----------------------------------------------------------------------------------

DERIVED = {"a.py": b"one\ntwo\n", "b/b.py": b"three\n"}


def changes_in(folder: Path) -> list[str]:
    return differences(DERIVED, folder, others=False)


def test_no_difference_is_none(tmp_path):
    assert changes_in(copied(DERIVED, tmp_path)) == []


def test_a_changed_file_is_shown_as_a_diff(tmp_path):
    (found,) = changes_in(copied(DERIVED | {"a.py": b"one\nmine\n"}, tmp_path))
    first, *_, one, mine, two = found.splitlines()
    assert first == f"--- {tmp_path / 'a.py'}"
    assert [one, mine, two] == [" one", "-mine", "+two"]


def test_line_endings_alone_are_a_difference_that_is_shown(tmp_path):
    (found,) = changes_in(copied(DERIVED | {"a.py": b"one\r\ntwo\r\n"}, tmp_path))
    assert "a.py" in found


def test_a_missing_last_newline_does_not_garble_the_diff(tmp_path):
    (found,) = changes_in(copied(DERIVED | {"a.py": b"one\ntwo"}, tmp_path))
    assert not {"-two+two", "+two-two"} & set(found.splitlines())


def test_a_missing_file_is_named(tmp_path):
    folder = copied({"a.py": DERIVED["a.py"]}, tmp_path)
    assert changes_in(folder) == [f"{folder / 'b/b.py'} is missing"]


def test_a_stray_file_is_named_with_what_to_do(tmp_path):
    folder = copied(DERIVED | {"b/old.py": b"\xff"}, tmp_path)
    assert changes_in(folder) == [f"{folder / 'b/old.py'} is written by nothing: remove it"]


@pytest.mark.parametrize(
    "name", ["b/__pycache__/b.pyc", "assets/tex-svg-full.js", "b/derivation.pdf", "b/derivation.log"]
)
def test_what_version_control_ignores_is_no_difference(name, tmp_path):
    assert changes_in(copied(DERIVED | {name: b"old"}, tmp_path)) == []


@pytest.fixture
def derived_before(files, monkeypatch):
    """The command line with the files of the linear cell at hand: what is tested is what it does with them."""
    own = {path: text for path, text in files.items() if path.startswith("linear/")}
    monkeypatch.setattr(command_line, "derive_cells", lambda names, cells, steps: [Derived("linear", own)])


@pytest.mark.usefixtures("derived_before")
@pytest.mark.parametrize(
    "changes", [{"linear/network.py": b"mine\n"}, {"linear/network.py": None}, {"old.py": b""}], ids=str
)
def test_check_fails_and_says_run_make_derive(changes, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kept = {name: text for name, text in (files | changes).items() if text is not None}
    folder = copied(kept, tmp_path / "generated")
    assert main(["linear", "--check"]) == 1
    (name,) = changes
    printed = capsys.readouterr().out
    assert f"generated/{name}" in printed
    assert printed.endswith("run make derive\n")
    assert content(folder) == kept


@pytest.mark.usefixtures("derived_before")
def test_check_of_one_cell_does_not_call_the_others_strangers(files, tmp_path, capsys):
    folder = copied(files | {f"mine/{name}": b"" for name in ("__init__.py", "network.py")}, tmp_path / "generated")
    assert main(["linear", "--check", "--out", str(folder)]) == 0, capsys.readouterr().out


# --- the page that lists the cells ------------------------------------------------------------------------------------


def cells_on(page: bytes) -> list[str]:
    """The cells that a page lists, in its order."""
    return re.findall(r'<article class="cell" id="(\w+)">', page.decode())


def test_the_page_lists_what_the_folder_holds_beside_what_is_derived(files, tmp_path):
    folder = copied({path.replace("linear/", "older/"): text for path, text in files.items()}, tmp_path)
    assert set(cells_on(print_index(files, folder))) == {"linear", "older"}
    assert cells_on(print_index({}, folder)) == ["older"]


def test_the_page_leaves_out_folders_that_hold_no_derivation(files, tmp_path):
    copied({"mine/network.py": b"", "other/derivation.html": b"<h1>Mine</h1>", "a_file": b""}, tmp_path)
    assert cells_on(print_index(files, tmp_path)) == ["linear"]


def test_every_link_of_the_page_leads_to_a_file(files):
    links = re.findall(r'href="([^"]+)"', files["index.html"].decode())
    assert {"linear/derivation.html", "linear/derivation.md", "linear/network.py", "methods/update_rules.md"} <= {
        *links
    }
    assert set(links) <= files.keys()


def test_the_page_says_of_a_cell_what_its_derivation_says(files, linear):
    page = unescape(files["index.html"].decode())
    assert linear.cell.title in page
    assert linear.cell.about.replace("$", "") in page
    assert f"{len(linear.equations)} equations" in page
    assert "weights Wx, Wrec" in page


def test_scalar_cells_come_first_and_short_derivations_before_long_ones():
    generated = ROOT / "generated"
    listed = cells_on((generated / "index.html").read_bytes())
    assert set(listed) == {path.parent.name for path in generated.glob("*/network.py")}
    cells = {name: importlib.import_module(f"derive.cells.{name}").cell for name in listed}
    counts = {name: (generated / name / "certificate.json").read_text().count('"number": ') for name in listed}
    assert listed == sorted(listed, key=lambda name: (any(w.dimensions for w in cells[name].parameters), counts[name]))


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_generated_is_what_is_derived_now_in_any_order(derived):
    changes = differences(content(derived), ROOT / "generated", others=True)
    assert not changes, "\n".join([*changes, "run make derive"])


def test_git_tracks_all_that_is_derived(files, require_tool):
    command = [
        require_tool("git"),
        "-c",
        f"safe.directory={ROOT}",
        "ls-files",
        "generated/linear",
        "generated/trainer",
        "generated/methods",
        "generated/index.html",
        ":(glob)generated/*.py",
    ]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    theirs = {f"generated/{name}" for name in files if not name.startswith("assets/") and not name.endswith(".pdf")}
    assert set(tracked) == theirs


ELSEWHERE = {
    "TZ": "Pacific/Apia",
    "LC_ALL": "C",
    "LANG": "C",
    "SOURCE_DATE_EPOCH": "86400",
    "MPLBACKEND": "svg",
    "PYTHONHASHSEED": "1",
}
"""Another time zone, locale, day and window system, besides another hash seed."""


@pytest.mark.parametrize("environment", [{"PYTHONHASHSEED": "0"}, {"PYTHONHASHSEED": "random"}, ELSEWHERE], ids=str)
def test_every_hash_seed_and_environment_writes_the_same_bytes(files, tmp_path, environment):
    command = [sys.executable, "-m", "derive", "linear", "--out", "generated"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    there = content(tmp_path / "generated")
    assert any(name.endswith(".pdf") for name in files)
    assert {name for name in there.keys() | files.keys() if there.get(name) != files.get(name)} == set()


# --- what the text may not hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forbidden",
    [
        pytest.param(r"\b20\d\d-\d\d-\d\d\b|\b\d\d?:\d\d(:\d\d)?\b", id="a date or a time"),
        pytest.param(r"(?<![\w.:/<])/(home|root|tmp|usr|work|var|mnt|Users)/", id="an absolute path"),
        pytest.param(re.escape(str(ROOT)), id="this checkout"),
        pytest.param(r"noqa|type: ignore|pragma|pylint|fmt: (off|skip)", id="a lint waiver"),
        pytest.param(r"0x[0-9a-f]{6,}", id="an address in memory"),
        pytest.param(r"\b(TODO|FIXME|XXX|Undefined)\b|<<|>>", id="what an unfinished template leaves"),
    ],
)
def test_no_text_holds(forbidden, texts):
    assert {name: found[0] for name, text in texts.items() if (found := re.search(forbidden, text))} == {}


def test_no_text_holds_a_version(texts):
    packages = ["numpy", "sympy", "mpmath", "matplotlib", "jinja2", "ruff", "django-static-mathjax"]
    versions = {re.escape(importlib.metadata.version(package)) for package in packages} | {platform.python_version()}
    pattern = re.compile(rf"(?<![\d.])({'|'.join(versions)})(?![\d.])")
    assert {name: found[0] for name, text in texts.items() if (found := pattern.search(text))} == {}


def test_the_code_has_no_temporaries(texts):
    pattern = re.compile(r"\b(_?x\d+|_?tmp\d*|_?t\d+|_[a-z]\d+)\b")
    code = {name: text for name, text in texts.items() if name.endswith(".py")}
    assert {name: found[0] for name, text in code.items() if (found := pattern.search(text))} == {}


def test_every_text_ends_with_one_newline_and_no_line_with_a_space(texts):
    ours = {name: text for name, text in texts.items() if not name.endswith(".svg")}
    assert [name for name, text in ours.items() if not re.search(r"[^\n]\n\Z", text)] == []
    assert [name for name, text in ours.items() if re.search(r"[ \t]$", text, re.MULTILINE)] == []


def test_no_text_has_two_blank_lines_in_a_row(texts):
    documents = {name: text for name, text in texts.items() if name.endswith((".md", ".tex", ".html"))}
    assert [name for name, text in documents.items() if "\n\n\n" in text] == []


def test_the_linter_passes_the_generated_code(files, tmp_path):
    folder = copied({name: text for name, text in files.items() if name.endswith(".py")}, tmp_path / "generated")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# --- alone with NumPy -------------------------------------------------------------------------------------------------

ALONE = """
import sys

class OnlyNumPy:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"numpy", "generated"}:
            raise ModuleNotFoundError(f"{name} is not here", name=name)

sys.meta_path.insert(0, OnlyNumPy())
sys.path.insert(0, sys.argv.pop(1))
"""
TRAIN = "import runpy; runpy.run_module('generated.train', run_name='__main__', alter_sys=True)"
GRADIENT = """
from generated.linear import example, network
print(network.value_and_gradient(example.START, example.X, example.t)[0])
assert not {"sympy", "mpmath", "matplotlib", "jinja2", "derive", "ruff"} & {name.split(".")[0] for name in sys.modules}
"""


def alone(files: dict[str, bytes], folder: Path, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a few lines beside a copy of generated/, on a Python that has NumPy and nothing else."""
    copied(files, folder / "generated")
    command = [sys.executable, "-I", "-B", "-c", ALONE + source, str(folder), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_folder_alone_trains(files, tmp_path):
    done = alone(files, tmp_path, TRAIN, "linear")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 rounded predictions match their targets" in done.stdout


def test_the_folder_alone_computes_gradients(files, tmp_path):
    done = alone(files, tmp_path, GRADIENT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(2.0225)


def test_nothing_else_can_be_imported_where_the_folder_runs_alone(tmp_path):
    assert "sympy is not here" in alone({}, tmp_path, "import sympy").stderr
