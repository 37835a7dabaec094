"""Prints network.py: the program of a network within its frame."""

from __future__ import annotations

from sympy import Dummy, Expr

from derive.backends.numpy.frame import FIXED, Frame
from derive.backends.numpy.printer import Printer, tuple_of
from derive.backends.templating import render
from derive.language.operations import BatchMean
from derive.language.quantities import N, Quantity, k
from derive.mathematics.derivation import Derivation
from derive.program.network import Network, network
from derive.program.nodes import Symbol

TYPES = {"parameters": "Parameters", "trace": "Trace", "adjoints": "Adjoints", "X": "ArrayLike", "t": "ArrayLike"}
"""The type of each thing that is passed to a function."""


def network_of(derivation: Derivation) -> Network:
    """The program of network.py, with names that the module can live with."""
    return network(derivation, FIXED)


def print_network(derivation: Derivation) -> str:
    """The module that computes the loss and its gradient.

    Returns:
        Its source, not yet formatted.
    """
    cell, program = derivation.cell, network_of(derivation)
    scope, names = program.scope, program.names
    x, target, output = cell.inputs[0], cell.targets[0], cell.output
    frame = Frame(program)
    printer = Printer()
    adjoint_of = {adjoint.of: adjoint for adjoint in derivation.backward.adjoints.values()}
    states = {state.name: adjoint_of[state].name for state in cell.states}
    types = {getattr(names, field): kind for field, kind in TYPES.items()}

    def in_words(quantity: Quantity, *, at_every_step: bool) -> str:
        """The shape of what a caller passes or gets: N × T × D."""
        return " × ".join(map(str, ["N", *(["T"] if at_every_step else []), *quantity.dimensions]))

    def shape_of_rows(symbol: Symbol) -> str:
        row = "" if symbol in program.from_start else ", row 0 not used"
        return tuple_of(printer.shape(symbol)) + row

    return render(
        "backends/numpy/templates/network.py.j2",
        {
            "cell": cell,
            "names": names,
            "trace": program.trace.fields,
            "adjoints": program.adjoints.fields,
            "weights": program.parameters.fields,
            "frame": frame,
            "typed": lambda arguments: ", ".join(f"{name}: {types[name]}" for name in arguments),
            "local": lambda symbols: ", ".join(symbol.name for symbol in symbols),
            "gradients": frame.function("sum_over_time").results,
            "value": scope.loss().name,
            "shape_of_rows": shape_of_rows,
            "output": str(output),
            "output_field": output.quantity.name,
            "output_at_every_step": output.index == k,
            "states": states,
            "loss_is_mean": is_mean(derivation.forward.loss.rhs),
            "shapes": {weight.name: sizes_of(weight) for weight in cell.parameters},
            "data_shapes": {
                "X": ("N", "T", *sizes_of(x)),
                "t": ("N", *(["T"] if cell.target_at_every_step else []), *sizes_of(target)),
            },
            "helpers": frame.helpers,
            "labels": target.role == "label",
            "X_shape": in_words(x, at_every_step=True),
            "t_shape": in_words(target, at_every_step=cell.target_at_every_step),
            "y_shape": in_words(output.quantity, at_every_step=output.index == k),
        },
    )


def sizes_of(quantity: Quantity) -> tuple[str | int, ...]:
    """The shape of a quantity, each dimension by its name; a fixed one is its number."""
    return tuple(size if isinstance(size, int) else str(size) for size in quantity.dimensions)


def is_mean(loss: Expr) -> bool:
    """Whether a loss is a mean over the sequences, except for what depends on the weights alone."""
    averages = {average: Dummy() for average in loss.atoms(BatchMean)}
    slopes = [loss.xreplace(averages).diff(average) for average in averages.values()]
    return not any(slope.has(N, *averages.values()) for slope in slopes)
