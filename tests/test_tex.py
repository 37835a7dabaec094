"""The LaTeX source, compiled by a real TeX."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from derive.mathematics.derivation import Derivation
from derive.output.command_line import main

ROOT = Path(__file__).parents[1]
PACKAGES = "texlive-latex-base texlive-latex-recommended lmodern latexmk"


class Compiled(NamedTuple):
    folder: Path
    log: str
    pages: int


def compiled(folder: Path, require_tool) -> Compiled:
    """What latexmk makes of a folder; the log is one line a message."""
    done = subprocess.run(
        [require_tool("latexmk"), "-pdf", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"],
        cwd=folder,
        env={**os.environ, "max_print_line": "10000"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "derivation.log").read_text(encoding="utf-8", errors="replace")
    return Compiled(folder, log, int(re.search(r"\((\d+) pages?, ", log)[1]))


@pytest.fixture(scope="module")
def folder(derived_linear, tmp_path_factory) -> Path:
    """The linear cell, as it is derived, in a place where TeX may leave its files."""
    return Path(shutil.copytree(derived_linear, tmp_path_factory.mktemp("tex") / "linear"))


@pytest.fixture(scope="module")
def document(folder, require_tool) -> Compiled:
    return compiled(folder, require_tool)


@pytest.fixture(scope="module")
def long_document(tmp_path_factory, require_tool) -> Compiled:
    """With twelve steps written out, most of which give way to dots."""
    out = tmp_path_factory.mktemp("long") / "generated"
    assert main(["linear", "--steps", "12", "--out", str(out)]) == 0
    return compiled(out / "linear", require_tool)


@pytest.fixture(scope="module")
def without_figures(tmp_path_factory, folder, require_tool) -> Compiled:
    """The source alone, as it comes out of version control."""
    alone = tmp_path_factory.mktemp("alone")
    shutil.copy(folder / "derivation.tex", alone)
    return compiled(alone, require_tool)


@pytest.fixture(scope="module")
def text(document, require_tool) -> str:
    """The words of the PDF, one space between them."""
    command = [require_tool("pdftotext"), "derivation.pdf", "-"]
    done = subprocess.run(command, cwd=document.folder, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


@pytest.fixture(params=["document", "long_document", "without_figures"])
def any_document(request) -> Compiled:
    return request.getfixturevalue(request.param)


def test_it_compiles_without_an_error(any_document):
    assert re.findall(r"^!.*|^.*:\d+: .*[Ee]rror.*", any_document.log, re.MULTILINE) == []
    assert (any_document.folder / "derivation.pdf").read_bytes().startswith(b"%PDF-")


def test_it_compiles_without_a_warning(any_document):
    """An undefined reference, a label given twice and a missing character are warnings to TeX."""
    warning = r"^(?:LaTeX|pdfTeX|Package \w+|Class \w+)(?: Font)? [Ww]arning.*|^Missing character.*"
    warnings = re.findall(warning, any_document.log, re.MULTILINE)
    assert warnings == []


def test_nothing_sticks_out_into_the_margin(any_document):
    overfull = re.findall(r"^Overfull \\hbox \(([\d.]+)pt too wide\) (.*)", any_document.log, re.MULTILINE)
    assert [(width, where) for width, where in overfull if float(width) > 5] == []


def test_the_number_of_pages_is_sensible(document, long_document, without_figures):
    assert 8 <= document.pages <= 20
    assert document.pages <= long_document.pages <= document.pages + 4
    assert 6 <= without_figures.pages <= document.pages


def test_the_pdf_says_what_the_page_says(text, linear: Derivation):
    assert text.startswith("The linear network that counts ones Backpropagation through time")
    for section in linear.sections:
        title = section.title.replace("$", "")
        assert text.count(title) >= 2, title  # in the contents, and above the section
    assert "delta[k] = delta[k + 1] * Wrec" in text
    assert "References" in text


def test_every_shown_equation_has_its_number(text, linear: Derivation):
    shown = {equation.number for section in linear.sections for equation in section.shown_equations}
    assert shown <= {int(number) for number in re.findall(r"\((\d+)\)", text)}


def test_no_markup_is_left_in_the_pdf(text):
    assert re.findall(r"\\\w+|\?\?|<<|>>|`", text) == []


def test_the_pdf_has_the_figures(document):
    assert [name for name in re.findall(r"<use (\S+?)>", document.log) if name.startswith("figures/")] != []
    assert "figures" not in " ".join(re.findall(r"^File .* not found", document.log, re.MULTILINE))


def test_the_source_uses_no_package_beyond_the_named_ones(folder):
    source = (folder / "derivation.tex").read_text(encoding="utf-8")
    used = {name for names in re.findall(r"\\usepackage(?:\[.*?\])?\{(.*?)\}", source) for name in names.split(",")}
    brought = {
        "fontenc",
        "inputenc",
        "lmodern",
        "geometry",
        "amsmath",
        "amssymb",
        "mathtools",
        "xcolor",
        "graphicx",
        "bm",
    }
    assert used <= brought | {"hyperref"}


CELL = """\
from sympy import Eq

from derive import Cell, Input, Parameter, State, T, Target, k, mean

W, x, s, t = Parameter("W"), Input("x"), State("s"), Target("t")
cell = Cell("odd", {title!r}, (W, x, s, t), (Eq(s[0], 0), Eq(s[k], s[k - 1] * W + x[k])), s[T], mean((s[T] - t) ** 2))
"""


@pytest.mark.parametrize("title", ["A & B, 50% <fast> #1 x_y {z} $5 ~ ^", "Größe – naïve “œuvre”", "σ → ∞"])
def test_a_title_of_any_letters_compiles(title, tmp_path, require_tool):
    (tmp_path / "odd.py").write_text(CELL.format(title=title), encoding="utf-8")
    assert main([str(tmp_path / "odd.py"), "--out", str(tmp_path / "out")]) == 0
    assert compiled(tmp_path / "out/odd", require_tool).pages >= 2


# --- python -m derive --pdf ------------------------------------------------------------------------------------------


def test_pdf_writes_the_pdf_beside_its_source(folder, require_tool, capsys):
    require_tool("latexmk")
    assert main(["linear", "--pdf", "--out", str(folder.parent)]) == 0
    assert capsys.readouterr().out == f"wrote {folder / 'derivation.pdf'}\n"


def test_pdf_needs_nothing_but_pdflatex(folder, tmp_path, require_tool, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pdflatex").symlink_to(Path(require_tool("pdflatex")).resolve())
    (tmp_path / "linear").mkdir()
    shutil.copy(folder / "derivation.tex", tmp_path / "linear")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["linear", "--pdf", "--out", str(tmp_path)]) == 0
    log = (tmp_path / "linear/derivation.log").read_text(encoding="utf-8", errors="replace")
    assert re.findall(r"undefined|Rerun to get", log) == []


def test_without_tex_pdf_names_the_packages_that_bring_it(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "derive", "linear", "--pdf", "--out", str(folder.parent)],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert PACKAGES in done.stderr
    assert done.stderr.startswith("derive: error: no TeX found")
    assert done.stderr.count("\n") == 1


def test_deriving_needs_no_tex(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["linear", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/linear/derivation.tex").is_file()


def test_make_pdf_is_this_command(require_tool):
    done = subprocess.run(
        [require_tool("make"), "--no-print-directory", "-n", "pdf", "CELL=linear"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/python -m derive --pdf linear"


def test_pdf_of_what_was_never_derived_says_how_to_derive_it(tmp_path, capsys):
    assert main(["linear", "--pdf", "--out", str(tmp_path)]) == 1
    source = tmp_path / "linear/derivation.tex"
    assert capsys.readouterr().err == f"derive: error: {source} is missing; run make derive\n"


def test_a_source_that_does_not_compile_names_its_log(tmp_path, require_tool, capsys):
    require_tool("latexmk")
    (tmp_path / "linear").mkdir()
    (tmp_path / "linear/derivation.tex").write_text(r"\documentclass{article}\begin{document}\oops\end{document}")
    assert main(["linear", "--pdf", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    log = tmp_path / "linear/derivation.log"
    assert printed == f"derive: error: latexmk cannot compile {log.with_suffix('.tex')}; see {log}\n"
    assert log.is_file()
