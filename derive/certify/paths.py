"""Proves how often the terms of the unrolled gradient repeat, by walking every path from the loss one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sympy import Expr

from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.quantities import LOSS, indexed_of
from derive.mathematics.derivation import Derivation
from derive.mathematics.repeating import count_products
from derive.mathematics.unroll import loss_of_steps, right_hand_sides

MOST_PATHS = 20_000
"""So many paths are walked; where there are more, those of fewer steps are."""


def check_repeats(derivation: Derivation) -> dict[str, Any]:
    """Compares the numbers that a derivation states with the paths.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: A number is another.
    """
    cell, steps = derivation.cell, derivation.steps
    stated = derivation.repeats
    while stated[LOSS] > MOST_PATHS and steps > 1:
        steps -= 1
        stated = count_products(cell, steps)
    if stated[LOSS] > MOST_PATHS:
        return {"statement": "how often a term repeats was not checked: there are too many paths", "T": []}
    walked = walk(cell, steps)
    for place, count in stated.items():
        if walked[place] != count:
            raise CertificateError(
                f"cell {cell.name!r}, T = {steps}: of the products of the gradient {count} are said to go through "
                f"{place}; there are {walked[place]}"
            )
    return {
        "statement": "how often each term repeats is the number of paths through it, walked one by one",
        "T": [steps],
    }


def walk(cell: Cell, steps: int) -> Counter[Expr]:
    """How many paths from the loss through a step to a use of a weight go through each quantity; all do the loss."""
    rights: dict[Expr, Expr] = {state[0]: value for state, value in cell.initial.items()}
    for step in range(1, steps + 1):
        rights |= right_hand_sides(cell, step, steps)
    rights[LOSS] = loss_of_steps(cell, steps)
    used = {left: [part for part in indexed_of(right) if part in rights] for left, right in rights.items()}
    ends = {left: [weight for weight in cell.parameters if right.has(weight)] for left, right in rights.items()}
    ends[LOSS] = []
    found: Counter[Expr] = Counter()
    paths: list[tuple[Expr, ...]] = [(LOSS,)]
    while paths:
        path = paths.pop()
        for _ in ends[path[-1]]:
            found.update(path)
        paths += [(*path, part) for part in used[path[-1]]]
    return found
