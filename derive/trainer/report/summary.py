"""What is said at the end of a run: how it went, the weights, and predictions beside their targets."""

import json
import math

import numpy as np

from ..data.shapes import Array, counted
from ..run.loop import Reason, Result
from ..run.settings import Settings
from ..run.weights import format_weights, plain

TABLE_ROWS = 10
SEQUENCES = 3
AT_ONCE = 500


def report(settings: Settings, result: Result, loss: float) -> str:
    """Describe the run and where it ended: loss, weights, and predictions beside their targets."""
    data, chosen = settings.data, result.chosen
    arrays = any(map(np.ndim, settings.start))
    start = f"drawn with seed {settings.seed}, but for what is given" if arrays else format_weights(settings.start)
    lines = [
        f"{settings.cell}: {data.describe()}, {counted(result.state.epoch, 'epoch')}, {result.reason.value}",
        f"start          {start}",
        f"learning rate  {_how(settings)}",
    ]
    if settings.held_back:
        lines.append(f"weights of     epoch {chosen.epoch}, where the validation loss was least")
    lines += [
        f"weights        {format_weights(chosen.parameters)}",
        f"loss           {loss!r}",
    ]
    if settings.held_back:
        lines.append(f"validation     {chosen.validation!r} on {settings.held_back.describe()}")
    if result.reason in (Reason.INTERRUPTED, Reason.TERMINATED) and settings.checkpoint:
        lines.append(f"go on          with the same command and --resume, from {settings.checkpoint}")
    lines.append("")

    def predict(X: Array) -> Array:
        parts = range(0, len(X), AT_ONCE)
        # Copies: a part may be a view of all that the network computed.
        return np.concatenate(
            [settings.network.predict(chosen.parameters, X[first : first + AT_ONCE]).copy() for first in parts]
        )

    with np.errstate(all="ignore"):
        if settings.task:
            return "\n".join([*lines, *settings.task.show(predict)])
        for X, t in data.groups:
            if len(data.groups) > 1:
                lines.append(f"of {counted(X.shape[1], 'step')}")
            if t.ndim == 1:
                lines += table(np.asarray(t), predict(X))
            else:
                lines += targets_and_predictions(t[:SEQUENCES], predict(X[:SEQUENCES]))
    return "\n".join(lines)


def as_json(settings: Settings, result: Result, loss: float, exit_code: int) -> str:
    """Describe the run and where it ended in one line of JSON, for programs."""
    chosen, held_back = result.chosen, settings.held_back
    return json.dumps(
        {
            "cell": settings.cell,
            "method": settings.method_name,
            "sequences": settings.data.lengths,
            "held_back": held_back.lengths if held_back else {},
            "epochs": result.state.epoch,
            "reason": result.reason.name.lower(),
            "exit_code": exit_code,
            "epoch_of_weights": chosen.epoch,
            "loss": number(loss),
            "validation_loss": number(chosen.validation),
            "weights": plain(chosen.parameters),
        },
        allow_nan=False,
    )


def number(value: float) -> float | None:
    """Return a number as JSON has it, which knows no NaN."""
    return value if math.isfinite(value) else None


def _how(settings: Settings) -> str:
    """Say with which learning rates and how the weights were updated."""
    if settings.learning_rates is None:
        return f"none, {settings.method_name} chooses its own steps"
    rates = format_weights(settings.learning_rates)
    if any(map(np.ndim, settings.start)) and len(set(settings.learning_rates)) == 1:
        rates = repr(settings.learning_rates[0])
    how = [settings.method_name] if settings.method else []
    how += [f"batches of {settings.batch}"] if settings.batch else []
    how += [f"gradients no longer than {settings.clip:g}"] if settings.clip else []
    return ", ".join([rates, *how])


def table(t: Array, predictions: Array) -> list[str]:
    """Put predictions beside their targets, both N numbers; whole ones are also rounded and counted."""
    N = len(t)
    rounded = np.rint(predictions) + 0.0  # N; the sum turns -0 into 0
    whole_targets = bool(np.all(np.rint(t) == t))

    header = f"{'sequence':>8}  {'target':>14}  {'prediction':>14}"
    lines = [header + "  rounded" if whole_targets else header]
    for n in range(min(N, TABLE_ROWS)):
        row = f"{n + 1:>8}  {t[n]:>14.8g}  {predictions[n]:>14.8g}"
        lines.append(f"{row}  {rounded[n]:>7.6g}" if whole_targets else row)
    if N > TABLE_ROWS:
        lines.append(f"... and {N - TABLE_ROWS} more")
    if whole_targets:
        matches = int(np.sum(rounded == t))
        lines.append(f"{matches} of {N} rounded predictions match their targets")
    return lines


def targets_and_predictions(t: Array, predictions: Array) -> list[str]:
    """Show the targets of the first sequences above their predictions; of scores for labels the best label."""
    labels = predictions.ndim == t.ndim + 1
    shown = np.argmax(predictions, axis=-1) if labels else predictions
    lines = []
    for n in range(len(shown)):
        lines.append(f"sequence {n + 1}")
        for name, values in (("target", t[n]), ("prediction", shown[n])):
            text = np.array2string(np.squeeze(values), precision=4, suppress_small=True, threshold=20, edgeitems=8)
            lines.append(f"  {name:<11}{' '.join(text.split())}")
    return lines
