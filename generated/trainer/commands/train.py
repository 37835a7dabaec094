"""Training a derived network, from the command line.

    python -m PACKAGE.train CELL [options]

PACKAGE is the package that holds the trainer, and a CELL is any folder in it with a network.py.
The way of a run:

    read_settings ──▶ begin ──────────────▶ train ────▶ checkpoint, weights, figure ──▶ report
    (all is checked)  (or go on: --resume)  (epochs)    (--checkpoint, --output, --plot)
"""

import signal
from collections.abc import Callable, Sequence

import numpy as np

from ..cells import code_of
from ..errors import InputError
from ..report.diagnosis import divergence
from ..report.observers import Observers, unwritten
from ..report.printing import say, show
from ..report.summary import as_json, report
from ..run.checkpoints import Origin, fingerprint, fingerprint_of_files, load
from ..run.first_order import FirstOrder, loss_of
from ..run.loop import Learner, Reason, Result, Snapshot, first_snapshot, train
from ..run.protocols import Network
from ..run.second_order import LEVENBERG_MARQUARDT, levenberg_marquardt
from ..run.settings import Settings
from ..run.shortcuts import fastest
from ..run.signals import Signals
from ..run.weights import format_weights, write_weights
from .parsing import read_settings

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
    """Train, write what is to be written, report, and return the exit code."""
    network = fastest(settings)
    learner = learner_of(settings, network)
    origin = origin_of(settings) if settings.checkpoint else None
    state, resumed = begin(settings, learner, origin)
    # A signal ends the training, and later the drawing; all else is written to its end.
    with Signals() as signals, Observers(settings, origin, state, resumed) as observers:
        try:
            result = signals.interruptible(
                lambda: _train(settings, network, learner, state, signals.uninterrupted(observers))
            )
        except ValueError as error:  # only the network knows which targets it can take
            raise InputError(f"{settings.cell}: {error}") from None
        result = result or observers.latest
        if result.reason is Reason.INTERRUPTED and signals.received == signal.SIGTERM:
            result = result._replace(reason=Reason.TERMINATED)
        return conclude(settings, learner, result, observers, signals)


def conclude(settings: Settings, learner: Learner, result: Result, observers: Observers, signals: Signals) -> int:
    """Write what is to be written at the end, report, and return the exit code."""
    complaints = observers.finish(result)
    if settings.output:
        try:
            write_weights(settings.output, result.chosen.parameters)
        except OSError as failure:
            complaints.append(unwritten(settings.output, failure))
    if settings.plot:
        missed = [f"error: {settings.plot} was not drawn: interrupted"]
        drawn = signals.interruptible(lambda: observers.draw(result))
        complaints += missed if drawn is None else drawn
    exit_code = 1 if complaints else EXIT_CODES[result.reason]
    if result.reason is Reason.DIVERGED:
        complaints.insert(0, divergence(settings, result))
    loss = loss_of_chosen(settings, learner, result)
    text = as_json(settings, result, loss, exit_code) if settings.json else report(settings, result, loss)
    wanted = settings.json or not settings.quiet or complaints  # of a failed run the weights may be nowhere else
    if wanted and (unshown := show(text)):
        complaints.append(f"error: the report was not printed: {unshown.strerror}")
        exit_code = 1
    for complaint in complaints:
        say(f"train: {complaint}")
    return exit_code


def _train(
    settings: Settings, network: Network, learner: Learner, state: Snapshot, observe: Callable[[Result], None]
) -> Result:
    """Run the loop."""
    held_back = settings.held_back
    validate = None if held_back is None else lambda parameters: loss_of(network, parameters, held_back)
    limits = settings.epochs, settings.tolerance, validate, settings.patience
    return train(learner, settings.data, state, *limits, observe)


def loss_of_chosen(settings: Settings, learner: Learner, result: Result) -> float:
    """Return the loss of the weights that are kept; an epoch that updated in batches found that of changing weights."""
    if settings.batch is None and result.state.best is None:
        return result.loss
    unused = np.random.default_rng()
    with np.errstate(all="ignore"):
        kept, memory = result.chosen.parameters, result.state.memory
        return learner.epoch(kept, memory, settings.data, unused, update=False).loss


def learner_of(settings: Settings, network: Network) -> Learner:
    """Return what finds better weights in this run."""
    if settings.method_name == LEVENBERG_MARQUARDT:
        return levenberg_marquardt(settings.cell)
    return FirstOrder(network, settings.method, settings.learning_rates, settings.batch, settings.clip)


def begin(settings: Settings, learner: Learner, origin: Origin | None) -> tuple[Snapshot, bool]:
    """Return the state in which training begins, and whether it is that of the checkpoint.

    Raises:
        InputError: The checkpoint cannot be read, or is one of another run.
    """
    if not (settings.resume and settings.checkpoint and origin):
        return first_snapshot(learner, settings.start, settings.seed), False
    resumed = settings.checkpoint.exists()
    if resumed:
        state = load(settings.checkpoint, origin, settings.start)
        news = f"going on after epoch {state.epoch} of {settings.checkpoint}"
        if state.epoch >= settings.epochs:
            news += f", and --epochs {settings.epochs} asks for no more: give a larger number to train further"
    else:
        state = first_snapshot(learner, settings.start, settings.seed)
        news = f"there is no {settings.checkpoint} yet: training begins"
    if not settings.quiet:
        say(f"train: {news}")
    return state, resumed


def origin_of(settings: Settings) -> Origin:
    """Say what a run is made of, as far as its next bits depend on it."""
    data, held_back = settings.data, settings.held_back
    groups = [*data.groups, *(held_back.groups if held_back else ())]
    return Origin(
        settings.cell,
        fingerprint_of_files(code_of(settings.cell)),
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, which --help explains."""
    try:
        return run(read_settings(argv))
    except InputError as error:
        say(f"train: error: {error}")
        return 2
    except KeyboardInterrupt:  # while reading the data, or a second time
        say("train: interrupted")
        return 130
