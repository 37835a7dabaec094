"""What is written for a cell, and how it gets onto the disk: all or nothing, and nothing of the user's is touched."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

from ruff import find_ruff_bin

from derive.certify import certify
from derive.derivation import Derivation, Figure
from derive.errors import DeriveError
from derive.figures import draw
from derive.html import print_html
from derive.lower import lower
from derive.markdown import print_markdown
from derive.numpy_code import load, print_example, print_network
from derive.templating import render
from derive.tex import print_tex

LINE_LENGTH = 120
ASSETS = "assets/"
"""Third-party code: written like the rest, but left out of version control."""
TEX_LEFTOVERS = frozenset([".pdf", ".aux", ".fdb_latexmk", ".fls", ".log", ".out", ".toc", ".xdv", ".gz"])
"""What a PDF leaves behind, and the figures for it."""


def files_of_cell(derivation: Derivation) -> dict[str, bytes]:
    """Everything that is written for one cell, once its certificate holds.

    Returns:
        The content of each file by its path within the output folder.

    Raises:
        CertificateError: A check fails.
    """
    cell, program = derivation.cell, lower(derivation)
    source = formatted(print_network(program))
    texts = {
        "__init__.py": formatted(render("cell_init.py.j2", {"cell": cell})),
        "network.py": source,
        "certificate.json": json.dumps(certify(derivation, source), indent=1, ensure_ascii=False) + "\n",
        "derivation.tex": print_tex(derivation, program),
        "derivation.html": print_html(derivation, program),
        "derivation.md": print_markdown(derivation, program),
    }
    if cell.example is not None:
        texts["example.py"] = formatted(print_example(cell, cell.example))
    files = {f"{cell.name}/{name}": text.encode() for name, text in texts.items()}
    network = load(source, cell.name)
    for section in derivation.sections:
        for entry in section.entries:
            if isinstance(entry, Figure):
                for ending, content in draw(entry, derivation, network).items():
                    files[f"{cell.name}/figures/{entry.name}.{ending}"] = content
    return files


def shared_files(package: str) -> dict[str, bytes]:
    """What all cells share: the trainer, and MathJax for the pages.

    Args:
        package: The name of the output folder, for the words of its docstring.
    """
    files = {
        entry.name: entry.read_bytes()
        for entry in resources.files("derive.runtime").iterdir()
        if entry.name.endswith(".py") and entry.name != "__init__.py"
    }
    files["__init__.py"] = formatted(render("package_init.py.j2", {"package": package})).encode()
    mathjax = resources.files("mathjax") / "static" / "mathjax" / "es5" / "tex-svg-full.js"
    return {**files, "assets/tex-svg-full.js": mathjax.read_bytes()}


def formatted(source: str) -> str:
    """Python source in the project's format, by ruff."""
    command = [find_ruff_bin(), "format", "--isolated", "--line-length", str(LINE_LENGTH), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        raise DeriveError(f"ruff cannot format a generated module: {done.stderr.strip()}")
    return done.stdout


def write(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """Writes files below a folder: first all of them beside it, then each is moved into its place.

    A file that has the same content already is left alone, and so is every file that is not among `files`.

    Returns:
        The paths that changed.

    Raises:
        DeriveError: The folder cannot be written to; it is then as it was.
    """
    changed = [path for path, content in files.items() if not same(folder / path, content)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".derive-", dir=folder) as beside:
            for path in changed:
                staged = Path(beside) / path
                staged.parent.mkdir(parents=True, exist_ok=True)
                staged.write_bytes(files[path])
            for path in changed:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(beside) / path, folder / path)
    except OSError as error:
        raise DeriveError(f"{error.filename or folder}: {error.strerror}; choose another folder with --out") from error
    return changed


def same(path: Path, content: bytes) -> bool:
    """Whether a file exists with this content."""
    return path.is_file() and path.read_bytes() == content


def differences(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """How a folder differs from what is derived now: a diff a changed file, a line a missing or a stray one."""
    found: list[str] = []
    for path, content in sorted(files.items()):
        if not committed(path) or same(folder / path, content):
            continue
        if not (folder / path).is_file():
            found.append(f"{folder / path} is missing")
            continue
        before = (folder / path).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        found.append(
            "".join(
                difflib.unified_diff(
                    before, content.decode().splitlines(keepends=True), f"{folder / path}", "derived now"
                )
            )
        )
    return found + [f"{folder / path} is written by nothing: remove it" for path in sorted(strangers(files, folder))]


def strangers(files: Iterable[str], folder: Path) -> set[str]:
    """The files in a folder that nothing writes, caches and what is not committed aside."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {path for path in there - set(files) if committed(path)}


def committed(path: str) -> bool:
    """Whether a file of the output folder belongs into version control."""
    pure = PurePosixPath(path)
    return "__pycache__" not in pure.parts and not path.startswith(ASSETS) and pure.suffix not in TEX_LEFTOVERS


def compile_pdf(folder: Path) -> Path:
    """Compiles the derivation in a cell's folder with the TeX that is there.

    Raises:
        DeriveError: There is no TeX, or it fails; with what to install, or where its log is.
    """
    tools = {
        "latexmk": ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"],
        "tectonic": ["tectonic", "derivation.tex"],
        "pdflatex": ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"],
    }
    tool = next((tool for tool in tools if shutil.which(tool)), None)
    if tool is None:
        raise DeriveError(
            "no TeX found to make a PDF with; install one (Debian: apt install texlive-latex-base "
            "texlive-latex-recommended lmodern latexmk)"
        )
    for _ in range(3 if tool == "pdflatex" else 1):  # pdflatex alone needs further runs for the references
        done = subprocess.run(tools[tool], cwd=folder, capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            raise DeriveError(f"{tool} cannot compile {folder / 'derivation.tex'}; see {folder / 'derivation.log'}")
    return folder / "derivation.pdf"
