"""Prints jacobian.py: the residuals and their Jacobian by forward mode, and the loss and its gradient from them."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr, S

from derive.backends.numpy.modules import functions_in, reading_of_targets, trace_of, unpack
from derive.backends.numpy.numpy_code import Code
from derive.backends.templating import render
from derive.language.cell import Cell
from derive.language.names import name_of_tangent
from derive.language.operations import Total
from derive.language.quantities import LOSS, At, T, atoms_of, k, quantity_of
from derive.mathematics.derivation import Derivation, Equation, Tangents


class JacobianCode(Code):
    """Code in which ds_k/dW is `ds_dW[k]`, and the derivative of the residual a column of `jacobian`.

    Args:
        cell: The cell; the columns are in the order of its weights.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(order=cell.order)
        self._columns = {weight: column for column, weight in enumerate(cell.parameters)}

    def _print_Total(self, total: Total) -> str:
        of, weight = total.args
        if isinstance(of, At):
            return f"{name_of_tangent(of.quantity.name, weight.name)}[{self._print(of.index)}]"
        return super()._print_Total(total) if of == LOSS else f"jacobian[:, {self._columns[weight]}]"


def print_jacobian(derivation: Derivation) -> str | None:
    """The module of the residuals and their Jacobian; nothing where the loss is no sum of squares.

    Returns:
        Its source, not yet formatted.
    """
    cell, tangents, form = derivation.cell, derivation.tangents, derivation.least_squares
    if tangents is None or form is None:
        return None
    code = JacobianCode(cell)

    def lines(equations: Iterable[Equation], step: Expr = k) -> list[str]:
        sides = ((each.lhs.subs(k, step), each.rhs.subs(k, step), each.number) for each in equations)
        return [f"{code.doprint(left)} = {code.doprint(right)}  # ({number})" for left, right, number in sides]

    carried = (*tangents.initial, *tangents.step, *tangents.last)
    equations = (*carried, form.residual, *form.jacobian.values())
    names = dict.fromkeys(name_of_tangent(each.lhs.args[0].quantity.name, each.lhs.args[1].name) for each in carried)
    body = [
        *_opening(cell, equations),
        *(f"{name} = np.zeros((T + 1, N), dtype)" for name in names),
        *lines(tangents.initial),
        *_loop(tangents, lines(tangents.step)),
        *lines(tangents.last, T),
        *lines([form.residual]),
        f"jacobian = np.zeros((N, {len(cell.parameters)}), dtype)",
        *lines(form.jacobian.values()),
    ]
    fields = {
        "cell": cell,
        "title": cell.title,
        "names": [weight.name for weight in cell.parameters],
        "imported": sorted(["Parameters", "as_targets", "forward", *functions_in(_rights(equations))]),
        "body": body,
        "residuals": [*_opening(cell, [form.residual]), *lines([form.residual])],
        "loss": lines([form.loss]),
        "gradients": lines(form.gradients.values()),
    }
    return render("backends/numpy/templates/jacobian.py.j2", fields)


def _rights(equations: Iterable[Equation]) -> list[Expr]:
    """The right-hand sides, 1 for every derivative in them: those the function makes itself."""
    return [each.rhs.xreplace({part: S.One for part in each.rhs.atoms(Total)}) for each in equations]


def _opening(cell: Cell, equations: Iterable[Equation]) -> list[str]:
    """Unpacks what equations read, the shape of the states, and the targets if they are among it."""
    used = {quantity_of(atom) for right in _rights(equations) for atom in atoms_of(right)}
    first = cell.states[0]
    return [
        *unpack("parameters", [weight for weight in cell.parameters if weight in used], cell.parameters),
        *unpack("trace", [q for q in trace_of(cell) if q in used or q == first], trace_of(cell)),
        f"T, N, dtype = len({first.name}) - 1, {first.name}.shape[1], {first.name}.dtype",
        *(f"{target.name} = {reading_of_targets(cell)}" for target in cell.targets if target in used),
    ]


def _loop(tangents: Tangents, body: list[str]) -> list[str]:
    """The steps, all of them or, where the last one is computed by itself, all but that."""
    if not body:
        return []
    to_the_end = all(each.over[0].last == T for each in tangents.step)
    return [f"for k in range(1, {'T + 1' if to_the_end else 'T'}):", *(f"    {line}" for line in body)]
