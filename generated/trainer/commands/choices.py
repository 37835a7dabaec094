"""The cell, its data, its sizes, its weights: from the command line, from the data, else from the cell's example."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cells import module_of
from ..data.input_files import read_text
from ..data.reading import read_data
from ..data.sequences import Group, Sequences
from ..data.shapes import measure, size_of_all
from ..data.tasks import Task
from ..errors import InputError
from ..run.protocols import Network
from ..run.weights import choose_start
from .options import DEFAULT_SEED


class Choices(NamedTuple):
    """A network with all that it can be tried on."""

    network: Any
    example: Mapping[str, Any]  # what the cell's example.py defines
    data: Sequences
    task: Task | None
    sizes: Mapping[str, int]
    start: Any  # Parameters
    seed: int  # that of the command line, else of the example


def read_choices(cell: str, arguments: Any) -> Choices:
    """Return what a command line chooses for a cell by --data, --size, --seed and --init, and the example otherwise.

    Raises:
        InputError: Something in it cannot be used.
    """
    network: Any = module_of(cell, "network")
    example = read_example(cell)
    data, task = choose_data(cell, network, example, arguments.data)
    sizes = choose_sizes(network, data, example.get("SIZES", {}), dict(arguments.size))
    start, seed = choose_weights(network, example, sizes, arguments.seed, arguments.init)
    return Choices(network, example, data, task, sizes, start, DEFAULT_SEED if seed is None else seed)


def choose_data(
    cell: str, network: Network, example: Mapping[str, Any], paths: Sequence[Path] | None
) -> tuple[Sequences, Task | None]:
    """Return the sequences, and the task that they are of: from the user's files, else from the example."""
    task: Task | None = example.get("TASK")
    if paths is None and task is not None:
        return Sequences(Group(task.X, task.t)), task
    if paths is None and "X" in example:
        return Sequences(Group(example["X"], example["t"])), None
    if paths is None:
        raise InputError(f"{cell} has no example to train on: give your data with --data FILE")
    where = ", ".join(map(str, paths))
    if task is not None and task.read_text is not None and [path.suffix.lower() for path in paths] == [".txt"]:
        text = read_text(paths[0])
        try:
            task = task.read_text(text)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        return Sequences(Group(task.X, task.t)), task
    data = read_data(paths, network.DATA_SHAPES)
    if len(data.groups) > 1 and not network.LOSS_IS_MEAN:
        raise InputError(
            f"{where}: there are sequences of {len(data.groups)} lengths, and the loss of {cell} is no mean over the "
            "sequences that could be taken length by length: give sequences of one length"
        )
    return data, None


def read_example(cell: str) -> dict[str, Any]:
    """Return what the cell's example.py defines, by name; nothing where there is none."""
    example = module_of(cell, "example")
    return {} if example is None else vars(example)


def choose_sizes(
    network: Network, data: Sequences, example: Mapping[str, int], given: Mapping[str, int]
) -> dict[str, int]:
    """Return the size of every dimension: as the data have it, else as --size says, else as the example has it."""
    of_data: dict[str, int] = {}
    for X, t in data.groups:  # they agree in all but the number of steps
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


def choose_weights(
    network: Network, example: Mapping[str, Any], sizes: Mapping[str, int], seed: int | None, init: str | None
) -> tuple[NamedTuple, int | None]:
    """Return the weights, and the seed that they were drawn with.

    Args:
        network: The cell's.
        example: Its example, which has the weights or the seed where the command line has neither.
        sizes: Of every dimension.
        seed: As --seed says.
        init: As --init says.

    Returns:
        Parameters, and the seed; None where the example has the weights.

    Raises:
        InputError: A size is not known, the weights do not fit into memory, or `init` cannot be used.
    """
    template = example.get("START")
    try:
        if template is None:
            shapes = size_of_all(network.SHAPES, sizes)
            template = network.Parameters(**{name: _zeros(shape) for name, shape in shapes.items()})
            seed = example.get("SEED", DEFAULT_SEED) if seed is None else seed
        return choose_start(template, seed, init, example.get("START_AT", {})), seed
    except MemoryError:
        dimensions = {name for shape in network.SHAPES.values() for name in shape}
        given = ", ".join(f"{name}={size}" for name, size in sizes.items() if name in dimensions)
        raise InputError(f"weights with {given} do not fit into memory: give smaller sizes with --size") from None


def _zeros(shape: tuple[int, ...]) -> Any:
    """Return a weight of zeros.

    Raises:
        MemoryError: It does not fit into memory.
    """
    try:
        return np.zeros(shape) if shape else 0.0
    except (ValueError, OverflowError):  # so many entries that NumPy cannot count them
        raise MemoryError from None
