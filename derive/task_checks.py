"""What can be wrong with an example that names a task, each with its cure."""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from derive.optimizers import METHODS
from derive.shapes import dimensions_of

if TYPE_CHECKING:
    from derive.cell import Cell, TaskExample

TASKS = Path(__file__).parent / "runtime" / "tasks.py"


@cache
def tasks() -> dict[str, dict[str, bool]]:
    """The tasks of the trainer: for each its arguments, and whether they must be given."""
    functions = (
        node for node in ast.parse(TASKS.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    )
    found = {}
    for function in functions:
        if isinstance(function.returns, ast.Name) and function.returns.id == "Task":
            names = [argument.arg for argument in function.args.args]
            required = len(names) - len(function.args.defaults)
            found[function.name] = {name: place < required for place, name in enumerate(names)}
    return found


def check_task(cell: Cell, example: TaskExample, wrong: Callable[[str, str, str], NoReturn]) -> None:
    """Finds the first mistake in an example that names a task, and reports it by `wrong`."""

    def known(where: str, name: Any, names: Collection[str]) -> None:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, 1)
            there_are = ", ".join(sorted(names)) or "none"
            wrong(where, f"{name!r} is unknown", f"did you mean {close[0]}?" if close else f"there is {there_are}")

    def whole(where: str, name: str, value: Any, least: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            wrong(where, f"{name} is {value!r}", f"give a whole number, {least} or more")

    known("example, task", example.task, tasks())
    arguments = tasks()[example.task]
    for name, value in example.arguments.items():
        known("example, arguments", name, arguments)
        whole("example, arguments", name, value, 0)
    if missing := [name for name, needed in arguments.items() if needed and name not in example.arguments]:
        wrong("example, arguments", f"{example.task} needs {' and '.join(missing)}", "give it")

    told = {str(size) for size in dimensions_of((*cell.inputs, *cell.targets))}
    asked = [str(size) for size in dimensions_of(cell.parameters) if str(size) not in told]
    for name, value in example.sizes.items():
        if name in told:
            wrong("example, sizes", f"the data tell {name}", "leave it out")
        known("example, sizes", name, asked)
        whole("example, sizes", name, value, 1)
    if missing := [name for name in asked if name not in example.sizes]:
        wrong("example, sizes", f"{' and '.join(missing)} is missing", f"give each of {', '.join(asked)}")

    for name, number in example.start.items():
        known("example, start", name, [weight.name for weight in cell.parameters])
        if not isinstance(number, int | float) or not math.isfinite(number):
            wrong("example, start", f"{name} is {number!r}", "give a finite number")
    known("example, method", example.method, METHODS)
    rate = example.learning_rate
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        wrong("example, learning_rate", f"it is {rate!r}", "give a positive number")
    whole("example, epochs", "it", example.epochs, 0)
    whole("example, seed", "it", example.seed, 0)
    if example.batch is not None:
        whole("example, batch", "it", example.batch, 1)
