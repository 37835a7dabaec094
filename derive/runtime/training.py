"""The training loop."""

import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from .data import Array
from .settings import Method, Network
from .updates import first_memory, largest_entry, move


class Reason(Enum):
    """Why training stopped, in the words of the report."""

    EPOCHS = "done"
    TOLERANCE = "done, the gradient is within the tolerance"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


class Result(NamedTuple):
    """Where training ended: the parameters after `epochs` updates, and their loss.

    If training diverged, they are the last ones that were finite together with their gradient. If
    not even those of the start were, the loss is NaN.
    """

    parameters: NamedTuple
    loss: float
    epochs: int
    reason: Reason


def train(
    network: Network,
    X: Array,
    t: Array,
    start: NamedTuple,
    learning_rates: NamedTuple,
    epochs: int,
    tolerance: float | None = None,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
    method: Method | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> Result:
    """Minimise the loss.

    Args:
        network: The loss with its gradient, and the update by gradient descent.
        X: The inputs, N × T or N × T × D, one sequence a row.
        t: The targets.
        start: The parameters to begin with.
        learning_rates: Parameters, one learning rate a weight.
        epochs: How many passes over the data to do.
        tolerance: Stop as soon as no entry of the gradient is larger than this in absolute value.
        progress: Called with the number of epochs done and the loss they led to. With several batches that loss is the
            mean of theirs, each before its update, in the epoch that follows; after the last epoch nothing is updated.
        method: The update rule; gradient descent unless given.
        batch: How many sequences an update sees, the last one of an epoch perhaps fewer; all unless given.
        seed: For the order of the sequences, which changes from epoch to epoch.

    Returns:
        The parameters reached and why training stopped. Neither overflow nor Ctrl-C raises: the
        reason names them, and the parameters are the last good ones, as they were after an epoch.
    """
    parameters, memory = start, first_memory(start, method)
    random = np.random.default_rng(seed)
    # One assignment replaces all of it, so Ctrl-C never parts the parameters from their loss.
    result = Result(start, math.nan, 0, Reason.INTERRUPTED)
    try:
        with np.errstate(all="ignore"):
            for epoch in range(epochs + 1):
                reached, mean = parameters, 0.0
                for rows, share in batches(len(X), batch or len(X), random):
                    loss, gradient = network.value_and_gradient(parameters, X[rows], t[rows])
                    if not all(np.all(np.isfinite(leaf)) for leaf in (loss, *parameters, *gradient)):
                        return result._replace(reason=Reason.DIVERGED)
                    mean += share * float(loss)
                    if epoch < epochs:
                        parameters, memory = move(network, method, parameters, gradient, learning_rates, memory)
                result = Result(reached, mean, epoch, Reason.INTERRUPTED)
                progress(epoch, result.loss)
                if tolerance is not None and largest_entry(gradient) <= tolerance:
                    return result._replace(reason=Reason.TOLERANCE)
    except KeyboardInterrupt:
        return result
    return result._replace(reason=Reason.EPOCHS)


def batches(N: int, size: int, random: np.random.Generator) -> Iterator[tuple[Any, float]]:
    """Yield which sequences each update of an epoch sees, and what share of all they are."""
    if size >= N:
        yield slice(None), 1.0
        return
    order = random.permutation(N)
    for first in range(0, N, size):
        rows = order[first : first + size]
        yield rows, len(rows) / N
