"""Prints a program as a NumPy module that reads as if it were written by hand."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Any

from sympy import Add, Expr, Function, Integer, Mul, Pow, Rational, S, Symbol
from sympy.printing.printer import Printer

from derive.cell import Cell, Example, TaskExample
from derive.notation import is_negative, ordered_factors, ordered_terms
from derive.operations import (
    ELEMENTWISE,
    BatchMean,
    BatchOuter,
    BatchSum,
    EntrySum,
    Marked,
    OneHot,
    Softmax,
    SoftmaxCrossEntropy,
    Total,
)
from derive.program import Accumulate, Allocate, Assign, ForTime, Program, Statement, Zero
from derive.quantities import (
    LOSS,
    At,
    Label,
    LearningRate,
    N,
    Product,
    Quantity,
    T,
    Transpose,
    atoms_of,
    indexed_of,
    k,
    quantity_of,
    varies_by_sequence,
)
from derive.shapes import Form, form_of
from derive.templating import render


class Code(Printer):
    """One method a node; no mathematics. Values of all sequences at one step are an array of N."""

    def __init__(self, gradient: str = "gradient_{}") -> None:
        super().__init__()
        self._gradient = gradient

    def emptyPrinter(self, node: Expr) -> str:
        """SymPy calls this where there is no method for a node."""
        raise NotImplementedError(f"no code for {type(node).__name__}; add a method to derive/numpy_code.py")

    def _print_Quantity(self, quantity: Quantity) -> str:
        return "value" if quantity == LOSS else quantity.name

    def _print_LearningRate(self, rate: LearningRate) -> str:
        return f"learning_rates.{rate.of.name}"

    def _print_At(self, atom: At) -> str:
        return f"{atom.quantity.name}[{self._print(atom.index)}]"

    def _print_Symbol(self, symbol: Symbol) -> str:
        return symbol.name

    def _print_Integer(self, number: Integer) -> str:
        return str(number)

    def _print_Rational(self, number: Rational) -> str:
        return f"{number.p} / {number.q}"

    def _print_Pi(self, number: Expr) -> str:
        return "np.pi"

    def _print_Exp1(self, number: Expr) -> str:
        return "np.e"

    def _print_Marked(self, marked: Marked) -> str:
        return self._print(marked.expression)

    def _print_Total(self, total: Total) -> str:
        return self._gradient.format(total.args[1].name)

    def _print_BatchMean(self, average: BatchMean) -> str:
        return f"np.mean({self._print(average.args[0])})"

    def _print_EntrySum(self, total: EntrySum) -> str:
        axis = ", axis=-1" if form_of(total).per_sequence else ""
        return f"np.sum({self._print(total.args[0])}{axis})"

    def _print_Softmax(self, softmax: Softmax) -> str:
        return f"softmax({self._print(softmax.args[0])})"

    def _print_OneHot(self, onehot: OneHot) -> str:
        return f"one_hot({', '.join(map(self._print, onehot.args))})"

    def _print_SoftmaxCrossEntropy(self, entropy: SoftmaxCrossEntropy) -> str:
        return f"softmax_cross_entropy({', '.join(map(self._print, entropy.args))})"

    def _print_Product(self, product: Product) -> str:
        return " @ ".join(map(self._operand, product.args))

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        left, right = map(self._operand, outer.args)
        return f"{left}.T @ {right}"

    def _print_Transpose(self, transpose: Transpose) -> str:
        return f"{self._operand(transpose.args[0])}.T"

    def _operand(self, factor: Expr) -> str:
        """A factor of a matrix product."""
        simple = isinstance(factor, At | Quantity | Transpose | Function)
        return self._print(factor) if simple else f"({self._print(factor)})"

    def _print_BatchSum(self, total: BatchSum) -> str:
        """A product of two numbers a sequence is a dot product."""
        if form_of(total).shape:
            return f"np.sum({self._print(total.args[0])}, axis=0)"
        if isinstance(total.args[0], EntrySum):
            return f"np.sum({self._print(total.args[0].args[0])})"
        factors = ordered_factors(total.args[0])
        arrays = [factor for factor in factors if varies_by_sequence(factor)]
        if len(arrays) == len(factors) == 2:
            return " @ ".join(map(self._factor, factors))
        return f"np.sum({self._print(total.args[0])})"

    def _print_Function(self, call: Function) -> str:
        return f"{ELEMENTWISE[call.func]}({', '.join(map(self._print, call.args))})"

    def _print_Add(self, total: Add) -> str:
        first, *others = self._terms(total)
        text = self._print(first)
        for term in others:
            text += f" - {self._term(-term)}" if is_negative(term) else f" + {self._term(term)}"
        return text

    def _terms(self, total: Add) -> list[Expr]:
        return ordered_terms(total)

    def _term(self, term: Expr) -> str:
        return f"({self._print(term)})" if isinstance(term, Add) else self._print(term)

    def _print_Mul(self, product: Mul) -> str:
        if is_negative(product):
            return f"-{self._factor(-product)}"
        text = ""
        for factor in ordered_factors(product):
            if isinstance(factor, Pow) and factor.exp == S.NegativeOne:
                text = f"{text or '1'} / {self._factor(factor.base)}"
            else:
                text = f"{text} * {self._factor(factor)}" if text else self._factor(factor)
        return text

    def _factor(self, factor: Expr) -> str:
        needs_brackets = isinstance(factor, Add | Product | BatchOuter) or (
            isinstance(factor, Rational) and not isinstance(factor, Integer)
        )
        return f"({self._print(factor)})" if needs_brackets else self._print(factor)

    def _print_Pow(self, power: Pow) -> str:
        base = power.base
        text = self._print(base)
        if power.exp == S.Half:
            return f"np.sqrt({text})"
        if power.exp == S.NegativeOne:
            return f"1 / {self._factor(base)}"
        brackets = Add | Mul | Pow | Rational | Product | BatchOuter
        if isinstance(base, brackets) and not (isinstance(base, Integer) and base >= 0):
            text = f"({text})"
        exponent = self._print(power.exp)
        simple = isinstance(power.exp, Integer | Symbol | Quantity) and not power.exp.is_negative
        return f"{text} ** {exponent if simple else f'({exponent})'}"


OWN_OPERATIONS = {Softmax: "softmax", OneHot: "one_hot", SoftmaxCrossEntropy: "softmax_cross_entropy"}
"""The operations that are functions of a generated module."""


def form_of_target(target: Expr) -> Form:
    """The form of what a line computes: a gradient has that of its weight."""
    return form_of(target.args[1] if isinstance(target, Total) else target)


class Lines:
    """Prints statements, one a line, the equation's number in brackets behind.

    Args:
        code: The printer of expressions.
    """

    def __init__(self, code: Code | None = None) -> None:
        self._code = code or Code()

    def print(self, statements: tuple[Statement, ...]) -> list[str]:
        """The lines of a block, each indented within it."""
        return [line for statement in statements for line in self._lines(statement)]

    def _lines(self, statement: Statement | Accumulate) -> list[str]:
        match statement:
            case Assign(target, value, number):
                return [f"{self.text(target)} = {self.text(value)}  # ({number})"]
            case Accumulate(target, value, number):
                return [f"{self.text(target)} += {self.text(value)}  # ({number})"]
            case Zero(target):
                shape = form_of_target(target).shape
                if not shape:
                    # NumPy's mean is of another type than 0.
                    return [f"{self.text(target)}: Number = 0" if target == LOSS else f"{self.text(target)} = 0"]
                return [f"{self.text(target)} = np.zeros({as_tuple(shape)}, dtype)"]
            case Allocate(quantity):
                return [f"{quantity.name} = np.zeros({steps_shape(quantity)}, dtype)"]
            case ForTime(first, last, backwards, body):
                stop = self.text(last - 1 if backwards else last + 1)
                span = f"{self.text(first)}, {stop}, -1" if backwards else f"{self.text(first)}, {stop}"
                return [f"for k in range({span}):", *(f"    {line}" for each in body for line in self._lines(each))]

    def text(self, expression: Expr) -> str:
        """An expression as code."""
        return str(self._code.doprint(expression))


def uses(statements: Iterable[Statement | Accumulate]) -> set[Expr]:
    """The quantities, and the symbols T and N, that statements read or write."""
    found: set[Expr] = set()
    for statement in statements:
        match statement:
            case Assign(target, value) | Accumulate(target, value):
                touched = [value, target] if isinstance(target, At) else [value]
                found |= {symbol for part in touched for symbol in part.free_symbols}
                found |= {quantity_of(atom) for part in touched for atom in atoms_of(part)}
            case ForTime(first, last, _, body):
                found |= first.free_symbols | last.free_symbols | uses(body)
            case Allocate(quantity):
                found |= {T, N, *quantity.dimensions}
            case Zero(target):
                found |= set(form_of_target(target).shape)
    return found


def unpack(source: str, names: Iterable[str], every: Iterable[str]) -> list[str]:
    """The line that gives the fields of a NamedTuple their own names, those that are used."""
    names, every = list(names), list(every)
    if not names:
        return []
    if names == every and len(names) > 1:
        return [f"{', '.join(names)} = {source}"]
    return [f"{', '.join(names)} = {', '.join(f'{source}.{name}' for name in names)}"]


def steps_shape(quantity: Quantity) -> str:
    """The shape of the array of all steps and sequences of a quantity, as code."""
    return as_tuple(("T + 1", "N", *quantity.dimensions))


def as_tuple(shape: tuple[Any, ...]) -> str:
    """A shape as code."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


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
