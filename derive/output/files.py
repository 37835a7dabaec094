"""What is written for a cell, and how it gets onto the disk: all or nothing, and nothing of the user's is touched."""

from __future__ import annotations

import contextlib
import difflib
import errno
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from derive.backends.numpy.adapter import candidates_of
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import network_of
from derive.backends.templating import render
from derive.certify.certificate import certify
from derive.documents.figures import draw
from derive.documents.html import print_html
from derive.documents.markdown import print_markdown
from derive.documents.tex import print_tex
from derive.language.errors import DeriveError
from derive.language.report import Report, silent
from derive.mathematics.derivation import Derivation, Figure
from derive.output.modules import formatted, modules_of

MARK = "`python -m derive`"
"""What the docstring of every folder that derive writes contains."""
ASSETS = "assets/"
"""Third-party code: written like the rest, but left out of version control."""
MOST_LINES = 60
"""How much of one file's difference is shown."""
TEX_LEFTOVERS = frozenset([".pdf", ".aux", ".fdb_latexmk", ".fls", ".log", ".out", ".toc", ".xdv", ".gz"])
"""What a PDF leaves behind, and the figures for it."""


def files_of_cell(derivation: Derivation, report: Report = silent) -> dict[str, bytes]:
    """Everything that is written for one cell, once its certificate holds.

    Args:
        derivation: What the files are printed from.
        report: Told what it is at.

    Returns:
        The content of each file by its path within the output folder.

    Raises:
        CertificateError: A check fails.
    """
    report("printing code")
    cell, module = derivation.cell, network_of(derivation).module
    modules = modules_of(derivation)
    certificate = certify(derivation, *candidates_of(derivation, modules), report)
    report("printing the derivation")
    texts = {
        "__init__.py": formatted(render("output/templates/cell_init.py.j2", {"cell": cell})),
        **modules,
        "certificate.json": json.dumps(certificate, indent=1, ensure_ascii=False) + "\n",
        "derivation.tex": print_tex(derivation, module),
        "derivation.html": print_html(derivation, module),
        "derivation.md": print_markdown(derivation, module),
    }
    files = {f"{cell.name}/{name}": text.encode() for name, text in texts.items()}
    report("drawing figures")
    network = load(modules["network.py"], cell.name)
    for section in derivation.sections:
        for entry in section.entries:
            if isinstance(entry, Figure):
                for ending, content in draw(entry, derivation, network).items():
                    files[f"{cell.name}/figures/{entry.name}.{ending}"] = content
    return files


def require_writable(folder: Path) -> None:
    """Finds out before a long calculation whether its results can be written.

    Raises:
        DeriveError: The folder, or where it is to be made, cannot be written to.
    """
    there = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    if not there.is_dir():
        raise DeriveError(f"{there}: {os.strerror(errno.ENOTDIR)}; choose another folder with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DeriveError(f"{there}: {os.strerror(errno.EACCES)}; choose another folder with --out")


def write(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """Writes files below a folder: first all of them beside it, then each is moved into its place.

    A file that has the same content already is left alone, and so is every file that is not among `files`.

    Returns:
        The paths that changed.

    Raises:
        DeriveError: Something cannot be written; the folder is then as it was.
    """
    path = ""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        changed = [path for path, content in files.items() if not same(folder / path, content)]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".derive-", dir=folder) as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            for path in changed:
                for side in (new, old):
                    (side / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(files[path])
            for path in changed:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                if (folder / path).is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                if (folder / path).exists() and not ours(path, folder):
                    raise FileExistsError(errno.EEXIST, "was not written by derive")
            move(changed, new, folder, old)
    except OSError as error:
        for place in made:
            with contextlib.suppress(OSError):  # there may be something in it by now
                place.rmdir()
        where = error.filename or folder / path
        cure = "nothing was changed; choose another folder with --out"
        raise DeriveError(f"{where}: {error.strerror}; {cure}") from error
    return changed


def ours(path: str, folder: Path) -> bool:
    """Whether a file was written by derive before: the package that it belongs to says so in its docstring."""
    package = folder / PurePosixPath(path).parts[0] if "/" in path else folder
    packages = {folder, package if package.is_dir() else folder}
    return path.startswith(ASSETS) or all(MARK in _text(each / "__init__.py") for each in packages)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def move(paths: Iterable[str], source: Path, target: Path, old: Path) -> None:
    """Moves files from one folder to another, what stood there to a third; all of them, or back again."""
    moved = []
    try:
        for path in paths:
            moved.append(path)
            if (target / path).exists():
                os.replace(target / path, old / path)
            os.replace(source / path, target / path)
    except BaseException:
        for path in moved:
            if (old / path).exists():
                os.replace(old / path, target / path)
            elif not (source / path).exists():
                (target / path).unlink(missing_ok=True)
        raise


def same(path: Path, content: bytes) -> bool:
    """Whether a file exists with this content."""
    return path.is_file() and path.read_bytes() == content


def differences(files: Mapping[str, bytes], folder: Path, *, others: bool = False) -> list[str]:
    """How a folder differs from what is derived now: a diff a changed file, a line a missing or a stray one.

    Args:
        files: What is derived now.
        folder: The folder.
        others: Whether the folder may hold other cells than those derived now.
    """
    found: list[str] = []
    for path, content in sorted(files.items()):
        if not committed(path) or same(folder / path, content):
            continue
        if not (folder / path).is_file():
            found.append(f"{folder / path} is missing")
            continue
        before, after = (_lines(text) for text in ((folder / path).read_bytes(), content))
        lines = list(difflib.unified_diff(before, after, f"{folder / path}", "derived now", lineterm=""))
        more = [f"… and {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
        found.append("\n".join(lines[:MOST_LINES] + more))
    own = {path.partition("/")[0] for path in files}
    strays = (
        path for path in strangers(files, folder) if not (others and "/" in path) or path.partition("/")[0] in own
    )
    return found + [f"{folder / path} is written by nothing: remove it" for path in sorted(strays)]


def _lines(content: bytes) -> list[str]:
    """The lines of a text for a diff, what cannot be seen made visible."""
    lines = content.decode(errors="replace").replace("\r", "␍").split("\n")
    return lines[:-1] if lines[-1] == "" else [*lines, "\\ No newline at end of file"]


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
