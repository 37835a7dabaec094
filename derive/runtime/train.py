"""Training a derived network by full-batch gradient descent, from the command line.

    python -m PACKAGE.train CELL [options]

PACKAGE is the package that this file lies in, and a CELL is any folder in it with a network.py.
The way of a run:

    read_settings ──▶ train ──▶ write_weights ──▶ report
    (all is checked)  (N updates)  (--output)     (standard output)
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from .data import Array
from .errors import InputError
from .progress import Progress
from .settings import Network, Settings, read_settings
from .weights import format_weights, write_weights

TABLE_ROWS = 10


class Reason(Enum):
    """Why training stopped, in the words of the report."""

    EPOCHS = "done"
    TOLERANCE = "done, the gradient is within the tolerance"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


EXIT_CODES = {Reason.EPOCHS: 0, Reason.TOLERANCE: 0, Reason.DIVERGED: 1, Reason.INTERRUPTED: 130}


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
        X: N × T inputs, one sequence a row.
        t: N targets.
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


def report(settings: Settings, result: Result) -> str:
    """Describe the run and where it ended: loss, weights, and predictions beside their targets."""
    N, T = settings.X.shape
    lines = [
        f"{settings.cell}: {N} sequences of {T} steps, {result.epochs} epochs, {result.reason.value}",
        f"start          {format_weights(settings.start)}",
        f"learning rate  {format_weights(settings.learning_rates)}",
        f"weights        {format_weights(result.parameters)}",
        f"loss           {result.loss!r}",
        "",
    ]
    with np.errstate(all="ignore"):
        predictions = settings.network.predict(result.parameters, settings.X)  # N
        rounded = np.rint(predictions) + 0.0  # N; the sum turns -0 into 0
        whole_targets = bool(np.all(np.rint(settings.t) == settings.t))

    header = f"{'sequence':>8}  {'target':>14}  {'prediction':>14}"
    lines.append(header + "  rounded" if whole_targets else header)
    for n in range(min(N, TABLE_ROWS)):
        row = f"{n + 1:>8}  {settings.t[n]:>14.8g}  {predictions[n]:>14.8g}"
        lines.append(f"{row}  {rounded[n]:>7.6g}" if whole_targets else row)
    if N > TABLE_ROWS:
        lines.append(f"... and {N - TABLE_ROWS} more")
    if whole_targets:
        matches = int(np.sum(rounded == settings.t))
        lines.append(f"{matches} of {N} rounded predictions match their targets")
    return "\n".join(lines)


def divergence(settings: Settings, result: Result) -> str:
    """Say at which epoch a run diverged, what was kept, and what to lower."""
    if math.isnan(result.loss):
        return (
            "diverged at epoch 0: the loss or its gradient overflows at the start "
            f"{format_weights(settings.start)}: choose smaller weights with --init"
        )
    # Shortly before the end every weight leaps. The first update shows better which one began.
    leaping = (
        leaping_weights(settings, settings.start)
        or leaping_weights(settings, result.parameters)
        or settings.start._fields
    )
    return (
        f"diverged at epoch {result.epochs + 1}: its update made the loss or gradient overflow; "
        f"the last finite weights are {format_weights(result.parameters)}: "
        f"lower the learning rate of {' and '.join(leaping)} "
        f"(now {format_weights(settings.learning_rates)}) or start nearer to zero (--init)"
    )


def leaping_weights(settings: Settings, parameters: NamedTuple) -> list[str]:
    """Name the weights that one update moves by more than 1 and by more than their size."""
    network = settings.network
    with np.errstate(all="ignore"):
        _, gradient = network.value_and_gradient(parameters, settings.X, settings.t)
        updated = network.descend(parameters, gradient, settings.learning_rates)
        return [
            name
            for name, old, new in zip(parameters._fields, parameters, updated, strict=True)
            if not np.all(np.abs(new - old) <= np.maximum(np.abs(old), 1))  # NaN leaps, too
        ]


def run(settings: Settings) -> int:
    """Train, write the weights, report, and return the exit code."""
    with Progress(settings.epochs, sys.stderr) as progress:
        result = train(
            settings.network,
            settings.X,
            settings.t,
            settings.start,
            settings.learning_rates,
            settings.epochs,
            settings.tolerance,
            progress,
        )
    exit_code = EXIT_CODES[result.reason]
    complaints = [divergence(settings, result)] if result.reason is Reason.DIVERGED else []

    if settings.output:
        try:
            write_weights(settings.output, result.parameters)
        except OSError as error:
            exit_code = 1
            complaints.append(f"error: {settings.output} was not written: {error.strerror}")
    try:
        print(report(settings, result), flush=True)
    except OSError as error:
        exit_code = 1
        complaints.append(f"error: the report was not printed: {error.strerror}")
        # What is still in the buffer would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for complaint in complaints:
        print(f"train: {complaint}", file=sys.stderr)
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, which --help explains."""
    try:
        return run(read_settings(argv))
    except InputError as error:
        print(f"train: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while reading the data, or a second time
        print("train: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
