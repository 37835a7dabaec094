"""The size of the gradient on its way back through time, from the command line.

    python -m PACKAGE.gradients CELL [options]

PACKAGE is the package that holds the trainer, and a CELL is any folder in it with a network.py.

The adjoint δ_k is the derivative of the loss with respect to the state after step k. Where it shrinks from step to
step, what the network reads early hardly changes the weights; where it grows, it drowns all the rest.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.shapes import Array
from ..errors import InputError
from ..report.plots import check_plot, plot_gradients
from ..report.printing import say
from ..report.summary import number
from .at_weights import AtWeights, choose, columns, parser
from .running import run

SEQUENCES = 200
ROWS = 20
BAR = 16
KEPT = 2.0
"""A size that changes by less than this factor over all steps is said to stay."""

EPILOG = """\
The table goes back through time, from the last step to the first. For each state it has the root mean
square of the adjoint over all sequences and units, as a bar on a logarithmic scale too, and by which
factor the step back to here changed it.

examples:
  %(prog)s linear --init Wx=1,Wrec=1.2
  %(prog)s lstm --plot gradients.svg
  %(prog)s lstm --init weights.json --sequences 1000

exit codes:
  0    done
  1    the figure could not be written, or the result not be printed
  2    bad input
  130  interrupted with Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, which --help explains."""
    command = parser(
        "gradients",
        "Show how large the gradient is at every step, going back through time: whether it vanishes or explodes.",
        EPILOG,
        SEQUENCES,
    )
    shown = command.add_argument_group("what is shown")
    shown.add_argument("--all", action="store_true", help=f"show every step; default: {ROWS} of them")
    shown.add_argument("--plot", metavar="FILE", type=Path, help="draw it (.svg, .png or .pdf); needs matplotlib")
    shown.add_argument("--json", action="store_true", help="print one JSON object, with every step")
    return run("gradients", command, look, argv)


def look(arguments: Any) -> tuple[str, int]:
    """Return what is printed, and the exit code.

    Raises:
        InputError: Something that the user gave cannot be used.
    """
    if arguments.plot:
        check_plot(arguments.plot)
    at = choose(arguments)
    sizes = sizes_of_adjoints(at)
    exit_code = 0
    if arguments.plot:
        try:
            draw(arguments.plot, at, sizes)
        except OSError as failure:
            say(f"gradients: error: {arguments.plot} was not written: {failure.strerror or failure}")
            exit_code = 1
    if arguments.json:
        return as_json(at, sizes, exit_code), exit_code
    lines = [*at.describe(), "", *table(at, sizes, arguments.all), ""]
    return "\n".join(lines + [f"{name} {verdict(values)}" for name, values in sizes.items()]), exit_code


def sizes_of_adjoints(at: AtWeights) -> dict[str, Array]:
    """Compute how large the adjoint of each state is.

    Returns:
        Its root mean square over all sequences and units, by the adjoint's name: at the last step, the one before, and
        so on to the first, and the start where that is learnt. Of several lengths each sequence counts at its steps.
        Infinite where anything overflows.

    Raises:
        InputError: The network does not name its states, or cannot take the data.
    """
    names = tuple(getattr(at.network, "STATES", {}).values())
    if not names:
        raise InputError(f"{at.cell}/network.py does not name its states in STATES: derive the cell again")
    parts = []
    with np.errstate(all="ignore"):
        for (X, t), share in at.data.shares():
            try:
                adjoints = at.network.backward(at.weights, at.network.forward(at.weights, X), t)
            except ValueError as error:  # only the network knows which targets it can take
                raise InputError(f"{at.cell}: {error}") from None
            parts.append({name: share * getattr(adjoints, name)[::-1] for name in names})
    has_start = len(parts) == 1 and any(np.any(parts[0][name][-1]) for name in names)
    steps = max(at.data.lengths) + has_start
    return {
        name: np.array(
            [
                _root_mean_square([part[name][back] for part in parts if back < len(part[name]) - 1 + has_start])
                for back in range(steps)
            ]
        )
        for name in names
    }


def table(at: AtWeights, sizes: Mapping[str, Array], every: bool) -> list[str]:
    """Put the sizes side by side, a row a step."""
    steps = len(next(iter(sizes.values())))
    places = range(steps) if every else np.unique(np.rint(np.linspace(0, steps - 1, min(steps, ROWS)))).astype(int)
    logarithms = [math.log10(size) for values in sizes.values() for size in values if 0 < size < math.inf]
    high = max(logarithms, default=0.0)
    low = min([*logarithms, high - 1])
    rows = [["k"]]
    for name in sizes:
        rows[0] += [name, "factor", " " * BAR]
    for back in places:
        row = [_step(at, back)]
        for values in sizes.values():
            row += [f"{values[back]:.3g}", _factor(values, back), _bar(values[back], low, high).ljust(BAR)]
        rows.append(row)
    lines = columns(rows)
    return lines if len(places) == steps else [*lines, f"{len(places)} of {steps} steps are shown; --all shows each"]


def verdict(values: Array) -> str:
    """Say in words what becomes of a gradient on its way back.

    Args:
        values: Its size, from the last step to the first.
    """
    if not np.all(np.isfinite(values)):
        return f"overflows, {np.argmin(np.isfinite(values))} steps back from the last: the weights are too large"
    there = np.flatnonzero(values)
    if not there.size:
        return "is 0 at every step: a change of the state does not change the loss"
    first, last = int(there[0]), int(there[-1])
    end = f"; it is exactly 0 before step {len(values) - last}" if last < len(values) - 1 else ""
    if first == last:
        return "is there at one step alone, so there is nothing to compare" + end
    logarithm = math.log10(values[last]) - math.log10(values[first])
    what = "shrinks" if logarithm < 0 else "grows"
    if abs(logarithm) <= math.log10(KEPT):
        what = "keeps about its size: it changes"
    after = f"after {last - first} step{'s' * (last - first != 1)} back"
    each, all_of_them = _power(logarithm / (last - first), 4), _power(logarithm, 2)
    return f"{what} by a factor {each} a step, to {all_of_them} times its size {after}{end}"


def draw(path: Path, at: AtWeights, sizes: Mapping[str, Array]) -> None:
    """Draw the sizes into a file.

    Raises:
        OSError: It could not be written.
    """
    back = np.arange(len(next(iter(sizes.values()))), dtype=float)
    one_length = len(at.data.lengths) == 1
    label = "step k, going back through time" if one_length else "steps back from the last"
    plot_gradients(
        path, f"{at.cell}, {at.data.describe()}", label, max(at.data.lengths) - back if one_length else back, sizes
    )


def as_json(at: AtWeights, sizes: Mapping[str, Array], exit_code: int) -> str:
    """Write the sizes as one line of JSON, for programs; null where they overflow."""
    return json.dumps(
        {
            "cell": at.cell,
            "sequences": at.data.lengths,
            "steps_back": list(range(len(next(iter(sizes.values()))))),
            "sizes": {name: [number(size) for size in values.tolist()] for name, values in sizes.items()},
            "verdicts": {name: verdict(values) for name, values in sizes.items()},
            "exit_code": exit_code,
        },
        allow_nan=False,
    )


def _root_mean_square(arrays: Sequence[Any]) -> float:
    """Return that of all entries, scaled so that no square overflows; infinity if an entry is not finite."""
    values = np.concatenate([np.ravel(array) for array in arrays])
    largest = np.max(np.abs(values))
    if not np.isfinite(largest):
        return math.inf
    return float(largest and largest * np.sqrt(np.mean((values / largest) ** 2)))


def _step(at: AtWeights, back: int) -> str:
    """Name a step: by its number, or of several lengths from the end."""
    if len(at.data.lengths) == 1:
        return str(max(at.data.lengths) - back)
    return f"T - {back}" if back else "T"


def _factor(values: Array, back: int) -> str:
    """Say by which factor the step back to here changed a size."""
    if back == 0 or not 0 < values[back - 1] < math.inf or not math.isfinite(values[back]):
        return "-"
    return f"{values[back] / values[back - 1]:.3g}"


def _bar(size: float, low: float, high: float) -> str:
    """Draw a size on a logarithmic scale; `>` where it overflows."""
    if not 0 < size < math.inf:
        return ">" * BAR if size else ""
    return "#" * (1 + round((BAR - 1) * (math.log10(size) - low) / (high - low)))


def _power(logarithm: float, digits: int) -> str:
    """Write a power of ten, also one that a float cannot hold."""
    return f"{10**logarithm:.{digits}g}" if abs(logarithm) < 300 else f"1e{logarithm:+.0f}"
