"""The sequences of a data set, those of one length together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .data import Array


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
        *others, last = (f"{count} of {steps} step{'s' * (steps != 1)}" for steps, count in self.lengths.items())
        if others:
            return f"{len(self)} sequences, {', '.join(others)} and {last}"
        return f"{len(self)} sequence{'s' * (len(self) != 1)} {last.removeprefix(f'{len(self)} ')}"

    def shares(self) -> Iterator[tuple[Group, float]]:
        """Yield each group, and what share of all sequences it has."""
        for group in self.groups:
            yield group, len(group.X) / len(self)

    def take(self, numbers: Array) -> Sequences:
        """Return the sequences with these numbers, within a group in the order given."""
        taken, first = [], 0
        for X, t in self.groups:
            rows = numbers[(numbers >= first) & (numbers < first + len(X))] - first
            if len(rows):
                taken.append(Group(X[rows], t[rows]))
            first += len(X)
        return Sequences(*taken)

    def sample(self, most: int, seed: int) -> Sequences:
        """Return that many sequences, drawn at random, in the order in which they were; itself if it has no more."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    def split(self, share: float, seed: int) -> tuple[Sequences, Sequences]:
        """Divide at random, the same way for the same seed.

        Args:
            share: What share of the sequences goes into the second part, rounded to whole ones.
            seed: For who goes where.

        Returns:
            Both parts, in the order in which they were.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        second = round(share * len(self))
        return self.take(np.sort(order[second:])), self.take(np.sort(order[:second]))
