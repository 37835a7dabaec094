"""Training a derived network, from the command line.

    python -m PACKAGE.train CELL [options]

PACKAGE is the package that this file lies in, and a CELL is any folder in it with a network.py.
The way of a run:

    read_settings ──▶ train ──▶ write_weights ──▶ report
    (all is checked)  (epochs)  (--output)     (standard output)
"""

import math
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .errors import InputError
from .progress import Progress
from .report import report
from .settings import Settings, read_settings
from .shortcuts import fastest
from .training import Reason, Result, train
from .updates import first_memory, move
from .weights import format_weights, write_weights

EXIT_CODES = {Reason.EPOCHS: 0, Reason.TOLERANCE: 0, Reason.DIVERGED: 1, Reason.INTERRUPTED: 130}


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
        X, t = settings.X[: settings.batch], settings.t[: settings.batch]
        _, gradient = network.value_and_gradient(parameters, X, t)
        memory = first_memory(parameters, settings.method)
        updated, _ = move(network, settings.method, parameters, gradient, settings.learning_rates, memory)
        return [
            name
            for name, old, new in zip(parameters._fields, parameters, updated, strict=True)
            if not np.all(np.abs(new - old) <= np.maximum(np.abs(old), 1))  # NaN leaps, too
        ]


def run(settings: Settings) -> int:
    """Train, write the weights, report, and return the exit code."""
    try:
        with Progress(settings.epochs, sys.stderr) as progress:
            result = train(
                fastest(settings),
                settings.X,
                settings.t,
                settings.start,
                settings.learning_rates,
                settings.epochs,
                settings.tolerance,
                progress,
                settings.method,
                settings.batch,
                settings.seed,
            )
    except ValueError as error:  # only the network knows which targets it can take
        raise InputError(f"{settings.cell}: {error}") from None
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
