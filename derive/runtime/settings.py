"""The command line of the trainer: from its words to checked Settings.

What the command line leaves open, the cell's example.py answers: the data, the start, the learning
rates and the number of epochs. A cell without an example needs --data and has the defaults below.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .data import Array, read_data
from .errors import InputError
from .options import DEFAULT_EPOCHS, DEFAULT_LEARNING_RATE, DEFAULT_SEED, parser
from .shapes import Shape, measure, size_of_all
from .weights import check_output, choose_learning_rates, choose_start


class Network(Protocol):
    """What training needs of a network.py; it says itself which shapes X, t and the weights have."""

    Parameters: Any  # the NamedTuple with one field a weight
    SHAPES: Mapping[str, Shape]  # of every weight
    DATA_SHAPES: Mapping[str, Shape]  # of X and t

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[float, Any]:
        """Return the loss and its gradient, the latter as Parameters."""

    def descend(self, parameters: Any, gradient: Any, learning_rates: Any) -> Any:
        """Return the parameters after one update by gradient descent."""

    def predict(self, parameters: Any, X: Array) -> Array:
        """Return the output for each of the N sequences."""


@dataclass(frozen=True)
class Settings:
    """A run in which everything is known and checked; the shapes of X and t are those of the network."""

    cell: str
    network: Network
    X: Array
    t: Array
    start: NamedTuple
    learning_rates: NamedTuple
    epochs: int
    tolerance: float | None
    output: Path | None


def read_settings(argv: Sequence[str] | None = None) -> Settings:
    """Read the command line, and the files it names.

    Args:
        argv: The words after the program's name; by default those of this process.

    Returns:
        The settings of the run.

    Raises:
        InputError: An argument or a file cannot be used.
        SystemExit: The user asked for --help.
    """
    cells = find_cells()
    arguments = parser(cells).parse_args(argv)
    cell = _choose_cell(arguments.cell, cells)
    if arguments.output:
        check_output(arguments.output)

    network: Any = import_module(f".{cell}.network", __package__)
    example = _read_example(cell)
    if arguments.data:
        X, t = read_data(arguments.data, network.DATA_SHAPES)
    elif "X" in example:
        X, t = example["X"], example["t"]
    else:
        raise InputError(f"{cell} has no example to train on: give your data with --data FILE")

    seed, template = arguments.seed, example.get("START")
    sizes = _choose_sizes(network, X, t, example.get("SIZES", {}), dict(arguments.size))
    if template is None:
        shapes = size_of_all(network.SHAPES, sizes)
        template = network.Parameters(**{name: np.zeros(shape) if shape else 0.0 for name, shape in shapes.items()})
        seed = DEFAULT_SEED if seed is None else seed
    rates = example.get("LEARNING_RATES") or template._make([DEFAULT_LEARNING_RATE] * len(template))
    return Settings(
        cell,
        network,
        X,
        t,
        choose_start(template, seed, arguments.init),
        choose_learning_rates(rates, arguments.learning_rate),
        example.get("EPOCHS", DEFAULT_EPOCHS) if arguments.epochs is None else arguments.epochs,
        arguments.tolerance,
        arguments.output,
    )


def _read_example(cell: str) -> dict[str, Any]:
    """Return what the cell's example.py defines, by name; nothing where there is none."""
    if not (Path(__file__).parent / cell / "example.py").is_file():
        return {}
    return vars(import_module(f".{cell}.example", __package__))


def _choose_sizes(
    network: Network, X: Array, t: Array, example: Mapping[str, int], given: Mapping[str, int]
) -> dict[str, int]:
    """Return the size of every dimension: as the data have it, else as --size says, else as the example has it."""
    try:
        of_data = measure(network.DATA_SHAPES, {"X": X, "t": t})
    except ValueError as error:
        raise InputError(f"the example does not fit the cell: {error}") from None
    named = {size for shape in network.SHAPES.values() for size in shape if isinstance(size, str)}
    for name in given:
        if name in of_data:
            raise InputError(f"--size {name}={given[name]}: the data say that {name} is {of_data[name]}: leave it out")
        if name not in named:
            there_are = ", ".join(sorted(named - set(of_data))) or "none"
            raise InputError(f"--size {name}={given[name]}: no weight has that dimension, expected {there_are}")
    return {**example, **given, **of_data}


def find_cells() -> list[str]:
    """Return the names of the folders beside this file that hold a network.py."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/network.py"))


def _choose_cell(cell: str | None, cells: Sequence[str]) -> str:
    """Return the cell asked for, or the only one there is."""
    if not cells:
        raise InputError(f"{Path(__file__).parent} holds no cell: derive one into it first")
    there_are = "there are " + ", ".join(cells) if len(cells) > 1 else f"there is {cells[0]}"
    if cell is None and len(cells) > 1:
        raise InputError(f"which cell? {there_are}")
    if cell is not None and cell not in cells:
        closest = difflib.get_close_matches(cell, cells, n=1)
        question = f", did you mean {closest[0]}?" if closest else ":"
        raise InputError(f"no cell {cell!r}{question} {there_are}")
    return cell or cells[0]
