"""The analytic gradient against a numeric one, entry by entry, from the command line.

    python -m PACKAGE.check CELL [options]

PACKAGE is the package that holds the trainer, and a CELL is any folder in it with a network.py. Two numeric gradients
stand beside it:

    complex step          Im ξ(w + ih) / h, h = 1e-30: nothing is subtracted, so it is exact to rounding
    central difference    (ξ(w + h) - ξ(w - h)) / 2h: known to everyone, and exact to about half of the digits

The complex step decides; the difference does where a network does not take complex weights.
"""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..cells import module_of
from ..data.sequences import Sequences
from ..data.shapes import Array
from ..errors import InputError
from ..report.printing import on_terminal
from ..report.progress import Progress
from ..report.summary import number
from ..run.first_order import value_and_gradient
from ..run.shortcuts import LONGEST_FOR_MOMENTS
from ..run.updates import largest_entry
from .at_weights import AtWeights, choose, columns, parser
from .numeric import STEPS, bounds_of_rounding, central_difference, complex_step, takes_complex_weights
from .running import run

SEQUENCES = 20
DRAWN = 10
"""How many entries of a weight are checked, unless all are."""
SHOWN = 40
"""Up to how many entries are shown one by one; of more, the worst of each weight."""
SPREADS = 10
"""How many times the spread of neighbouring central differences the best of them may be off."""

EPILOG = f"""\
Of a weight with more than {DRAWN} entries, {DRAWN} are drawn, unless --all. Numeric is the complex step,
exact to rounding: Im loss(w + ih) / h. Central is the difference (loss(w + h) - loss(w - h)) / 2h at the
best of {len(STEPS)} step sizes, good for about half of the digits. An entry agrees if analytic and numeric
differ by no more than the bound: what rounding can do, measured by how far the gradient moves when
weights and inputs change a little at random, and by how large loss and gradient are. The cell's other
modules that give the gradient are checked too; moments.py, whose terms may be large and cancel, may be
off by the rounding error that it estimates itself as well.

examples:
  %(prog)s linear
  %(prog)s linear --data my.csv --init Wx=0.9,Wrec=1.01
  %(prog)s lstm --all
  %(prog)s lstm --init weights.json --json

exit codes:
  0    all entries agree
  1    an entry disagrees, or the result could not be printed
  2    bad input
  130  interrupted with Ctrl-C
"""


BESIDE = ("network_fast", "closed_form", "moments", "jacobian")
"""The modules that give the gradient another way than network.py, where a cell has them."""


class Entry(NamedTuple):
    """One entry of the gradient.

    Attributes:
        weight: The name of its weight.
        place: Where in it; () in a number.
        analytic: What network.py says.
        complex_step: Numerically; None where the network does not take complex weights.
        central: Numerically, by the best central difference.
        bound: By how much the analytic one may differ from the one that decides.
    """

    weight: str
    place: tuple[int, ...]
    analytic: float
    complex_step: float | None
    central: float
    bound: float

    @property
    def name(self) -> str:
        """Name it as code does."""
        return self.weight + (f"[{', '.join(map(str, self.place))}]" if self.place else "")

    @property
    def numeric(self) -> float:
        """The numeric gradient that decides."""
        return self.central if self.complex_step is None else self.complex_step

    @property
    def difference(self) -> float:
        """By how much analytic and numeric differ."""
        return abs(self.analytic - self.numeric)

    @property
    def relative(self) -> float:
        """The difference, as a part of the larger of both."""
        return self.difference / (max(abs(self.analytic), abs(self.numeric)) or 1)

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the bound."""
        return self.difference <= self.bound < math.inf


class Beside(NamedTuple):
    """How the gradient of another module compares with that of network.py.

    Attributes:
        wrong: How many entries are off by more than they may be.
        difference: The largest difference.
        own_error: The rounding error that the module estimates itself, where an entry agrees thanks to it; else None.
    """

    wrong: int
    difference: float
    own_error: float | None = None


class ByMoments:
    """A cell's moments.py in the form of its other modules: it makes the moments of the data by itself."""

    def __init__(self, module: Any) -> None:
        """Set it up with the module."""
        self._module = module

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[Any, Any]:
        """Return the loss and its gradient."""
        result: tuple[Any, Any] = self._module.value_and_gradient(parameters, self._module.Moments.of(X, t))
        return result

    def rounding_error(self, parameters: Any, data: Sequences) -> float:
        """Return what the module estimates as the rounding error of an entry of the gradient."""
        total = 0.0
        for group, share in data.shares():
            _, of_gradient = self._module.rounding_errors(parameters, self._module.Moments.of(*group))
            total += share * of_gradient
        return total


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, which --help explains."""
    command = parser(
        "check", "Compare the analytic gradient of a network with a numeric one, entry by entry.", EPILOG, SEQUENCES
    )
    shown = command.add_argument_group("what is shown")
    shown.add_argument("--all", action="store_true", help="check and show every entry, however long it takes")
    shown.add_argument("--json", action="store_true", help="print one JSON object, with every entry that was checked")
    return run("check", command, look, argv)


def look(arguments: Any) -> tuple[str, int]:
    """Return what is printed, and the exit code.

    Raises:
        InputError: Something that the user gave cannot be used, or the loss overflows.
    """
    at = choose(arguments)
    with np.errstate(all="ignore"):
        try:
            value, gradient = value_and_gradient(at.network, at.weights, at.data)
        except ValueError as error:  # only the network knows which targets it can take
            raise InputError(f"{at.cell}: {error}") from None
        if not math.isfinite(value):
            raise InputError(f"{at.cell}: the loss overflows at these weights: choose smaller ones with --init")
        bounds = bounds_of_rounding(at, value, gradient)
        entries = check(at, gradient, bounds, arguments.all)
        beside = check_beside(at, gradient, bounds)
    exit_code = int(not all(entry.agrees for entry in entries) or any(each.wrong for each in beside.values()))
    if arguments.json:
        return as_json(at, entries, beside, exit_code), exit_code
    return "\n".join([*at.describe(), "", *report(at, entries, beside, arguments.all)]), exit_code


def check(at: AtWeights, gradient: Any, bounds: Any, every: bool) -> list[Entry]:
    """Find the numeric gradient of every entry, or of some of each weight, drawn at random.

    Args:
        at: What is looked at.
        gradient: What network.py says, Parameters.
        bounds: What rounding can do to it, Parameters.
        every: Whether all entries are checked.
    """
    complex_weights = takes_complex_weights(at)
    random = np.random.default_rng(at.seed)
    places = []
    for weight, leaf in at.weights._asdict().items():
        all_places = list(np.ndindex(np.shape(leaf)))
        some = not every and len(all_places) > DRAWN
        drawn = np.sort(random.choice(len(all_places), DRAWN, replace=False)) if some else range(len(all_places))
        places += [(weight, all_places[number]) for number in drawn]
    entries = []
    stream = sys.stderr if on_terminal(sys.stderr) else None
    with Progress(len(places), stream, lambda done: f"{done} of {len(places)} entries") as progress:
        for weight, place in places:
            analytic, bound = (float(np.asarray(getattr(leaves, weight))[place]) for leaves in (gradient, bounds))
            exact = complex_step(at, weight, place) if complex_weights else None
            central, spread = central_difference(at, weight, place)
            if exact is None:
                bound += SPREADS * spread
            entries.append(Entry(weight, place, analytic, exact, central, bound))
            progress(len(entries))
    return entries


def check_beside(at: AtWeights, gradient: Any, bounds: Any) -> dict[str, Beside]:
    """Compare the gradient with that of the other modules that training uses.

    An entry may be off by twice its bound, once for either module, and by what the module reckons with itself.

    Returns:
        How it compares, for each module's name; moments are left out where training does not try them.
    """
    found = {}
    for name in BESIDE:
        module = module_of(at.cell, name)
        if module is None:
            continue
        own_error = 0.0
        if name == "moments":
            if max(at.data.lengths) >= LONGEST_FOR_MOMENTS:
                continue
            module = ByMoments(module)
            own_error = module.rounding_error(at.weights, at.data)
        _, other = value_and_gradient(module, at.weights, at.data)
        far = at.weights._make(np.abs(np.subtract(a, b)) for a, b in zip(gradient, other, strict=True))
        off, wrong = (_count_beyond(far, bounds, more) for more in (0.0, own_error))
        found[f"{name}.py"] = Beside(wrong, largest_entry(far), own_error if wrong < off else None)
    return found


def _count_beyond(differences: Any, bounds: Any, more: float) -> int:
    """Count the entries that are off by more than twice their bound and `more`, or whose bound is no number."""
    allowed = [2 * bound + more for bound in bounds]
    return sum(
        int(np.sum(~((far <= most) & np.isfinite(most)))) for far, most in zip(differences, allowed, strict=True)
    )


def report(at: AtWeights, entries: Sequence[Entry], beside: dict[str, Beside], every: bool) -> Iterable[str]:
    """Yield the table, and what it comes to."""
    exact = entries[0].complex_step is not None
    shown = list(entries) if every or len(entries) <= SHOWN else worst_of_each_weight(entries)
    rows = [["entry", "analytic", "complex step", "central", "difference", "relative", "bound", ""]]
    for entry in shown:
        numeric = ["-" if each is None else f"{each:.9g}" for each in (entry.complex_step, entry.central)]
        how_far = [f"{each:.1e}" for each in (entry.difference, entry.relative, entry.bound)]
        rows.append([entry.name, f"{entry.analytic:.9g}", *numeric, *how_far, "" if entry.agrees else "DISAGREES"])
    yield from columns(rows)
    yield ""
    count = sum(map(np.size, at.weights))
    if len(entries) < count:
        yield f"{len(entries)} of {count} entries were checked, {DRAWN} of a larger weight, drawn with seed {at.seed}"
    if len(shown) < len(entries):
        yield f"shown is the worst entry of each weight; --all checks and shows all {count}"
    if not exact:
        yield "the network takes no complex weights: central differences decide"
    off = sum(not entry.agrees for entry in entries)
    worst = max(entry.difference for entry in entries)
    what = "complex step" if exact else "central difference"
    yield f"network.py: {_verdict(off, len(entries))} with the {what}, largest difference {worst:.1e}"
    for name, (wrong, difference, own_error) in beside.items():
        how = "" if own_error is None else f" within the rounding error of {own_error:.1e} that it estimates itself"
        yield f"{name}: {_verdict(wrong, count)} with network.py{how}, largest difference {difference:.1e}"


def worst_of_each_weight(entries: Iterable[Entry]) -> list[Entry]:
    """Return for each weight the entry whose difference is largest for its bound."""
    worst: dict[str, Entry] = {}
    for entry in entries:
        so_far = worst.setdefault(entry.weight, entry)
        if _excess(entry) > _excess(so_far):
            worst[entry.weight] = entry
    return list(worst.values())


def as_json(at: AtWeights, entries: Iterable[Entry], beside: dict[str, Beside], exit_code: int) -> str:
    """Write what was found as one line of JSON, for programs; null is what overflows or is not there."""
    numbers = ("analytic", "complex_step", "central", "difference", "relative", "bound")
    return json.dumps(
        {
            "cell": at.cell,
            "sequences": at.data.lengths,
            "entries": [
                {"entry": entry.name, "agrees": entry.agrees}
                | {name: None if getattr(entry, name) is None else number(getattr(entry, name)) for name in numbers}
                for entry in entries
            ],
            "modules": {
                name: {
                    "disagree": wrong,
                    "largest_difference": number(difference),
                    "own_rounding_error": None if own_error is None else number(own_error),
                }
                for name, (wrong, difference, own_error) in beside.items()
            },
            "exit_code": exit_code,
        },
        allow_nan=False,
    )


def _excess(entry: Entry) -> float:
    """Say how many times the bound a difference is; infinity where that is not known."""
    excess = entry.difference / entry.bound if entry.bound else entry.difference and math.inf
    return math.inf if math.isnan(excess) else excess


def _verdict(off: int, count: int) -> str:
    """Say how many of the entries agree."""
    return f"{off} of {count} entries DISAGREE" if off else f"all {count} entries agree"
