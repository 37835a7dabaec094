"""Prints a program for any library of the array API standard: NumPy without writing into arrays.

What has a row for each step is a list of its steps, so that arrays which cannot change, as JAX's, will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from derive.backends.numpy.printer import Binding, Printer, tuple_of
from derive.program.nodes import Add, Buffer, Call, Expression, Let, Literal, Ref, Role, Statement, Symbol, View
from derive.program.types import type_of
from derive.program.walk import free

NAMES = ("exp", "log", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "sqrt", "sign", "maximum", "minimum")


class ArrayApiPrinter(Printer):
    """The dialect; a function of the module is given the library first."""

    library = "xp"
    functions: ClassVar[Mapping[str, str]] = {**{name: f"xp.{name}" for name in NAMES}, "absolute": "xp.abs"}

    def _statement(self, statement: Statement) -> list[str]:
        match statement:
            case Let(Ref(Symbol() as symbol, step) as target, value, of) if step is not None and type_of(
                value
            ) != type_of(target):
                zeros = f"zeros({tuple_of(self.shape(symbol)[1:])})"
                spread = zeros if value == Literal.of(0) else f"{zeros} + {self.text(value)}"
                return [f"{self.text(target)} = {spread}{self._numbers(of)}"]
            case Add(Ref(_, step) as target, value, of) if step is not None:  # += would write into a row of zeros
                return self._statement(Let(target, Call("add", (target, value)), of))
        return super()._statement(statement)

    def _fill(self, symbol: Symbol | Buffer | View) -> str:
        shape = self.shape(symbol)
        if isinstance(symbol, View) or symbol.steps is None:
            is_loss = isinstance(symbol, Symbol) and symbol.role == Role.LOSS
            return f"{symbol.name} = {'0.0' if is_loss else f'zeros({tuple_of(shape)})'}"
        return f"{symbol.name} = [zeros({tuple_of(shape[1:])})] * ({symbol.steps})"

    def _applied(self, function: str, args: Iterable[Expression]) -> str:
        texts = [
            self.text(arg) if free([arg]).read else f"zeros(()) + {self.text(arg, Binding.MATRIX_PRODUCT)}"
            for arg in args
        ]
        if function not in self.functions:
            texts.insert(0, "xp")
        return f"{self.functions.get(function, function)}({', '.join(texts)})"

    def _number(self, text: str) -> str:
        return text
