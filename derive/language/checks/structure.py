"""What can be wrong with the description of a cell, each with its cure; nothing wrong gets past it to a printer."""

from __future__ import annotations

import keyword
from typing import NoReturn

from sympy import Basic, Expr, sympify

from derive.language.checks.equations import check_equations, check_reads
from derive.language.checks.example import check_example, check_landscape
from derive.language.checks.loss import check_loss
from derive.language.description import Description
from derive.language.errors import CellError, Wrong
from derive.language.names import RESERVED_FILES, RESERVED_FOR_NUMBERS, RESERVED_LATEX, RESERVED_SIZES
from derive.language.quantities import Dimension, Label, Parameter, Product, Quantity, atoms_of, quantity_of
from derive.language.shapes import Form, ShapeError, form_of


def check(cell: Description) -> None:
    """Finds the first mistake in the description of a cell.

    Raises:
        CellError: It names the equation or the quantity, the problem and the cure.
    """

    def wrong(where: str, problem: str, cure: str) -> NoReturn:
        raise CellError(cell.name, where, problem, cure)

    _check_name(cell.name, "its name", wrong)
    if cell.name in RESERVED_FILES:
        wrong("its name", f"{cell.name!r} is a part of every output folder", "choose another name")
    for what in ("title", "about"):
        if not isinstance(getattr(cell, what), str):
            wrong(what, f"{getattr(cell, what)!r} is no text", f'write {what}="…"')
    if not isinstance(cell.references, tuple | list) or not all(isinstance(each, str) for each in cell.references):
        wrong("references", f"{cell.references!r} is no tuple of texts", 'write references=("…",), with a comma')
    for what, one, kind, cure in (
        ("quantities", "quantity", Quantity, "declare it as Parameter, Input, State, …"),
        ("equations", "equation", Basic, "write Eq(left, right)"),
    ):
        given = getattr(cell, what)
        if not isinstance(given, tuple | list):
            wrong(what, f"{given} is no tuple", f"write {what}=(…,), with a comma behind a single one")
        for each in given:
            if not isinstance(each, kind):
                wrong(what, f"{each} is no {one}", cure)
    _check_quantities(cell.quantities, wrong)
    check_equations(cell, wrong)
    check_loss(cell, wrong)
    check_reads(cell, wrong)
    _check_shapes(cell, wrong)
    _check_use(cell, wrong)
    check_example(cell, wrong)
    check_landscape(cell, wrong)


def _check_name(name: str, where: str, wrong: Wrong) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        wrong(
            where, f"{name!r} is no Python identifier", "use letters, digits and _ only, and put the rest into latex="
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        wrong(where, f"{name!r} is a Python keyword", "choose another code name and keep this one in latex=")


def _check_quantities(quantities: tuple[Quantity, ...], wrong: Wrong) -> None:
    for quantity in quantities:
        _check_shape(quantity, wrong)
    rows = any(quantity.dimensions for quantity in quantities)
    seen: dict[str, Quantity] = {}
    seen_latex: dict[str, Quantity] = {}
    for quantity in quantities:
        where = f"quantity {quantity.name!r}"
        if quantity.name.startswith("_"):
            wrong(where, "its name begins with _", "begin it with a letter")
        _check_name(quantity.name, where, wrong)
        if quantity.name in seen:
            wrong(where, "two quantities have this name", "give each its own")
        if quantity.latex in seen_latex:
            wrong(
                where, f"{seen_latex[quantity.latex].name!r} has the same LaTeX {quantity.latex}", "give each its own"
            )
        most = 2 if isinstance(quantity, Parameter) else 1
        if len(quantity.dimensions) > most:
            wrong(where, f"its shape has more than {most} dimensions", "give it fewer")
        if quantity.latex in RESERVED_LATEX or (quantity.latex in RESERVED_FOR_NUMBERS and not rows):
            wrong(where, f"the derivation uses {quantity.latex} itself", "give it another latex=")
        seen[quantity.name] = seen_latex[quantity.latex] = quantity


def _check_shape(quantity: Quantity, wrong: Wrong) -> None:
    where, shape = f"quantity {quantity.name!r}", quantity.dimensions
    if not isinstance(shape, tuple):
        wrong(where, f"its shape {shape} is no tuple", f"write shape=({shape},), with a comma behind a single one")
    for size in shape:
        if isinstance(size, str):
            wrong(where, f"the dimension {size!r} of its shape is a text", f"write Dimension({size!r})")
        if not isinstance(size, Dimension) and (type(size) is not int or size < 1):
            wrong(where, f"the dimension {size} of its shape", "give a Dimension, or a whole number, 1 or more")


def _check_shapes(cell: Description, wrong: Wrong) -> None:
    names = {quantity.name for quantity in cell.quantities}
    told = {size for quantity in (*cell.parameters, *cell.inputs) for size in quantity.dimensions}
    for dimension in cell.dimensions:
        if dimension not in told:
            wrong(
                f"dimension {dimension}", "neither a weight nor the input has it", "give it to one, or write a number"
            )
        _check_name(dimension.name, f"dimension {dimension}", wrong)
        if dimension.name in names | RESERVED_SIZES:
            wrong(f"dimension {dimension}", "its name is taken", "choose another capital letter")
    for equation in cell.equations:
        left, right = equation.lhs, sympify(equation.rhs)
        where = f"equation {left} = {right}"
        ours, theirs = (_form(side, where, wrong) for side in (left, right))
        if theirs.shape not in ((), ours.shape):
            wrong(where, f"{left} is {ours} and the right-hand side is {theirs}", "give both the same shape")
    _form(cell.loss, f"loss {cell.loss}", wrong)
    if cell.loss.has(Product):
        wrong(f"loss {cell.loss}", "a matrix product in the loss", "name it as an intermediate, and use that")


def _form(expression: Expr, where: str, wrong: Wrong) -> Form:
    try:
        return form_of(expression)
    except ShapeError as error:
        wrong(where, str(error), error.cure)


def _check_use(cell: Description, wrong: Wrong) -> None:
    rights = [sympify(equation.rhs) for equation in cell.equations] + [cell.loss, cell.output]
    used = {quantity_of(atom) for right in rights for atom in atoms_of(right)}
    leading = _leading_to(cell, {quantity_of(atom) for atom in atoms_of(cell.loss) | atoms_of(cell.output)})
    for quantity in cell.computed:
        if quantity not in leading:
            cure = "use it in an equation that leads there, or take it and its equations out"
            wrong(f"{quantity.role} {quantity.name!r}", "the loss does not depend on it", cure)
    for quantity in cell.quantities:
        if quantity not in used:
            wrong(
                f"quantity {quantity.name!r}",
                "it is declared and never used",
                "use it in an equation, or take it out of quantities=",
            )
    for given, role in (
        (cell.parameters, "parameter"),
        (cell.inputs, "input"),
        (cell.states, "state"),
        (cell.targets, "target"),
    ):
        if not given:
            wrong("quantities", f"there is no {role}", "declare one and use it")
    if len(cell.inputs) > 1:
        wrong("quantities", "there are several inputs", "make them one input, a row with a shape=(D,), or use one")
    if len(cell.targets) > 1:
        wrong("quantities", "there are several targets", "make them one target, a row with a shape=(O,), or use one")

    (target,) = cell.targets
    compared = [q for q in cell.computed if q in {quantity_of(atom) for atom in atoms_of(cell.loss)}]
    if not isinstance(target, Label) and all(q.dimensions != target.dimensions for q in compared):
        shapes = ", ".join(f"{q} is {form_of(q)}" for q in compared)
        wrong(
            f"loss {cell.loss}",
            f"the target {target} is {form_of(target)}, and {shapes}",
            "give it the shape of what it is compared with",
        )


def _leading_to(cell: Description, ends: set[Quantity]) -> set[Quantity]:
    """Everything that some quantities are computed from, themselves included."""
    while True:
        more = {
            quantity_of(atom) for each in cell.equations if each.lhs.quantity in ends for atom in atoms_of(each.rhs)
        }
        if more <= ends:
            return ends
        ends = ends | more
