"""Who may import whom within the trainer, and which packages it needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINER = ROOT / "derive" / "trainer"
MODULES = sorted(TRAINER.rglob("*.py"))
LAYERS = ("", "data", "run", "report", "commands")
"""Each folder imports from itself and from those before it; the first is the top of the trainer."""
FIGURES = {"plots.py": {"matplotlib"}}
"""What one file may load, too, when a figure is asked for."""


def name_of(path: Path) -> str:
    return path.relative_to(TRAINER).as_posix()


def folder_of(module: str) -> str:
    """The folder that a module is in, both as paths below the trainer."""
    return module.rpartition("/")[0]


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The packages and the modules of the trainer that a file imports, for type hints too; the latter as paths."""
    packages, own = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] / node.module.replace(".", "/")
            own.add(name_of(folder.with_suffix(".py")))
    return packages, own


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_trainer_imports_numpy_and_its_neighbours(path):
    packages, own = imports(path)
    assert packages - sys.stdlib_module_names <= {"numpy", *FIGURES.get(path.name, ())}
    assert own <= {name_of(module) for module in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    seen = LAYERS[: LAYERS.index(folder_of(name_of(path))) + 1]
    assert {module for module in imports(path)[1] if folder_of(module) not in seen} == set()


def test_no_two_modules_need_each_other():
    needs = {name_of(path): imports(path)[1] for path in MODULES}

    def reach(module: str, seen: frozenset[str]) -> set[str]:
        return {m for near in needs[module] - seen for m in {near} | reach(near, seen | {near})}

    assert [module for module in needs if module in reach(module, frozenset())] == []


def test_the_trainer_loads_matplotlib_only_to_draw():
    source = """if True:
        import sys
        from derive.trainer.commands import check, gradients, train
        print("matplotlib" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
