"""What can be wrong with an example that names a task, each with its cure."""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from sympy import Symbol

from derive.language.cell import Cell
from derive.language.errors import CellError, Wrong
from derive.language.example import TaskExample
from derive.language.quantities import N, T
from derive.language.shapes import dimensions_of
from derive.methods.update_rules import METHODS
from derive.trainer.data import tasks as of_trainer
from derive.trainer.errors import InputError

TASKS = Path(__file__).parents[1] / "trainer" / "data" / "tasks.py"


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


@cache
def shapes_of_data(task: str, arguments: tuple[tuple[str, int], ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the inputs and the targets that a task makes.

    Raises:
        InputError: The arguments do not go together.
    """
    data = getattr(of_trainer, task)(**dict(arguments))
    return data.X.shape, data.t.shape


def check_task(cell: Cell) -> None:
    """Finds the first mistake in the example of a cell, where it is one that names a task.

    Raises:
        CellError: It names the field of the example, the problem and the cure.
    """
    example = cell.example
    if not isinstance(example, TaskExample):
        return

    def wrong(where: str, problem: str, cure: str) -> NoReturn:
        raise CellError(cell.name, where, problem, cure)

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
    _check_data(cell, example, wrong)


def _check_data(cell: Cell, example: TaskExample, wrong: Wrong) -> None:
    """The data that the task makes must have the shapes of the cell's input and target."""
    try:
        shapes = shapes_of_data(example.task, tuple(example.arguments.items()))
    except InputError as error:
        wrong("example, arguments", str(error), "give others")
    sizes: dict[Any, int] = {}
    (x,), (t,) = cell.inputs, cell.targets
    every_step = (T,) if cell.target_at_every_step else ()
    ours = {"inputs": (N, T, *x.dimensions), "targets": (N, *every_step, *t.dimensions)}
    for (what, names), shape in zip(ours.items(), shapes, strict=True):
        fits = len(names) == len(shape) and all(
            (sizes.setdefault(name, size) if isinstance(name, Symbol) else name) == size
            for name, size in zip(names, shape, strict=True)
        )
        if not fits:
            form = f"({', '.join(map(str, names))})"
            wrong(
                f"example, task {example.task!r}",
                f"its {what} are {shape}, and those of the cell {form}",
                "choose another task, or mend the shapes of the cell",
            )
