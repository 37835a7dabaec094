"""Finds cells: those shipped by their names, the user's own by their files."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from derive import cells as shipped_cells
from derive.language.cell import Cell
from derive.language.errors import DeriveError, UsageError
from derive.output.task_checks import check_task


def shipped() -> list[str]:
    """The names of the cells shipped."""
    return [module.name for module in pkgutil.iter_modules(shipped_cells.__path__)]


def find_cells(names: Iterable[str]) -> list[Cell]:
    """The cells to derive: shipped ones by name, the user's own by file, all shipped ones where none is named.

    Raises:
        DeriveError: There is no such cell, its file does not define one, or its example names a task that does not fit.
    """
    found = []
    for name in list(names) or shipped():
        if name in shipped():
            found.append(importlib.import_module(f"derive.cells.{name}").cell)
        elif name.endswith(".py"):
            found.append(read_cell(Path(name)))
        else:
            raise UsageError(
                f"there is no cell {name!r}; shipped are {', '.join(shipped())}, and your own is named by its file, as "
                f"in my_cell.py"
            )
    for cell in found:
        check_task(cell)
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
