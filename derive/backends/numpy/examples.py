"""Prints example.py: the data and settings of a cell's example, or the task that makes them."""

from __future__ import annotations

from collections.abc import Mapping

from derive.backends.templating import render
from derive.language.cell import Cell
from derive.language.example import Example, TaskExample


def print_example(cell: Cell, example: Example) -> str:
    """The module that holds the example's data and settings.

    Returns:
        Its source, not yet formatted.
    """

    def by_name(values: Mapping[str, float]) -> str:
        return ", ".join(f"{weight.name}={values[weight.name]!r}" for weight in cell.parameters)

    fields = {
        "title": cell.title,
        "example": example,
        "rows": [list(row) for row in example.X],
        "targets": list(example.t),
        "start": by_name(example.start),
        "learning_rates": by_name(example.learning_rates),
    }
    return render("backends/numpy/templates/example.py.j2", fields)


def print_task_example(cell: Cell, example: TaskExample) -> str:
    """The module that names the example's task and holds its settings.

    Returns:
        Its source, not yet formatted.
    """
    arguments = ", ".join(f"{name}={value:_}" for name, value in example.arguments.items())
    return render(
        "backends/numpy/templates/task_example.py.j2", {"title": cell.title, "example": example, "arguments": arguments}
    )
