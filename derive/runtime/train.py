"""Training a derived network, from the command line.

    python -m PACKAGE.train CELL [options]

PACKAGE is the package that this file lies in, and a CELL is any folder in it with a network.py.
The way of a run:

    read_settings ──▶ begin ──────────────▶ train ────▶ write_weights ──▶ report
    (all is checked)  (or go on: --resume)  (epochs)    (--output)        (standard output)
"""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from .checkpoints import Origin, fingerprint, fingerprint_of_file, load
from .diagnosis import divergence
from .errors import InputError
from .first_order import FirstOrder, loss_of
from .observers import Observers, unwritten
from .printing import show
from .protocols import Network
from .report import as_json, report
from .second_order import LEVENBERG_MARQUARDT, levenberg_marquardt
from .settings import Settings, read_settings
from .shortcuts import fastest
from .training import Learner, Reason, State, first_state, train
from .weights import format_weights, write_weights

EXIT_CODES = {
    Reason.EPOCHS: 0,
    Reason.TOLERANCE: 0,
    Reason.CONVERGED: 0,
    Reason.PATIENCE: 0,
    Reason.DIVERGED: 1,
    Reason.INTERRUPTED: 130,
    Reason.TERMINATED: 143,
}


def run(settings: Settings) -> int:
    """Train, write the weights, report, and return the exit code."""
    network = fastest(settings)
    learner = learner_of(settings, network)
    origin = origin_of(settings) if settings.checkpoint else None
    state, resumed = begin(settings, learner, origin)
    held_back = settings.held_back
    try:
        with terminable() as terminated, Observers(settings, origin, state, resumed) as observers:
            result = train(
                learner,
                settings.data,
                state,
                settings.epochs,
                settings.tolerance,
                None if held_back is None else lambda parameters: loss_of(network, parameters, held_back),
                settings.patience,
                observers,
            )
            if terminated and result.reason is Reason.INTERRUPTED:
                result = result._replace(reason=Reason.TERMINATED)
    except ValueError as error:  # only the network knows which targets it can take
        raise InputError(f"{settings.cell}: {error}") from None
    complaints = []
    if settings.output:
        try:
            write_weights(settings.output, result.chosen.parameters)
        except OSError as error:
            complaints.append(unwritten(settings.output, error))
    complaints += observers.finish(result)
    exit_code = 1 if complaints else EXIT_CODES[result.reason]
    if result.reason is Reason.DIVERGED:
        complaints.insert(0, divergence(settings, result))
    text = as_json(settings, result, exit_code) if settings.json else report(settings, result)
    wanted = settings.json or not settings.quiet or complaints  # of a failed run the weights may be nowhere else
    if wanted and (failure := show(text)):
        complaints.append(f"error: the report was not printed: {failure.strerror}")
        exit_code = 1
    for complaint in complaints:
        print(f"train: {complaint}", file=sys.stderr)
    return exit_code


def learner_of(settings: Settings, network: Network) -> Learner:
    """Return what finds better weights in this run."""
    if settings.method_name == LEVENBERG_MARQUARDT:
        return levenberg_marquardt(settings.cell)
    return FirstOrder(network, settings.method, settings.learning_rates, settings.batch, settings.clip)


def begin(settings: Settings, learner: Learner, origin: Origin | None) -> tuple[State, bool]:
    """Return the state in which training begins, and whether it is that of the checkpoint.

    Raises:
        InputError: The checkpoint cannot be read, or is one of another run.
    """
    if not (settings.resume and settings.checkpoint and origin):
        return first_state(learner, settings.start, settings.seed), False
    resumed = settings.checkpoint.exists()
    if resumed:
        state = load(settings.checkpoint, origin, settings.start)
        say = f"going on after epoch {state.epoch} of {settings.checkpoint}"
        if state.epoch >= settings.epochs:
            say += f", and --epochs {settings.epochs} asks for no more: give a larger number to train further"
    else:
        state = first_state(learner, settings.start, settings.seed)
        say = f"there is no {settings.checkpoint} yet: training begins"
    if not settings.quiet:
        print(f"train: {say}", file=sys.stderr)
    return state, resumed


def origin_of(settings: Settings) -> Origin:
    """Say what a run is made of, as far as its next bits depend on it."""
    data, held_back = settings.data, settings.held_back
    groups = [*data.groups, *(held_back.groups if held_back else ())]
    return Origin(
        settings.cell,
        fingerprint_of_file(Path(__file__).parent / settings.cell / "network.py"),
        fingerprint(array for group in groups for array in group),
        fingerprint(np.atleast_1d(leaf) for leaf in settings.start),
        {
            "--method": settings.method_name,
            "--learning-rate": format_weights(settings.learning_rates) if settings.learning_rates else "none",
            "--clip": str(settings.clip or "none"),
            "--batch": str(settings.batch or "all"),
            "--seed": str(settings.seed),
            "--size": ",".join(f"{name}={size}" for name, size in settings.sizes.items()) or "none",
            "--validation": held_back.describe() if held_back else "none",
        },
    )


@contextmanager
def terminable() -> Iterator[list[int]]:
    """Let SIGTERM interrupt the block as Ctrl-C does; yield a list that is empty until it has come."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there Python hears of signals
        yield received
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


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
