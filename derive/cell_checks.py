"""What can be wrong with the description of a cell, each with its cure; nothing wrong gets past it to a printer."""

from __future__ import annotations

import builtins
import difflib
import keyword
import math
from collections.abc import Callable
from graphlib import CycleError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from sympy import (
    Abs,
    Add,
    Basic,
    Derivative,
    Dummy,
    E,
    Eq,
    Expr,
    Max,
    Min,
    Mul,
    Number,
    Piecewise,
    Pow,
    S,
    Symbol,
    pi,
    preorder_traversal,
    sign,
    sympify,
)

from derive.errors import CellError
from derive.operations import ELEMENTWISE, BatchMean, EntrySum, SoftmaxCrossEntropy
from derive.quantities import (
    At,
    Dimension,
    Input,
    Intermediate,
    Label,
    N,
    Parameter,
    Product,
    Quantity,
    State,
    T,
    Target,
    Transpose,
    atoms_of,
    bare_of,
    indexed_of,
    k,
    quantity_of,
    varies_by_sequence,
)
from derive.shapes import Form, ShapeError, form_of
from derive.task_checks import check_task

if TYPE_CHECKING:
    from derive.cell import Cell

Wrong: TypeAlias = Callable[[str, str, str], NoReturn]
"""Reports a mistake: where, what, and the cure."""

GENERATED_NAMES = """
np k n N T X dtype parameters trace adjoints gradient gradients learning_rates value output delta
annotations Any NamedTuple TypeAlias Number Array ArrayLike NDArray Parameters Trace Adjoints
forward backward predict loss value_and_gradient descend loss_of sum_over_time time_first as_targets
logistic softplus logistic_cross_entropy softmax one_hot softmax_cross_entropy
sequences floating steps targets Shape SHAPES DATA_SHAPES TYPE_CHECKING
self m sizes isqrt weights window space spare totals rows stop is_first is_last columns inputs gates deltas slopes
left right products check_array bytes_of
add arctan copyto cos cosh divide exp log multiply negative power sin sinh sqrt subtract tan tanh
j first factors moments polynomials power one_a_row sums_over_time as_data math epochs CHUNK EPSILON
"""
RESERVED = frozenset(dir(builtins)) | frozenset(GENERATED_NAMES.split())
"""Names that a generated module uses itself; a quantity of that name would hide them."""
RESERVED_BEGINNINGS = (
    *("delta_", "deltas_", "gradient_", "gates_", "slope_", "slopes_", "tanh_", "products_"),
    *("from_", "of_", "back_", "spare_", "steps_", "inputs_"),
)
RESERVED_ENDINGS = ("_rows", "_columns", "_itself", "_input")
"""What a generated module makes names of."""

IN_A_STEP = (Add, Mul, Pow, Number, Symbol, Quantity, At, Product, Transpose)
"""What a step may hold, beside the functions in `ELEMENTWISE` and the numbers π and e."""
IN_THE_LOSS = (*IN_A_STEP, BatchMean, EntrySum, SoftmaxCrossEntropy)
WITH_KINKS = (Abs, Max, Min, Piecewise, sign)

RESERVED_FILES = frozenset(
    ["assets", "optimizers", *(path.stem for path in (Path(__file__).parent / "runtime").glob("*.py"))]
)
"""What stands beside the cells in an output folder."""

RESERVED_LATEX = frozenset(["k", "n", "N", "T", r"\xi", r"\delta", r"\eta"])
"""Symbols that a derivation uses itself."""
RESERVED_FOR_NUMBERS = frozenset(["j", "m", "H", "I", "J", r"\lambda"])
"""Those that it uses for cells of numbers only: in the closed form and for the curvature."""


def check(cell: Cell) -> None:
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
    _check_equations(cell, wrong)
    _check_loss(cell, wrong)
    _check_reads(cell, wrong)
    _check_shapes(cell, wrong)
    _check_use(cell, wrong)
    _check_example(cell, wrong)
    _check_landscape(cell, wrong)


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
        if quantity.name == "t" and not isinstance(quantity, Target):
            wrong(where, "the generated code calls the targets t", "call it t1 or the like")
        if is_reserved(quantity.name):
            wrong(where, "the generated code uses this name itself", f"call it {quantity.name}1 or the like")
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


def is_reserved(name: str) -> bool:
    """Whether a generated module may use a name itself."""
    return name in RESERVED or name.startswith(RESERVED_BEGINNINGS) or name.endswith(RESERVED_ENDINGS)


def _check_shape(quantity: Quantity, wrong: Wrong) -> None:
    where, shape = f"quantity {quantity.name!r}", quantity.dimensions
    if not isinstance(shape, tuple):
        wrong(where, f"its shape {shape} is no tuple", f"write shape=({shape},), with a comma behind a single one")
    for size in shape:
        if isinstance(size, str):
            wrong(where, f"the dimension {size!r} of its shape is a text", f"write Dimension({size!r})")
        if not isinstance(size, Dimension) and (type(size) is not int or size < 1):
            wrong(where, f"the dimension {size} of its shape", "give a Dimension, or a whole number, 1 or more")


def _check_equations(cell: Cell, wrong: Wrong) -> None:
    if not cell.equations:
        wrong("equations", "there are none", "write the recurrence, as in Eq(s[k], s[k - 1] * W + x[k])")
    written: set[At] = set()
    for number, equation in enumerate(cell.equations, start=1):
        if not isinstance(equation, Eq):
            wrong(
                f"equation {number}",
                f"it is {equation}, not an equation",
                "write Eq(left, right) with two different sides",
            )
        left, right = equation.lhs, sympify(equation.rhs)
        where = f"equation {left} = {right}"
        if not isinstance(left, At) or not isinstance(left.quantity, State | Intermediate):
            wrong(where, f"{left} is not a state or an intermediate at a step", "write s[k], s[T] or s[0] on the left")
        if left.index not in (k, T, S.Zero):
            wrong(where, f"the step {left.index} on the left", "write s[k], s[T] or s[0] there")
        if left in written:
            wrong(where, f"{left} has two equations", "keep one, or name a second quantity")
        written.add(left)
        _check_declared(cell, left, where, wrong)
        if right.has(EntrySum):
            wrong(where, "a sum of entries in a step", "use a matrix of shape (H, 1); total is for the loss")
        if right.has(BatchMean):
            cure = "let each sequence be computed on its own; a mean is for the loss"
            wrong(where, "a mean over the sequences in a step", cure)
        _check_declared(cell, right, where, wrong)
        if left.index == S.Zero:
            _check_initial(left, right, where, wrong)
        else:
            _check_indices(left, right, where, wrong)
    _check_states(cell, written, wrong)


def _check_declared(
    cell: Cell, expression: Expr, where: str, wrong: Wrong, kinds: tuple[type[Basic], ...] = IN_A_STEP
) -> None:
    known = {quantity.name: quantity for quantity in cell.quantities}
    for quantity in sorted({quantity_of(atom) for atom in atoms_of(expression)}, key=str):
        if quantity.name in known and known[quantity.name] != quantity:
            wrong(
                where,
                f"{quantity} is not the {quantity} of quantities=",
                "declare it once, and use that one everywhere",
            )
        if quantity.name not in known:
            wrong(where, f"{quantity} is used and not declared", "add it to quantities=")
    for node in preorder_traversal(expression):
        if isinstance(node, Number) and not node.is_finite:
            wrong(where, f"{node} is no number to calculate with", "write a finite one")
        if node.func not in ELEMENTWISE and node not in (pi, E) and not isinstance(node, kinds):
            cure = f"write it with + - * / ** @ and {', '.join(sorted(map(str, ELEMENTWISE)))}"
            if isinstance(node, WITH_KINKS):
                cure += "; a function with a kink has no derivative there, and softplus is a smooth one"
            wrong(
                where,
                f"there is no rule for {node.func.__name__}, in {node}",
                f"{cure}; or add the rule, see CONTRIBUTING.md",
            )
        if node.func in ELEMENTWISE and not _has_derivative(node):
            cure = "give the function an fdiff, see CONTRIBUTING.md"
            wrong(where, f"there is no rule for the derivative of {node.func.__name__}, in {node}", cure)
    for symbol in sorted(
        {symbol for symbol in expression.atoms(Symbol) if not isinstance(symbol, Dimension)} - {k, T, N}, key=str
    ):
        close = difflib.get_close_matches(symbol.name, known, 1)
        if symbol.name in ("k", "T", "N"):
            hint = f"use the one that derive has: from derive import {symbol}"
        else:
            hint = f"did you mean {close[0]}?" if close else "declare it as Parameter, Input, … in quantities="
        wrong(where, f"{symbol} is used and not declared", hint)


def _has_derivative(call: Expr) -> bool:
    """Whether SymPy can differentiate a function by every argument; where it cannot, it leaves a `Derivative`."""
    names = [Dummy() for _ in call.args]
    return not any(call.func(*names).diff(name).has(Derivative) for name in names)


def _check_initial(left: At, right: Expr, where: str, wrong: Wrong) -> None:
    if not isinstance(left.quantity, State):
        wrong(where, f"{left.quantity} is no state, so it has no value before the first step", "declare it as a State")
    if right.atoms(Symbol) or any(not isinstance(atom, Parameter) for atom in atoms_of(right)):
        wrong(where, "an initial value depends on a step", "make it a number or an expression of parameters")


def _check_indices(left: At, right: Expr, where: str, wrong: Wrong) -> None:
    here = left.index
    for atom in sorted(indexed_of(right), key=str):
        if atom.index == here - 1:
            if not isinstance(atom.quantity, State):
                wrong(
                    where,
                    f"{atom} looks one step back at what is no state",
                    f"declare {atom.quantity} as a State with an initial value",
                )
        elif atom.index != here:
            near = f"{atom.quantity}[{here}] or, for a state, {atom.quantity}[{here - 1}]"
            wrong(where, f"{atom} is neither at this step nor at the one before", f"use {near}")
        if isinstance(atom.quantity, Target | Parameter):
            wrong(
                where,
                f"{atom.quantity.role} {atom} in a step",
                "a parameter has no step, and a target belongs into the loss",
            )
    for quantity in sorted(bare_of(right), key=str):
        if isinstance(quantity, Input | State | Intermediate | Target):
            before = f" or {quantity}[{here - 1}]" if isinstance(quantity, State) else ""
            wrong(where, f"{quantity.role} {quantity} without a step", f"write {quantity}[{here}]{before}")


def _check_states(cell: Cell, written: set[At], wrong: Wrong) -> None:
    for state in cell.states:
        where = f"state {state.name!r}"
        if state[k] not in written:
            wrong(where, "it is never updated", f"add Eq({state}[k], …)")
        if state[S.Zero] not in written:
            wrong(where, "it has no initial value", f"add Eq({state}[0], 0), or a parameter on the right to learn it")
    try:
        computed = set(cell.last_step)  # putting them into order finds a circle
    except CycleError as error:
        around = list(dict.fromkeys(quantity.name for quantity in error.args[1]))
        problem = "each needs the other within one step" if len(around) > 1 else "it needs itself within one step"
        wrong(f"equations of {' → '.join(around)}", problem, "look one step back in one of them")
    for quantity in cell.computed:
        if quantity not in computed:
            wrong(f"quantity {quantity.name!r}", "no equation computes it", f"add Eq({quantity}[k], …)")


def _check_loss(cell: Cell, wrong: Wrong) -> None:
    loss = cell.loss
    if not isinstance(loss, Expr) or not loss.has(BatchMean):
        wrong(
            "loss",
            "there is no loss" if loss is None else f"{loss} is no mean over the sequences",
            "write loss=mean((s[T] - t) ** 2) or the like",
        )
    where = f"loss {loss}"
    _check_declared(cell, loss, where, wrong, IN_THE_LOSS)
    if varies_by_sequence(loss.replace(BatchMean, lambda inside: S.One)):
        wrong(where, "it differs from sequence to sequence", "put all of it inside mean(…)")
    if any(inner.has(BatchMean) for average in loss.atoms(BatchMean) for inner in average.args):
        wrong(where, "a mean within a mean", "write mean(…) once")
    for entropy in loss.atoms(SoftmaxCrossEntropy):
        if not isinstance(quantity_of(entropy.args[1]), Label):
            wrong(where, f"{entropy} compares with {entropy.args[1]}, which is no label", "declare it as a Label")
    for atom in sorted(atoms_of(loss.replace(SoftmaxCrossEntropy, lambda y, _: y)), key=str):
        if isinstance(quantity_of(atom), Label):
            cure = "write softmax_cross_entropy(…), or declare a Target for numbers"
            wrong(where, f"a calculation with the label {atom}, the name of a class", cure)
    for average in loss.atoms(BatchMean):
        names = {part: Dummy() for part in average.args[0].atoms(EntrySum, SoftmaxCrossEntropy)}
        inner = average.args[0].xreplace(names)
        for part, name in names.items():
            if varies_by_sequence(inner.diff(name)) or inner.diff(name).has(*names.values()):
                what = "a sum of entries" if isinstance(part, EntrySum) else "a cross-entropy"
                cure = (
                    "put the function into total(…), entry by entry" if isinstance(part, EntrySum) else "leave it out"
                )
                wrong(where, f"a function of {what}", cure)
    here = k if cell.loss_at_every_step else T
    for atom in sorted(atoms_of(loss), key=str):
        quantity = quantity_of(atom)
        if isinstance(quantity, Target) and isinstance(atom, At) and here == T:
            wrong(where, f"a target at the last step, {atom}", f"write {quantity}, one a sequence")
        if isinstance(atom, At) and atom.index != here:
            wrong(where, f"{atom} and a value at another step in one loss", f"write all at [{here}]")
        if isinstance(quantity, Input | State | Intermediate) and not isinstance(atom, At):
            wrong(where, f"{quantity} without a step", f"write {quantity}[T] or {quantity}[k]")
        if isinstance(quantity, Parameter) and isinstance(atom, At):
            wrong(where, f"parameter {atom} at a step", f"write {quantity}")
    if not any(quantity_of(atom) in cell.computed for atom in atoms_of(loss)):
        wrong(where, "it does not depend on any state", "compare what the cell computes with the target")
    if not isinstance(cell.output, At) or cell.output.quantity not in cell.computed or cell.output.index not in (k, T):
        wrong(
            "output",
            f"{cell.output} is not a computed quantity at k or T",
            f"write output={cell.states[0]}[T] or output={cell.states[0]}[k]",
        )


def _check_reads(cell: Cell, wrong: Wrong) -> None:
    """What is read at every step needs an equation for every step."""
    sides = [(f"equation {equation.lhs} = {equation.rhs}", sympify(equation.rhs)) for equation in cell.equations]
    for where, side in (*sides, (f"loss {cell.loss}", cell.loss), ("output", cell.output)):
        for atom in sorted(indexed_of(side), key=str):
            quantity = atom.quantity
            if atom.index == k and quantity in cell.computed and quantity not in cell.step:
                problem = f"{atom} is read at every step, and {quantity} has an equation for the last one only"
                wrong(
                    where,
                    problem,
                    f"write Eq({quantity}[k], …) in place of Eq({quantity}[T], …), or read {quantity}[T]",
                )


def _check_shapes(cell: Cell, wrong: Wrong) -> None:
    names = {quantity.name for quantity in cell.quantities}
    told = {size for quantity in (*cell.parameters, *cell.inputs) for size in quantity.dimensions}
    for dimension in cell.dimensions:
        if dimension not in told:
            wrong(
                f"dimension {dimension}", "neither a weight nor the input has it", "give it to one, or write a number"
            )
        if not dimension.name.isidentifier() or dimension.name in names | {"t"} or is_reserved(dimension.name):
            wrong(f"dimension {dimension}", "its name is no identifier, or is taken", "choose another capital letter")
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


def _check_use(cell: Cell, wrong: Wrong) -> None:
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


def _leading_to(cell: Cell, ends: set[Quantity]) -> set[Quantity]:
    """Everything that some quantities are computed from, themselves included."""
    while True:
        more = {
            quantity_of(atom) for each in cell.equations if each.lhs.quantity in ends for atom in atoms_of(each.rhs)
        }
        if more <= ends:
            return ends
        ends = ends | more


def _check_landscape(cell: Cell, wrong: Wrong) -> None:
    if cell.landscape is None:
        return
    if not cell.is_scalar or len(cell.parameters) != 2:
        wrong("landscape", "it needs two weights that are numbers", "leave it out")
    if cell.landscape.inputs.ndim != 2 or cell.landscape.targets.shape != cell.landscape.inputs.shape[:1]:
        shapes = f"{cell.landscape.inputs.shape} and {cell.landscape.targets.shape}"
        wrong("landscape", f"inputs and targets have the shapes {shapes}", "give N × T and N numbers")
    if any(len(point) != 2 for point in cell.landscape.points):
        wrong("landscape, points", "one is no pair", "give pairs of weights")


def _check_example(cell: Cell, wrong: Wrong) -> None:
    example: Any = cell.example
    if example is None:
        return
    if hasattr(example, "task"):
        check_task(cell, example, wrong)
        return
    if not cell.is_scalar or cell.target_at_every_step:
        what = "has one target a step" if cell.is_scalar else "is of rows"
        cure = "give a TaskExample, which names a task, or none, and train on data of your own"
        wrong("example", f"an Example has numbers, one target a sequence, and the cell {what}", cure)
    names = {parameter.name for parameter in cell.parameters}
    for what in ("start", "learning_rates", "solution"):
        given = set(getattr(example, what))
        if given != names and not (what == "solution" and not given):
            odd = [f"{name} is unknown" for name in sorted(given - names)]
            odd += [f"{name} is missing" for name in sorted(names - given)]
            wrong(f"example, {what}", ", ".join(odd), f"give each of {', '.join(sorted(names))}")
        for name, value in getattr(example, what).items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                wrong(f"example, {what}", f"{name} is {value!r}", "give a finite number")
    if any(rate <= 0 for rate in example.learning_rates.values()):
        wrong("example, learning_rates", "one is not positive", "give positive numbers")
    if not isinstance(example.epochs, int) or example.epochs < 0:
        wrong("example, epochs", f"it is {example.epochs!r}", "give a whole number, 0 or more")
    if not all(isinstance(row, tuple | list) for row in example.X):
        wrong("example, X", f"it is {example.X}", "give one tuple of numbers a sequence")
    for what, row in (*(("X", row) for row in example.X), ("t", example.t)):
        for number in row:
            if not isinstance(number, int | float) or not math.isfinite(number):
                wrong(f"example, {what}", f"{number!r} in it", "give finite numbers")
    lengths = {len(row) for row in example.X}
    if len(lengths) != 1 or 0 in lengths:
        wrong("example, X", f"its sequences have the lengths {sorted(lengths)}", "give one or more, all of one length")
    if len(example.X) != len(example.t):
        wrong("example", f"{len(example.X)} sequences and {len(example.t)} targets", "give one target a sequence")
