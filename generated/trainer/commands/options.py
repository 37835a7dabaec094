"""The options of the trainer's command line."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from ..cells import PACKAGE
from ..data.numerals import DIGITS, is_number, is_whole, read_number, shortened
from ..errors import InputError
from ..run.second_order import ITERATIONS

DEFAULT_EPOCHS = 1000
DEFAULT_SEED = 0

DEFAULT_CHECKPOINT_EPOCHS = 100

DATA_FORMATS = """\
my.csv        one sequence a row, its target in the last column, a header if you like; where a
              sequence is shorter, cells before its target are left blank: 1,0,,,1
my.npz        the arrays X and t, from np.savez("my.npz", X=X, t=t): X is N x T (N sequences of T
              steps), or N x T x D where a step brings D numbers; t as the cell has it. If the
              sequences differ in length, an array lengths as well: N whole numbers, how many
              steps of each row of X count
X.npy t.npy   the same arrays, each in a file of its own, from np.save("X.npy", X); the lengths,
              if any, in a third. These may be larger than memory
my.txt        a text, where the cell's example reads one
"""

EPILOG = """\
Without --init and --seed training starts at the weights of the cell's example (where those are not
given: at weights drawn with seed 0). --seed draws all weights that --init does not name.

examples:
  %(prog)s linear
  %(prog)s linear --data my.csv --method adam --epochs 5000 --output weights.json
  %(prog)s linear --data X.npy t.npy            (CELL stands before --data)
  %(prog)s lstm --validation 0.2 --patience 10 --log history.csv --plot training.svg
  %(prog)s lstm --checkpoint run.npz            interrupted, it goes on with
  %(prog)s lstm --checkpoint run.npz --resume

exit codes:
  0    done
  1    the loss or a gradient overflowed, or a file could not be written
  2    bad input, nothing was trained
  130  interrupted with Ctrl-C; the weights reached are reported and written all the same
  143  the same, interrupted by SIGTERM
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others of the trainer."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing the usage."""
        raise InputError(f"{message} (--help lists the options)")


def parser(cells: Sequence[str], methods: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser; the cells and methods are the names of those that there are."""
    parser = Parser(
        prog=f"python -m {PACKAGE}.train",
        usage="%(prog)s [CELL] [options]",
        description="Train a derived network, by full-batch gradient descent unless told otherwise.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_cell(parser, cells)
    _add_validation(add_data(parser))
    add_weights(
        parser.add_argument_group("weights to start from"),
        "it also shuffles the batches and chooses what --validation holds back",
    )
    _add_training(parser.add_argument_group("training"), methods)
    _add_files(parser.add_argument_group("files that are written"))
    _add_output(parser.add_argument_group("what is shown"))
    return parser


def add_cell(parser: argparse.ArgumentParser, cells: Sequence[str]) -> None:
    """Add the cell, one of those that there are."""
    parser.add_argument(
        "cell",
        metavar="CELL",
        nargs="?",
        help=f"one of: {', '.join(cells)}; may be left out if there is only one",
    )


def add_data(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the data set, and return its group."""
    group = parser.add_argument_group("data", DATA_FORMATS)
    group.add_argument(
        "--data",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="the file or files, in one of the formats above; default: the cell's example",
    )
    return group


def _add_validation(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--validation",
        metavar="SHARE",
        type=_share,
        help="hold this share of the sequences back, 0.2 for a fifth, chosen by --seed: the weights with the least "
        "loss on them are kept",
    )


def add_weights(group: "argparse._ArgumentGroup", also: str) -> None:
    """Add the weights and their sizes; `also` says what else the seed is for."""
    group.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="the weights as NAME=VALUE,..., or a .json file from the trainer's --output; some suffice",
    )
    group.add_argument(
        "--seed",
        metavar="S",
        type=count,
        help="draw the weights with this seed: numbers from the uniform distribution on [-1, 1), matrices "
        f"from a normal one, rows zero; {also}",
    )
    group.add_argument(
        "--size",
        metavar="NAME=N",
        type=_size,
        action="append",
        default=[],
        help="the size of a dimension that the data do not tell, as in H=16; may be given several times",
    )


def _add_training(group: "argparse._ArgumentGroup", methods: Sequence[str]) -> None:
    group.add_argument(
        "--epochs",
        metavar="N",
        type=count,
        help=f"number of passes over the data, each one update unless --batch; default: the example's, "
        f"else {DEFAULT_EPOCHS}; with levenberg_marquardt {ITERATIONS}",
    )
    group.add_argument(
        "--method",
        metavar="NAME",
        choices=methods,
        help=f"the update rule: {', '.join(methods)}; default: the example's, else gradient_descent",
    )
    group.add_argument(
        "--learning-rate",
        metavar="RATE",
        help="one number for all weights, or NAME=VALUE,...; default: the example's, else the method's usual one",
    )
    group.add_argument(
        "--clip",
        metavar="NORM",
        type=_bound,
        help="shorten a gradient whose norm, over all weights together, is larger to this norm",
    )
    group.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        help="how many sequences an update sees, in an order shuffled at every epoch; default: the example's, else all",
    )
    group.add_argument(
        "--tolerance",
        metavar="G",
        type=_threshold,
        help="stop when the largest absolute entry of the gradient is at most G",
    )
    group.add_argument(
        "--patience",
        metavar="N",
        type=positive,
        help="stop when the loss on the sequences of --validation has not fallen for N epochs",
    )


def _add_files(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the final weights to this JSON file; an older one is replaced",
    )
    group.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        help="keep all that is needed to go on in this file, also when interrupted",
    )
    group.add_argument(
        "--checkpoint-every",
        metavar="N",
        type=positive,
        help=f"write it after every N epochs; default: {DEFAULT_CHECKPOINT_EPOCHS}",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from --checkpoint, to the same bits as without the interruption: give the same options again, "
        "--epochs may be larger; where there is no such file yet, training begins",
    )
    group.add_argument(
        "--log",
        metavar="FILE",
        type=Path,
        help="write the loss of every epoch to this file, .csv or .jsonl",
    )
    group.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the loss into this file (.svg, .png or .pdf), and below it the path of the weights if they are two "
        "numbers; needs matplotlib",
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument("--json", action="store_true", help="print one JSON object instead of the report")


def _whole(least: int) -> Callable[[str], int]:
    """Make the reader of whole numbers, the least one given."""

    def read(text: str) -> int:
        if not is_whole(text) or int(text) < least:
            what = f"a whole number, {least} or more{_with_few_digits(text)}"
            raise argparse.ArgumentTypeError(f"{shortened(text)!r} is not {what}")
        return int(text)

    return read


def _number(holds: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """Make the reader of numbers that a condition holds for, which `what` says in words."""

    def read(text: str) -> float:
        if not (is_number(text) and holds(read_number(text))):
            raise argparse.ArgumentTypeError(f"{shortened(text)!r} is not {what}")
        return read_number(text)

    return read


count, positive = _whole(0), _whole(1)
_share = _number(lambda share: 0 < share < 1, "a number between 0 and 1, as in 0.2")
_bound = _number(lambda bound: 0 < bound < math.inf, "a finite number above 0")
_threshold = _number(lambda threshold: 0 <= threshold < math.inf, "a finite number, 0 or more")


def _size(text: str) -> tuple[str, int]:
    name, _, size = (part.strip() for part in text.partition("="))
    if not (name and is_whole(size) and int(size)):
        what = f"NAME=N with N 1 or more{_with_few_digits(size)}, as in H=16"
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is not {what}")
    return name, int(size)


def _with_few_digits(text: str) -> str:
    """Say, of a whole number that is too long, how long it may be."""
    return f" and of at most {DIGITS} digits" if len(text) > DIGITS else ""
