"""The training loop."""

import math
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np

from .data import Array
from .settings import Network


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
) -> Result:
    """Minimise the loss by full-batch gradient descent.

    Args:
        network: The loss with its gradient, and the update.
        X: The inputs, N × T or N × T × D, one sequence a row.
        t: The targets.
        start: The parameters to begin with.
        learning_rates: Parameters, one learning rate a weight.
        epochs: How many updates to do.
        tolerance: Stop as soon as no entry of the gradient is larger than this in absolute value.
        progress: Called with the number of updates done and the loss they led to.

    Returns:
        The parameters reached and why training stopped. Neither overflow nor Ctrl-C raises: the
        reason names them, and the parameters are the last good ones.
    """
    parameters = start
    # One assignment replaces all of it, so Ctrl-C never parts the parameters from their loss.
    result = Result(start, math.nan, 0, Reason.INTERRUPTED)
    try:
        with np.errstate(all="ignore"):
            for epoch in range(epochs + 1):
                loss, gradient = network.value_and_gradient(parameters, X, t)
                if not all(np.all(np.isfinite(leaf)) for leaf in (loss, *parameters, *gradient)):
                    return result._replace(reason=Reason.DIVERGED)
                result = Result(parameters, float(loss), epoch, Reason.INTERRUPTED)
                progress(epoch, result.loss)
                if tolerance is not None and largest_entry(gradient) <= tolerance:
                    return result._replace(reason=Reason.TOLERANCE)
                if epoch < epochs:
                    parameters = network.descend(parameters, gradient, learning_rates)
    except KeyboardInterrupt:
        return result
    return result._replace(reason=Reason.EPOCHS)


def largest_entry(gradient: NamedTuple) -> float:
    """Return the largest absolute value of any entry of the gradient."""
    return max(float(np.max(np.abs(leaf))) for leaf in gradient)
