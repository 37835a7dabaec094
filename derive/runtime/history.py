"""The history of a run, one line an epoch: CSV or JSON lines, as the file's ending says; pandas reads both."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from .errors import InputError
from .files import check_writable, write_whole
from .training import Result

ENDINGS = (".csv", ".jsonl")
COLUMNS = ("epoch", "loss", "validation_loss")


def check_log(path: Path, resumed: bool) -> None:
    """Make sure before training that a log can be written.

    Raises:
        InputError: Its ending is another, it cannot be written, or a new run would overwrite it.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"--log {path}: unknown extension {path.suffix!r}, expected {' or '.join(ENDINGS)}")
    check_writable("--log", path)
    if path.exists() and path.stat().st_size and not resumed:
        raise InputError(f"--log {path} is there already: name another file or remove it; --resume goes on with it")


class Log:
    """Writes a line for every epoch. A file that can no longer be written to ends the log, never the training."""

    def __init__(self, path: Path, first_epoch: int, validates: bool) -> None:
        """Begin a log, or go on with one.

        Args:
            path: The file; of what it holds the epochs before the first one stay.
            first_epoch: The first epoch that will be written.
            validates: Whether there is a validation loss.

        Raises:
            InputError: The file holds something else, or cannot be written.
        """
        self._path, self._columns = path, COLUMNS if validates else COLUMNS[:2]
        self.failure: OSError | None = None
        """Why a line could not be written."""
        lines = path.read_bytes().decode(errors="replace").splitlines() if path.exists() else []
        header = [self._line(self._columns)] if path.suffix.lower() == ".csv" else []
        if lines and (lines[:1] != header if header else self._epoch(lines[0]) == math.inf):
            raise InputError(f"--log {path} is not the log of such a run, its first line is another: name another file")
        kept = [line for line in lines if self._epoch(line) < first_epoch]
        text = "".join(f"{line}\n" for line in header + kept)
        try:
            write_whole(path, lambda file: file.write(text.encode()))
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--log {path} cannot be written: {error.strerror}: name a file elsewhere") from None

    def __call__(self, result: Result) -> None:
        """Write the line of an epoch, so that it is on its way to the disk before a checkpoint of that epoch is."""
        if self.failure:
            return
        found = (result.state.epoch, result.loss, result.validation)[: len(self._columns)]
        try:
            self._file.write(self._line(found) + "\n")
            self._file.flush()
        except OSError as failure:
            self.failure = failure

    def close(self) -> None:
        """Write what is still in memory."""
        try:
            self._file.close()
        except OSError as failure:
            self.failure = self.failure or failure

    def _line(self, values: tuple[object, ...]) -> str:
        if self._path.suffix.lower() == ".jsonl":
            return json.dumps(dict(zip(self._columns, values, strict=True)))
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(values)
        return text.getvalue()

    def _epoch(self, line: str) -> float:
        """Return the epoch of a line; infinity for the header, and for a line that a killed run did not finish."""
        try:
            values = json.loads(line) if self._path.suffix.lower() == ".jsonl" else self._cells(line)
            return int(values["epoch"]) if set(values) == set(self._columns) else math.inf
        except (ValueError, KeyError, TypeError):
            return math.inf

    def _cells(self, line: str) -> dict[str, str]:
        cells = line.split(",")
        return dict(zip(self._columns, cells, strict=True))
