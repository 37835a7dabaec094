"""What the commands share that look at a network at some weights, and train nothing."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..cells import PACKAGE, choose_cell, find_cells
from ..data.sequences import Group, Sequences
from ..run.weights import format_weights
from .choices import read_choices
from .options import Parser, add_cell, add_data, add_weights, positive

START = """\
Without --init and --seed the weights are those of the cell's example (where those are not given: drawn
with seed 0), as at the start of its training.
"""


@dataclass(frozen=True)
class AtWeights:
    """A network, some sequences, and the weights at which it is looked at."""

    cell: str
    network: Any
    weights: NamedTuple
    data: Sequences  # in memory, floating point numbers in float64
    of: int  # how many sequences they are drawn from
    seed: int

    def describe(self) -> list[str]:
        """Say which sequences and weights they are."""
        drawn = f" drawn from {self.of} with seed {self.seed}" if len(self.data) < self.of else ""
        return [f"{self.cell}: {self.data.describe()}{drawn}", f"weights  {format_weights(self.weights)}"]


def parser(name: str, description: str, epilog: str, sequences: int) -> argparse.ArgumentParser:
    """Make the parser of a command, to which its own options can be added.

    Args:
        name: The command's.
        description: What it does.
        epilog: What else a reader should know.
        sequences: How many it looks at unless told otherwise.
    """
    parser = Parser(
        prog=f"python -m {PACKAGE}.{name}",
        description=description,
        epilog=START + "\n" + epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_cell(parser, find_cells())
    add_data(parser).add_argument(
        "--sequences",
        metavar="N",
        type=positive,
        default=sequences,
        help=f"look at N sequences, drawn at random where there are more; default: {sequences}",
    )
    add_weights(parser.add_argument_group("weights"), "it also says which sequences are drawn")
    return parser


def choose(arguments: Any) -> AtWeights:
    """Find what a command line names.

    Raises:
        InputError: Something in it cannot be used.
    """
    cell = choose_cell(arguments.cell, find_cells())
    chosen = read_choices(cell, arguments)
    drawn = chosen.data.sample(arguments.sequences, chosen.seed)
    precise = Sequences(*(Group(*map(_in_memory, group)) for group in drawn.groups))
    return AtWeights(cell, chosen.network, chosen.start, precise, len(chosen.data), chosen.seed)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the cells of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _in_memory(array: Any) -> Any:
    """Return a plain array, read from the disk where it still is there; floating point numbers in double precision."""
    return np.array(array, np.float64 if array.dtype.kind == "f" else array.dtype)
