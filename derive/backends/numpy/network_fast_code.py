"""Prints network_fast.py: the arrays, the weights and the stages of the fast code's program within their frame."""

from __future__ import annotations

from typing import cast

from derive.backends.numpy.fast_printer import UFUNCS, FastPrinter, Locals, Neutral, PackPrinter
from derive.backends.numpy.printer import HELPERS, Printer, tuple_of
from derive.backends.templating import render
from derive.mathematics.derivation import Derivation
from derive.program.fast import Fast, fast, places, reads_at
from derive.program.names import Namer
from derive.program.network import rows_of_scores
from derive.program.nodes import (
    Add,
    Buffer,
    Call,
    Expression,
    Function,
    Let,
    Life,
    Module,
    Pack,
    Part,
    Ref,
    Role,
    Symbol,
    View,
)
from derive.program.passes.tanh import SIGMA, as_tanh
from derive.program.sizes import Size
from derive.program.walk import every, free

FIXED = ("np", "annotations", "Any", "Arrays", "Names", "Sizes", "Window", "Parameters", "N", "T", "k", "copyto")
"""What the functions of network_fast.py refer to."""
FORWARD = ("hoisted", "run", "outputs", "finish")
BACKWARD = ("hoisted_back", "run_back", "sum_over_time")


def print_network_fast(derivation: Derivation) -> str:
    """The fast module of a cell.

    Returns:
        Its source, not yet formatted.
    """
    frame = _Frame(derivation)
    return render("backends/numpy/templates/network_fast.py.j2", frame.fields())


class _Frame:
    def __init__(self, derivation: Derivation) -> None:
        namer = Namer((*FIXED, *HELPERS, *UFUNCS.values()))
        self._cell, self._staged, self._loss_equation = derivation.cell, derivation.staged, derivation.forward.loss
        self._fast: Fast = fast(derivation, namer)
        self._names = Locals(namer)
        self._module = self._fast.storage
        self._functions = {function.name: function for function in self._module.functions}
        self._comments = _comments(self._fast.values)
        self._identity = derivation.staged.logistic_as_tanh
        if self._identity is not None:
            left, right = (Neutral().text(cast(Expression, side)) for side in (SIGMA, as_tanh(SIGMA)))
            self._comments[self._identity.number] = f"{left} = {right}"

    def fields(self) -> dict[str, object]:
        """The fields of the template."""
        cell, names = self._cell, self._names
        x, target = cell.inputs[0], cell.targets[0]
        stages = {
            function.name: self._printer(function).function()
            for function in self._module.functions
            if function.name not in ("packed", "loss_of", "gradient")
        }
        return {
            "cell": cell,
            "identity": self._identity.number if self._identity is not None else None,
            "parameters": names.own("parameters"),
            "dtype": names.own("dtype"),
            "weights": names.own("weights"),
            "window": names.own("window"),
            "sizes": names.own("sizes"),
            "ufuncs": sorted(self._ufuncs()),
            "helpers": sorted({*free(self._module.functions).functions} & {*HELPERS}),
            "arrays": self._arrays(),
            "array_sizes": self._sizes_of_arrays(),
            "packed": self._packed(),
            "stages": stages,
            "meanings": {name: function.meaning for name, function in self._functions.items()},
            "loss_of": self._loss(),
            "gradient": self._gradient(),
            "forward": [name for name in FORWARD if name in stages],
            "backward": [name for name in BACKWARD if name in stages],
            "input": self._place(Role.INPUT),
            "target": self._place(Role.TARGET) if cell.target_at_every_step else None,
            "classes": tuple(n if isinstance(n, int) else str(n) for n in rows_of_scores(self._loss_equation)),
            "input_adjoint": self._input_adjoint(),
            "carried": [place.name for place in reads_at(self._module, -1)],
            "ahead": [place.name for place in reads_at(self._module, 1)],
            "X_shape": " × ".join(map(str, ["N", "T", *x.dimensions])),
            "t_shape": " × ".join(map(str, ["N", *(["T"] if cell.target_at_every_step else []), *target.dimensions])),
        }

    def _printer(self, function: Function) -> FastPrinter:
        return FastPrinter(function, self._comments, self._names, self._fast.scope.dimensions)

    def _ufuncs(self) -> set[str]:
        """The functions of NumPy that are called by name."""
        found: set[str] = set()
        for function in self._module.functions:
            if function.name in ("packed", "gradient"):
                continue
            for statement in every(function):
                if isinstance(statement, Let) and isinstance(statement.target, Ref):
                    if isinstance(statement.target.symbol, Symbol):
                        continue
                    value = statement.value
                    known = isinstance(value, Call) and value.function in UFUNCS
                    found.add(UFUNCS[value.function] if known and isinstance(value, Call) else "copyto")
        return found

    def _place(self, role: Role) -> str:
        return next(
            place.name
            for place in places(self._module)
            if isinstance(place, Buffer) and place.role is role and place.steps
        )

    def _input_adjoint(self) -> str:
        """The array of the derivative with respect to the inputs."""
        return self._fast.scope.of(self._staged.inputs[0].lhs.quantity).name

    # --- arrays ---

    def _used(self) -> list[Buffer | View]:
        return [place for place in places(self._module) if _buffer(place).life is not Life.CALL]

    def _arrays(self) -> dict[str, dict[str, str]]:
        """The arrays by kind, each with its shape as code, and the parts of arrays."""
        kinds = {
            "kept": Life.WINDOW,
            "backward": Life.BACKWARD,
            "beside": Life.BESIDE,
            "step": Life.STEP,
            "totals": Life.TOTAL,
        }
        used = self._used()
        found = {
            kind: {
                place.name: tuple_of(place.type.axes)
                for place in used
                if isinstance(place, Buffer) and place.life is life
            }
            for kind, life in kinds.items()
        }
        found["parts"] = {
            place.name: f'("{place.of.name}", {place.first}, {place.first + place.size}'
            + (f", {place.split})" if place.split else ")")
            for place in used
            if isinstance(place, View)
        }
        labels = [place.name for place in used if isinstance(place, Buffer) and place.type.label]
        if labels:
            found["labels"] = {name: "" for name in labels}
        return found

    def _sizes_of_arrays(self) -> list[str]:
        forms: list[Size] = []
        for place in self._used():
            forms += place.type.axes if isinstance(place, Buffer) else [place.first, place.size]
        names = dict.fromkeys(name for form in forms for name in form.names)
        dimensions = self._fast.scope.dimensions
        sizes = self._names.own("sizes")
        pairs = {name: f'{sizes}["{dimensions[name]}"]' for name in names}
        return [f"{', '.join(pairs)} = {', '.join(pairs.values())}"] if pairs else []

    # --- weights ---

    def _packed(self) -> dict[str, object]:
        packs = [pack for pack in self._functions["packed"].body if isinstance(pack, Pack)]
        used = {ref.symbol for pack in packs for ref in every(pack.value) if isinstance(ref, Ref)}
        weights = [self._fast.scope.of(weight) for weight in self._cell.parameters]
        wanted = [weight for weight in weights if weight in used]
        parameters = self._names.own("parameters")
        source = (
            parameters if wanted == weights else f"({', '.join(f'{parameters}.{weight.field}' for weight in wanted)},)"
        )
        printer = PackPrinter()
        lines: list[tuple[str, str, str]] = []
        unsaid = {self._identity.number} if self._identity is not None else set[int]()
        for pack in packs:
            comment = "; ".join(f"({number}) {self._comments[number]}" for number in pack.of if number in unsaid)
            unsaid -= {*pack.of}
            lines.append((comment, pack.target.symbol.name, printer.pack(pack)))
        local = self._names.own("weight")
        return {
            "names": [weight.name for weight in wanted],
            "source": source,
            "weight": local,
            "lines": lines,
        }

    # --- the loss and the gradient ---

    def _loss(self) -> list[str]:
        function = self._functions["loss_of"]
        printer, value = self._printer(function), function.results[0]
        lines = printer.function()
        header = printer.header()
        start = f"{value.name}: Number = 0"
        return [*header, start, *lines[len(header) :], f"return {value.name}"]

    def _gradient(self) -> dict[str, object]:
        function = self._functions["gradient"]
        printer = self._printer(function)
        values = {}
        for let in function.body:
            assert isinstance(let, Let) and isinstance(let.target, Ref) and isinstance(let.target.symbol, Symbol)
            text = printer.text(let.value)
            copied = f"{text}.copy()" if isinstance(let.value, Part) else text
            values[let.target.symbol.field] = (copied, ", ".join(f"({number})" for number in let.of))
        order = {weight.name: values[weight.name] for weight in self._cell.parameters}
        return {"header": printer.header(), "values": order}


def _comments(module: Module) -> dict[int, str]:
    """The equations of a program as the code that network.py would have, by their numbers."""
    printer = Printer(numbered=False)
    found: dict[int, str] = {}
    for statement in every(module):
        if isinstance(statement, Let | Add):
            for number in statement.of:
                found.setdefault(number, printer.lines([statement])[0])
    return found


def _buffer(place: Buffer | View) -> Buffer:
    return place.of if isinstance(place, View) else place
