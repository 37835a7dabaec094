"""Proves a derivation against independent evidence, and records it in a certificate.

| what                  | against                                                   | how exactly     | where         |
|-----------------------|-----------------------------------------------------------|-----------------|---------------|
| every equation        | the steps at which its right-hand side is defined         | for T = 1 … 6   | `definedness` |
| the gradient          | SymPy's `diff` of the nested loss, for a cell of numbers  | symbolically    | `gradient`    |
| every equation        | both sides on their own, derivatives taken numerically    | 30 digits       | `equations`   |
| how often terms occur | the paths, walked one by one                              | exactly         | `paths`       |
| the code              | the cell, interpreted, and its directional derivatives    | 1e-12, relative | `candidate`   |

The induction proofs (closed form, forward mode) belong to the derivation itself, which stops if one fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from derive.certify.candidate import Candidate, Descent, check_candidate, check_descent, samples_for
from derive.certify.definedness import check_definedness
from derive.certify.equations import DIGITS, check_equation, points_for
from derive.certify.gradient import check_against_diff
from derive.certify.paths import check_repeats
from derive.language.cell import Cell
from derive.language.errors import CertificateError, DeriveError
from derive.mathematics.derivation import Derivation


def certify(
    derivation: Derivation, candidates: Iterable[Candidate] = (), descents: Iterable[Descent] = ()
) -> dict[str, Any]:
    """Checks everything and returns the certificate, ready for JSON; the same derivation gives the same one.

    Args:
        derivation: What to check.
        candidates: The code that was printed from it, ready to run.
        descents: The code that trains by itself.

    Raises:
        CertificateError: Something does not hold; with the equation, both values and the point.
    """
    cell = derivation.cell
    with in_one_line(cell, "the ranges"):
        ranges = check_definedness(derivation)
    with in_one_line(cell, "the terms that repeat"):
        repeats = check_repeats(derivation)
    points = points_for(derivation)
    gradient: dict[str, Any] = {}
    if cell.is_scalar:
        with in_one_line(cell, "the gradient"):
            steps = check_against_diff(derivation)
        gradient = {
            "statement": "the gradient of one sequence equals SymPy's diff of its whole nested loss, symbolically",
            "steps": steps,
            "further steps": f"at random points, to {DIGITS} digits, with the equations",
            "weights": [weight.name for weight in cell.parameters],
        }
    equations = []
    for equation in derivation.equations:
        with in_one_line(cell, equation):
            equations.append(check_equation(equation, points))
    code = []
    samples = samples_for(cell) if (candidates := tuple(candidates)) else []
    for candidate in candidates:
        with in_one_line(cell, candidate.name):
            code.append(check_candidate(candidate, samples))
    for descent in descents:
        with in_one_line(cell, descent.name):
            code.append(check_descent(cell, descent))
    return {
        "cell": cell.name,
        **({"gradient": gradient} if gradient.get("steps") else {}),
        "ranges": ranges,
        "terms that repeat": repeats,
        "equations": equations,
        "code": code,
    }


@contextmanager
def in_one_line(cell: Cell, what: object) -> Iterator[None]:
    """Makes one line of anything that goes wrong: what cannot be evaluated is not proved."""
    try:
        yield
    except DeriveError:
        raise
    except Exception as error:  # SymPy, mpmath and generated code may raise anything where a cell is unusual
        raise CertificateError(
            f"cell {cell.name!r}, {what}: it cannot be checked: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
