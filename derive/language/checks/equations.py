"""What can be wrong with an equation of a cell, each mistake with its cure."""

from __future__ import annotations

import difflib
from graphlib import CycleError

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

from derive.language.description import Description
from derive.language.errors import Wrong
from derive.language.functions import FUNCTIONS
from derive.language.operations import BatchMean, EntrySum
from derive.language.quantities import (
    At,
    Dimension,
    Input,
    Intermediate,
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
)

IN_A_STEP = (Add, Mul, Pow, Number, Symbol, Quantity, At, Product, Transpose)
"""What a step may hold, beside the functions in `FUNCTIONS` and the numbers π and e."""
WITH_KINKS = (Abs, Max, Min, Piecewise, sign)


def check_equations(cell: Description, wrong: Wrong) -> None:
    """Every equation gives a declared quantity at k, T or 0, by what is known there and has a rule; none is missing."""
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
        check_declared(cell, left, where, wrong)
        if right.has(EntrySum):
            wrong(where, "a sum of entries in a step", "use a matrix of shape (H, 1); total is for the loss")
        if right.has(BatchMean):
            cure = "let each sequence be computed on its own; a mean is for the loss"
            wrong(where, "a mean over the sequences in a step", cure)
        check_declared(cell, right, where, wrong)
        if left.index == S.Zero:
            _check_initial(left, right, where, wrong)
        else:
            _check_indices(left, right, where, wrong)
    _check_states(cell, written, wrong)


def check_declared(
    cell: Description, expression: Expr, where: str, wrong: Wrong, kinds: tuple[type[Basic], ...] = IN_A_STEP
) -> None:
    """An expression is of declared quantities, numbers, and operations that have a rule.

    Args:
        cell: The cell.
        expression: A side of an equation, or the loss.
        where: What it is, for the message.
        wrong: Reports a mistake.
        kinds: What it may hold, beside the functions in `FUNCTIONS`.
    """
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
        if node.func not in FUNCTIONS and node not in (pi, E) and not isinstance(node, kinds):
            cure = f"write it with + - * / ** @ and {', '.join(sorted(map(str, FUNCTIONS)))}"
            if isinstance(node, WITH_KINKS):
                cure += "; a function with a kink has no derivative there, and softplus is a smooth one"
            wrong(
                where,
                f"there is no rule for {node.func.__name__}, in {node}",
                f"{cure}; or add the rule, see CONTRIBUTING.md",
            )
        if node.func in FUNCTIONS and not _has_derivative(node):
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


def _check_states(cell: Description, written: set[At], wrong: Wrong) -> None:
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


def check_reads(cell: Description, wrong: Wrong) -> None:
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
