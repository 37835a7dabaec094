"""Data, tasks and settings to try a cell with, and what its figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Example:
    """Data and settings to try a cell with: what `make train` runs, and where the derivation puts numbers in.

    Attributes:
        title: Where it comes from.
        X: The inputs, one sequence a row: N × T numbers.
        t: The targets, N numbers.
        start: The weights that training starts from, by code name.
        learning_rates: One a weight, by code name.
        epochs: How many updates.
        solution: Weights at which the loss is smallest, by code name, where they are known exactly; the derivation
            checks that the gradient is zero there.
    """

    title: str
    X: tuple[tuple[float, ...], ...]
    t: tuple[float, ...]
    start: Mapping[str, float]
    learning_rates: Mapping[str, float]
    epochs: int
    solution: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskExample:
    """A task to try a cell with whose weights are rows and matrices: what `make train` runs.

    Attributes:
        title: What is learnt.
        task: The name of a function in derive/trainer/data/tasks.py, which makes the data.
        arguments: Its arguments, by name.
        sizes: The size of each dimension that the data do not tell, by name.
        learning_rate: One for all weights.
        epochs: How many passes over the data.
        method: The update rule, a name in derive/methods/update_rules.py.
        batch: How many sequences an update sees; all unless given.
        start: Weights that do not start as usual, by code name: one number for all entries.
        seed: For the weights to start from, and for the order of the sequences.
    """

    title: str
    task: str
    arguments: Mapping[str, int]
    sizes: Mapping[str, int]
    learning_rate: float
    epochs: int
    method: str = "gradient_descent"
    batch: int | None = None
    start: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Landscape:
    """What the figures of a cell with two weights show.

    Attributes:
        inputs: The inputs, N × T.
        targets: The targets, N.
        points: Weights to mark, as pairs in the order of the cell's parameters.
        windows: Half-open views (low, high) of both axes, one figure each.
    """

    inputs: np.ndarray
    targets: np.ndarray
    points: tuple[tuple[float, float], ...]
    windows: tuple[tuple[float, float], ...]
