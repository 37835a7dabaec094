"""Why a run diverged, in words."""

import math
from typing import NamedTuple

import numpy as np

from ..run.first_order import FirstOrder, batches
from ..run.loop import Result
from ..run.settings import Settings
from ..run.weights import format_weights


def divergence(settings: Settings, result: Result) -> str:
    """Say at which epoch a run diverged, what was kept, and what to lower."""
    last = result.state
    if math.isnan(result.loss):
        return (
            f"diverged at epoch {last.epoch}: the loss or its gradient overflows at the start "
            f"{format_weights(last.parameters)}: choose smaller weights with --init"
        )
    if settings.learning_rates is None:  # its steps never make the loss larger
        return (
            f"diverged at epoch {last.epoch + 1}: the gradient overflows at {format_weights(last.parameters)}: "
            "start nearer to zero (--init)"
        )
    # Shortly before the end every weight leaps. The first update shows better which one began.
    leaping = leaping_weights(settings, settings.start) or leaping_weights(settings, last.parameters)
    return (
        f"diverged at epoch {last.epoch + 1}: its update made the loss or gradient overflow; "
        f"the last finite weights are {format_weights(last.parameters)}: "
        f"lower the learning rate of {' and '.join(leaping or settings.start._fields)} "
        f"(now {format_weights(settings.learning_rates)}) or start nearer to zero (--init)"
    )


def leaping_weights(settings: Settings, parameters: NamedTuple) -> list[str]:
    """Name the weights that one update moves by more than 1 and by more than their size."""
    learner = FirstOrder(settings.network, settings.method, settings.learning_rates, settings.batch, settings.clip)
    random = np.random.default_rng(settings.seed)
    data = next(batches(settings.data, settings.batch or len(settings.data), None))
    with np.errstate(all="ignore"):
        updated = learner.epoch(parameters, learner.start(parameters), data, random, update=True).parameters
    return [
        name
        for name, old, new in zip(parameters._fields, parameters, updated, strict=True)
        if not np.all(np.abs(new - old) <= np.maximum(np.abs(old), 1))  # NaN leaps, too
    ]
