"""Reading a CSV file: one sequence a row, its target in the last column.

    first,second,third,fourth,target
    1,0,1,1,3
    1,0,,,1           a sequence of two steps: the cells between its last input and the target are blank

The first row is a header if no cell of it is a number. A row in which all cells are blank is skipped.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .input_files import read_text
from .numerals import is_number, read_number, shortened
from .sequences import Group, Sequences
from .shapes import ONE_NUMBER_A_STEP, Array, Shape, counted, in_words


def read_csv(path: Path, shapes: Mapping[str, Shape]) -> Sequences:
    """Read a table.

    Args:
        path: The file.
        shapes: The shapes of X and t that the cell takes.

    Returns:
        The sequences in float64: those of one length together, in the order of their rows.

    Raises:
        InputError: The file cannot be read or holds something else; the message names row and column, counted from 1.
    """
    if shapes != ONE_NUMBER_A_STEP:
        raise InputError(
            f"{path}: a CSV file has one number a step and one target a sequence, and this cell takes X as "
            f"{in_words(shapes['X'])} and t as {in_words(shapes['t'])}: "
            "write an .npz file with np.savez(file, X=X, t=t)"
        )
    rows = _rows(path, read_text(path))
    first_line, first_row = next(rows, (0, []))
    if not first_row:
        raise InputError(f"{path} holds only blank lines: it needs one sequence a row")
    if len(first_row) == 1:
        raise InputError(
            _wrong_separator(f"{path}, row {first_line}", first_row)
            or f"{path} has a single column, which leaves no room for a target: "
            "separate the columns with commas, the target last"
        )
    by_length: dict[int, list[Array]] = {}
    if any(map(is_number, first_row)):
        _put(by_length, first_row, f"{path}, row {first_line}", " (in a header no cell is a number)")
    for line, row in rows:
        where = f"{path}, row {line}"
        if len(row) != len(first_row):
            raise InputError(
                _wrong_separator(where, row)
                or f"{where} has {counted(len(row), 'column')}, expected {len(first_row)} as in row {first_line}: "
                "leave cells blank between the last input of a shorter sequence and its target (a decimal comma splits "
                "a number in two: write 0.5, not 0,5)"
            )
        _put(by_length, row, where)
    if not by_length:
        raise InputError(f"{path} holds a header but no sequence below it: it needs one sequence a row")
    tables = [np.array(numbers) for numbers in by_length.values()]  # N, T + 1
    return Sequences(*(Group(table[:, :-1], table[:, -1]) for table in tables))


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with its line number."""
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: {error}: separate the columns with commas") from None


def _put(by_length: dict[int, list[Array]], row: Sequence[str], where: str, hint: str = "") -> None:
    """Add the numbers of a row, its target last, to those of the same length; the hint is for a cell without one."""
    *inputs, target = row
    steps = len(inputs)
    while steps and not inputs[steps - 1].strip():
        steps -= 1
    cells = [*inputs[:steps], target]
    try:
        numbers = np.array(list(map(read_number, cells)))
    except ValueError:
        numbers = np.array([math.nan])
    if not steps or not np.all(np.isfinite(numbers)):
        raise InputError(_complaint(row, steps, where, hint))
    by_length.setdefault(steps, []).append(numbers)


def _complaint(row: Sequence[str], steps: int, where: str, hint: str) -> str:
    """Say which cell of a row is not what it should be, if its last input is that of step `steps`."""
    columns = [*range(steps), len(row) - 1]
    column = next((column for column in columns if not _is_finite(row[column])), 0)
    cell, place = row[column], f"{where}, column {column + 1}"
    shown = shortened(cell.strip())
    if wrong_separator := _wrong_separator(where, row):
        return wrong_separator
    if column == len(row) - 1 and not cell.strip():
        return f"{place} is blank: the last column holds the targets, write one there"
    if not steps:
        return f"{where} has a target and no input: write at least one number before the target, or remove the row"
    if not cell.strip():
        return (
            f"{place} is blank and a number follows in column {_next_number(row, column) + 1}: only the cells "
            "between the last input of a sequence and its target may be blank"
        )
    if is_number(cell):
        return f"{place}: {shown} is not a finite number: write one, or remove the row"
    cure = ": write a decimal point, as in 0.5" if "," in cell else hint or ": write one, as in 0.5"
    return f"{place}: {shown!r} is not a number{cure}"


def _wrong_separator(where: str, row: Sequence[str]) -> str:
    """Say that columns are separated by something else than commas, if they are."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if any(separator in cell.strip() for cell in row):
            return f"{where}: {name} separate the columns: write commas, and a point in a number, as in 0.5,1"
    return ""


def _next_number(row: Sequence[str], column: int) -> int:
    """Return the first column after this one that is not blank."""
    return next(later for later in range(column + 1, len(row)) if row[later].strip())


def _is_finite(cell: str) -> bool:
    """Tell whether a cell holds a finite number."""
    return is_number(cell) and math.isfinite(read_number(cell))
