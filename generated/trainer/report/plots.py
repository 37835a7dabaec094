"""Figures: the loss of a run, the path of two weights over the loss surface, the size of the gradient at every step.

They are drawn with matplotlib, which only this file needs, and only when a figure is asked for. They are narrow enough
for a phone, text in an SVG is text, and a rerun writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import check_writable, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The formats, each with what it would otherwise say of the day and the program."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "derive",  # makes the names within the file
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
}
WIDTH = 5.0  # inches
COLOURS = ("#0b7285", "#c92a2a", "#5f3dc4", "#e67700", "#2b8a3e", "#364fc7")
MOST_POINTS, FIRST_POINTS = 1000, 200
GRID, LEVELS = 81, 20
NEAR = 1000.0
"""How many times the loss of the start a point of a path may have, to be looked at: a run that diverges leaps far."""
LARGEST = 1e150
"""Numbers beyond are drawn here, those below its inverse there: ticks and margins must not overflow."""


class Curve:
    """Numbers of every epoch, for a figure: of a long run the first ones, evenly spaced ones and the last."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: list[tuple[int, tuple[float, ...]]] = []
        self._count, self._spacing = 0, 1

    def __len__(self) -> int:
        """How many epochs there were."""
        return self._count

    def add(self, *numbers: float) -> None:
        """Add those of the next epoch, as many as of the one before."""
        self._last = numbers
        if self._keeps(self._count):
            self._rows.append((self._count, numbers))
        if len(self._rows) > MOST_POINTS:
            self._spacing *= 2
            self._rows = [row for row in self._rows if self._keeps(row[0])]
        self._count += 1

    def columns(self) -> Array:
        """Return an array for each number, in the order of the epochs."""
        rows = [numbers for _, numbers in self._rows]
        if self._count and self._rows[-1][0] != self._count - 1:
            rows.append(self._last)
        return np.array(rows, dtype=float).T

    def _keeps(self, place: int) -> bool:
        return place < FIRST_POINTS or place % self._spacing == 0


class WeightPath(NamedTuple):
    """The way of two weights over the loss surface.

    Attributes:
        names: Of both weights.
        points: Both weights at every epoch that is drawn, 2 × epochs.
        loss: The loss of two weights.
        grid: How many points along each axis the surface is computed at.
        note: What has to be said about that loss, if anything.
    """

    names: tuple[str, str]
    points: Array
    loss: Callable[[float, float], float]
    grid: int = GRID
    note: str = ""


def check_plot(path: Path) -> None:
    """Make sure before training that a figure can be drawn into a file.

    Raises:
        InputError: Its ending is unknown, matplotlib is missing, or the file cannot be written.
    """
    if path.suffix.lower() not in METADATA:
        raise InputError(f"--plot {path}: unknown extension {path.suffix!r}, expected {', '.join(METADATA)}")
    try:
        import_module("matplotlib.figure")
    except ImportError:
        raise InputError(f"--plot {path}: needs matplotlib: pip install matplotlib, or leave it out") from None
    check_writable("--plot", path)


def plot_training(
    path: Path,
    title: str,
    epochs: Array,
    losses: Array,
    validation: Array | None = None,
    best: tuple[float, float] | None = None,
    weights: WeightPath | None = None,
) -> None:
    """Draw the loss of every epoch, and the path of two weights.

    Args:
        path: The file.
        title: What was trained, and how.
        epochs: Their numbers.
        losses: The loss at each.
        validation: The loss on the sequences held back, at each.
        best: The epoch at which that was least, and its value there.
        weights: Where the weights were at each, if they are two numbers.

    Raises:
        OSError: The file could not be written.
    """

    def draw(figure: Figure) -> None:
        ratios = {"height_ratios": [2, 3]} if weights else {}
        panels = figure.subplots(2 if weights else 1, 1, squeeze=False, gridspec_kw=ratios)[:, 0]
        panels[0].set_title(title, loc="left", fontsize="medium")
        _draw_losses(panels[0], epochs, losses, validation, best)
        if weights:
            _draw_surface(figure, panels[1], weights, losses)

    _save(path, (WIDTH, 7.0 if weights else 3.2), draw)


def plot_gradients(path: Path, title: str, label: str, steps: Array, sizes: Mapping[str, Array]) -> None:
    """Draw the size of the gradient with respect to each state, going back through time.

    Args:
        path: The file.
        title: Of what.
        label: What the steps are.
        steps: Their numbers, in the order in which they are gone through.
        sizes: At each step, by the name of the state's adjoint.

    Raises:
        OSError: The file could not be written.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_title(title, loc="left", fontsize="medium")
        for (name, values), colour in zip(sizes.items(), COLOURS * len(sizes), strict=False):
            shown = np.where(values > 0, _drawable(values), np.nan)
            axes.plot(steps, shown, ".-" if len(steps) <= 50 else "-", color=colour, label=name)
        drawn = [_drawable(values[np.isfinite(values) & (values > 0)]) for values in sizes.values()]
        if logarithms := [np.log10(each) for values in drawn for each in values]:  # whole decades are easy to read
            axes.set_yscale("log")
            axes.set_ylim(10 ** np.floor(min(logarithms)), 10 ** np.floor(max(logarithms) + 1))
        _number(axes, steps)
        axes.set(xlabel=label, ylabel="root mean square of the adjoint")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)

    _save(path, (WIDTH, 3.2), draw)


def _save(path: Path, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Write a figure, whole or not at all."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure)
        ending = path.suffix.lower()
        write_whole(path, lambda file: figure.savefig(file, format=ending[1:], metadata=METADATA[ending]))


def _draw_losses(
    axes: Axes, epochs: Array, losses: Array, validation: Array | None, best: tuple[float, float] | None
) -> None:
    """Draw the loss, and the one on the sequences held back; on a logarithmic scale where none is below 0."""
    lines = [("training", epochs, losses, COLOURS[0])]
    if best and not epochs[0] <= best[0] <= epochs[-1]:
        best = None  # it was reached before this run went on
    if validation is not None:
        places = epochs
        if best:  # the line leads there, whichever epochs are drawn
            place = np.searchsorted(epochs, best[0])
            places, validation = np.insert(epochs, place, best[0]), np.insert(validation, place, best[1])
        lines.append(("validation", places, validation, COLOURS[1]))
    found, least, label = _drawable(np.concatenate([values for _, _, values, _ in lines])), -np.inf, "loss"
    if np.all(found >= 0) and np.any(found > 0):
        axes.set_yscale("log")
        least = np.min(found[found > 0])  # an exact fit has no place on the scale but at its end
        label += f" (0 as {least:.1g})" if np.any(found == 0) else ""
    for name, places, values, colour in lines:
        shown = np.maximum(_drawable(values), least)
        axes.plot(places, shown, "-" if len(values) > 1 else "o", color=colour, label=name, linewidth=1.5)
    if best:
        at = (best[0], max(min(best[1], LARGEST), least))
        axes.plot(*at, "o", color=COLOURS[1], markeredgecolor="white", label=f"least, epoch {best[0]:.0f}", zorder=3)
    _number(axes, epochs)
    axes.set(xlabel="epoch", ylabel=label)
    axes.grid(alpha=0.3)
    if validation is not None:
        axes.legend(frameon=False)


def _draw_surface(figure: Figure, axes: Axes, weights: WeightPath, losses: Array) -> None:
    """Draw the loss over both weights, its logarithm where it is above 0, and the way from the start to the end."""
    from matplotlib.ticker import MaxNLocator

    points = weights.points
    near = points[:, losses - losses[0] <= NEAR * np.abs(losses[0])]
    (left, right), (low, high) = window = [_window(values) for values in near]
    x, y = (np.linspace(*side, weights.grid) for side in window)
    with np.errstate(all="ignore"):
        values = np.array([[weights.loss(a, b) for a in x] for b in y], dtype=float)
    finite = values[np.isfinite(values)]
    label = "loss"
    if finite.size and np.all(finite >= 0) and np.any(finite > 0):
        label = "log₁₀ loss"
        values = np.log10(np.maximum(values, finite[finite > 0].min()))
    values = np.ma.masked_invalid(values)
    if values.count():
        levels = np.array(MaxNLocator(LEVELS).tick_values(*_middle(values.compressed())))
        filled = axes.contourf(x, y, values, levels, cmap="viridis", extend="both")
        filled.set_edgecolor("face")  # else the background shines through between two bands
        ticks = np.array(MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(levels[0], levels[-1]))
        ticks = ticks[(ticks >= levels[0]) & (ticks <= levels[-1])]
        figure.colorbar(filled, ax=axes, label=label + weights.note, ticks=ticks, location="bottom", aspect=40)
    # A leap far out of the window is drawn to a point not quite so far: the same line, and no overflow.
    shown = [
        np.clip(each, a - 9 * (b - a), b + 9 * (b - a))
        for each, (a, b) in zip(points, ((left, right), (low, high)), strict=True)
    ]
    axes.plot(*shown, color="white", linewidth=3)
    axes.plot(*shown, color=COLOURS[1], linewidth=1.5)
    for name, place, marker in (("start", 0, "o"), ("end", -1, "*")):
        first, second = (each[place] for each in shown)
        outside = "" if left <= first <= right and low <= second <= high else ", outside"
        axes.plot(
            first,
            second,
            marker,
            color="white",
            markeredgecolor=COLOURS[1],
            markersize=8 if marker == "o" else 13,
            label=name + outside,
        )
    axes.set(xlabel=weights.names[0], ylabel=weights.names[1], xlim=(left, right), ylim=(low, high))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0)


def _middle(values: Array) -> tuple[float, float]:
    """Return the range of values without the few extreme ones, wide enough to have contours."""
    low, high = np.percentile(values, [1, 98])
    half = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-3) / 2
    return (low + high) / 2 - half, (low + high) / 2 + half


def _window(values: Array) -> tuple[float, float]:
    """Return what to show of a weight: somewhat more than its way, and not less than a part of its size."""
    values = np.clip(values, -LARGEST, LARGEST)
    low, high = values.min(), values.max()
    middle, half = (low + high) / 2, max((high - low) / 2, 0.2 * max(1, abs(low), abs(high)))
    return middle - 1.4 * half, middle + 1.4 * half


def _number(axes: Axes, places: Array) -> None:
    """Set the horizontal axis up for whole numbers, from the first to the last."""
    from matplotlib.ticker import MaxNLocator

    first, last = places[0], places[-1]
    axes.set_xlim(*((first, last) if first != last else (first - 1, last + 1)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))


def _drawable(values: Array) -> Array:
    """Return values that no axis overflows at; NaN where there is nothing to draw."""
    bounded = np.clip(np.abs(values), 1 / LARGEST, LARGEST)
    return np.where(np.isfinite(values), np.where(values == 0, 0, np.copysign(bounded, values)), np.nan)
