"""Reading a data set: sequences and their targets, in one of three formats.

    files               hold
    my.csv              one sequence a row, the target in the last column; a header is optional
    my.npz              the arrays X and t, as written by np.savez(file, X=X, t=t): X is N × T, or N × T × D where a
                        step brings a row, and t is N, N × M, N × T or N × T × M, as the cell has it
    X.npy t.npy         the same two, as written by np.save; they may be larger than memory

Sequences may differ in length. In a CSV file blank cells stand between the last input of a shorter one and its target.
An NPZ file has an array `lengths`, N whole numbers, and with .npy files it is the third: how many steps of its row in X
each sequence has. What follows them is not read.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from .array_files import read_npy, read_npz
from .csv_files import read_csv
from .sequences import Sequences
from .shapes import ONE_NUMBER_A_STEP, Shape


def read_data(paths: Sequence[Path], shapes: Mapping[str, Shape] = ONE_NUMBER_A_STEP) -> Sequences:
    """Read sequences and their targets.

    Args:
        paths: The file, or those of X, t and perhaps the lengths; what they are is told by how their names end.
        shapes: The shapes of X and t that the cell takes.

    Returns:
        The sequences: float64 from a CSV file, else with the dtypes stored (half precision as single, extended as
        double), and from .npy files still on the disk.

    Raises:
        InputError: A file is missing or not readable, or what it holds is not such a data set.
    """
    endings = [path.suffix.lower() for path in paths]
    for path, ending in zip(paths, endings, strict=True):
        if ending not in (".csv", ".npz", ".npy"):
            what = "is a folder" if os.path.isdir(path) else f"has the unknown extension {ending!r}"
            order = "" if ending else " (the name of a cell stands before --data)"
            raise InputError(f"{path} {what}, expected a file .csv, .npz or .npy{order}")
    if endings == [".csv"]:
        return read_csv(paths[0], shapes)
    if endings == [".npz"]:
        return read_npz(paths[0], shapes)
    if endings in (2 * [".npy"], 3 * [".npy"]):
        return read_npy(paths, shapes)
    given = " ".join(map(str, paths))
    raise InputError(f"--data {given}: give one .csv or .npz file, or X.npy t.npy, or X.npy t.npy lengths.npy")
