"""Proves that jacobian.py gives the derivatives of its residuals, and with them the gradient of network.py."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from derive.certify.code import CODE_BOUND, COMPLEX_STEP, ROUNDINGS, SHAPES, alike, draw_numbers
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.program.loading import load_package


def check_jacobian(cell: Cell, network: str, jacobian: str) -> dict[str, Any]:
    """Runs both modules for several shapes.

    | what                           | against                                       |
    |--------------------------------|-----------------------------------------------|
    | the residuals by themselves    | those that come with the Jacobian             |
    | every column of the Jacobian   | the complex-step derivative of the residuals  |
    | the gradient that it gives     | the one of network.py                         |

    Args:
        cell: The cell.
        network: The text of network.py, which has been checked.
        jacobian: The text of jacobian.py.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: Two numbers differ by more than `CODE_BOUND` of the largest one beside them.
    """
    modules = load_package({"network.py": network, "jacobian.py": jacobian}, cell.name)
    plain, module = modules["network.py"], modules["jacobian.py"]
    for (sequences, steps), seed in product(SHAPES, range(3)):
        parameters, X, t, _ = draw_numbers(cell, plain, sequences, steps, np.random.default_rng(seed))
        residuals, columns = module.residuals_and_jacobian(parameters, X, t)
        gradient, floor = plain.gradients(parameters, X, t), ROUNDINGS * max(1, np.abs(residuals).max())
        for what, ours, theirs in (
            ("what residuals_of gives", module.residuals_of(parameters, X, t), residuals),
            *zip(
                (f"the column of {name}" for name in parameters._fields),
                columns.T,
                complex_step_of_residuals(module, parameters, X, t),
                strict=True,
            ),
            ("the gradient", module.gradient_of(residuals, columns), gradient),
        ):
            if not alike(ours, theirs, floor):
                raise CertificateError(
                    f"cell {cell.name!r}, jacobian.py: {what} is {np.ravel(ours).tolist()}, and should be "
                    f"{np.ravel(theirs).tolist()}, at N = {sequences}, T = {steps}, {' '.join(str(parameters).split())}"
                )
    return {
        "statement": "every column of the Jacobian equals the complex-step derivative of the residuals, and the "
        "gradient that it gives is that of network.py",
        "step": COMPLEX_STEP,
        "relative bound": CODE_BOUND,
        "shapes N, T": [list(shape) for shape in SHAPES],
    }


def complex_step_of_residuals(module: Any, parameters: Any, X: np.ndarray, t: np.ndarray) -> list[np.ndarray]:
    """Im r(w + ih) / h of every sequence, for every weight."""
    slopes = []
    for position, weight in enumerate(parameters):
        moved = [*parameters[:position], weight + 1j * COMPLEX_STEP, *parameters[position + 1 :]]
        residuals, _ = module.residuals_and_jacobian(parameters._make(moved), X, t)
        slopes.append(np.imag(residuals) / COMPLEX_STEP)
    return slopes
