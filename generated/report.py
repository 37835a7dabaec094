"""What is said at the end of a run: how it went, the weights, and predictions beside their targets."""

import numpy as np

from .data import Array
from .settings import Settings
from .training import Result
from .weights import format_weights

TABLE_ROWS = 10
SEQUENCES = 3
AT_ONCE = 500


def report(settings: Settings, result: Result) -> str:
    """Describe the run and where it ended: loss, weights, and predictions beside their targets."""
    N, T = settings.X.shape[:2]
    arrays = any(map(np.ndim, settings.start))
    start = f"drawn with seed {settings.seed}, but for what is given" if arrays else format_weights(settings.start)
    rates = format_weights(settings.learning_rates)
    if arrays and len(set(settings.learning_rates)) == 1:
        rates = repr(settings.learning_rates[0])
    how = [settings.method_name] if settings.method else []
    how += [f"batches of {settings.batch}"] if settings.batch < N else []
    lines = [
        f"{settings.cell}: {N} sequences of {T} steps, {result.epochs} epochs, {result.reason.value}",
        f"start          {start}",
        f"learning rate  {', '.join([rates, *how])}",
        f"weights        {format_weights(result.parameters)}",
        f"loss           {result.loss!r}",
        "",
    ]

    def predict(X: Array) -> Array:
        parts = range(0, len(X), AT_ONCE)
        return np.concatenate(
            [settings.network.predict(result.parameters, X[first : first + AT_ONCE]) for first in parts]
        )

    with np.errstate(all="ignore"):
        if settings.task:
            return "\n".join([*lines, *settings.task.show(predict)])
        predictions = predict(settings.X[: N if settings.t.ndim == 1 else SEQUENCES])
    if predictions.ndim > 1:
        return "\n".join([*lines, *sequences(settings.t[:SEQUENCES], predictions[:SEQUENCES])])
    return "\n".join([*lines, *table(settings.t, predictions)])


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


def sequences(t: Array, predictions: Array) -> list[str]:
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
