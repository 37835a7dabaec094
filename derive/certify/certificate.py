"""Proves a derivation against what did not produce it, and says so in a certificate.

| what            | against                                                 | how exactly     | where       |
|-----------------|---------------------------------------------------------|-----------------|-------------|
| the gradient    | SymPy's `diff` of the nested loss, in a cell of numbers | symbolically    | `gradient`  |
| every equation  | both sides on their own, derivatives taken numerically  | 30 digits       | `equations` |
| network.py      | the cell, interpreted, and the complex step of its loss | 1e-12, relative | `code`      |
| network_fast.py | network.py                                              | 1e-12, relative | `fast`      |
| jacobian.py     | the complex step of its residuals, network.py           | 1e-12, relative | `jacobian`  |

The induction proofs of the closed form are part of the derivation itself; it stops where one does not go through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from derive.certify.code import CODE_BOUND, COMPLEX_STEP, check_beside, check_code
from derive.certify.equations import check_equation, points_for
from derive.certify.gradient import check_against_diff
from derive.language.errors import CertificateError, DeriveError
from derive.mathematics.derivation import Derivation


def certify(
    derivation: Derivation, source: str, others: Mapping[str, str] | None = None, example: str | None = None
) -> dict[str, Any]:
    """Checks everything and returns the certificate, ready for JSON; the same derivation gives the same one.

    Args:
        derivation: What to check.
        source: Its generated module, the text of network.py.
        others: The texts of the modules beside it that compute the same another way, by file name.
        example: The text of example.py, which some of these import.

    Raises:
        CertificateError: Something does not hold; with the equation, both values and the point.
    """
    cell = derivation.cell
    points = points_for(derivation)
    gradient: dict[str, Any] = {}
    if cell.is_scalar:
        with in_one_line(f"cell {cell.name!r}, the gradient"):
            steps = check_against_diff(derivation)
        gradient = {
            "statement": "the gradient of one sequence equals SymPy's diff of its whole nested loss, symbolically",
            "steps": steps,
            "weights": [weight.name for weight in cell.parameters],
        }
    equations = []
    for equation in derivation.equations:
        with in_one_line(f"cell {cell.name!r}, equation ({equation.number}) {equation.lhs} = {equation.rhs}"):
            equations.append(check_equation(equation, points))
    with in_one_line(f"cell {cell.name!r}, network.py"):
        shapes = check_code(cell, source)
    for name in others or {}:
        with in_one_line(f"cell {cell.name!r}, {name}"):
            check_beside(cell, source, name, others or {}, example)
    return {
        "cell": cell.name,
        **({"gradient": gradient} if gradient.get("steps") else {}),
        "equations": equations,
        "code": {
            "statement": "loss and predict equal the interpreted cell, value_and_gradient the complex-step derivative",
            "step": COMPLEX_STEP,
            "relative bound": CODE_BOUND,
            "shapes N, T": [list(shape) for shape in shapes],
            **({"proved equal to it": sorted(others)} if others else {}),
        },
    }


@contextmanager
def in_one_line(where: str) -> Iterator[None]:
    """Makes one line of anything that goes wrong: what cannot be evaluated is not proved."""
    try:
        yield
    except DeriveError:
        raise
    except Exception as error:  # SymPy, mpmath and generated code may raise anything where a cell is unusual
        raise CertificateError(
            f"{where}: it cannot be checked: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
