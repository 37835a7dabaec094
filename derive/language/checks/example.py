"""What can be wrong with the example of a cell and with what its figures show, each mistake with its cure."""

from __future__ import annotations

import math
from typing import Any

from derive.language.description import Description
from derive.language.errors import Wrong


def check_example(cell: Description, wrong: Wrong) -> None:
    """The example has data and settings that fit the cell; one that names a task is checked where files are written."""
    example: Any = cell.example
    if example is None or hasattr(example, "task"):
        return
    if not cell.is_scalar or cell.target_at_every_step:
        what = "has one target a step" if cell.is_scalar else "is of rows"
        cure = "give a TaskExample, which names a task, or none, and train on data of your own"
        wrong("example", f"an Example has numbers, one target a sequence, and the cell {what}", cure)
    names = {parameter.name for parameter in cell.parameters}
    for what in ("start", "learning_rates", "solution"):
        given = set(getattr(example, what))
        if given != names and not (what == "solution" and not given):
            odd = [f"{name} is unknown" for name in sorted(given - names)]
            odd += [f"{name} is missing" for name in sorted(names - given)]
            wrong(f"example, {what}", ", ".join(odd), f"give each of {', '.join(sorted(names))}")
        for name, value in getattr(example, what).items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                wrong(f"example, {what}", f"{name} is {value!r}", "give a finite number")
    if any(rate <= 0 for rate in example.learning_rates.values()):
        wrong("example, learning_rates", "one is not positive", "give positive numbers")
    if not isinstance(example.epochs, int) or example.epochs < 0:
        wrong("example, epochs", f"it is {example.epochs!r}", "give a whole number, 0 or more")
    if not all(isinstance(row, tuple | list) for row in example.X):
        wrong("example, X", f"it is {example.X}", "give one tuple of numbers a sequence")
    for what, row in (*(("X", row) for row in example.X), ("t", example.t)):
        for number in row:
            if not isinstance(number, int | float) or not math.isfinite(number):
                wrong(f"example, {what}", f"{number!r} in it", "give finite numbers")
    lengths = {len(row) for row in example.X}
    if len(lengths) != 1 or 0 in lengths:
        wrong("example, X", f"its sequences have the lengths {sorted(lengths)}", "give one or more, all of one length")
    if len(example.X) != len(example.t):
        wrong("example", f"{len(example.X)} sequences and {len(example.t)} targets", "give one target a sequence")


def check_landscape(cell: Description, wrong: Wrong) -> None:
    """What the figures are to show fits the cell."""
    if cell.landscape is None:
        return
    if not cell.is_scalar or len(cell.parameters) != 2:
        wrong("landscape", "it needs two weights that are numbers", "leave it out")
    if cell.landscape.inputs.ndim != 2 or cell.landscape.targets.shape != cell.landscape.inputs.shape[:1]:
        shapes = f"{cell.landscape.inputs.shape} and {cell.landscape.targets.shape}"
        wrong("landscape", f"inputs and targets have the shapes {shapes}", "give N × T and N numbers")
    if any(len(point) != 2 for point in cell.landscape.points):
        wrong("landscape, points", "one is no pair", "give pairs of weights")
