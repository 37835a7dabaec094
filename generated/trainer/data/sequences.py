"""The sequences of a data set, those of one length together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from .shapes import Array, counted

BLOCK_BYTES = 2**22
"""How much of an array that need not be in memory is read at a time."""


class Group(NamedTuple):
    """Sequences of the same length, and their targets: one sequence a row in both."""

    X: Array
    t: Array


class Sequences:
    """A data set: its sequences, grouped by their length, the shortest first; they are numbered in this order."""

    def __init__(self, *groups: Group) -> None:
        """Put groups together, each with sequences of another length, in any order."""
        self.groups = tuple(sorted(groups, key=lambda group: group.X.shape[1]))

    def __len__(self) -> int:
        """How many sequences there are."""
        return sum(len(group.X) for group in self.groups)

    @property
    def lengths(self) -> dict[int, int]:
        """How many sequences there are of each length."""
        return {group.X.shape[1]: len(group.X) for group in self.groups}

    def describe(self) -> str:
        """Say how many sequences there are of each length."""
        *others, last = (f"{count} of {counted(steps, 'step')}" for steps, count in self.lengths.items())
        if others:
            return f"{len(self)} sequences, {', '.join(others)} and {last}"
        return f"{counted(len(self), 'sequence')} {last.removeprefix(f'{len(self)} ')}"

    def shares(self) -> Iterator[tuple[Group, float]]:
        """Yield each group, and what share of all sequences it has."""
        for group in self.groups:
            yield group, len(group.X) / len(self)

    def take(self, numbers: npt.ArrayLike) -> Sequences:
        """Return the sequences with these numbers, within a group in the order given; of a file only they are read.

        Raises:
            IndexError: There is no sequence with such a number.
        """
        return self._part(numbers, lambda array, rows: array[rows])

    def sample(self, most: int, seed: int) -> Sequences:
        """Return that many sequences, drawn at random, in the order in which they were; itself if it has no more."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    def split(self, share: float, seed: int) -> tuple[Sequences, Sequences]:
        """Divide at random, the same way for the same seed; what is in a file stays there.

        Args:
            share: What share of the sequences goes into the second part, rounded to whole ones.
            seed: For who goes where.

        Returns:
            Both parts, in the order in which they were.

        Raises:
            ValueError: A part would have no sequence.
        """
        N = len(self)
        second = round(share * N)
        if not 0 < second < N:
            which = "more" if N == 1 else "a smaller share or more" if second else "a larger share or more"
            raise ValueError(f"{second} of {counted(N, 'sequence')} leaves none for one of both parts: give {which}")
        order = np.random.default_rng(seed).permutation(N)
        return self._part(np.sort(order[second:]), select), self._part(np.sort(order[:second]), select)

    def _part(self, numbers: npt.ArrayLike, pick: Callable[[Array, Array], Array]) -> Sequences:
        """Pick rows of each group."""
        numbers = np.asarray(numbers, np.intp)
        outside = numbers[(numbers < 0) | (numbers >= len(self))]
        if len(outside):
            raise IndexError(f"there is no sequence {outside[0]}, the numbers go from 0 to {len(self) - 1}")
        parts, first = [], 0
        for X, t in self.groups:
            rows = numbers[(numbers >= first) & (numbers < first + len(X))] - first
            if len(rows):
                parts.append(Group(pick(X, rows), pick(t, rows)))
            first += len(X)
        return Sequences(*parts)


class Unread:
    """Rows of a memory-mapped array, each read when it is asked for, as a slice or a list of them; else like an array.

    Attributes:
        array: What they are rows of.
        rows: Their numbers.
        dtype: That of what is returned.
    """

    def __init__(self, array: Array, rows: Array, dtype: npt.DTypeLike | None = None) -> None:
        """Set it up, with the dtype of the array unless given; nothing is read."""
        self.array, self.rows, self.dtype = array, rows, np.dtype(array.dtype if dtype is None else dtype)
        self.shape, self.ndim = (len(rows), *array.shape[1:]), array.ndim

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> Array:
        """Read some of the rows."""
        return np.asarray(self.array[self.rows[chosen]], self.dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Read them all."""
        if copy is False:
            raise ValueError("rows that are not read yet can only be copied")
        return np.asarray(self[:], dtype)


def select(array: Array, rows: Array) -> Array:
    """Return rows of an array, those of a memory-mapped one unread."""
    if isinstance(array, np.memmap):
        return cast(Array, Unread(array, rows))
    if isinstance(array, Unread):
        return cast(Array, Unread(array.array, array.rows[rows], array.dtype))
    return array[rows]


def blocks(array: Array) -> Iterator[slice]:
    """Yield the rows of an array that are read at a time: few megabytes, but at least one row."""
    row = array.dtype.itemsize * int(np.prod(array.shape[1:]))
    rows = max(1, BLOCK_BYTES // max(1, row))
    for first in range(0, len(array), rows):
        yield slice(first, min(first + rows, len(array)))
