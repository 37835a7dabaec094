"""Prints the modules of a cell: network.py from its program, example.py from its example."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Mapping

from sympy import Expr, Function

from derive.cell import Cell, Example, TaskExample
from derive.numpy_code import OWN_OPERATIONS, Code, Lines, form_of_target, steps_shape, uses
from derive.operations import (
    ELEMENTWISE,
)
from derive.program import Accumulate, Allocate, Assign, Program, Statement, Zero
from derive.quantities import (
    Label,
    N,
    Quantity,
    T,
    indexed_of,
    k,
)
from derive.templating import render


def unpack(source: str, names: Iterable[str], every: Iterable[str]) -> list[str]:
    """The line that gives the fields of a NamedTuple their own names, those that are used."""
    names, every = list(names), list(every)
    if not names:
        return []
    if names == every and len(names) > 1:
        return [f"{', '.join(names)} = {source}"]
    return [f"{', '.join(names)} = {', '.join(f'{source}.{name}' for name in names)}"]


def named(shape: Iterable[Expr | int]) -> str:
    """A shape as code, each dimension by its name; a fixed one is its number."""
    return str(tuple(size if isinstance(size, int) else str(size) for size in shape))


def batch_first(quantity: Quantity, *, at_every_step: bool) -> str:
    """The shape of what a caller passes or gets, in words: N × T × D."""
    return " × ".join(map(str, ["N", *(["T"] if at_every_step else []), *quantity.dimensions]))


def sizes(cell: Cell, statements: tuple[Statement, ...], reference: str) -> list[str]:
    """The lines that set T, N, dtype and the dimensions, those that are used, from an array of all steps."""
    used = uses(statements)
    allocates = any(
        isinstance(statement, Allocate) or (isinstance(statement, Zero) and form_of_target(statement.target).shape)
        for statement in statements
    )
    wanted = {
        "T": (T in used, f"len({reference}) - 1"),
        "N": (N in used, f"{reference}.shape[1]"),
        "dtype": (allocates, f"{reference}.dtype"),
    }
    # A dimension is read off the first weight that has it, or off the input.
    inputs = reference if reference == cell.inputs[0].name else f"trace.{cell.inputs[0].name}"
    for axis, size in enumerate(cell.inputs[0].dimensions, start=2):
        wanted[str(size)] = (size in used, f"{inputs}.shape[{axis}]")
    for weight in reversed(cell.parameters):
        for axis, size in enumerate(weight.dimensions):
            wanted[str(size)] = (size in used, f"parameters.{weight.name}.shape[{axis}]")
    names = [name for name in (*"TN", "dtype", *map(str, cell.dimensions)) if wanted.get(name, (False,))[0]]
    return [f"{', '.join(names)} = {', '.join(wanted[name][1] for name in names)}"] if names else []


class Bodies:
    """The bodies of the functions of a generated module: what they unpack, then the program's lines.

    Args:
        program: What to print.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._cell = program, program.cell
        self._reference = program.cell.states[0].name
        self._matched = target_match(program.cell).name

    def _names(self, quantities: Iterable[Quantity], statements: tuple[Statement, ...]) -> list[str]:
        used = uses(statements)
        return [quantity.name for quantity in quantities if quantity in used]

    def _unpack(self, statements: tuple[Statement, ...], *, adjoints: bool = False) -> list[str]:
        """Weights, trace and adjoints; the first state always, for it tells T and N."""
        program, cell = self._program, self._cell
        used = uses(statements)
        needed = {self._reference} | ({self._matched} if set(cell.targets) & used else set())
        trace = [q for q in trace_of(cell) if q in used or q.name in needed]
        lines = unpack("parameters", self._names(cell.parameters, statements), [p.name for p in cell.parameters])
        lines += unpack("trace", [q.name for q in trace], [q.name for q in trace_of(cell)])
        if adjoints:
            every = adjoints_of(program)
            lines += unpack("adjoints", self._names(every, statements), [q.name for q in every])
        lines += sizes(cell, statements, self._reference)
        return lines + [f"{name} = as_targets(t, {self._matched})" for name in self._names(cell.targets, statements)]

    def arguments(self, statements: tuple[Statement, ...], *others: str) -> str:
        """The arguments of a helper function: the parameters only where they are used."""
        used = uses(statements)
        needed = used & {*self._cell.parameters, *self._cell.dimensions}
        return ", ".join([*(["parameters"] if needed else []), *others])

    def forward(self) -> list[str]:
        """From the inputs to the trace."""
        statements, cell = self._program.forward, self._cell
        source = cell.inputs[0].name
        weights = unpack("parameters", self._names(cell.parameters, statements), [p.name for p in cell.parameters])
        return [
            *weights,
            f"{source} = time_first(X, parameters)",
            *sizes(cell, statements, source),
            *Lines().print(statements),
        ]

    def loss(self) -> list[str]:
        """From the trace to the loss."""
        return [*self._unpack(self._program.loss), *Lines().print(self._program.loss)]

    def backward(self) -> list[str]:
        """From the trace to the adjoints."""
        return [*self._unpack(self._program.backward), *Lines().print(self._program.backward)]

    def gradients(self) -> list[str]:
        """From the trace and the adjoints to the gradients."""
        return [*self._unpack(self._program.gradients, adjoints=True), *Lines().print(self._program.gradients)]

    def update(self) -> list[str]:
        """From the weights and their gradients to new weights."""
        names = [weight.name for weight in self._cell.parameters]
        return [*unpack("parameters", names, names), *Lines(Code("gradient.{}")).print(self._program.update)]


def target_match(cell: Cell) -> Quantity:
    """The computed quantity of the shape of the target, that the loss compares it with; for labels, the scores."""
    in_loss = {atom.quantity for atom in indexed_of(cell.loss)}
    compared = [q for q in cell.computed if q in in_loss]
    alike = [q for q in compared if q.dimensions == cell.targets[0].dimensions]
    return (compared if isinstance(cell.targets[0], Label) else alike or cell.states)[0]


def trace_of(cell: Cell) -> tuple[Quantity, ...]:
    """What a forward pass keeps."""
    return (*cell.inputs, *cell.computed)


def adjoints_of(program: Program) -> tuple[Quantity, ...]:
    """What a backward pass computes."""
    return tuple(statement.quantity for statement in program.backward if isinstance(statement, Allocate))


def own_functions(program: Program) -> set[str]:
    """The functions in a program that NumPy does not have, so that the module must."""
    blocks = (program.forward, program.loss, program.backward, program.gradients)
    lines = [line for block in blocks for statement in block for line in getattr(statement, "body", (statement,))]
    values = [line.value for line in lines if isinstance(line, Assign | Accumulate)]
    names = {ELEMENTWISE[call.func] for value in values for call in value.atoms(Function)}
    names |= {name for kind, name in OWN_OPERATIONS.items() if any(value.has(kind) for value in values)}
    return {name for name in names if not name.startswith("np.")}


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
        "program": program,
        "bodies": bodies,
        "typed": lambda statements: "parameters: Parameters, " if bodies.arguments(statements) else "",
        "trace_names": [quantity.name for quantity in trace],
        "adjoint_names": [quantity.name for quantity in adjoints],
        "weight_names": [weight.name for weight in cell.parameters],
        "weight_shapes": ", ".join(f'"{weight.name}": {named(weight.dimensions)}' for weight in cell.parameters),
        "X_dimensions": named((N, T, *cell.inputs[0].dimensions)),
        "t_dimensions": named((N, *([T] if cell.target_at_every_step else []), *cell.targets[0].dimensions)),
        "steps_shape": steps_shape,
        "functions": own_functions(program),
        "labels": isinstance(cell.targets[0], Label),
        "X_shape": batch_first(cell.inputs[0], at_every_step=True),
        "t_shape": batch_first(cell.targets[0], at_every_step=cell.target_at_every_step),
        "y_shape": batch_first(cell.output.quantity, at_every_step=cell.output.index == k),
    }
    return render("network.py.j2", fields)


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
    return render("example.py.j2", fields)


def print_task_example(cell: Cell, example: TaskExample) -> str:
    """The module that names the example's task and holds its settings.

    Returns:
        Its source, not yet formatted.
    """
    arguments = ", ".join(f"{name}={value:_}" for name, value in example.arguments.items())
    return render("task_example.py.j2", {"title": cell.title, "example": example, "arguments": arguments})


def load(source: str, name: str) -> types.ModuleType:
    """A generated module, run from its text, without a file.

    Args:
        source: The text of network.py.
        name: The cell's name, for messages.
    """
    module = types.ModuleType(f"{name}.network")
    exec(compile(source, f"<{name}/network.py>", "exec"), module.__dict__)
    return module


def load_package(sources: Mapping[str, str], name: str) -> dict[str, types.ModuleType]:
    """The generated modules of a cell, run from their texts, so that they find one another.

    Args:
        sources: The text of each by its file name, each after those that it imports.
        name: The cell's name, for messages.

    Returns:
        The modules by the same names.
    """
    package = types.ModuleType(f"_derived_{name}")
    package.__path__ = []
    found = {"": package}
    try:
        sys.modules[package.__name__] = package
        for file, source in sources.items():
            module = types.ModuleType(f"{package.__name__}.{file.removesuffix('.py')}")
            module.__package__ = package.__name__
            sys.modules[module.__name__] = found[file] = module
            exec(compile(source, f"<{name}/{file}>", "exec"), module.__dict__)
    finally:
        for module in found.values():
            sys.modules.pop(module.__name__, None)
    return {file: module for file, module in found.items() if file}
