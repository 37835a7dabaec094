"""Prints arithmetic of Python's own numbers, which is fastest where there is no array."""

from __future__ import annotations

from derive.backends.numpy.printer import Printer, Text
from derive.program.nodes import Call, Expression, Literal
from derive.program.walk import product


class PythonNumbers(Printer):
    """Prints powers as products, as `**` raises an error where one becomes infinite, and Python's own abs and max."""

    def _call(self, call: Call) -> Text:
        match call:
            case Call("power", (base, Literal(exponent))) if exponent > 1 and exponent.denominator == 1:
                return self.expression(product([base] * int(exponent)))
            case Call("absolute", (inner,)):
                return Text(f"abs({self.text(inner)})")
            case Call("maximum"):
                return Text(f"max({', '.join(map(self.text, _compared(call)))})")
        return super()._call(call)


def _compared(expression: Expression) -> list[Expression]:
    """The operands of nested maxima."""
    match expression:
        case Call("maximum", (left, right)):
            return [*_compared(left), *_compared(right)]
    return [expression]
