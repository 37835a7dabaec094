"""The options of the trainer's command line."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .errors import InputError

DEFAULT_EPOCHS = 1000
DEFAULT_SEED = 0

EPILOG = """\
Without --init and --seed training starts at the weights of the cell's example (where those are not
given: at weights drawn with seed 0). --seed draws all weights that --init does not name.

exit codes:
  0    done
  1    the loss or a gradient overflowed, or the output could not be written
  2    bad input, nothing was trained
  130  interrupted with Ctrl-C; the weights reached are reported and written all the same
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others of the trainer."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing the usage."""
        raise InputError(f"{message} (--help lists the options)")


def parser(cells: Sequence[str], methods: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser; the cells and methods are the names of those that there are."""
    parser = Parser(
        prog=f"python -m {__package__}.train",
        description="Train a derived network, by full-batch gradient descent unless told otherwise.",
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
        "or NPZ (X: N x T or N x T x D, t: as the cell has it); text (.txt) where the example reads text; "
        "default: the cell's example",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=_count,
        help=f"number of passes over the data, each one update unless --batch; default: the example's, "
        f"else {DEFAULT_EPOCHS}",
    )
    parser.add_argument(
        "--learning-rate",
        metavar="RATE",
        help="one number for all weights, or NAME=VALUE,...; default: the example's, else the method's usual one",
    )
    parser.add_argument(
        "--method",
        choices=methods,
        help="the update rule; default: the example's, else gradient_descent",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=_positive,
        help="how many sequences an update sees, in an order shuffled at every epoch; default: the example's, else all",
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
        help="draw the start weights with this seed: numbers from the uniform distribution on [-1, 1), matrices "
        "from a normal one, rows zero; it also shuffles the batches",
    )
    parser.add_argument(
        "--size",
        metavar="NAME=N",
        type=_size,
        action="append",
        default=[],
        help="the size of a dimension that the data do not tell, as in H=16; may be given several times",
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


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _size(text: str) -> tuple[str, int]:
    name, equals, size = (part.strip() for part in text.partition("="))
    if not (name and equals and size.isascii() and size.isdigit() and int(size)):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=N with N 1 or more, as in H=16")
    return name, int(size)


def _threshold(text: str) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number, 0 or more")
    return threshold
