"""Who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DERIVE, GENERATED = ROOT / "derive", ROOT / "generated"

MAY_IMPORT = {
    "language": set(),
    "mathematics": {"language"},
    "methods": {"language"},
    "program": {"language", "mathematics", "methods"},
    "backends": {"language", "mathematics", "methods", "program", "certify"},
    "documents": {"language", "mathematics", "methods", "program", "backends"},
    "certify": {"language", "mathematics"},
    "trainer": set(),
    "output": {
        *("language", "mathematics", "methods", "program", "backends", "documents", "certify", "trainer"),
        "cells",
    },
    "cells": {""},
    "": {"language", "output"},
}
"""Which folders of derive a folder imports from, beside itself; "" is derive itself."""
STILL_IMPORTED: set[tuple[str, str]] = set()
"""Imports that point the wrong way, for now."""
FIGURES = {"plots.py": {"matplotlib"}}
"""What one file of the trainer may load, too, when a figure is asked for."""
MODULES = {
    ".".join(path.relative_to(DERIVE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(DERIVE.rglob("*.py"))
}


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """What a file imports: (module, names), within functions and for type hints too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), [alias.name for alias in node.names]))
    return found


def own_imports(path: Path) -> set[str]:
    """The modules of derive that a file of it imports, without `derive.`."""
    own = set()
    for module, names in imports(path):
        package, _, rest = module.partition(".")
        if package == "derive":
            inner = {f"{rest}.{name}".removeprefix(".") for name in names}
            own |= {name if name in MODULES else rest for name in inner} or {rest}
    return own


NEEDS = {module: own_imports(path) for module, path in MODULES.items()}


def folder_of(module: str) -> str:
    """The folder directly below derive that a module lies in; "" for derive itself."""
    return module.partition(".")[0] if MODULES[module].parent != DERIVE else ""


def packages(path: Path) -> set[str]:
    """The top-level packages that a file imports; `.` for its own."""
    return {module.split(".")[0] or "." for module, _ in imports(path)}


def test_every_folder_has_a_row():
    assert {folder_of(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder):
    allowed = {folder, *MAY_IMPORT[folder]}
    wrong = {
        (module, needed)
        for module in MODULES
        if folder_of(module) == folder
        for needed in NEEDS[module]
        if folder_of(needed) not in allowed
    }
    assert wrong == {(module, needed) for module, needed in STILL_IMPORTED if folder_of(module) == folder}


def test_only_the_ledger_makes_equations():
    made = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Equation"
    }
    assert made == {"mathematics.ledger"}


def test_no_two_modules_need_each_other():
    def reach(module: str) -> set[str]:
        seen: set[str] = set()
        ahead = [module]
        while ahead:
            new = NEEDS[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    assert not {module for module in MODULES if module in reach(module)}


def test_every_folder_says_what_is_in_it():
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module:
            (text,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(text, ast.Expr), f"{path} holds more than a docstring"


@pytest.mark.parametrize("path", sorted((DERIVE / "cells").glob("*.py")), ids=lambda path: path.stem)
def test_a_cell_imports_what_a_user_would(path):
    assert packages(path) <= {"derive", "sympy", "numpy", "dataclasses"}
    ours = {module for module, _ in imports(path) if module.startswith("derive")}
    assert all(module == "derive" or module.startswith("derive.cells") for module in ours)


@pytest.mark.parametrize(
    "path", sorted(GENERATED.rglob("*.py")), ids=lambda path: path.relative_to(GENERATED).as_posix()
)
def test_generated_code_imports_numpy_and_itself(path):
    assert packages(path) - sys.stdlib_module_names <= {"numpy", ".", *FIGURES.get(path.name, ())}


def test_import_derive_loads_only_sympy_and_numpy():
    source = "import sys; bare = set(sys.modules); import derive; print(*{m.split('.')[0] for m in sys.modules} - bare)"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    third_party = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert {name for name in third_party if not name.startswith("_")} <= {"derive", "sympy", "numpy", "mpmath"}
