"""The settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..data.sequences import Sequences
from ..data.tasks import Task
from .protocols import Method, Network


@dataclass(frozen=True)
class Settings:
    """A run in which everything is known and checked; the shapes of the data are those of the network."""

    cell: str
    network: Network
    data: Sequences  # that are trained on
    held_back: Sequences | None  # for validation
    task: Task | None
    sizes: Mapping[str, int]  # of every named dimension of the weights
    start: NamedTuple
    method_name: str
    method: Method | None  # None: the network's own descend, or Levenberg–Marquardt
    learning_rates: NamedTuple | None  # None: Levenberg–Marquardt
    clip: float | None
    epochs: int
    batch: int | None  # None: all sequences
    seed: int
    tolerance: float | None
    patience: float
    output: Path | None
    checkpoint: Path | None
    checkpoint_every: int
    resume: bool
    log: Path | None
    plot: Path | None
    quiet: bool
    json: bool
