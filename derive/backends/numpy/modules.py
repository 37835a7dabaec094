"""Prints the modules of a cell: network.py from its program, example.py from its example."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sympy import Dummy, Expr, Function

from derive.backends.numpy.numpy_code import (
    OWN_OPERATIONS,
    Code,
    Lines,
    as_tuple,
    form_of_target,
    of_all_steps,
    steps_shape,
    uses,
)
from derive.backends.templating import render
from derive.language.cell import Cell
from derive.language.example import Example, TaskExample
from derive.language.operations import ELEMENTWISE, BatchMean, SoftmaxCrossEntropy
from derive.language.quantities import Adjoint, Dimension, N, Quantity, T, k
from derive.language.shapes import form_of
from derive.program.program import Accumulate, Allocate, Assign, Program, Statement, Zero


def unpack(source: str, used: Iterable[Quantity], every: Iterable[Quantity]) -> list[str]:
    """The line that gives the fields of a NamedTuple their own names, those that are used."""
    names, fields = [quantity.name for quantity in used], [quantity.name for quantity in every]
    if not names:
        return []
    if names == fields and len(names) > 1:
        return [f"{', '.join(names)} = {source}"]
    return [f"{', '.join(names)} = {', '.join(f'{source}.{name}' for name in names)}"]


def named(shape: Iterable[Expr | int]) -> str:
    """A shape as code, each dimension by its name; a fixed one is its number."""
    return str(tuple(size if isinstance(size, int) else str(size) for size in shape))


def batch_first(quantity: Quantity, *, at_every_step: bool) -> str:
    """The shape of what a caller passes or gets, in words: N × T × D."""
    return " × ".join(map(str, ["N", *(["T"] if at_every_step else []), *quantity.dimensions]))


def sizes(wanted: set[str], steps: str, arrays: Mapping[str, tuple[object, ...]]) -> list[str]:
    """The line that sets T, N, dtype and the dimensions, those that are wanted.

    Args:
        wanted: Their names.
        steps: The name of an array of all steps and sequences.
        arrays: Arrays with their shapes; a dimension is read off the first that has it.
    """
    known = {"T": f"len({steps}) - 1", "N": f"{steps}.shape[1]", "dtype": f"{steps}.dtype"}
    for array, shape in arrays.items():
        for axis, size in enumerate(shape):
            known.setdefault(str(size), f"{array}.shape[{axis}]")
    names = [name for name in known if name in wanted]
    return [f"{', '.join(names)} = {', '.join(known[name] for name in names)}"] if names else []


class Bodies:
    """The bodies of the functions of a generated module: what they unpack, then the program's lines.

    Args:
        program: What to print.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._cell = program, program.cell
        self._lines = Lines(Code(order=program.cell.order))

    def _unpack(self, statements: tuple[Statement, ...], *, adjoints: bool = False) -> list[str]:
        """Weights, trace, adjoints, sizes and targets; the first state always, for it tells T and N."""
        cell, first = self._cell, self._cell.states[0]
        used = {first, *uses(statements)}
        weights = [weight for weight in cell.parameters if weight in used]
        trace = [quantity for quantity in trace_of(cell) if quantity in used]
        back = [adjoint for adjoint in adjoints_of(self._program) if adjoints and adjoint in used]
        return [
            *unpack("parameters", weights, cell.parameters),
            *unpack("trace", trace, trace_of(cell)),
            *unpack("adjoints", back, adjoints_of(self._program)),
            *self._sizes(statements, [first, *trace, *back], weights),
            *(f"{target.name} = {reading_of_targets(cell)}" for target in cell.targets if target in used),
        ]

    def _sizes(
        self, statements: tuple[Statement, ...], steps: Iterable[Quantity], weights: Iterable[Quantity]
    ) -> list[str]:
        """The sizes, off the arrays that are unpacked where they tell them."""
        cell, steps = self._cell, list(steps)
        arrays = {quantity.name: of_all_steps(quantity) for quantity in steps}
        arrays |= {weight.name: weight.dimensions for weight in weights}
        arrays |= {f"parameters.{weight.name}": weight.dimensions for weight in cell.parameters}
        arrays |= {f"trace.{x.name}": of_all_steps(x) for x in cell.inputs}
        return sizes(sizes_in(statements, cell), steps[0].name, arrays)

    def forward(self) -> list[str]:
        """From the inputs to the trace."""
        statements, cell, x = self._program.forward, self._cell, self._cell.inputs[0]
        weights = [weight for weight in cell.parameters if weight in uses(statements)]
        return [
            *unpack("parameters", weights, cell.parameters),
            f"{x.name} = time_first(X, parameters)",
            *self._sizes(statements, [x], weights),
            *self._lines.print(statements),
        ]

    def loss(self) -> list[str]:
        """From the trace to the loss."""
        return [*self._unpack(self._program.loss), *self._lines.print(self._program.loss)]

    def backward(self) -> list[str]:
        """From the trace to the adjoints."""
        return [*self._unpack(self._program.backward), *self._lines.print(self._program.backward)]

    def gradients(self) -> list[str]:
        """From the trace and the adjoints to the gradients."""
        return [*self._unpack(self._program.gradients, adjoints=True), *self._lines.print(self._program.gradients)]

    def update(self) -> list[str]:
        """From the weights and their gradients to new weights."""
        weights = self._cell.parameters
        return [
            *unpack("parameters", weights, weights),
            *Lines(Code("gradient.{}", self._cell.order)).print(self._program.update),
        ]


def used_in(body: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those of the names that occur in the lines of a body."""
    text = "\n".join(body)
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def sizes_in(statements: tuple[Statement, ...], cell: Cell) -> set[str]:
    """The names of the sizes that statements need, and dtype where they need that; so do the targets in them."""
    used = uses(statements)
    found = {str(size) for size in used & {T, N, *cell.dimensions}}
    if any(
        isinstance(statement, Allocate) or (isinstance(statement, Zero) and form_of_target(statement.target).shape)
        for statement in statements
    ):
        found.add("dtype")
    if used & set(cell.targets):
        found |= {str(size) for size in (*shape_of_targets(cell), *(classes_of(cell) or ["dtype"]))}
    return found


def reading_of_targets(cell: Cell) -> str:
    """The call that checks what a caller passes as targets, and puts time first."""
    classes = list(map(str, classes_of(cell)))
    last = (f"min({', '.join(classes)})" if len(classes) > 1 else classes[0]) if classes else "dtype"
    return f"as_targets(t, {as_tuple(shape_of_targets(cell))}, {last})"


def shape_of_targets(cell: Cell) -> tuple[Expr | int, ...]:
    """The shape of the targets that a caller passes."""
    return (N, *([T] if cell.target_at_every_step else []), *cell.targets[0].dimensions)


def classes_of(cell: Cell) -> tuple[Dimension | int, ...]:
    """How many classes a label may name: as many as each row of scores that the loss compares it with has entries.

    Returns:
        A size for each kind of row, none where the targets are no labels.
    """
    rows = {form_of(entropy.args[0]).shape[0] for entropy in cell.loss.atoms(SoftmaxCrossEntropy)}
    return tuple(sorted(rows, key=str))


def trace_of(cell: Cell) -> tuple[Quantity, ...]:
    """What a forward pass keeps."""
    return (*cell.inputs, *cell.computed)


def adjoints_of(program: Program) -> tuple[Adjoint, ...]:
    """What a backward pass computes."""
    allocated = (statement.quantity for statement in program.backward if isinstance(statement, Allocate))
    return tuple(quantity for quantity in allocated if isinstance(quantity, Adjoint))


def adjoints_at_start(program: Program) -> set[Quantity]:
    """The adjoints that a backward pass computes at k = 0, too, for the gradient of a learnt initial state."""
    return {line.target.quantity for line in program.backward if isinstance(line, Assign) and line.target.index == 0}


def own_functions(program: Program) -> set[str]:
    """The functions in a program that NumPy does not have, so that the module must."""
    blocks = (program.forward, program.loss, program.backward, program.gradients)
    lines = [line for block in blocks for statement in block for line in getattr(statement, "body", (statement,))]
    return functions_in(line.value for line in lines if isinstance(line, Assign | Accumulate))


def functions_in(values: Iterable[Expr]) -> set[str]:
    """The functions in expressions that NumPy does not have."""
    values = tuple(values)
    names = {ELEMENTWISE[call.func] for value in values for call in value.atoms(Function)}
    names |= {name for kind, name in OWN_OPERATIONS.items() if any(value.has(kind) for value in values)}
    return {name for name in names if not name.startswith("np.")}


def is_mean(loss: Expr) -> bool:
    """Whether a loss is a mean over the sequences, but for what depends on the weights alone."""
    averages = {average: Dummy() for average in loss.atoms(BatchMean)}
    slopes = [loss.xreplace(averages).diff(average) for average in averages.values()]
    return not any(slope.has(N, *averages.values()) for slope in slopes)


def print_network(program: Program) -> str:
    """The module that computes the loss and its gradient.

    Returns:
        Its source, not yet formatted.
    """
    cell, bodies = program.cell, Bodies(program)
    trace, adjoints = trace_of(cell), adjoints_of(program)
    fields = {
        "cell": cell,
        "title": cell.title,
        "output": str(cell.output),
        "output_at_every_step": cell.output.index == k,
        "trace": trace,
        "adjoints": adjoints,
        "at_start": {*cell.states, *adjoints_at_start(program)},
        "program": program,
        "bodies": bodies,
        "loss_arguments": used_in(bodies.loss(), ("parameters", "trace", "t")),
        "gradient_arguments": used_in(bodies.gradients(), ("parameters", "trace", "adjoints", "t")),
        "types": {"parameters": "Parameters", "trace": "Trace", "adjoints": "Adjoints", "t": "ArrayLike"},
        "trace_names": [quantity.name for quantity in trace],
        "adjoint_names": [quantity.name for quantity in adjoints],
        "states": ", ".join(f'"{each.of.name}": "{each.name}"' for each in adjoints if each.of in cell.states),
        "weight_names": [weight.name for weight in cell.parameters],
        "loss_is_mean": is_mean(cell.loss),
        "weight_shapes": ", ".join(f'"{weight.name}": {named(weight.dimensions)}' for weight in cell.parameters),
        "X_dimensions": named((N, T, *cell.inputs[0].dimensions)),
        "t_dimensions": named(shape_of_targets(cell)),
        "steps_shape": steps_shape,
        "functions": own_functions(program),
        "labels": bool(classes_of(cell)),
        "X_shape": batch_first(cell.inputs[0], at_every_step=True),
        "t_shape": batch_first(cell.targets[0], at_every_step=cell.target_at_every_step),
        "y_shape": batch_first(cell.output.quantity, at_every_step=cell.output.index == k),
    }
    return render("backends/numpy/templates/network.py.j2", fields)


def print_example(cell: Cell, example: Example) -> str:
    """The module that holds the example's data and settings.

    Returns:
        Its source, not yet formatted.
    """

    def by_name(values: Mapping[str, float]) -> str:
        return ", ".join(f"{weight.name}={values[weight.name]!r}" for weight in cell.parameters)

    fields = {
        "title": cell.title,
        "example": example,
        "rows": [list(row) for row in example.X],
        "targets": list(example.t),
        "start": by_name(example.start),
        "learning_rates": by_name(example.learning_rates),
    }
    return render("backends/numpy/templates/example.py.j2", fields)


def print_task_example(cell: Cell, example: TaskExample) -> str:
    """The module that names the example's task and holds its settings.

    Returns:
        Its source, not yet formatted.
    """
    arguments = ", ".join(f"{name}={value:_}" for name, value in example.arguments.items())
    return render(
        "backends/numpy/templates/task_example.py.j2", {"title": cell.title, "example": example, "arguments": arguments}
    )
