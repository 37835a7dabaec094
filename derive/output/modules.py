"""The modules of a cell as text: everything that is printed from its derivation and can be run."""

from __future__ import annotations

import subprocess

from ruff import find_ruff_bin

from derive.backends.array_api.network_code import print_network_array_api
from derive.backends.numpy.closed_form_code import print_closed_form
from derive.backends.numpy.descent_code import print_descent
from derive.backends.numpy.examples import print_example, print_task_example
from derive.backends.numpy.jacobian_code import print_jacobian
from derive.backends.numpy.moments_code import print_moments
from derive.backends.numpy.network_code import print_network
from derive.backends.numpy.network_fast_code import print_network_fast
from derive.language.cell import Cell
from derive.language.errors import DeriveError
from derive.language.example import Example, TaskExample
from derive.mathematics.derivation import Derivation

LINE_LENGTH = 120
PRINTERS = {
    "network.py": print_network,
    "closed_form.py": print_closed_form,
    "moments.py": print_moments,
    "descent.py": print_descent,
    "jacobian.py": print_jacobian,
    "network_fast.py": print_network_fast,
    "network_array_api.py": print_network_array_api,
}
"""What prints each module; nothing where the cell has no such module. A module imports those above it alone."""


def modules_of(derivation: Derivation) -> dict[str, str]:
    """The modules of a cell by file name, each after those that it imports."""
    example = example_of(derivation.cell)
    printed = {name: print_module(derivation) for name, print_module in PRINTERS.items()}
    found = {name: formatted(text) for name, text in printed.items() if text is not None}
    network = {"network.py": found.pop("network.py")}
    return {**network, **({"example.py": formatted(example)} if example else {}), **found}


def example_of(cell: Cell) -> str | None:
    """The text of example.py, not yet formatted, where the cell has an example."""
    match cell.example:
        case Example():
            return print_example(cell, cell.example)
        case TaskExample():
            return print_task_example(cell, cell.example)
    return None


def formatted(source: str) -> str:
    """Python source in the project's format, by ruff."""
    command = [find_ruff_bin(), "format", "--isolated", "--line-length", str(LINE_LENGTH), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        raise DeriveError(f"ruff cannot format a generated module: {done.stderr.strip()}")
    return done.stdout
