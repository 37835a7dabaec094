"""The history of a run, one line an epoch: CSV or JSON lines, as the file's ending says; pandas reads both."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import IO

from ..errors import InputError
from ..files import check_writable, write_whole
from ..run.loop import Result

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
    """Writes a line for every epoch. A file that cannot be written to is tried again, and never ends the training."""

    def __init__(self, path: Path, first_epoch: int, validates: bool) -> None:
        """Read what is there of an earlier run; nothing is written before the first epoch.

        Args:
            path: The file; of what it holds the epochs before the first one stay.
            first_epoch: The first epoch that will be written.
            validates: Whether there is a validation loss.

        Raises:
            InputError: The file holds something else, or not all epochs before the first one.
        """
        self._path, self._columns = path, COLUMNS if validates else COLUMNS[:2]
        self.failure: OSError | None = None
        """Why not all lines are written, if they are not."""
        self._file: IO[bytes] | None = None
        self._new: list[str] = []  # lines that no attempt was made to write yet
        self._pending = b""  # what an attempt left over
        self._whole = 0  # where the last whole line ends
        header = [self._line(self._columns)] if path.suffix.lower() == ".csv" else []
        # The last piece is empty, or a line that a killed run did not finish.
        *lines, torn = path.read_bytes().decode(errors="replace").split("\n") if path.exists() else [""]
        if (lines and (lines[:1] != header if header else self._epoch(lines[0]) == math.inf)) or (torn and not lines):
            raise InputError(f"--log {path} is not the log of such a run, its first line is another: name another file")
        kept = [line for line in lines if self._epoch(line) < first_epoch]
        if kept and [self._epoch(line) for line in kept] != list(range(first_epoch - len(kept), first_epoch)):
            raise InputError(f"--log {path} lacks epochs before {first_epoch}: name another file for those that follow")
        self._kept = "".join(f"{line}\n" for line in header + kept)

    @property
    def begun(self) -> bool:
        """Whether the file is this run's."""
        return self._file is not None

    def __call__(self, result: Result) -> None:
        """Write the line of an epoch."""
        found = (result.state.epoch, result.loss, result.validation)[: len(self._columns)]
        self._new.append(self._line(found) + "\n")
        if self.failure is None:
            self._write()

    def sync(self) -> None:
        """Have all lines on the disk, as before a checkpoint that goes on after them."""
        self._write()
        try:
            if self._file:
                os.fsync(self._file.fileno())
        except OSError as failure:
            self.failure = failure

    def close(self) -> None:
        """Write all lines, the last one whole or not at all."""
        if self._new or self._pending:
            self.sync()
        if self._file:
            try:
                os.ftruncate(self._file.fileno(), self._whole)
                self._file.close()
            except OSError as failure:
                self.failure = self.failure or failure
            self._file = None

    def _write(self) -> None:
        """Write the lines that are still to be written, from where the last attempt ended."""
        try:
            if self._file is None:
                write_whole(self._path, lambda file: file.write(self._kept.encode()))
                self._file = self._path.open("ab", buffering=0)
                self._whole = self._file.tell()
            self._pending += "".join(self._new).encode()
            self._new.clear()
            while self._pending:
                written = self._file.write(self._pending)
                end = self._pending.rfind(b"\n", 0, written) + 1
                self._whole = self._file.tell() - (written - end) if end else self._whole
                self._pending = self._pending[written:]
            self.failure = None
        except OSError as failure:
            self.failure = failure

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
