"""The command line of the trainer: from its words to checked Settings.

What the command line leaves open, the cell's example.py answers: the data, the start, the learning
rates and the number of epochs. A cell without an example needs --data and has the defaults below.
"""

import argparse
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

from .data import Array, read_data
from .errors import InputError
from .weights import check_output, choose_learning_rates, choose_start

DEFAULT_LEARNING_RATE = 0.01
DEFAULT_EPOCHS = 1000
DEFAULT_SEED = 0

EPILOG = """\
Without --init and --seed training starts at the weights of the cell's example (a cell that has no
example: at weights drawn with seed 0). --seed draws all weights that --init does not name.

exit codes:
  0    done
  1    the loss or a gradient overflowed, or the output could not be written
  2    bad input, nothing was trained
  130  interrupted with Ctrl-C; the weights reached are reported and written all the same
"""


class Network(Protocol):
    """What training needs of a network.py; X is N × T, t has N entries."""

    Parameters: Any  # the NamedTuple with one field a weight

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[float, Any]:
        """Return the loss and its gradient, the latter as Parameters."""

    def descend(self, parameters: Any, gradient: Any, learning_rates: Any) -> Any:
        """Return the parameters after one update by gradient descent."""

    def predict(self, parameters: Any, X: Array) -> Array:
        """Return the N predictions."""


@dataclass(frozen=True)
class Settings:
    """A run in which everything is known and checked; X is N × T, t has N entries."""

    cell: str
    network: Network
    X: Array
    t: Array
    start: NamedTuple
    learning_rates: NamedTuple
    epochs: int
    tolerance: float | None
    output: Path | None


def read_settings(argv: Sequence[str] | None = None) -> Settings:
    """Read the command line, and the files it names.

    Args:
        argv: The words after the program's name; by default those of this process.

    Returns:
        The settings of the run.

    Raises:
        InputError: An argument or a file cannot be used.
        SystemExit: The user asked for --help.
    """
    cells = find_cells()
    arguments = _parser(cells).parse_args(argv)
    cell = _choose_cell(arguments.cell, cells)
    if arguments.output:
        check_output(arguments.output)

    network: Any = import_module(f".{cell}.network", __package__)
    example: Any = None
    if (Path(__file__).parent / cell / "example.py").is_file():
        example = import_module(f".{cell}.example", __package__)

    seed, epochs = arguments.seed, arguments.epochs
    if example:
        template, rates = example.START, example.LEARNING_RATES
        epochs = example.EPOCHS if epochs is None else epochs
    else:
        weights = network.Parameters._fields
        template = network.Parameters(*[0.0] * len(weights))
        rates = network.Parameters(*[DEFAULT_LEARNING_RATE] * len(weights))
        epochs = DEFAULT_EPOCHS if epochs is None else epochs
        seed = DEFAULT_SEED if seed is None else seed
    start = choose_start(template, seed, arguments.init)
    rates = choose_learning_rates(rates, arguments.learning_rate)

    if arguments.data:
        X, t = read_data(arguments.data)
    elif example:
        X, t = example.X, example.t
    else:
        raise InputError(f"{cell} has no example to train on: give your data with --data FILE")
    return Settings(cell, network, X, t, start, rates, epochs, arguments.tolerance, arguments.output)


def find_cells() -> list[str]:
    """Return the names of the folders beside this file that hold a network.py."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/network.py"))


def _choose_cell(cell: str | None, cells: Sequence[str]) -> str:
    """Return the cell asked for, or the only one there is."""
    if not cells:
        raise InputError(f"{Path(__file__).parent} holds no cell: derive one into it first")
    there_are = "there are " + ", ".join(cells) if len(cells) > 1 else f"there is {cells[0]}"
    if cell is None and len(cells) > 1:
        raise InputError(f"which cell? {there_are}")
    if cell is not None and cell not in cells:
        closest = difflib.get_close_matches(cell, cells, n=1)
        question = f", did you mean {closest[0]}?" if closest else ":"
        raise InputError(f"no cell {cell!r}{question} {there_are}")
    return cell or cells[0]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others of the trainer."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing the usage."""
        raise InputError(f"{message} (--help lists the options)")


def _parser(cells: Sequence[str]) -> _Parser:
    parser = _Parser(
        prog=f"python -m {__package__}.train",
        description="Train a derived network by full-batch gradient descent.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "cell",
        metavar="CELL",
        nargs="?",
        help=f"one of: {', '.join(cells)}; may be left out if there is only one",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        help="CSV (one sequence a row, the target last, header optional) "
        "or NPZ (X: N x T, t: N); default: the cell's example",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=_count,
        help=f"number of updates; default: the example's, else {DEFAULT_EPOCHS}",
    )
    parser.add_argument(
        "--learning-rate",
        metavar="RATE",
        help=f"one number for all weights, or NAME=VALUE,...; default: the example's, else {DEFAULT_LEARNING_RATE}",
    )
    parser.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="start weights as NAME=VALUE,..., or a .json file from --output; some suffice",
    )
    parser.add_argument(
        "--tolerance",
        metavar="G",
        type=_threshold,
        help="stop when the largest absolute entry of the gradient is at most G",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=_count,
        help="draw the start weights from the uniform distribution on [-1, 1) with this seed",
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the final weights to this JSON file")
    return parser


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return count


def _threshold(text: str) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number, 0 or more")
    return threshold
