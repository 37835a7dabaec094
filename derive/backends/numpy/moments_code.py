"""Prints moments.py: the program of a loss that is a polynomial of the weights within its frame."""

from __future__ import annotations

from derive.backends.numpy.printer import Printer
from derive.backends.numpy.python_numbers import PythonNumbers
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.moments import Program, moments
from derive.program.nodes import Record

OWN = frozenset(
    [
        *("np", "annotations", "math", "mmap", "Callable", "dataclass", "cached_property", "PathLike"),
        *("TYPE_CHECKING", "ArrayLike", "Array", "Number", "Parameters", "BLOCK_BYTES", "EPSILON", "Moments"),
        *("value_and_gradient", "loss", "relative_errors", "rounding_errors", "rows_of_a_block", "as_number"),
        *("polynomials", "forget", "cls", "self", "progress", "sequences", "targets", "rows", "first", "added"),
        *("precision", "parameters", "moments", "N", "T", "m", "j"),
    ]
)
"""What moments.py uses itself."""


def moments_of(derivation: Derivation) -> Program | None:
    """The program of moments.py, with names that the module can live with; nothing where there is none."""
    return moments(derivation, OWN)


def print_moments(derivation: Derivation) -> str | None:
    """The module whose steps need no data; nothing where the loss is no polynomial.

    Returns:
        Its source, not yet formatted.
    """
    program = moments_of(derivation)
    if program is None:
        return None
    functions = {function.name: function for function in program.module.functions}
    # A moment is a sum in float64, of whatever the data are made.
    arrays = Printer(dtype="np.float64")

    def numbers(name: str) -> list[str]:
        records = [each for each in functions[name].parameters if isinstance(each, Record)]
        return PythonNumbers(records).lines(functions[name].body)

    fields = {
        "cell": derivation.cell,
        "weights": ", ".join(weight.name for weight in program.parameters.fields),
        "moments": program.moments.fields,
        "x": program.inputs.name,
        "t": program.target.name,
        "totals": functions["sums_over_sequences"].results,
        "table": program.table.name,
        "polynomials": ", ".join(each.name for each in program.polynomials),
        "arrays": lambda name: arrays.lines(functions[name].body),
        "numbers": numbers,
        "value": program.scope.loss().name,
        "gradients": ", ".join(each.name for each in functions["value_and_gradient"].results[1:]),
        "terms": functions["rounding_errors"].results,
    }
    return render("backends/numpy/templates/moments.py.j2", fields)
