"""Who follows a run: the progress display, the log, the checkpoint, the figure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

import numpy as np

from .checkpoints import Checkpoints, Origin
from .first_order import loss_of
from .history import Log
from .plots import WeightPath, plot_training
from .progress import Progress
from .settings import Settings
from .training import Result, State


class Observers:
    """All who follow a run; each hears of every epoch."""

    def __init__(self, settings: Settings, origin: Origin | None, state: State, resumed: bool) -> None:
        """Set them up.

        Args:
            settings: The run.
            origin: What a checkpoint says that the run is made of, if there is to be one.
            state: Where it begins.
            resumed: Whether a checkpoint holds that state already.

        Raises:
            InputError: The log cannot be written.
        """
        self._settings = settings
        self._followed: list[Result] | None = [] if settings.plot else None
        self._progress = None if settings.quiet else Progress(settings.epochs, sys.stderr)
        self._log = settings.log and Log(settings.log, state.epoch, settings.held_back is not None)
        self._checkpoints = None
        if settings.checkpoint and origin:
            written = state.epoch if resumed else None
            self._checkpoints = Checkpoints(settings.checkpoint, settings.checkpoint_every, origin, written)

    def __enter__(self) -> Self:
        """Return the observers themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal and the log in order."""
        if self._progress:
            self._progress.__exit__(*exception)
        if self._log:
            self._log.close()

    def __call__(self, result: Result) -> None:
        """Hear of an epoch. The log comes first, so that it never lacks an epoch that a checkpoint goes on from."""
        if self._progress:
            self._progress(result.state.epoch, result.loss)
        if self._log:
            self._log(result)
        if self._checkpoints:
            self._checkpoints(result)
        if self._followed is not None:
            self._followed.append(result._replace(state=result.state._replace(memory=())))

    def finish(self, result: Result) -> list[str]:
        """Write what is written at the end, and say what could not be."""
        settings, complaints = self._settings, []
        if self._checkpoints:
            self._checkpoints.keep(result.state)
            if self._checkpoints.failure:
                complaints.append(unwritten(settings.checkpoint, self._checkpoints.failure))
        if self._log:
            self._log.close()
            if self._log.failure:
                complaints.append(unwritten(settings.log, self._log.failure))
        if settings.plot and self._followed:
            try:
                self._draw(settings.plot, self._followed)
            except OSError as failure:
                complaints.append(unwritten(settings.plot, failure))
        return complaints

    def _draw(self, file: Path, followed: list[Result]) -> None:
        """Draw the loss, and the path of the weights if there are two numbers."""
        settings = self._settings
        names, path = settings.start._fields, None
        if len(names) == 2 and not any(map(np.ndim, settings.start)):
            points = np.array([each.state.parameters for each in followed], dtype=float)
            path = WeightPath(
                (names[0], names[1]),
                points,
                lambda *weights: loss_of(settings.network, settings.start._make(weights), settings.data),
            )
        validation = [each.validation for each in followed] if settings.held_back else None
        plot_training(
            file,
            f"{settings.cell}, {settings.method_name}",
            [each.state.epoch for each in followed],
            [each.loss for each in followed],
            validation,
            path,
        )


def unwritten(path: object, failure: OSError) -> str:
    """Say that a file could not be written."""
    return f"error: {path} was not written: {failure.strerror or failure}"
