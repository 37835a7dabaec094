"""python -m derive: cells in, derivations and NumPy modules out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from derive.language.errors import DeriveError, UsageError
from derive.mathematics.pipeline import STEPS
from derive.output.cell_files import find_cells, shipped
from derive.output.files import compile_pdf, differences, require_writable, write
from derive.output.package import print_index, shared_files
from derive.output.processes import derive_cells

OUT = Path("generated")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0 done, 1 a check fails or nothing could be written, 2 the cell or the command line is wrong, 130
        interrupted.
    """
    try:
        options = parser().parse_args(arguments)
        if options.pdf:
            return make_pdfs(options)
        return run(options)
    except DeriveError as error:
        print(f"derive: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("derive: interrupted", file=sys.stderr)
        return 130


class Parser(argparse.ArgumentParser):
    """Reports a wrong option as every other mistake is reported: in one line."""

    def error(self, message: str) -> NoReturn:
        """Argparse calls this for a wrong option."""
        raise UsageError(f"{message}; see python -m derive --help")


def parser() -> Parser:
    """The options."""
    made = Parser(
        prog="python -m derive",
        description="Derive backpropagation through time for recurrent cells: the derivation as LaTeX, page and "
        "Markdown, and the "
        "NumPy module that is the same list of equations.",
        epilog="Exit codes: 0 done; 1 a check does not hold, or nothing could be written; 2 a mistake in a cell or in "
        "the options.",
    )
    made.add_argument(
        "cells",
        nargs="*",
        metavar="CELL",
        help="a shipped cell's name, or a file my_cell.py; every shipped cell unless given",
    )
    made.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"where to write (default: {OUT})")
    made.add_argument(
        "--steps",
        type=int,
        default=STEPS,
        metavar="T",
        help="write the unrolled equations for T steps (default: %(default)s); all of them are checked, which takes "
        "longer the more there are: about a minute for 20 steps of an lstm",
    )
    action = made.add_mutually_exclusive_group()
    action.add_argument(
        "--check", action="store_true", help="write nothing; say whether the folder holds what would be written"
    )
    action.add_argument("--pdf", action="store_true", help="compile the derivations that are in the folder to PDF")
    return made


def run(options: argparse.Namespace) -> int:
    """Derives the cells, and writes or compares what comes out."""
    files: dict[str, bytes] = shared_files(options.out.resolve().name)
    cells = find_cells(options.cells)
    if not options.check:
        require_writable(options.out)
    for line, files_of_it in derive_cells(options.cells or shipped(), cells, options.steps):
        print(line)
        files |= files_of_it
    files["index.html"] = print_index(files, options.out)
    if options.check:
        found = differences(files, options.out, others=bool(options.cells))
        cure = (
            "run make derive" if options.out == OUT else "run python -m derive with the same options, without --check"
        )
        print("\n".join([*found, cure]) if found else f"{options.out} is up to date")
        return 1 if found else 0
    changed = write(files, options.out)
    print(f"{len(files)} files in {options.out}, {len(changed) or 'none'} of them new or changed")
    print(f"open {options.out / 'index.html'}")
    return 0


def make_pdfs(options: argparse.Namespace) -> int:
    """Compiles what was derived before."""
    for cell in find_cells(options.cells):
        folder = options.out / cell.name
        if not (folder / "derivation.tex").is_file():
            raise DeriveError(f"{folder / 'derivation.tex'} is missing; run make derive")
        print(f"wrote {compile_pdf(folder)}")
    return 0
