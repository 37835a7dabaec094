"""Sums, products and powers that remember how their author wrote them.

SymPy sorts what it adds and multiplies. Here the operators of a quantity first let SymPy calculate, and then note the
operands in their order beside the result. The result is SymPy's own but for the note: it has SymPy's arguments, equals
SymPy's sum of the same terms, and whatever is made from it is made by SymPy's rules. `derive.language.order` reads the
notes of a cell once, when the cell is made.

SymPy decides by `_op_priority` whose operator is called: here one operand that takes notes is enough, `tanh(z) * o`.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import sympy
from sympy import Basic, Expr, S, SympifyError
from sympy.core.sympify import _sympify

PRIORITY = 10.0005
"""Above SymPy's own expressions, 10, and below its matrices, 10.001."""


class Operand:
    """The operators + - * / ** of whatever takes notes."""

    __slots__ = ()
    _op_priority = PRIORITY

    def __add__(self, other: Any) -> Expr:
        return _calculate(sympy.Add, self, other)

    def __radd__(self, other: Any) -> Expr:
        return _calculate(sympy.Add, other, self)

    def __sub__(self, other: Any) -> Expr:
        return _calculate(sympy.Add, self, _calculate(sympy.Mul, S.NegativeOne, other))

    def __rsub__(self, other: Any) -> Expr:
        return _calculate(sympy.Add, other, -self)

    def __neg__(self) -> Expr:
        return _calculate(sympy.Mul, S.NegativeOne, self)

    def __mul__(self, other: Any) -> Expr:
        return _calculate(sympy.Mul, self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _calculate(sympy.Mul, other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _calculate(sympy.Mul, self, _calculate(sympy.Pow, other, S.NegativeOne))

    def __rtruediv__(self, other: Any) -> Expr:
        return _calculate(sympy.Mul, other, _calculate(sympy.Pow, self, S.NegativeOne))

    def __pow__(self, other: Any) -> Expr:
        return _calculate(sympy.Pow, self, other)

    def __rpow__(self, other: Any) -> Expr:
        return _calculate(sympy.Pow, other, self)


class _Noted(Operand, Expr):
    """A result of SymPy's with a note: its operands as they were written."""

    __slots__ = ()
    kind: type[Expr]
    note: tuple[Expr, ...]

    @property
    def func(self) -> type[Expr]:
        """SymPy's own class, of which SymPy rebuilds it."""
        return self.kind

    def __eq__(self, other: object) -> Any:
        return self.args == other.args if isinstance(other, self.kind) else super().__eq__(other)

    __hash__ = Basic.__hash__


# They are called what SymPy calls them: SymPy hashes, sorts and prints by the names of the classes.
class Add(_Noted, sympy.Add):
    """A sum with a note."""

    __slots__ = ("note",)
    kind = sympy.Add


class Mul(_Noted, sympy.Mul):
    """A product with a note."""

    __slots__ = ("note",)
    kind = sympy.Mul


class Pow(_Noted, sympy.Pow):
    """A power with a note."""

    __slots__ = ("note",)
    kind = sympy.Pow


_latest: dict[frozenset[Expr], tuple[Expr, ...]] = {}
"""The last note of every result and its negative."""


def note_of(expression: Expr) -> tuple[Expr, ...]:
    """The operands of a sum, product or power as they were written; empty where it has no note."""
    return getattr(expression, "note", ())


def latest_note_of(expression: Expr) -> tuple[Expr, ...]:
    """The note of the expression that was written last of all that equal this one or its negative.

    It is for what SymPy's functions hold: of `tanh(b + a)` SymPy hands out an earlier `tanh(a + b)`, if there was one,
    and of `tanh(-a)` it makes `-tanh(a)`.
    """
    return _latest.get(_with_negative(expression), ()) if isinstance(expression, Expr) else ()


def _with_negative(expression: Expr) -> frozenset[Expr]:
    return frozenset((expression, sympy.Mul(S.NegativeOne, expression)))


def _calculate(kind: type[Expr], left: Any, right: Any) -> Any:
    """SymPy's result, with a note; NotImplemented where an operand wants its own operators to be called."""
    try:
        operands = _sympify(left), _sympify(right)
    except SympifyError:
        return NotImplemented
    if not all(isinstance(operand, Expr) and operand._op_priority <= PRIORITY for operand in operands):
        return NotImplemented
    result = kind(*operands)
    noted = next((noted for noted in (Add, Mul, Pow) if isinstance(result, noted.kind)), None)
    if noted is None or _within_sympy():
        return result
    copy = _with_note(noted, result, operands)
    names = _with_negative(result)
    if names.isdisjoint(operands):  # else it is no news
        _latest[names] = copy.note
    return copy


def _within_sympy() -> bool:
    """Whether SymPy calculates something for itself: tanh(z) looks at -z to choose its form."""
    frame: FrameType | None = sys._getframe(2)
    while frame and _module(frame).startswith("sympy.") and _hands_on(frame):
        frame = frame.f_back
    return frame is not None and _module(frame).startswith("sympy.")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _hands_on(frame: FrameType) -> bool:
    """Whether a function of SymPy's is an operator, or the wrapper of one, that leaves the work to ours."""
    return frame.f_code.co_name.startswith("__") or _module(frame) == "sympy.core.decorators"


def _with_note(noted: type[_Noted], result: Expr, operands: tuple[Expr, ...]) -> Expr:
    """The result as one that takes notes itself; a sum among the terms of a sum hands on its own note."""
    copy = Expr.__new__(noted, *result.args)
    copy.is_commutative = result.is_commutative
    notes = (note_of(operand) if isinstance(operand, noted) else () for operand in operands)
    copy.note = tuple(part for operand, note in zip(operands, notes, strict=True) for part in note or (operand,))
    return copy
