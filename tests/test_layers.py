"""Who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DERIVE, GENERATED = ROOT / "derive", ROOT / "generated"

# Each module imports from its own row or from one above, never from one below.
LAYERS = {
    "data": {
        "errors",
        "letters",
        "quantities",
        "operations",
        "shapes",
        "rules",
        "optimizers",
        "levenberg_marquardt",
        "trainer",
        "reserved",
        "task_checks",
        "example_checks",
        "equation_checks",
        "loss_checks",
        "cell_checks",
        "cell",
        "derivation",
        "program",
    },
    "passes": {
        "adjoints",
        "symbols",
        "laws",
        "unroll",
        "bptt",
        "repeating",
        "evaluate",
        "points",
        "closed_form",
        "curvature",
        "one_pass",
        "moments",
        "descent",
        "staging",
        "forward_mode",
        "same_gradient",
        "least_squares",
        "lower",
    },
    "printers": {
        "notation",
        "templating",
        "latex",
        "numpy_code",
        "data_sums_code",
        "modules",
        "fast_plan",
        "fast_texts",
        "fast_calls",
        "fast_lines",
        "fast_gradients",
        "fast_code",
        "optimizer_files",
        "jacobian_code",
        "levenberg_marquardt_files",
        "lambdified",
        "document",
        "tex",
        "html",
        "markdown",
    },
    "pipeline and outputs": {
        "pipeline",
        "certify",
        "certify_gradient",
        "certify_equations",
        "certify_code",
        "certify_fast",
        "certify_jacobian",
        "figures",
        "outputs",
        "package_files",
        "notebook",
    },
    "package": {"__init__"},
    "cells": {"cells"},
    "command line": {"cell_files", "processes", "__main__"},
}
ROWS = {module: row for row, modules in enumerate(LAYERS.values()) for module in modules}
FIGURES = {"plots.py": {"matplotlib"}}
"""What one file of the trainer may load, too, when a figure is asked for."""
MODULES = sorted(DERIVE.glob("*.py"))


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """What a file imports when it runs: (module, names), within functions too, but not for type hints only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found = []
    for node in set(ast.walk(tree)) - {inner for hint in hints for inner in ast.walk(hint)}:
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
            own |= {rest.partition(".")[0]} if rest else {n for n in names if n in ROWS} or {"__init__"}
    return own


def packages(path: Path) -> set[str]:
    """The top-level packages that a file imports; `.` for its own."""
    return {module.split(".")[0] or "." for module, _ in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_has_a_layer(path):
    assert path.stem in ROWS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_point_one_way(path):
    assert {module for module in own_imports(path) if ROWS[module] > ROWS[path.stem]} == set()


def test_no_two_modules_need_each_other():
    needs = {path.stem: own_imports(path) for path in MODULES}

    def reach(module: str, seen: frozenset[str]) -> set[str]:
        return {m for near in needs.get(module, set()) - seen for m in {near} | reach(near, seen | {near})}

    assert [module for module in needs if module in reach(module, frozenset())] == []


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
