"""Parts of buffers, each under one name."""

from __future__ import annotations

from collections.abc import Callable

from derive.program.nodes import Buffer, View
from derive.program.sizes import Size


class Views:
    """Makes views of neighbouring rows; the same rows are the same view.

    Args:
        name: Gives a free name.
    """

    def __init__(self, name: Callable[[str], str]) -> None:
        self.name = name
        self._views: dict[tuple[Buffer, Size, Size, int | None], View] = {}

    def over(self, places: list[View], split: int | None = None) -> Buffer | View:
        """The rows of neighbours, in order; in equal blocks where `split` says how many."""
        buffer, size = places[0].of, Size()
        for place in places:
            size += place.size
        if split is None and len(places) == 1:
            return places[0]
        if split is None and size == buffer.type.axes[0]:
            return buffer
        key = (buffer, places[0].first, size, split)
        if key not in self._views:
            name = self.name(f"{places[0].name}_to_{places[-1].name}")
            self._views[key] = View(name, buffer, places[0].first, size, split)
        return self._views[key]


def are_neighbours(one: View, other: View) -> bool:
    """Whether the rows of one view end where those of the other begin."""
    return one.of == other.of and one.split is None and other.split is None and one.first + one.size == other.first
