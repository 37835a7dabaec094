"""Prints network_array_api.py: the whole program of a network as one function of arrays of any library."""

from __future__ import annotations

from derive.backends.array_api.printer import ArrayApiPrinter
from derive.backends.numpy.frame import unpack
from derive.backends.numpy.printer import HELPERS
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.network import Network, network
from derive.program.nodes import Role, Symbol
from derive.program.walk import Free, free

FIXED = frozenset(
    [
        *("xp", "zeros", "steps_of", "functools", "partial", "Any", "TypeAlias", "annotations", "Array", "Parameters"),
        *HELPERS,
    ]
)
"""What the module needs for itself."""
PASSES = ("forward", "loss_of", "backward", "sum_over_time")


def print_network_array_api(derivation: Derivation) -> str:
    """The module that computes the loss and its gradient with arrays of the caller's library.

    Returns:
        Its source, not yet formatted.
    """
    cell, program = derivation.cell, network(derivation, FIXED)
    functions = {function.name: function for function in program.module.functions}
    body = [statement for name in PASSES for statement in functions[name].body]
    used = free(body)
    fields = {
        "cell": cell,
        "names": program.names,
        "header": _header(program, used),
        "lines": ArrayApiPrinter().lines(body),
        "value": program.scope.loss().name,
        "gradients": ", ".join(gradient.name for gradient in functions["sum_over_time"].results),
        "helpers": [name for name in HELPERS if name in used.functions],
    }
    return render("backends/array_api/templates/network_array_api.py.j2", fields)


def _header(program: Network, used: Free) -> list[str]:
    """The lines that unpack what is passed, and read the sizes from it."""
    names = program.names
    sizes = {"N": f"{names.X}.shape[0]", "T": f"{names.X}.shape[1]"}
    given = {field: (0, f"{names.parameters}.{field.field}") for field in program.parameters.fields}
    given |= {field: (2, names.X) for field in program.trace.fields if field.role == Role.INPUT}
    for field, (before, text) in given.items():
        for axis, size in enumerate(field.type.axes):
            sizes.setdefault(str(size), f"{text}.shape[{axis + before}]")
    lines = unpack(program.parameters, used.read)
    lines += [f"{', '.join(used.sizes)} = {', '.join(sizes[size] for size in used.sizes)}"] if used.sizes else []
    for symbol in used.read:
        if isinstance(symbol, Symbol) and symbol.role in (Role.INPUT, Role.TARGET):
            passed = names.X if symbol.role == Role.INPUT else names.t
            value = passed if symbol.steps is None else f"steps_of({passed})"
            lines += [f"{symbol.name} = {value}"] if value != symbol.name else []
    return lines
