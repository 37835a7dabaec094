"""Prints jacobian.py: the program of the residuals and their Jacobian within its frame."""

from __future__ import annotations

from derive.backends.numpy.frame import FIXED, Frame
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.jacobian import jacobian
from derive.program.network import Network


def jacobian_of(derivation: Derivation) -> Network | None:
    """The program of jacobian.py, with names that the module can live with; nothing where there is none."""
    return jacobian(derivation, FIXED | {"residuals_and_jacobian", "residuals_of", "gradient_of"})


def print_jacobian(derivation: Derivation) -> str | None:
    """The module of the residuals and their Jacobian; nothing where the loss is no sum of squares.

    Returns:
        Its source, not yet formatted.
    """
    program = jacobian_of(derivation)
    if program is None:
        return None
    frame = Frame(program)
    residuals, columns = frame.function("residuals_and_jacobian").results
    fields = {
        "cell": derivation.cell,
        "names": program.names,
        "frame": frame,
        "residuals": residuals.name,
        "jacobian": columns.name,
        "value": program.scope.loss().name,
        "gradients": frame.results("gradient_of"),
        "imported": sorted(["Parameters", "as_targets", "forward", *frame.helpers]),
    }
    return render("backends/numpy/templates/jacobian.py.j2", fields)
