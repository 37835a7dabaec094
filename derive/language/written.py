"""Sums, products and powers that remember how their author wrote them.

SymPy sorts what it adds and multiplies. Here the operators of a quantity first let SymPy calculate, and then note the
operands in their order beside the result. The result is SymPy's own but for the note: it has SymPy's arguments, equals
SymPy's sum of the same terms, and whatever is made from it is made by SymPy's rules. `derive.language.order` reads the notes
of a cell once, when the cell is made.

SymPy decides by `_op_priority` whose operator is called: here one operand that takes notes is enough, `tanh(z) * o`.
"""

from __future__ import annotations

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


class _Noted(Operand):
    """A result of SymPy's with a note: its operands as they were written."""

    __slots__ = ()
    kind: type[Expr]
    note: tuple[Expr, ...]

    @property
    def func(self) -> type[Expr]:
        """SymPy's own class, of which SymPy rebuilds it."""
        return self.kind

    def __eq__(self, other: object) -> bool:
        if isinstance(other, self.kind):
            return bool(self._hashable_content() == other._hashable_content())
        return bool(super().__eq__(other))

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


_latest: dict[Expr, tuple[Expr, ...]] = {}
"""The last note of every result. SymPy's functions hand out an equal argument of an earlier call, with another note."""


def note_of(expression: Expr) -> tuple[Expr, ...] | None:
    """The operands of a sum, product or power as they were written, if they were."""
    return getattr(expression, "note", None) or _latest.get(expression)


def _calculate(kind: type[Expr], left: Any, right: Any) -> Any:
    """SymPy's result, with a note; NotImplemented where an operand wants its own operators to be called."""
    try:
        operands = _sympify(left), _sympify(right)
    except SympifyError:
        return NotImplemented
    if not all(isinstance(operand, Expr) and operand._op_priority <= PRIORITY for operand in operands):
        return NotImplemented
    result = kind(*operands)
    for noted in (Add, Mul, Pow):
        if isinstance(result, noted.kind):
            return _with_note(noted, result, operands)
    return result


def _with_note(noted: type[_Noted], result: Expr, operands: tuple[Expr, ...]) -> Expr:
    """The result as one that takes notes itself; what it has in common with an operand is taken from its note."""
    note: list[Expr] = []
    for operand in operands:
        is_part = isinstance(operand, noted.kind) and noted is not Pow
        note += note_of(operand) or operand.args if is_part else [operand]
    copy = Expr.__new__(noted, *result.args)
    copy.is_commutative = result.is_commutative
    copy.note = _latest[result] = tuple(note)
    return copy
