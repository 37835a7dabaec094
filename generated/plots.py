"""Figures of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class WeightPath(NamedTuple):
    """The way of two weights over the loss surface.

    Attributes:
        names: Of both weights.
        points: Both weights at every epoch, epochs × 2.
        loss: The loss of two weights.
    """

    names: tuple[str, str]
    points: Array
    loss: Callable[[float, float], float]


def check_plot(path: Path) -> None:
    """Make sure before training that a figure can be drawn into a file."""


def plot_training(
    path: Path,
    title: str,
    epochs: Sequence[int],
    losses: Sequence[float],
    validation: Sequence[float | None] | None,
    weights: WeightPath | None,
) -> None:
    """Draw the loss of every epoch, and the path of two weights."""
