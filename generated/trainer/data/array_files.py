"""Reading arrays: an NPZ file, or .npy files that stay on the disk and are read as they are needed.

A header is read first, and an array only if its type is that of numbers and its size is what the file holds. Pickled
Python objects, which could run a program, are never loaded.
"""

import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.lib import format as npy

from ..errors import InputError
from .input_files import open_bytes
from .sequences import Group, Sequences, Unread, blocks, select
from .shapes import Array, Shape, counted, in_words, measure

LARGEST_RATIO = 1032
"""Deflate, which np.savez_compressed uses, makes nothing smaller than by this factor."""
PLACE_OF_T = 1
"""The dimension of X along which the steps run, and that of t if there are targets at every step."""


class Header(NamedTuple):
    """What the beginning of an .npy file says of the rest.

    Attributes:
        shape: Of the array.
        fortran_order: Whether it is stored column after column.
        dtype: Of its entries.
        offset: Where they begin, in bytes.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def size(self) -> int:
        """How many bytes the whole file has."""
        size = self.offset + self.dtype.itemsize
        for dimension in self.shape:  # in integers of Python, which do not overflow
            size = self.offset + (size - self.offset) * dimension
        return size


def read_npz(path: Path, shapes: Mapping[str, Shape]) -> Sequences:
    """Read the arrays X, t and, if they are there, the lengths of the sequences from an archive.

    Args:
        path: The file.
        shapes: The shapes of X and t that the cell takes.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    with open_bytes(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                stored = {
                    name: _member(path, archive, found[name], name) for name in ("X", "t", "lengths") if name in found
                }
        except InputError:
            raise
        except Exception:  # of zip tables, of compressed bytes, of a header that is parsed as Python: any, if damaged
            raise InputError(
                f"{path} is no readable archive of numbers (damaged?): write it with np.savez(file, X=X, t=t)"
            ) from None
    for name in ("X", "t"):
        if name not in stored:
            raise InputError(
                f"{path} lacks the array {name!r}, it holds {', '.join(found) or 'nothing'}: "
                "write it with np.savez(file, X=X, t=t)"
            )
    return from_arrays(stored["X"], stored["t"], stored.get("lengths"), shapes, str(path))


def read_npy(paths: Sequence[Path], shapes: Mapping[str, Shape]) -> Sequences:
    """Map the files of X, of t and, if there is a third, of the lengths of the sequences into memory.

    Args:
        paths: The two or three files.
        shapes: The shapes of X and t that the cell takes.

    Raises:
        InputError: A file cannot be read, or holds something else.
    """
    X, t, *lengths = map(open_array, paths)
    return from_arrays(X, t, np.asarray(lengths[0]) if lengths else None, shapes, ", ".join(map(str, paths)))


def open_array(path: Path) -> Array:
    """Map an .npy file of numbers into memory, to be read only.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    with open_bytes(path) as file:
        try:
            header = _header(file)
        except Exception:  # a header is parsed as Python: a damaged one raises what any wrong program may
            raise InputError(f"{path} is no .npy file of numbers: write it with np.save") from None
        _refuse_objects(str(path), header.dtype)
        size = os.fstat(file.fileno()).st_size
    if size != header.size:
        raise InputError(
            f"{path} is damaged, its header says {counted(header.size, 'byte')} and it has {size}: "
            "write it anew with np.save"
        )
    if size == header.offset:  # nothing that could be mapped
        return np.empty(header.shape, header.dtype)
    mapped = np.memmap(path, header.dtype, "r", header.offset, header.shape or 1, "F" if header.fortran_order else "C")
    return mapped.reshape(header.shape)


def from_arrays(X: Array, t: Array, lengths: Array | None, shapes: Mapping[str, Shape], where: str) -> Sequences:
    """Make a data set of arrays; those in memory-mapped files stay there.

    Args:
        X: The inputs, one sequence a row, N × T or N × T × D.
        t: The targets, as the cell has them.
        lengths: How many steps of its row each sequence has, N whole numbers; all of them unless given.
        shapes: The shapes of X and t that the cell takes.
        where: The file or the files, for the messages.

    Raises:
        InputError: The arrays do not fit, or hold something else than finite numbers where the sequences are.
    """
    for name, array in (("X", X), ("t", t)):
        _check_type(where, name, array.dtype)
    try:
        measure(shapes, {"X": X, "t": t})
    except ValueError as error:
        raise InputError(
            f"{where}: {error}; the cell takes X as {in_words(shapes['X'])} and t as {in_words(shapes['t'])}, "
            "one sequence a row"
        ) from None
    groups = []
    for steps, rows in [(X.shape[PLACE_OF_T], None)] if lengths is None else _by_length(X, lengths, where):
        with np.errstate(over="ignore"):  # what extended precision alone can hold becomes infinity
            group = Group(*map(_as_numbers, (X[:, :steps], t[:, :steps] if "T" in shapes["t"] else t)))
            if rows is not None:
                group = Group(*(select(array, rows) for array in group))
            for name, array in zip(group._fields, group, strict=True):
                _check_finite(where, name, array, rows)
        groups.append(group)
    return Sequences(*groups)


def _header(file: IO[bytes]) -> Header:
    """Read the header of an .npy file, from its beginning.

    Raises:
        Exception: There is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged header may look like one of Python 2
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError("a dimension is negative")
    return Header(shape, fortran_order, dtype, file.tell())


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Array:
    """Read an array of an archive, once its header says that it holds numbers, and no more than the file can hold."""
    with archive.open(info) as file:
        header = _header(file)
    _refuse_objects(f"{path}: {name}", header.dtype)
    ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: LARGEST_RATIO}[info.compress_type]
    if header.size != info.file_size or header.size > ratio * min(info.compress_size, path.stat().st_size):
        raise InputError(
            f"{path} is damaged, the header of {name} says {counted(header.size, 'byte')}, which it does not hold: "
            "write it anew with np.savez(file, X=X, t=t)"
        )
    try:
        with archive.open(info) as file:
            return np.asarray(npy.read_array(file, allow_pickle=False))
    except MemoryError:
        raise InputError(
            f"{path}: {name} has {counted(header.size, 'byte')} and does not fit into memory: write X and t to a file "
            "each with np.save, and give --data X.npy t.npy"
        ) from None


def _refuse_objects(what: str, dtype: np.dtype[Any]) -> None:
    """Refuse entries that are Python objects."""
    if dtype.hasobject:
        raise InputError(f"{what} holds pickled Python objects, which are never loaded: write numbers")


def _check_type(where: str, name: str, dtype: np.dtype[Any]) -> None:
    """Refuse entries that are no real numbers."""
    if dtype.kind not in "biuf":
        raise InputError(f"{where}: {name} has dtype {dtype}, expected real numbers: convert it with astype(float)")


def _as_numbers(array: Array) -> Array:
    """Return truth values as 0 and 1, half precision as single, and extended precision as double.

    The weights take the precision of the data: they would be rounded to three digits, or not be JSON.
    """
    if array.dtype.kind == "b":
        return array.view(np.int8)
    if array.dtype.kind != "f" or array.dtype.itemsize in (4, 8):
        return array
    dtype = np.float32 if array.dtype.itemsize == 2 else np.float64
    if isinstance(array, np.memmap):
        return cast(Array, Unread(array, np.arange(len(array)), dtype))
    return array.astype(dtype)


def _by_length(X: Array, lengths: Array, where: str) -> Iterator[tuple[int, Array | None]]:
    """Yield each length with the numbers of the sequences that have it, None for all."""
    N, T = len(X), X.shape[PLACE_OF_T]
    if lengths.dtype.kind not in "iu":
        raise InputError(
            f"{where}: lengths has dtype {lengths.dtype}, expected whole numbers: convert it with astype(int)"
        )
    if lengths.shape != (N,):
        raise InputError(
            f"{where}: lengths has shape {lengths.shape}, expected ({N},): give one number of steps a sequence"
        )
    for n in np.flatnonzero((lengths < 1) | (lengths > T))[:1].tolist():
        raise InputError(
            f"{where}: lengths[{n}] is {lengths[n]}, expected 1 to {T}: X has {counted(T, 'step')}, and a sequence at "
            "least one"
        )
    order = np.argsort(lengths, kind="stable")
    found, first = np.unique(lengths[order], return_index=True)
    for steps, rows in zip(found.tolist(), np.split(order, first[1:]), strict=True):
        yield steps, None if len(rows) == N else rows


def _check_finite(where: str, name: str, array: Array, rows: Array | None) -> None:
    """Refuse NaN and infinity; the rows say which of the user's array these are."""
    if array.dtype.kind != "f":
        return
    for block in blocks(array):
        values = array[block]
        for n, *others in np.argwhere(~np.isfinite(values))[:1].tolist():
            row = block.start + n
            index = [row if rows is None else int(rows[row]), *others]
            raise InputError(
                f"{where}: {name}{index} is {values[(n, *others)]}, expected finite numbers: replace it, or leave the "
                "sequence out"
            )
