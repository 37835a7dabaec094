"""Prints closed_form.py: the program of one pass over the data within its frame."""

from __future__ import annotations

from derive.backends.numpy.frame import FIXED, Frame, unpack
from derive.backends.numpy.printer import Printer
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.closed_form import closed_form
from derive.program.network import Network
from derive.program.nodes import Fill
from derive.program.walk import free

OWN = frozenset(
    [
        *("BLOCK_BYTES", "CHUNK", "sums_over_time", "power", "as_data"),
        *("sequences", "targets", "first", "N", "T", "j"),
    ]
)
"""What closed_form.py uses itself."""


def closed_form_of(derivation: Derivation) -> Network | None:
    """The program of closed_form.py, with names that the module can live with; nothing where there is none."""
    return closed_form(derivation, FIXED | OWN)


def print_closed_form(derivation: Derivation) -> str | None:
    """The module that reads the data once; nothing where the cell has no closed form.

    Returns:
        Its source, not yet formatted.
    """
    program = closed_form_of(derivation)
    if program is None:
        return None
    frame, scope = Frame(program), program.scope
    of_factors, of_sums, add_up, whole = program.module.functions
    printer = Printer(dtype=program.names.dtype)
    bodies = {
        "factors": of_factors.body,
        "starts": tuple(each for each in whole.body if isinstance(each, Fill)),
        "add_up": add_up.body,
    }
    fields = {
        "cell": derivation.cell,
        "names": program.names,
        "unpacked": unpack(program.parameters, free((*of_factors.body, *add_up.body)).read),
        "lines": lambda name: printer.lines(bodies[name]),
        "factors": of_factors.results[0].name,
        "sums": frame.results("sums_over_time") + ("," if len(of_sums.results) == 1 else ""),
        "t": scope.of(derivation.cell.targets[0]).name,
        "value": scope.loss().name,
        "gradients": ", ".join(each.name for each in whole.results[1:]),
    }
    return render("backends/numpy/templates/closed_form.py.j2", fields)
