"""The few names that a cell's author cannot use, because something outside the generated code has them."""

from __future__ import annotations

RESERVED_FILES = frozenset(["assets", "trainer", "methods", "train", "check", "gradients", "moments_of", "index"])
"""What stands beside the cells in an output folder."""
RESERVED_SIZES = frozenset(["k", "n", "N", "T"])
"""The step, the sequence, and how many there are of each: no dimension can be called so."""
RESERVED_LATEX = frozenset(["k", "n", "N", "T", r"\xi", r"\delta", r"\eta"])
"""Symbols that a derivation uses itself."""
RESERVED_FOR_NUMBERS = frozenset(["j", "m", "H", "I", "J", r"\lambda"])
"""Those that it uses for cells of numbers only: in the closed form and for the curvature."""


def name_of_tangent(quantity: str, weight: str) -> str:
    """What a generated module calls the derivative of a quantity with respect to a weight, unless the user has that."""
    return f"d{quantity}_d{weight}"
