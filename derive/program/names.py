"""Names in generated code: the user's first, all others kept apart from them."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable


class Namer:
    """Hands out names, each once.

    Args:
        fixed: Names that cannot be others: the public functions of the module, and what it calls of the language.
    """

    def __init__(self, fixed: Iterable[str] = ()) -> None:
        self._taken = {*fixed, *dir(builtins), *keyword.kwlist}

    def name(self, wanted: str) -> str:
        """The wanted name, or the first of `wanted_2`, `wanted_3`, … that is free."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name
