"""Checkpoints: all that a run is between two epochs, in one file, so that it can go on to the same bits.

The file is an .npz archive of arrays and of a text, the JSON of all that is no array. It says what the run was made of:
a run with other data, another cell or other settings is refused. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..files import write_whole
from .loop import Best, Snapshot

KEPT = {"origin", *Snapshot._fields}
"""What the text of a checkpoint holds."""


class Origin(NamedTuple):
    """What a run is made of; a checkpoint continues that run alone.

    Attributes:
        cell: The cell's name.
        code: A fingerprint of the modules that compute it and its updates.
        data: A fingerprint of the sequences, of those held back, too.
        start: A fingerprint of the weights that it began with.
        settings: Everything else that the next bits depend on, in words, by the option that sets it.
    """

    cell: str
    code: str
    data: str
    start: str
    settings: Mapping[str, str]


class Checkpoints:
    """Keeps the state of a run in a file, every so many epochs."""

    def __init__(self, path: Path, every: int, origin: Origin, written: int | None = None) -> None:
        """Set it up.

        Args:
            path: The file.
            every: After how many epochs it is written again.
            origin: What the run is made of.
            written: The epoch of the state in the file, if there is one.
        """
        self._path, self._every, self._origin, self._written = path, every, origin, written
        self.failure: OSError | None = None
        """Why the file could not be written, if the last attempt failed."""

    def is_due(self, state: Snapshot) -> bool:
        """Tell whether this is an epoch after which the file is written."""
        return state.epoch % self._every == 0

    def keep(self, state: Snapshot) -> None:
        """Write the state, unless the file has it."""
        if state.epoch == self._written:
            return
        try:
            save(self._path, state, self._origin)
            self._written, self.failure = state.epoch, None
        except OSError as failure:  # training goes on: the disk may have room again at the next attempt
            self.failure = failure


def save(path: Path, state: Snapshot, origin: Origin) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: It could not be written. What was there is untouched.
    """
    arrays: dict[str, Any] = {}
    best = None
    if state.best:
        best = state.best._replace(parameters=_put(arrays, "best", state.best.parameters))
    content = {
        "origin": origin._asdict(),
        "epoch": state.epoch,
        "parameters": _put(arrays, "weight", state.parameters),
        "memory": _put(arrays, "memory", state.memory),
        "random": state.random,
        "best": best,
    }
    write_whole(path, lambda file: _write(file, json.dumps(content), arrays))


def load(path: Path, origin: Origin, template: Any) -> Snapshot:
    """Read a checkpoint of the run that is made of the same.

    Args:
        path: The file.
        origin: What this run is made of.
        template: Parameters with the names and the shapes of the weights.

    Raises:
        InputError: The file cannot be read, or is one of another run.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        content = json.loads(str(arrays.pop("content")))
        found = Origin(**content["origin"])
        if set(content) != KEPT:
            raise KeyError(*content)
    except OSError as error:
        raise InputError(f"--checkpoint {path} cannot be read: {error.strerror}") from None
    except Exception:  # of the archive, its arrays, its JSON, a name that is missing: any, if damaged or another file
        raise InputError(
            f"--checkpoint {path} is no checkpoint of this trainer: name another file, or remove it to begin anew"
        ) from None
    _compare(path, found, origin)
    best = content["best"]
    return Snapshot(
        content["epoch"],
        _weights(arrays, content["parameters"], template),
        tuple(tuple(kept) for kept in _take(arrays, content["memory"])),
        content["random"],
        best and Best(best[0], best[1], _weights(arrays, best[2], template)),
    )


def fingerprint(arrays: Iterable[Any]) -> str:
    """Return a digest of what arrays hold, their types and shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        rows = max(1, 2**24 // max(1, array[:1].nbytes))  # a memory-mapped file may be larger than memory
        for first in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[first : first + rows]).tobytes())
    return digest.hexdigest()


def fingerprint_of_files(paths: Iterable[Path]) -> str:
    """Return a digest of the names of files and of what they hold."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _compare(path: Path, found: Origin, origin: Origin) -> None:
    """Refuse a checkpoint of another run, and say in what it differs."""
    start = f"--checkpoint {path} is of"
    if found.cell != origin.cell:
        raise InputError(f"{start} the cell {found.cell}, not of {origin.cell}: name another file")
    if found.code != origin.code:
        raise InputError(f"{start} other code of {origin.cell} or of the methods, derived since: name another file")
    if found.data != origin.data:
        raise InputError(f"{start} other data: give those that it was made with, or name another file")
    # In the order of this run: others follow from the method, and the start from the sizes.
    for option in {**origin.settings, **found.settings}:
        was, now = (settings.get(option, "nothing") for settings in (found.settings, origin.settings))
        if was != now:
            raise InputError(f"{start} a run with {option} {was}, and this one has {now}: give the same")
    if found.start != origin.start:
        raise InputError(
            f"{start} a run from another start: give the --init that it was made with, or name another file"
        )


def _put(arrays: dict[str, Any], name: str, value: Any) -> Any:
    """Take the arrays out of nested tuples, and put their names in their place."""
    if isinstance(value, tuple):
        return [_put(arrays, f"{name}.{number}", part) for number, part in enumerate(value)]
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = value
        return {"array": name}
    return value


def _take(arrays: Mapping[str, Any], value: Any) -> Any:
    """Put the arrays back."""
    if isinstance(value, list):
        return [_take(arrays, part) for part in value]
    return arrays[value["array"]][()] if isinstance(value, dict) else value


def _weights(arrays: Mapping[str, Any], value: Any, template: Any) -> Any:
    """Return weights like those of the template."""
    return template._make(_take(arrays, value))


def _write(file: IO[bytes], content: str, arrays: dict[str, Any]) -> None:
    np.savez(file, content=np.array(content), **arrays)
