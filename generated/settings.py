"""The command line of the trainer: from its words to checked Settings.

What the command line leaves open, the cell's example.py answers: the data or the task that makes them,
the start, the sizes, the method with its learning rates, the batches and the number of epochs. A cell
without an example needs --data, and has the defaults of options.py and the method's usual learning rate.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .data import Array, read_data, read_text
from .errors import InputError
from .options import DEFAULT_EPOCHS, DEFAULT_SEED, parser
from .shapes import Shape, measure, size_of_all
from .tasks import Task
from .weights import check_output, choose_learning_rates, choose_start

GRADIENT_DESCENT = "gradient_descent"
"""The method that every network has itself, as `descend`."""


class Method(Protocol):
    """What training needs of a method in optimizers.py."""

    state: int  # how many numbers it keeps for each entry of a weight
    learning_rate: float

    @property
    def update(self) -> Callable[..., tuple[Any, ...]]:
        """From a weight, its gradient, its learning rate and its state to the new weight and the new state."""


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
    task: Task | None
    start: NamedTuple
    method_name: str
    method: Method | None  # None: the network's own descend
    learning_rates: NamedTuple
    epochs: int
    batch: int
    seed: int
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
    methods: Mapping[str, Method] = import_module(".optimizers", __package__).METHODS
    arguments = parser(cells, list(methods)).parse_args(argv)
    cell = _choose_cell(arguments.cell, cells)
    if arguments.output:
        check_output(arguments.output)

    network: Any = import_module(f".{cell}.network", __package__)
    example = _read_example(cell)
    X, t, task = _choose_data(cell, network, example, arguments.data)
    sizes = _choose_sizes(network, X, t, example.get("SIZES", {}), dict(arguments.size))
    seed, template = arguments.seed, example.get("START")
    if template is None:
        shapes = size_of_all(network.SHAPES, sizes)
        template = network.Parameters(**{name: np.zeros(shape) if shape else 0.0 for name, shape in shapes.items()})
        seed = example.get("SEED", DEFAULT_SEED) if seed is None else seed

    usual = example.get("METHOD", GRADIENT_DESCENT)
    name = arguments.method or usual
    rates = example.get("LEARNING_RATES") if name == usual else None
    if rates is None:
        rate = example.get("LEARNING_RATE") if name == usual else None
        rates = template._make([methods[name].learning_rate if rate is None else rate] * len(template))

    batch = arguments.batch or example.get("BATCH") or len(X)
    if arguments.tolerance is not None and batch < len(X):
        raise InputError(f"--tolerance looks at the gradient of all {len(X)} sequences: give --batch {len(X)} with it")
    return Settings(
        cell,
        network,
        X,
        t,
        task,
        choose_start(template, seed, arguments.init, example.get("START_AT", {})),
        name,
        None if name == GRADIENT_DESCENT else methods[name],
        choose_learning_rates(rates, arguments.learning_rate),
        example.get("EPOCHS", DEFAULT_EPOCHS) if arguments.epochs is None else arguments.epochs,
        batch,
        DEFAULT_SEED if seed is None else seed,
        arguments.tolerance,
        arguments.output,
    )


def _choose_data(
    cell: str, network: Network, example: Mapping[str, Any], path: Path | None
) -> tuple[Array, Array, Any]:
    """Return X, t and the task that they are of: from the user's file, else from the example."""
    task: Task | None = example.get("TASK")
    if path is None and task is not None:
        return task.X, task.t, task
    if path is None and "X" in example:
        return example["X"], example["t"], None
    if path is None:
        raise InputError(f"{cell} has no example to train on: give your data with --data FILE")
    if path.suffix.lower() == ".txt" and task is not None and task.read_text is not None:
        task = task.read_text(read_text(path))
        return task.X, task.t, task
    return *read_data(path, network.DATA_SHAPES), None


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
