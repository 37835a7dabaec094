"""Proves a derivation against independent evidence, and records it in a certificate.

| what                  | against                                                   | how exactly     | where         |
|-----------------------|-----------------------------------------------------------|-----------------|---------------|
| every equation        | the steps at which its right-hand side is defined         | for T = 1 … 6   | `definedness` |
| the gradient          | SymPy's `diff` of the nested loss, for a cell of numbers  | symbolically    | `gradient`    |
| every equation        | both sides on their own, derivatives taken numerically    | 30 digits       | `equations`   |
| how often terms occur | the paths, walked one by one                              | exactly         | `paths`       |
| the code              | the cell, interpreted, and its directional derivatives    | 1e-12, relative | `candidate`   |

The induction proofs (closed form, forward mode) belong to the derivation itself, which stops if one fails. Where one
would be too large, both sides are compared at random points instead, and the certificate lists these claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from derive.certify.candidate import Candidate, Descent, check_candidate, check_descent, samples_for
from derive.certify.definedness import check_definedness
from derive.certify.equations import check_equation, points_for
from derive.certify.gradient import check_against_diff
from derive.certify.paths import check_repeats
from derive.language.calculus import DIGITS, POINTS
from derive.language.cell import Cell
from derive.language.errors import CertificateError, DeriveError
from derive.language.report import Report, silent
from derive.mathematics.derivation import Derivation


def certify(
    derivation: Derivation,
    candidates: Iterable[Candidate] = (),
    descents: Iterable[Descent] = (),
    report: Report = silent,
) -> dict[str, Any]:
    """Checks everything and returns the certificate, ready for JSON; the same derivation gives the same one.

    Args:
        derivation: What to check.
        candidates: The code that was printed from it, ready to run.
        descents: The code that trains by itself.
        report: Told what it is at.

    Raises:
        CertificateError: Something does not hold; with the equation, both values and the point.
    """
    cell = derivation.cell
    report("checking the ranges of the equations")
    with in_one_line(cell, "the ranges"):
        ranges = check_definedness(derivation)
    with in_one_line(cell, "the terms that repeat"):
        repeats = check_repeats(derivation)
    report("drawing points")
    points = points_for(derivation)
    gradient, proofs = {}, proofs_by_numbers(derivation)
    if cell.is_scalar:
        report("comparing the gradient with SymPy's")
        with in_one_line(cell, "the gradient"):
            gradient = check_against_diff(derivation)
    equations = []
    for equation in derivation.equations:
        report(f"proving equation {equation.number} of {len(derivation.equations)}")
        with in_one_line(cell, equation):
            equations.append(check_equation(equation, points))
    code = []
    report("drawing points to run code at")
    samples = samples_for(cell) if (candidates := tuple(candidates)) else []
    for candidate in candidates:
        report(f"running {candidate.name}")
        with in_one_line(cell, candidate.name):
            code.append(check_candidate(candidate, samples))
    for descent in descents:
        report(f"running {descent.name}")
        with in_one_line(cell, descent.name):
            code.append(check_descent(cell, descent))
    return {
        "cell": cell.name,
        **({"gradient": gradient} if gradient else {}),
        **({"proofs": proofs} if proofs else {}),
        "ranges": ranges,
        "terms that repeat": repeats,
        "equations": equations,
        "code": code,
    }


def proofs_by_numbers(derivation: Derivation) -> dict[str, Any]:
    """What the certificate says of the proofs of a derivation; nothing where all of them are symbolic."""
    if not derivation.by_numbers:
        return {}
    return {
        "statement": f"too large to be proved: both sides agree at {POINTS} random points, to {DIGITS} digits",
        "claims": list(derivation.by_numbers),
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
