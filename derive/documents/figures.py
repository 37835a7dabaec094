"""The figures of a derivation, drawn with matplotlib from the generated code and the derivation's own numbers.

A rerun writes the same bytes: no date, and names within the file that depend on nothing but the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas

from derive.language.example import Landscape
from derive.language.operations import Hessian
from derive.mathematics.derivation import Derivation, Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "derive",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "mathtext.fontset": "cm",
    "figure.constrained_layout.use": True,
}
METADATA = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
COLOURS = ("#0b7285", "#c92a2a", "#5f3dc4", "#e67700", "#2b8a3e", "#364fc7")
GRID = 81
"""Points along each axis of a surface."""


def draw(figure: Figure, derivation: Derivation, network: Any) -> dict[str, bytes]:
    """Draws one figure.

    Args:
        figure: Which.
        derivation: Whose.
        network: The generated module.

    Returns:
        The file's content by its ending, svg and pdf.
    """
    with mpl.rc_context(STYLE):
        canvas = DRAWINGS[figure.name](derivation, network)
        files = {}
        for ending, metadata in METADATA.items():
            buffer = BytesIO()
            canvas.savefig(buffer, format=ending, metadata=metadata)
            files[ending] = buffer.getvalue()
    return files


def _landscape(derivation: Derivation) -> Landscape:
    landscape = derivation.cell.landscape
    if landscape is None:
        raise ValueError(f"cell {derivation.cell.name!r} has no landscape to draw")
    return landscape


def _label(derivation: Derivation, point: tuple[float, float]) -> str:
    names = (f"{weight.latex} = {value:g}" for weight, value in zip(derivation.cell.parameters, point, strict=True))
    return f"${', '.join(names)}$"


def gradient_sizes(derivation: Derivation, network: Any) -> Canvas:
    """The mean size of the adjoint at every step, going back through time, for each marked point."""
    landscape = _landscape(derivation)
    canvas = Canvas(figsize=(7.2, 3.6))
    axes = canvas.add_subplot()
    for point, colour in zip(landscape.points, COLOURS, strict=False):
        parameters = network.Parameters(*point)
        trace = network.forward(parameters, landscape.inputs)
        sizes = np.abs(network.backward(parameters, trace, landscape.targets)[0][1:]).mean(axis=1)
        steps = np.arange(1, len(sizes) + 1)
        shown = sizes > 0
        (line,) = axes.plot(
            steps[shown], sizes[shown], "o-", color=colour, markersize=4, label=_label(derivation, point)
        )
        if shown.sum() == 1:  # a single point would hide among the others
            line.set(marker="D", markersize=8, fillstyle="none")
    axes.set_yscale("log")
    axes.set_xticks(np.arange(1, landscape.inputs.shape[1] + 1))
    axes.invert_xaxis()
    axes.set_xlabel("step $k$, going back through time")
    axes.set_ylabel(r"mean $|\delta_k|$")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return canvas


def loss_surface(derivation: Derivation, network: Any) -> Canvas:
    """The loss over the two weights, on a logarithmic colour scale, one panel a window."""
    landscape = _landscape(derivation)
    canvas = Canvas(figsize=(8.4, 3.9))
    panels = canvas.subplots(1, len(landscape.windows), squeeze=False)[0]
    for axes, (low, high) in zip(panels, landscape.windows, strict=True):
        ticks = np.linspace(low, high, GRID)
        losses = np.array(
            [
                [network.loss(network.Parameters(a, b), landscape.inputs, landscape.targets) for a in ticks]
                for b in ticks
            ]
        )
        floor = np.percentile(losses, 1)
        levels = np.geomspace(floor, losses.max(), 16)
        filled = axes.contourf(ticks, ticks, np.maximum(losses, floor), levels, norm=LogNorm(), cmap="viridis")
        canvas.colorbar(filled, ax=axes, ticks=mpl.ticker.LogLocator(), label=r"loss $\xi$", shrink=0.8)
        _mark_points(axes, derivation, (low, high))
    return canvas


def _mark_points(axes: Axes, derivation: Derivation, window: tuple[float, float]) -> None:
    low, high = window
    landscape = _landscape(derivation)
    inside = [
        (point, colour)
        for point, colour in zip(landscape.points, COLOURS, strict=False)
        if low <= min(point) and max(point) <= high
    ]
    for (first, second), colour in inside:
        axes.plot(first, second, "o", color=colour, markeredgecolor="white", markersize=7, clip_on=False, zorder=3)
    example = derivation.cell.worked_example
    if example is not None and example.solution:
        axes.plot(*(example.solution[p.name] for p in derivation.cell.parameters), "*", color="white", markersize=11)
    first, second = derivation.cell.parameters
    axes.set(xlabel=f"${first.latex}$", ylabel=f"${second.latex}$", xlim=window, ylim=window, aspect="equal")


def learning_rates(derivation: Derivation, network: Any) -> Canvas:
    """How many updates a digit costs, over the two learning rates, up to the border of stability."""
    equation = next(equation for equation in derivation.equations if isinstance(equation.lhs, Hessian))
    hessian = np.array(equation.rhs.tolist(), dtype=float)
    first, second = derivation.cell.parameters
    x, y = (np.geomspace(1e-4, 1.5, GRID) * 2 / hessian[i, i] for i in range(2))
    rates = np.stack(np.meshgrid(x, y), axis=-1)
    # An update multiplies an error by 1 - λ; the direction in which that is largest sets the pace. Beyond the border,
    # which is painted over, the slow direction does, so that no contour breaks off before it.
    factors = np.sort(np.abs(1 - np.linalg.eigvals(rates[..., :, None] * hessian)), axis=-1)
    pace = np.where(factors[..., 1] < 1, factors[..., 1], factors[..., 0].clip(max=1 - 1e-9))
    updates = np.log(10) / -np.log(pace)
    # The border, where det(I + J) is zero: det(H) x y - 2 H_11 x - 2 H_22 y + 4 = 0.
    along = np.linspace(x[0], 2 / hessian[0, 0] * (1 - 1e-9), 500)
    border = (4 - 2 * hessian[0, 0] * along) / (2 * hessian[1, 1] - np.linalg.det(hessian) * along)
    canvas = Canvas(figsize=(7.2, 4.4))
    axes = canvas.add_subplot(xscale="log", yscale="log")
    levels = 10.0 ** np.arange(1.5, 6.1, 0.25)
    filled = axes.contourf(x, y, updates, levels, norm=LogNorm(), cmap="viridis_r", extend="both")
    axes.fill_between([*along, x[-1]], [*border, y[0]], y[-1], color="white")
    axes.plot(along, border, color="#c92a2a")
    canvas.colorbar(filled, ax=axes, ticks=mpl.ticker.LogLocator(), label="updates for one more digit")
    example = derivation.cell.worked_example
    if example is not None:
        chosen = [example.learning_rates[weight.name] for weight in (first, second)]
        axes.plot(*chosen, "o", color="#e67700", label="the example's")
    eigen = np.linalg.eigvalsh(hessian)
    axes.plot(*[2 / eigen.sum()] * 2, "s", color="#364fc7", label="best single rate")
    axes.plot(1 / hessian[0, 0], 1 / hessian[1, 1], "D", color="#c92a2a", label="best pair")
    axes.set(
        xlabel=rf"$\eta_{{{first.latex}}}$", ylabel=rf"$\eta_{{{second.latex}}}$", xlim=x[[0, -1]], ylim=y[[0, -1]]
    )
    axes.legend(loc="lower left", frameon=True)
    return canvas


DRAWINGS: dict[str, Callable[[Derivation, Any], Canvas]] = {
    "gradient_sizes": gradient_sizes,
    "loss_surface": loss_surface,
    "learning_rates": learning_rates,
}
