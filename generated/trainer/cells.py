"""The cells and the methods: folders beside the trainer's own, in a package of whatever name."""

import difflib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .errors import InputError

PACKAGE = __name__.rpartition(".trainer.")[0]
"""The name of the package that holds the trainer, and with it all cells."""
FOLDER = Path(__file__).parents[1]
"""The folder of that package."""


def find_cells(module: str = "network") -> list[str]:
    """Return the names of the cells, or of those that have a certain module."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{module}.py"))


def choose_cell(cell: str | None, cells: Sequence[str]) -> str:
    """Return the cell asked for, or the only one there is.

    Raises:
        InputError: It is not among `cells`, or none was asked for and there are several.
    """
    if not cells:
        raise InputError(f"{FOLDER} holds no cell: derive one into it first")
    there_are = "there are " + ", ".join(cells) if len(cells) > 1 else f"there is {cells[0]}"
    if cell is None and len(cells) > 1:
        raise InputError(f"which cell? {there_are}")
    if cell is not None and cell not in cells:
        closest = difflib.get_close_matches(cell, cells, n=1)
        question = f", did you mean {closest[0]}?" if closest else ":"
        raise InputError(f"no cell {cell!r}{question} {there_are}")
    return cell or cells[0]


def module_of(cell: str, name: str) -> Any:
    """Return a module of a cell; None where the cell has none of that name."""
    if not (FOLDER / cell / f"{name}.py").is_file():
        return None
    return import_module(f"{PACKAGE}.{cell}.{name}")


def method_module(name: str) -> Any:
    """Return a module of the folder methods: the update rules, or Levenberg–Marquardt."""
    return import_module(f"{PACKAGE}.methods.{name}")


def code_of(cell: str) -> list[Path]:
    """Return the files that compute: the modules of a cell, and those of the methods."""
    of_cell = [path for path in (FOLDER / cell).glob("*.py") if path.name not in ("__init__.py", "example.py")]
    return sorted(of_cell) + sorted(path for path in (FOLDER / "methods").glob("*.py") if path.name != "__init__.py")
