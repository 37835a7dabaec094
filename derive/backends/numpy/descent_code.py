"""Prints descent.py: gradient descent on the data of the example within its frame."""

from __future__ import annotations

from derive.backends.numpy.frame import unpack
from derive.backends.numpy.python_numbers import PythonNumbers
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.descent import Program, descent

OWN = frozenset(["annotations", "EPOCHS", "START", "Parameters", "descend", "epochs", "start"])
"""What descent.py uses itself."""


def descent_of(derivation: Derivation) -> Program | None:
    """The program of descent.py, with names that the module can live with; nothing where there is none."""
    return descent(derivation, OWN)


def print_descent(derivation: Derivation) -> str | None:
    """Gradient descent on the example's data, folded in; nothing where there is no example or no polynomial.

    Returns:
        Its source, not yet formatted.
    """
    program, form = descent_of(derivation), derivation.moments
    if program is None or form is None:
        return None
    (function,) = program.module.functions
    fields = {
        "cell": derivation.cell,
        "loss_number": form.loss.number,
        "unpacked": unpack(program.parameters, program.parameters.fields),
        "lines": PythonNumbers().lines(function.body),
        "weights": ", ".join(weight.name for weight in program.parameters.fields),
    }
    return render("backends/numpy/templates/descent.py.j2", fields)
