"""Who follows a run: the progress display, the log, the checkpoint, the figure."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Self

import numpy as np

from ..data.shapes import Array
from ..run.checkpoints import Checkpoints, Origin
from ..run.first_order import loss_of
from ..run.loop import Reason, Result, Snapshot
from ..run.settings import Settings
from .history import Log
from .plots import GRID, Curve, WeightPath, plot_training
from .progress import Progress

SURFACE_NUMBERS = 30_000
"""How many inputs the loss surface is computed of, at each of its points."""
SURFACE_STEPS = 700_000
"""How many steps are computed for all of its points."""


class Observers:
    """All who follow a run; each hears of every epoch."""

    def __init__(self, settings: Settings, origin: Origin | None, state: Snapshot, resumed: bool) -> None:
        """Set them up.

        Args:
            settings: The run.
            origin: What a checkpoint says that the run is made of, if there is to be one.
            state: Where it begins.
            resumed: Whether a checkpoint holds that state already.

        Raises:
            InputError: The log holds something else.
        """
        self._settings = settings
        self._curve = Curve()
        self._is_pair = len(settings.start) == 2 and not any(map(np.ndim, settings.start))
        self._progress = None if settings.quiet else Progress(settings.epochs, sys.stderr)
        self._log = settings.log and Log(settings.log, state.epoch, settings.held_back is not None)
        self._checkpoints = None
        if settings.checkpoint and origin:
            written = state.epoch if resumed else None
            self._checkpoints = Checkpoints(settings.checkpoint, settings.checkpoint_every, origin, written)
        self.latest = Result(state, math.nan, None, Reason.INTERRUPTED)
        """The last epoch that was heard of; before the first one, where the run begins."""

    def __enter__(self) -> Self:
        """Return the observers themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal and the log in order."""
        if self._progress:
            self._progress.__exit__(*exception)
            self._progress = None
        if self._log:
            self._log.close()

    def __call__(self, result: Result) -> None:
        """Hear of an epoch.

        A log is never without a checkpoint, or a run that is killed could not be told from one that should not
        overwrite it; and it never lacks an epoch that a checkpoint goes on from.
        """
        self.latest = result
        if self._progress:
            self._progress(result.state.epoch, result.loss)
        due = self._checkpoints and self._checkpoints.is_due(result.state)
        if self._checkpoints and self._log and not self._log.begun:
            self._checkpoints.keep(result.state)
        if self._log:
            self._log(result)
            if due:
                self._log.sync()
        if self._checkpoints and due:
            self._checkpoints.keep(result.state)
        if self._settings.plot:
            weights = result.state.parameters if self._is_pair else ()
            validation = math.nan if result.validation is None else result.validation
            self._curve.add(result.state.epoch, result.loss, validation, *weights)

    def finish(self, result: Result) -> list[str]:
        """Write the last lines and the last state, and say what could not be written."""
        settings = self._settings
        self.__exit__()
        if self._checkpoints:
            self._checkpoints.keep(result.state)
        files = ((settings.checkpoint, self._checkpoints), (settings.log, self._log))
        return [unwritten(path, written.failure) for path, written in files if written and written.failure]

    def draw(self, result: Result) -> list[str]:
        """Draw the figure, and say if it could not be written."""
        settings = self._settings
        if settings.plot and len(self._curve):
            try:
                self._draw(settings.plot, result)
            except OSError as failure:
                return [unwritten(settings.plot, failure)]
        return []

    def _draw(self, file: Path, result: Result) -> None:
        """Draw the loss, and the path of the weights if they are two numbers."""
        settings, best = self._settings, result.state.best
        epochs, losses, validation, *weights = self._curve.columns()
        plot_training(
            file,
            f"{settings.cell}, {settings.method_name.replace('_', ' ')}",
            epochs,
            losses,
            validation if settings.held_back else None,
            best and (best.epoch, best.validation),
            self._path(np.array(weights)) if self._is_pair else None,
        )

    def _path(self, points: Array) -> WeightPath:
        """Put the path of the weights over the loss: of so many sequences, at so many points, that it takes seconds."""
        settings, data = self._settings, self._settings.data
        steps = max(data.lengths)
        part = data.sample(max(1, SURFACE_NUMBERS // steps), settings.seed)
        names = settings.start._fields
        return WeightPath(
            (names[0], names[1]),
            points,
            lambda *weights: loss_of(settings.network, settings.start._make(weights), part),
            max(9, min(GRID, math.isqrt(SURFACE_STEPS // steps))),
            "" if part is data else f" on {len(part)} sequences",
        )


def unwritten(path: object, failure: OSError) -> str:
    """Say that a file could not be written."""
    return f"error: {path} was not written: {failure.strerror or failure}"
