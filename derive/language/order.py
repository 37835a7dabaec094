"""The order in which sums and products are written, the same on paper and in code.

SymPy sorts by its own rules (`W_{rec} s_{k-1}`, `-t + s_T`). Here, the first of these that tells:

1. The author's: a sum or a product of the cell stays as its author wrote it, at whichever step: f c + i g. Only a
   number comes first in a product: 2 s.
2. What was derived from parts of such a sum or product keeps their order: where the author wrote f c, it is δ f c.
3. By role: a product runs adjoint, state, input, parameter, as in δ_k x_k and s_{k-1} W_rec. A sum has what is
   subtracted last, as in s_T - t; this goes before 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sympy import Add, Expr, Mul, Pow, S, Sum

from derive.language.exact import with_fractions
from derive.language.operations import BatchMean, BatchSum, Chain, Marked, Partial, Total
from derive.language.quantities import At, Operation, Quantity, Shorthand, atoms_of, indexed_of, k, quantity_of
from derive.language.written import latest_note_of, note_of

PLACE_OF_CONSTANT = 0


class Order:
    """The order of the terms of a sum and of the factors of a product.

    Args:
        written: The expressions whose order is that of their author: the right-hand sides of a cell and its loss.
    """

    def __init__(self, written: Iterable[Expr] = ()) -> None:
        self._written: dict[Expr, list[Expr]] = {}
        for expression in written:
            for whole, operands in _notes(expression):
                self._learn(with_fractions(whole), operands)

    def terms(self, total: Expr) -> list[Expr]:
        """The terms of a sum in the order in which they are written: k - 1, s_T - t, 1 - z."""
        if written := self._as_written(Add, total):
            return written
        in_an_index = not atoms_of(total)

        def key(term: Expr) -> tuple[bool, bool, int, int, str]:
            return is_negative(term), in_an_index and term.is_number, place(term), -_bulk(term), str(term)

        terms = sorted(Add.make_args(total), key=key)
        added = [term for term in terms if not is_negative(term)]
        return self._like_written(Add, added) + self._like_written(Add, terms[len(added) :])

    def factors(self, product: Expr) -> list[Expr]:
        """The factors of a product in the order in which they are written; sums last, so that they need no brackets."""
        number, rest = product.as_coeff_Mul()
        if written := self._as_written(Mul, rest):
            return written if number == S.One else [number, *written]

        def key(factor: Expr) -> tuple[bool, bool, int, int, str]:
            return _is_sum(factor), factor.has(Total, Partial), place(factor), _bulk(factor), str(factor)

        return self._like_written(Mul, sorted(Mul.make_args(product), key=key))

    def _learn(self, whole: Expr, operands: Iterable[Expr]) -> None:
        """Keeps the order of a sum or a product that was written from these operands."""
        kind = Add if isinstance(whole, Add) else Mul
        parts = [with_fractions(part) for operand in operands for part in self._parts(kind, operand)]
        if kind is Mul:
            whole = whole.as_coeff_Mul()[1]
        if not isinstance(whole, kind):
            return
        arguments = kind.make_args(whole)
        places = _places(kind, arguments, parts)
        at_k = _shift_to_k(whole)
        in_order = [at_k(arguments[i]) for i in sorted(range(len(arguments)), key=lambda i: _last_if_none(places[i]))]
        self._written.setdefault(at_k(whole), in_order)

    def _parts(self, kind: type[Expr], operand: Expr) -> Sequence[Expr]:
        """The operands of an operand of a sum or a product, where it is one itself."""
        if not isinstance(operand, kind):
            return [operand]
        return note_of(operand) or (self.terms(operand) if kind is Add else self.factors(operand))

    def _as_written(self, kind: type[Expr], whole: Expr) -> list[Expr] | None:
        """The arguments of a sum or a product that the author wrote, for this or another step; else None."""
        if not isinstance(whole, kind):
            return None
        at_k = _shift_to_k(whole)
        written = self._written.get(at_k(whole))
        return written and sorted(whole.args, key=lambda argument: written.index(at_k(argument)))

    def _like_written(self, kind: type[Expr], arguments: list[Expr]) -> list[Expr]:
        """The arguments, those that the author wrote in some sum (or product) in the order that they have there.

        The others keep their places. Of two sums that disagree, the one decides that has more of them.
        """
        if len(arguments) < 2:
            return arguments
        bare = [_at_no_step(argument) for argument in arguments]
        models = []
        for whole, written in self._written.items():
            if isinstance(whole, kind):
                parts = [_at_no_step(part) for part in written]
                stems = {_stem(kind, part) for part in parts}
                if common := sum(_stem(kind, argument) in stems for argument in bare):
                    models.append((common, dict(zip(arguments, _places(kind, bare, parts), strict=True))))
        for _, place_of in sorted(reversed(models), key=lambda model: model[0]):
            known = iter(sorted((a for a in arguments if place_of[a] is not None), key=lambda a: place_of[a] or 0))
            arguments = [a if place_of[a] is None else next(known) for a in arguments]
        return arguments


BY_ROLE = Order()
"""The order where no author's is known."""


def place(expression: Expr) -> int:
    """The place of an expression in a product by role: that of its foremost quantity, 0 for a constant."""
    if isinstance(expression, Marked):
        return place(expression.name)
    return min((quantity_of(atom).place for atom in atoms_of(expression)), default=PLACE_OF_CONSTANT)


def is_negative(term: Expr) -> bool:
    """Whether a term is written with a minus in front."""
    return bool(term.as_coeff_Mul()[0].is_negative) and not isinstance(term, Add)


def _notes(
    expression: Expr, *, is_argument: bool = False, within: frozenset[Expr] = frozenset()
) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Every sum and product in an expression as its author wrote it, with its operands in that order.

    Args:
        expression: The expression.
        is_argument: Whether a function of SymPy's holds it, which may be an earlier one.
        within: What it is a part of, in such functions.
    """
    note = note_of(expression)
    if is_argument and expression not in within:
        note, within = latest_note_of(expression), within | {expression}
    if note and isinstance(expression, Add | Mul):
        yield expression, note
    is_kept = is_argument or not isinstance(expression, Operation)
    for part in note or expression.args:
        yield from _notes(part, is_argument=not note and is_kept, within=within)


def _places(kind: type[Expr], arguments: Sequence[Expr], parts: Sequence[Expr]) -> list[int | None]:
    """The place of each argument's like among the parts; None for those without.

    That is a part with the same stem, else the closest.
    """
    stems = [_stem(kind, part) for part in parts]
    places = [stems.index(stem) if (stem := _stem(kind, each)) in stems else None for each in arguments]
    return [
        _closest(argument, parts, taken=places) if place is None else place
        for argument, place in zip(arguments, places, strict=True)
    ]


def _closest(argument: Expr, parts: Sequence[Expr], taken: Sequence[int | None]) -> int | None:
    """The part with which an argument has the most quantities in common, a part not yet taken first."""
    mine = _quantities(argument)
    common = [len(mine & _quantities(part)) for part in parts]
    sharing = [i for i, number in enumerate(common) if number]
    return min(sharing, key=lambda i: (i in taken, -common[i], i), default=None)


def _stem(kind: type[Expr], part: Expr) -> Expr:
    """A term without its coefficient, a factor without its exponent."""
    return part.as_coeff_Mul()[1] if kind is Add else part.as_base_exp()[0]


def _quantities(expression: Expr) -> set[Quantity]:
    """The quantities in a term or a factor, and in its shorthands; none of what has a place by itself."""
    if expression.has(Sum, BatchSum, BatchMean, Total, Partial, Chain, Marked):
        return set()
    found = {quantity_of(atom) for atom in atoms_of(expression)}
    return found.union(*(_quantities(each.value) for each in found if isinstance(each, Shorthand)))


def _shift_to_k(whole: Expr) -> Callable[[Expr], Expr]:
    """The shift of steps by which the latest in an expression becomes k; none where none is the latest."""
    indices = {atom.index for atom in indexed_of(whole)}
    for latest in indices:
        if all((latest - index).is_nonnegative and (latest - index).is_Integer for index in indices):
            moved = {atom: At(atom.quantity, k + (atom.index - latest)) for atom in indexed_of(whole)}
            return lambda expression: expression.xreplace(moved)
    return lambda expression: expression


def _at_no_step(expression: Expr) -> Expr:
    """An expression with its quantities bare."""
    return expression.xreplace({atom: atom.quantity for atom in indexed_of(expression)})


def _last_if_none(place: int | None) -> tuple[bool, int]:
    return place is None, place or 0


def _is_sum(expression: Expr) -> bool:
    return expression.has(Sum, BatchSum, BatchMean)


def _bulk(expression: Expr) -> int:
    """The size of a part, by kind: a name before a power, and that before a bracket."""
    if isinstance(expression, Chain) or (expression.has(Add) and not isinstance(expression, At | Pow)):
        return 2
    return 1 if isinstance(expression, Pow) else 0
