"""What can go wrong, in one line each: what it is, where it stands, and the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeAlias

Wrong: TypeAlias = Callable[[str, str, str], NoReturn]
"""Reports a mistake in the description of a cell: where, what, and the cure."""


class DeriveError(Exception):
    """An error that its reader can mend; the command line prints it as one line.

    Attributes:
        exit_code: What the command line ends with.
    """

    exit_code = 1


class UsageError(DeriveError):
    """A mistake on the command line, or in a file named there."""

    exit_code = 2


class CellError(DeriveError):
    """A mistake in the description of a cell.

    Args:
        cell: The cell's name.
        where: The equation or quantity at fault, as the user wrote it.
        problem: What is wrong with it.
        cure: What to write instead.
    """

    exit_code = 2

    def __init__(self, cell: str, where: str, problem: str, cure: str) -> None:
        super().__init__(f"cell {cell!r}, {where}: {problem}; {cure}")
        self.cell, self.where, self.problem, self.cure = cell, where, problem, cure

    def __reduce__(self) -> tuple[type[CellError], tuple[str, ...]]:
        """How another process gets it: made anew from the same words."""
        return type(self), (self.cell, self.where, self.problem, self.cure)


class CertificateError(DeriveError):
    """A statement of the derivation that its independent check does not confirm."""
