"""The training loop, whatever it is that learns.

An epoch finds the loss of the weights and updates them. A `Snapshot` is all that is known between two epochs: a run
that begins with it goes on to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..data.sequences import Sequences
from .updates import Memory


class Reason(Enum):
    """Why training stopped, in the words of the report."""

    EPOCHS = "done"
    TOLERANCE = "done, the gradient is within the tolerance"
    CONVERGED = "done, no step lowers the loss"
    PATIENCE = "stopped early, the validation loss no longer falls"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    TERMINATED = "interrupted by SIGTERM"


class Epoch(NamedTuple):
    """What a pass over the data found.

    Attributes:
        loss: That of the weights before the pass; of several batches the mean of theirs, each before its update.
        slope: The largest absolute entry of the gradient, of the last batch.
        parameters: The weights after it.
        memory: What the learner keeps.
        converged: Whether all further epochs would find the same and leave the weights where they are.
    """

    loss: float
    slope: float
    parameters: Any
    memory: Memory
    converged: bool = False


class Learner(Protocol):
    """What finds better weights."""

    def start(self, parameters: Any) -> Memory:
        """Return what is kept before the first epoch: numbers and arrays."""

    def epoch(
        self, parameters: Any, memory: Memory, data: Sequences, random: np.random.Generator, update: bool
    ) -> Epoch:
        """Pass over the data once.

        Args:
            parameters: The weights.
            memory: What was kept.
            data: All sequences.
            random: For the order of the batches.
            update: Whether the weights are updated. If not, `random` is left alone, too.

        Returns:
            What was found; the loss is NaN as soon as anything is not finite.
        """


class Best(NamedTuple):
    """The weights with the least validation loss so far, and the number of epochs that led to them."""

    epoch: int
    validation: float
    parameters: Any


class Snapshot(NamedTuple):
    """A run after a number of epochs: the weights, what the learner keeps, the random generator's state, the best."""

    epoch: int
    parameters: Any
    memory: Memory
    random: Mapping[str, Any]
    best: Best | None = None


class Result(NamedTuple):
    """Where training is, or ended.

    If training diverged, it is the last state whose loss and gradient were finite. If those of the start were not, or
    if it was interrupted before the first epoch, the loss is NaN.

    Attributes:
        state: After the last epoch whose loss is known.
        loss: That of its weights; if the epoch after them updated in batches, the mean of what these found.
        validation: The loss of its weights on the sequences held back; None where there are none.
        reason: Why training stopped.
    """

    state: Snapshot
    loss: float
    validation: float | None
    reason: Reason

    @property
    def chosen(self) -> Best:
        """The weights to keep: the best on the sequences held back, else the last."""
        last = Best(self.state.epoch, math.nan, self.state.parameters)
        return self.state.best or last


def first_snapshot(learner: Learner, parameters: Any, seed: int) -> Snapshot:
    """Return the state before the first epoch; the seed is for the order of the batches."""
    return Snapshot(0, parameters, learner.start(parameters), np.random.default_rng(seed).bit_generator.state)


def train(
    learner: Learner,
    data: Sequences,
    state: Snapshot,
    epochs: int,
    tolerance: float | None = None,
    validate: Callable[[Any], float] | None = None,
    patience: float = math.inf,
    observe: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Minimise the loss.

    Args:
        learner: Passes over the data and updates the weights.
        data: The sequences.
        state: Where to begin.
        epochs: How many passes over the data with an update there are in all; one more finds the loss that they led to.
        tolerance: Stop as soon as no entry of the gradient is larger than this in absolute value.
        validate: The loss on sequences that are not trained on, from the weights.
        patience: Stop when that loss has not fallen for so many epochs.
        observe: Called once an epoch, as soon as its loss is known.

    Returns:
        Where it ended and why. Neither overflow nor an interrupt raises: the reason names them.
    """
    random = np.random.default_rng()
    random.bit_generator.state = state.random
    # One assignment replaces all of it, so an interrupt never parts the weights from their loss.
    result = Result(state, math.nan, None, Reason.INTERRUPTED)
    try:
        with np.errstate(all="ignore"):
            while True:
                update = state.epoch < epochs
                done = learner.epoch(state.parameters, state.memory, data, random, update)
                validation = None if validate is None else float(validate(state.parameters))
                if not math.isfinite(done.loss + done.slope + (validation or 0)):
                    return result._replace(reason=Reason.DIVERGED)
                best = state.best
                if validation is not None and (best is None or validation < best.validation):
                    best = Best(state.epoch, validation, state.parameters)
                result = Result(state._replace(best=best), done.loss, validation, Reason.INTERRUPTED)
                observe(result)
                if tolerance is not None and done.slope <= tolerance:
                    return result._replace(reason=Reason.TOLERANCE)
                if done.converged:  # the state is the one before this epoch, so a run that goes on finds it out again
                    return result._replace(reason=Reason.CONVERGED)
                if best is not None and state.epoch - best.epoch >= patience:
                    return result._replace(reason=Reason.PATIENCE)
                if not update:
                    return result._replace(reason=Reason.EPOCHS)
                state = Snapshot(state.epoch + 1, done.parameters, done.memory, random.bit_generator.state, best)
    except KeyboardInterrupt:
        return result
