"""The moments of a data set that may be larger than memory, from the command line.

    python -m PACKAGE.moments_of CELL X.npy t.npy --output moments.npz

PACKAGE is the package that holds the trainer, and a CELL is a folder in it with a moments.py. Its `Moments.load` reads
what is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cells import PACKAGE, find_cells, module_of
from ..data.array_files import open_array
from ..data.shapes import counted
from ..errors import InputError
from ..files import check_writable
from ..report.progress import Progress
from .options import Parser
from .running import run


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = Parser(
        prog=f"python -m {PACKAGE}.moments_of",
        description="Read a data set once, and write the moments that a polynomial loss is made of.",
        allow_abbrev=False,
    )
    parser.add_argument("cell", metavar="CELL", help="a folder with a moments.py")
    parser.add_argument("X", metavar="X.npy", type=Path, help="the inputs, N x T")
    parser.add_argument("t", metavar="t.npy", type=Path, help="the targets, N")
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help="the .npz file to write")
    return parser


def look(arguments: argparse.Namespace) -> tuple[str, int]:
    """Read the data, write the moments, and return what is printed, and the exit code.

    Raises:
        InputError: Something that the user gave cannot be used.
    """
    there_are = find_cells("moments")
    if arguments.cell not in there_are:
        raise InputError(f"no cell {arguments.cell!r} with a moments.py; there are {', '.join(there_are) or 'none'}")
    output, given = arguments.output, (arguments.X, arguments.t)
    check_writable("--output", output)
    moments = module_of(arguments.cell, "moments").Moments
    X, t = map(open_array, given)
    if output.exists() and any(map(output.samefile, given)):
        raise InputError(f"--output {output} is the data: name another file")
    try:
        with Progress(len(X) if X.ndim else 0, sys.stderr, _sequences) as progress:
            found = moments.of(X, t, progress)
    except ValueError as error:
        raise InputError(f"{arguments.X}, {arguments.t}: {error}") from None
    if not np.all(np.isfinite([found.c.sum(), found.b.sum()])):
        raise InputError(f"{arguments.X}, {arguments.t}: the sums over the data are no finite numbers; look for NaN")
    try:
        found.save(output)
    except OSError as error:
        raise InputError(f"{output} was not written: {error.strerror}") from None
    return f"{output}: the moments of {counted(found.N, 'sequence')} of {counted(found.T, 'step')}", 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 not printed, 2 bad input, 130 interrupted."""
    return run("moments_of", parser(), look, argv)


def _sequences(done: int, N: int) -> str:
    return f"{done:,} of {N:,} sequences"
