"""python -m derive: cells in, derivations and NumPy modules out."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from derive import cells as shipped_cells
from derive.cell import Cell
from derive.errors import DeriveError, UsageError
from derive.outputs import compile_pdf, differences, files_of_cell, require_writable, shared_files, write
from derive.pipeline import STEPS, write_derivation

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
    for cell in cells:
        began = time.perf_counter()
        derivation = write_derivation(cell, options.steps)
        files |= files_of_cell(derivation)
        seconds = time.perf_counter() - began
        print(f"{cell.name}: {len(derivation.equations)} equations derived and checked ({seconds:.1f} s)")
    if options.check:
        found = differences(files, options.out, others=bool(options.cells))
        cure = (
            "run make derive" if options.out == OUT else "run python -m derive with the same options, without --check"
        )
        print("\n".join([*found, cure]) if found else f"{options.out} is up to date")
        return 1 if found else 0
    changed = write(files, options.out)
    print(f"{len(files)} files in {options.out}, {len(changed) or 'none'} of them new or changed")
    for cell in cells:
        print(f"open {options.out / cell.name / 'derivation.html'}")
    return 0


def make_pdfs(options: argparse.Namespace) -> int:
    """Compiles what was derived before."""
    for cell in find_cells(options.cells):
        folder = options.out / cell.name
        if not (folder / "derivation.tex").is_file():
            raise DeriveError(f"{folder / 'derivation.tex'} is missing; run make derive")
        print(f"wrote {compile_pdf(folder)}")
    return 0


def find_cells(names: Iterable[str]) -> list[Cell]:
    """The cells to derive: shipped ones by name, the user's own by file, all shipped ones where none is named.

    Raises:
        DeriveError: There is no such cell, or its file does not define one.
    """
    shipped = [module.name for module in pkgutil.iter_modules(shipped_cells.__path__)]
    found = []
    for name in list(names) or shipped:
        if name in shipped:
            found.append(importlib.import_module(f"derive.cells.{name}").cell)
        elif name.endswith(".py"):
            found.append(read_cell(Path(name)))
        else:
            raise UsageError(
                f"there is no cell {name!r}; shipped are {', '.join(shipped)}, and your own is named by its file, as "
                f"in my_cell.py"
            )
    names = [cell.name for cell in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two cells are called {twice[0]!r}; one would overwrite the other: rename it")
    return found


def read_cell(path: Path) -> Cell:
    """The `cell` that a user's file defines.

    Raises:
        DeriveError: The file cannot be read or run, or has no `cell`; with the line.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    sys.path.insert(0, str(path.resolve().parent))  # what the file imports may lie beside it
    # Its whole path is a name that hides no other module, as numpy.py would.
    spec = importlib.util.spec_from_file_location(str(path.resolve()), path)
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # a dataclass looks its module up there
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is left beside the user's file
    try:
        spec.loader.exec_module(module)
    except DeriveError:
        raise
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{path}{line}: {error.msg}") from error
    except SystemExit as error:
        raise UsageError(f"{path}: it ends the program by itself; take that out") from error
    except Exception as error:  # a user's file may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
        line = f", line {lines[-1]}" if lines else ""
        message = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, TypeError) and ("ufunc" in message or "to float" in message):
            message += "; take functions from sympy, not from math or numpy"
        if "truth value of Relational" in message:
            message += "; max, min, abs and if need numbers: write a smooth function, such as softplus"
        raise UsageError(f"{path}{line}: {message}") from error
    finally:
        sys.dont_write_bytecode = before
    if not isinstance(getattr(module, "cell", None), Cell):
        raise UsageError(f"{path}: it defines no cell; end it with cell = Cell(…)")
    return module.cell


if __name__ == "__main__":
    sys.exit(main())
