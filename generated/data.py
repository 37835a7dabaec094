"""Reading a data set: N sequences of T inputs, and their targets.

    file    holds
    .csv    one sequence a row, the target in the last column; a header is optional
    .npz    the arrays X and t, as written by np.savez(file, X=X, t=t): X is N × T, or N × T × D where a step
            brings a row, and t is N, N × M, N × T or N × T × M, as the cell has it

Whatever cannot be used is refused with the row and the column at which it stands. Both are counted
as an editor does, from 1.
"""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .shapes import ONE_NUMBER_A_STEP, Shape, in_words, measure

Array = npt.NDArray[Any]


def read_data(path: Path, shapes: Mapping[str, Shape] = ONE_NUMBER_A_STEP) -> tuple[Array, Array]:
    """Read the sequences and their targets from a CSV or an NPZ file.

    Args:
        path: The file; its extension says which of the two formats it has.
        shapes: The shapes of X and t that the cell takes.

    Returns:
        X and t: float64 from a CSV file, from an NPZ file with the dtypes stored there.

    Raises:
        InputError: The file is missing or not readable, or what it holds is not such a data set.
    """
    parsers = {".csv": _parse_csv, ".npz": _parse_npz}
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a .csv or .npz file in it")
    if path.suffix.lower() not in parsers:
        raise InputError(f"{path}: unknown extension {path.suffix!r}, expected .csv or .npz")
    return parsers[path.suffix.lower()](path, read_bytes(path), shapes)


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        InputError: The file is missing, not readable or empty.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not content:
        raise InputError(f"{path} is empty: it needs at least one sequence and its target")
    return content


def read_text(path: Path) -> str:
    """Return the text in a file.

    Raises:
        InputError: The file is missing, not readable, empty or not in UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it in UTF-8") from None


def _parse_csv(path: Path, content: bytes, shapes: Mapping[str, Shape]) -> tuple[Array, Array]:
    """Split a table into the inputs X (N × T) and its last column, the targets t (N)."""
    if shapes != ONE_NUMBER_A_STEP:
        raise InputError(
            f"{path}: a CSV file has one number a step and one target a sequence, and this cell takes X as "
            f"{in_words(shapes['X'])} and t as {in_words(shapes['t'])}: "
            "write an .npz file with np.savez(file, X=X, t=t)"
        )
    rows = _csv_rows(path, content)
    if not rows:
        raise InputError(f"{path} holds only blank lines: it needs one sequence a row")

    first_line, first_row = rows[0]
    width = len(first_row)
    if width == 1:
        raise InputError(
            f"{path} has a single column, which leaves no room for a target: "
            "separate the columns with commas, the target last"
        )
    if not any(_is_number(cell) for cell in first_row):
        del rows[0]
        if not rows:
            raise InputError(f"{path} holds a header but no sequence below it")

    table = np.empty((len(rows), width))  # N, T + 1
    for sequence, (line, row) in enumerate(rows):
        if len(row) != width:
            raise InputError(
                f"{path}, row {line} has {len(row)} columns, expected {width} as in row "
                f"{first_line} (a decimal comma splits a number in two: write 0.5, not 0,5)"
            )
        for column, cell in enumerate(row):
            table[sequence, column] = _number(cell, f"{path}, row {line}, column {column + 1}")
    return table[:, :-1], table[:, -1]


def _csv_rows(path: Path, content: bytes) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with its line number."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 without its mark decodes as UTF-8, but every other character is NUL
        raise InputError(f"{path} is not UTF-8 text (is it UTF-16?): save it as CSV in UTF-8")

    reader = csv.reader(io.StringIO(text))
    try:
        return [(reader.line_num, row) for row in reader if ",".join(row).strip()]
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: {error}") from None


def _is_number(cell: str) -> bool:
    """Tell whether a cell holds a number, NaN and infinity included."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python would read 1_0 as ten


def _number(cell: str, where: str) -> float:
    """Return the finite number that a cell holds, or refuse it by name and place."""
    if not _is_number(cell):
        shown = cell if len(cell) <= 30 else cell[:30] + "..."
        cure = ": separate the columns with commas" if ";" in cell or "\t" in cell else ""
        raise InputError(f"{where}: {shown!r} is not a number{cure}")
    if not math.isfinite(float(cell)):
        raise InputError(f"{where}: {cell.strip()} is not a finite number")
    return float(cell)


def _parse_npz(path: Path, content: bytes, shapes: Mapping[str, Shape]) -> tuple[Array, Array]:
    """Take the arrays X and t out of an archive."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            stored = {name: archive[name] for name in ("X", "t") if name in archive}
            names = ", ".join(archive) or "nothing"
    except Exception:  # a damaged archive may raise almost anything
        raise InputError(
            f"{path} is no readable archive of numbers (damaged, or pickled objects): "
            "write it with np.savez(file, X=X, t=t)"
        ) from None

    for name in ("X", "t"):
        if name not in stored:
            raise InputError(
                f"{path} lacks the array {name!r}, it holds {names}: write it with np.savez(file, X=X, t=t)"
            )
    X, t = (_real(path, name, stored[name]) for name in ("X", "t"))
    try:
        measure(shapes, {"X": X, "t": t})
    except ValueError as error:
        raise InputError(
            f"{path}: {error}; the cell takes X as {in_words(shapes['X'])} and t as {in_words(shapes['t'])}, "
            "one sequence a row"
        ) from None
    return X, t


def _real(path: Path, name: str, array: Array) -> Array:
    """Return the array if its entries are finite real numbers; truth values become 0 and 1."""
    if array.dtype.kind == "b":
        return array.astype(np.int8)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: {name} has dtype {array.dtype}, expected real numbers")
    for index in np.argwhere(~np.isfinite(array))[:1].tolist():
        value = array[tuple(index)]
        raise InputError(f"{path}: {name}{index} is {value}, expected finite numbers")
    return array
