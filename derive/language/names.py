"""The names a cell's author cannot use: those of files, sizes and symbols outside the generated code."""

from __future__ import annotations

RESERVED_FILES = frozenset(["assets", "trainer", "methods", "train", "check", "gradients", "moments_of", "index"])
"""The entries beside the cells in an output folder, by their stems: no cell can have such a name."""
RESERVED_SIZES = frozenset(["k", "n", "N", "T"])
"""The step, the sequence, and how many of each: no dimension can have such a name, though a quantity can."""
RESERVED_LATEX = frozenset(["k", "n", "N", "T", r"\xi", r"\delta", r"\eta"])
"""Symbols used by every derivation: no quantity can have one as its LaTeX."""
RESERVED_FOR_NUMBERS = frozenset(["j", "m", "H", "I", "J", r"\lambda"])
"""Those used for cells of numbers only, in the closed form and for the curvature."""


def name_of_tangent(quantity: str, weight: str) -> str:
    """The name wanted in code for the derivative of a quantity with respect to a weight."""
    return f"d{quantity}_d{weight}"
