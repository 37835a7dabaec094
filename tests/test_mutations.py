"""Every equation and every line of code of every shipped cell, falsified one slip at a time, is refused.

A slip in an equation is one flipped sign, one transpose left out, one term or one factor left out, anywhere on a
right-hand side. It counts if what it leaves `fits`, and is not equal by `worth`: then nothing could tell, for nothing
is wrong. A slip in the code is one in the program that it is printed from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sympy import Add, Expr, Function, I, Mul, Pow, S, Sum, expand
from sympy.matrices import MatrixBase

from derive import CertificateError
from derive.backends.numpy import network_code
from derive.backends.numpy.network_code import network_of, print_network
from derive.certify.certificate import in_one_line
from derive.certify.equations import check_equation, points_for
from derive.language.operations import BatchMean, BatchOuter, BatchSum, Chain, EntrySum, Marked, Partial
from derive.language.quantities import At, Product, Transpose
from derive.language.shapes import ShapeError, form_of
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.pullbacks import partial
from derive.mathematics.rules import ADJOINT, Relation
from derive.mathematics.unroll import right_hand_sides
from derive.output.cell_files import find_cells
from derive.program import nodes as statements
from derive.program.nodes import Call, Expression, Let, Literal, Loop, Module, Ref, RowWise
from derive.program.sizes import Size
from derive.program.types import ProgramError
from derive.program.verify import Level, verify
from derive.program.walk import Node, every, rebuild
from tests.certifying import check_network

SUMS_AND_PRODUCTS = (Add, Mul, Chain, Product)
WRAPPERS = (Function, BatchMean, BatchSum, EntrySum, Transpose, Product, BatchOuter, Add, Mul, Chain)


@pytest.fixture(scope="module", params=find_cells([]), ids=lambda cell: cell.name)
def derivation(request) -> Derivation:
    return write_derivation(request.param)


def slips(right: Expr) -> Iterator[tuple[str, Expr]]:
    """Right-hand sides with one slip, each with what was done."""
    if isinstance(right, MatrixBase):
        entries = right.flat()
        for place, entry in enumerate(entries):
            for what, wrong in slips(entry):
                yield what, right.func(*right.shape, [*entries[:place], wrong, *entries[place + 1 :]])
        return
    yield f"-({right})", -right
    if isinstance(right, Transpose):
        yield f"{right} without its transpose", right.args[0]
    if isinstance(right, SUMS_AND_PRODUCTS):
        for place, left_out in enumerate(right.args):
            others = right.args[:place] + right.args[place + 1 :]
            yield f"{right} without {left_out}", right.func(*others) if len(others) != 1 else others[0]
    # Inside: the arguments of a sum, a product, a function; the base of a power; what is summed or marked.
    inside = range(len(right.args)) if isinstance(right, WRAPPERS) else range(isinstance(right, Pow | Sum | Marked))
    for place in inside:
        for what, wrong in slips(right.args[place]):
            yield what, right.func(*right.args[:place], wrong, *right.args[place + 1 :])


def fits(wrong: Expr, right: Expr) -> bool:
    """Whether a slip leaves an expression that has a shape, the right one, and a real value."""
    try:
        return form_of(wrong).shape in ((), form_of(right).shape) and not wrong.has(I)
    except ShapeError:
        return False


def numbers_at_start(derivation: Derivation) -> dict[Expr, Expr]:
    """What the description says is a number: states before the first step, and what is computed of them alone."""
    known: dict[Expr, Expr] = {state[0]: value for state, value in derivation.cell.initial.items()}
    for left, right in right_hand_sides(derivation.cell, 1, derivation.steps).items():
        known[left] = right.xreplace(known)
    return {left: value for left, value in known.items() if value.is_Number}


def worth(right: Expr, derivation: Derivation, start: dict[Expr, Expr]) -> Expr:
    """A right-hand side with what is a number by the description alone replaced by that number.

    Such are `numbers_at_start`, a partial derivative of an equation that is linear in what it is taken by (∂s/∂z = 1
    for s = z, and 0 where a state that starts from zero is its only factor), and a sum over no step.
    """

    def number(part: Expr) -> Expr:
        if isinstance(part, Partial):
            of, wrt = part.args
            if isinstance(of, At) and of.index.is_Integer:
                slope = partial(right_hand_sides(derivation.cell, int(of.index), derivation.steps)[of], wrt).xreplace(
                    start
                )
                return slope if slope.is_number else part
        if isinstance(part, Sum) and part.limits[0][1:] == (1, 0):
            return S.Zero
        if isinstance(part, At | Partial | Sum) or not part.args:
            return start.get(part, part)
        inner = [number(each) for each in part.args]
        if isinstance(part, Chain):
            return Mul(*inner)
        return S.Zero if isinstance(part, BatchSum | BatchOuter | EntrySum) and S.Zero in inner else part.func(*inner)

    return expand(number(right)) if not isinstance(right, MatrixBase) else right


def test_an_equation_with_a_slip_is_refused_with_its_number(derivation):
    points, start = points_for(derivation), numbers_at_start(derivation)
    refused, passed, equal = 0, [], 0
    for equation in derivation.equations:
        if equation.rule == ADJOINT or equation.rule.relation is Relation.BECOMES:
            continue  # a definition or an assignment: nothing to compare
        right = worth(equation.rhs, derivation, start)
        for what, wrong in slips(equation.rhs):
            if not fits(wrong, equation.rhs):
                continue
            if worth(wrong, derivation, start) == right:
                equal += 1
                continue
            try:
                check_equation(replace(equation, rhs=wrong), points)
                passed.append((equation.number, what))
            except CertificateError as error:
                assert f"equation ({equation.number}) " in str(error)
                refused += 1
    assert passed == []
    assert refused > 4 * len(derivation.equations)
    assert refused > 4 * equal


# --- the code ---------------------------------------------------------------------------------------------------------


def slips_of_value(value: Expression) -> Iterator[Expression]:
    """A value with its sign flipped, with an operand left out anywhere in it, or with one of its rows a step early."""
    yield Call("negative", (value,))
    shapes = [part.args[1] for part in every(value) if isinstance(part, RowWise) and part.function == "one_hot"]
    for part in every(value):
        if any(part is shape for shape in shapes):
            continue  # how many classes there are is the same at every step
        match part:
            case Call("add" | "subtract" | "multiply" | "divide" as function, args):
                fewer = (args[:place] + args[place + 1 :] for place in range(len(args)))
                wrongs = [each[0] if len(each) == 1 else Call(function, each) for each in fewer]
            case Ref(symbol, Size() as step):
                wrongs = [Ref(symbol, step - 1)]
            case _:
                continue
        for wrong in wrongs:
            yield rebuild(value, lambda each, part=part, wrong=wrong: wrong if each is part else each)


def slips_of_statement(statement: Node) -> Iterator[Node]:
    """A statement with one slip: in its value, a loop without its first or last step, an addition that overwrites."""
    match statement:
        case Let(value=value) | statements.Add(value=value) if value != Literal.of(0):
            for wrong in slips_of_value(value):
                yield replace(statement, value=wrong)
        case Loop(first=first, last=last, reverse=reverse, body=body):
            onwards = -1 if reverse else 1
            yield replace(statement, first=first + onwards)
            yield replace(statement, last=last - onwards)
            for place, part in enumerate(body):
                if isinstance(part, statements.Add):
                    overwritten = Let(part.target, part.value, part.of)
                    yield replace(statement, body=(*body[:place], overwritten, *body[place + 1 :]))


def programs_with_a_slip(module: Module) -> Iterator[Module]:
    """The program with one slip in one statement, those that still make sense."""
    for function in module.functions:
        for statement in every(function):
            for wrong in slips_of_statement(statement):
                changed = rebuild(module, lambda each, old=statement, new=wrong: new if each is old else each)
                with contextlib.suppress(ProgramError):
                    verify(changed, Level.VALUE)
                    yield changed


def test_a_program_with_a_slip_is_refused(derivation, monkeypatch):
    """In any of its functions; it is printed and run."""
    program, right, passed, refused = network_of(derivation), print_network(derivation).splitlines(), [], 0
    for changed in programs_with_a_slip(program.module):
        monkeypatch.setattr(network_code, "network_of", lambda _, changed=changed: program._replace(module=changed))
        source = print_network(derivation)
        try:
            with in_one_line(derivation.cell, "network.py"):
                check_network(derivation.cell, source)
            passed.append("\n".join(line for line in source.splitlines() if line not in right))
        except CertificateError:
            refused += 1
    assert passed == []
    lets = [part for part in every(program.module) if isinstance(part, Let | statements.Add)]
    assert refused > 4 * len(lets)
