"""Every equation and every line of the backward code of every shipped cell, falsified one slip at a time, is refused.

A slip is one flipped sign, one transpose left out, one term or one factor left out, anywhere on a right-hand side. It
counts if what it leaves `fits`, and is not equal by `worth`: then nothing could tell, for nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sympy import Add, Expr, Function, I, Mul, Pow, S, Sum, expand
from sympy.matrices import MatrixBase

from derive import CertificateError
from derive.backends.numpy.network_code import print_network
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


def test_a_line_of_the_backward_code_with_its_sign_flipped_is_refused(derivation):
    source = print_network(derivation)
    bodies = {part.partition("(")[0]: part for part in source.split("\ndef ")}
    lines = re.findall(r"^ +\S+ \+?= .*# \(\d+\)$", bodies["backward"] + bodies["sum_over_time"], re.MULTILINE)
    assert len(lines) >= len(derivation.backward.adjoints) + len(derivation.cell.parameters)
    for line in lines:
        target, operator, value = re.fullmatch(r"( +\S+) (\+?=) (.*)  # \(\d+\)", line).groups()
        if value == "0":
            continue
        assert source.count(line) == 1
        with pytest.raises(CertificateError, match=r"network\.py: .*value_and_gradient"):
            check_network(derivation.cell, source.replace(line, f"{target} {operator} -({value})"))
            pytest.fail(f"not refused: {line}")
