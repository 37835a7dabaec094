"""Forward mode against SymPy's `diff` and backpropagation, for shipped cells and for others, and what is made of it."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from sympy import Eq, Expr, Integer, Rational, sin, tanh

from derive import (
    Cell,
    CertificateError,
    Dimension,
    Input,
    Intermediate,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    logistic_cross_entropy,
    mean,
    total,
)
from derive.backends.numpy.jacobian_code import print_jacobian
from derive.backends.numpy.network_code import print_network
from derive.certify.gradient import check_against_diff
from derive.language.calculus import is_zero, vanishes
from derive.language.operations import BatchMean, Total
from derive.language.quantities import N
from derive.mathematics import forward_mode
from derive.mathematics.derivation import Derivation
from derive.mathematics.least_squares import squared
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.unroll import loss_of_steps, right_hand_sides
from derive.output.cell_files import find_cells
from tests.certifying import certified, check_module

a, b, w, v = (Parameter(name) for name in "abwv")
x, t, s, c = Input("x"), Target("t"), State("s"), State("c")
z, y = Intermediate("z"), Intermediate("y")


error_of_state, error_of_output = mean((s[T] - t) ** 2), mean((y[T] - t) ** 2)


def cell_of(*equations: Eq, loss: Expr = error_of_state, output: Expr = s[T]) -> Cell:
    used = [q for q in (a, b, w, v, x, s, c, z, y, t) if any(side.has(q) for side in (*equations, loss))]
    return Cell("tried", "A cell", tuple(used), equations, output, loss)


start, step = Eq(s[0], 0), Eq(s[k], w * s[k - 1] + a * x[k])
OWN = {
    "one weight": cell_of(start, Eq(s[k], w * s[k - 1] + x[k])),
    "a learnt start": cell_of(Eq(s[0], b), step),
    "a learnt start that no step reads": cell_of(
        Eq(s[0], b),
        Eq(s[k], a * x[k]),
        Eq(c[0], 0),
        Eq(c[k], c[k - 1] + s[k - 1]),
        loss=mean((c[T] - t) ** 2),
        output=c[T],
    ),
    "a function of a weight to start from": cell_of(Eq(s[0], tanh(b)), Eq(s[k], tanh(w * s[k - 1] + a * x[k]))),
    "a state that reads another of its step": cell_of(
        start, Eq(c[0], 0), Eq(c[k], w * c[k - 1] + a * x[k]), Eq(s[k], tanh(c[k]) * b + s[k - 1] * v)
    ),
    "two states, each of the other": cell_of(
        start, Eq(c[0], b), Eq(c[k], w * s[k - 1] + x[k]), Eq(s[k], sin(c[k - 1]) + a * s[k - 1])
    ),
    "a last step of its own": cell_of(
        start, Eq(s[k], logistic(w * s[k - 1] + a * x[k])), Eq(s[T], v * s[T - 1] + x[T])
    ),
    "an output of what is no state": cell_of(
        start,
        Eq(z[k], w * s[k - 1] + a * x[k]),
        Eq(s[k], tanh(z[k])),
        Eq(y[T], v * z[T] + s[T]),
        loss=error_of_output,
        output=y[T],
    ),
    "an output at every step": cell_of(start, step, Eq(y[k], v * s[k]), loss=error_of_output, output=y[T]),
    "a weight in the loss": cell_of(start, step, loss=Rational(1, 3) * mean((b * s[T] - t + v) ** 2)),
    "two quantities in the loss": cell_of(
        start, step, Eq(y[T], v * s[T]), loss=mean((y[T] * s[T] - t) ** 2), output=y[T]
    ),
}
SHIPPED = {cell.name: cell for cell in find_cells([]) if squared(cell)}
CELLS = SHIPPED | OWN


@pytest.fixture(scope="module", params=CELLS.values(), ids=CELLS)
def derivation(request) -> Derivation:
    return write_derivation(request.param)


@pytest.fixture(scope="module")
def steps_compared(derivation) -> list[int]:
    """For how many steps SymPy's diff of the loss is the gradient of backpropagation, proved or at random points."""
    entry = check_against_diff(derivation)
    return entry["steps"] + entry.get("steps at random points, to 30 digits", [])


def of_one_sequence(expression: Expr) -> Expr:
    return expression.replace(BatchMean, lambda inside: inside / N)


def run_forwards(derivation: Derivation, steps: int) -> tuple[dict[Expr, Expr], Expr]:
    """The derived tangents of so many steps, on symbols, and the loss, all nested."""
    cell, tangents = derivation.cell, derivation.tangents
    known: dict[Expr, Expr] = {state[0]: value for state, value in cell.initial.items()}
    for each in range(1, steps + 1):
        for left, right in right_hand_sides(cell, each, steps).items():
            known[left] = right.xreplace(known)
    slopes = {each.lhs: each.rhs for each in tangents.initial}
    for each in range(1, steps + 1):
        at = {k: Integer(each), T: Integer(steps)}
        to_the_end = all(equation.over[0].last == T for equation in tangents.step)
        rolled = tangents.step if each < steps or to_the_end else ()
        for equation in (*rolled, *(tangents.last if each == steps else ())):
            slopes[equation.lhs.subs(at)] = equation.rhs.subs(at).xreplace(slopes)
    return {left: right.xreplace(known) for left, right in slopes.items()}, known


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_tangents_are_the_derivatives_of_the_nested_states(derivation, steps):
    slopes, known = run_forwards(derivation, steps)
    if max(value.count_ops() for value in known.values()) > 150:
        pytest.skip("SymPy would take long")
    assert {left.args[0].index for left in slopes} >= {Integer(steps)}
    for left, slope in slopes.items():
        atom, weight = left.args
        difference = slope - known[atom].diff(weight)
        assert is_zero(difference) or vanishes(difference), left


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_gradient_is_that_of_backpropagation_and_of_diff(derivation, steps_compared, steps):
    cell, form = derivation.cell, derivation.least_squares
    slopes, known = run_forwards(derivation, steps)
    loss = of_one_sequence(loss_of_steps(cell, steps).xreplace(known))
    if loss.count_ops() > 150:
        pytest.skip("SymPy would take long")
    assert steps in steps_compared  # backpropagation is the derivative of the same loss
    scale, residual = squared(cell)
    for weight, equation in form.jacobian.items():
        forward = 2 * scale / N * (residual * equation.rhs).subs(T, steps).xreplace(slopes).xreplace(known)
        difference = forward - loss.diff(weight)
        assert is_zero(difference) or vanishes(difference), weight


@pytest.mark.parametrize("cell", OWN.values(), ids=OWN)
def test_every_equation_and_every_line_is_certified(cell):
    derivation = write_derivation(cell)
    source, jacobian = print_network(derivation), print_jacobian(derivation)
    certificate = certified(derivation, source, {"jacobian.py": jacobian})
    assert len(certificate["equations"]) == len(derivation.equations)
    (entry,) = (each for each in certificate["code"] if each["code"] == "jacobian.py")
    assert entry["relative bound"] == 1e-12
    assert all(f"the column of {weight}" in entry["checked"] for weight in cell.parameters)


def test_the_proof_is_an_induction_down_from_the_last_step(derivation):
    rules = [equation.rule.name for equation in derivation.equations]
    carried = len(derivation.tangents.weights)
    for name in ("induction, one step back", "induction, at the end", "induction, at the start"):
        assert rules.count(name) == carried
    order = [rules.index(name) for name in ("definition of the pairing", "tangent recurrence times adjoint")]
    assert all(low < high for low, high in pairwise([*order, rules.index("induction, at the start")]))


def test_a_proof_with_a_wrong_tangent_does_not_go_through(derivation, monkeypatch):
    right = forward_mode.tangents_of_step

    def wrong(*arguments):
        return {pair: 2 * slope for pair, slope in right(*arguments).items()}

    monkeypatch.setattr(forward_mode, "tangents_of_step", wrong)
    with pytest.raises(CertificateError, match=r"that forward mode gives the gradient for .* is not proved"):
        write_derivation(derivation.cell)


def test_a_line_of_the_module_with_its_sign_flipped_is_refused(derivation):
    source, jacobian = print_network(derivation), print_jacobian(derivation)
    lines = list(re.finditer(r"^( +\S+(?: \S+\])?) = (.*)  # \(\d+\)$", jacobian, re.MULTILINE))
    assert len(lines) >= 2 + 2 * len(derivation.cell.parameters)
    for found in lines:
        line, (target, value) = found.group(), found.groups()
        if value == "0" or not_used(derivation, line):
            continue
        wrong = jacobian[: found.start()] + f"{target} = -({value})" + jacobian[found.end() :]
        with pytest.raises(CertificateError, match=r"jacobian\.py"):
            check_module(derivation, {"network.py": source, "jacobian.py": wrong}, "jacobian.py")
            pytest.fail(f"not refused: {line}")


def not_used(derivation: Derivation, line: str) -> bool:
    """Whether a line computes what only other cells read: an output at a step before the last."""
    idle = [each.lhs.quantity.of for each in derivation.backward.step if each.rhs == 0]
    return any(f"d{q.name}_d" in line for q in idle)


H, D = Dimension("H"), Dimension("D")
NO_SQUARES = {
    "a loss at every step": cell_of(start, step, loss=mean((s[k] - t) ** 2)),
    "a cross-entropy": cell_of(start, step, loss=mean(logistic_cross_entropy(s[T], t))),
    "a penalty": cell_of(start, step, loss=error_of_state + w**2),
    "a fourth power": cell_of(start, step, loss=mean((s[T] - t) ** 4)),
    "less than nothing": cell_of(start, step, loss=-error_of_state),
}


@pytest.mark.parametrize("cell", NO_SQUARES.values(), ids=NO_SQUARES)
def test_another_loss_has_no_jacobian(cell):
    derivation = write_derivation(cell)
    assert squared(cell) is None
    assert print_jacobian(derivation) is None
    assert derivation.tangents is None


def test_rows_have_no_jacobian():
    row, W, h = Input("x", shape=(D,)), Parameter("W", shape=(D, H)), State("h", shape=(H,))
    target = Target("t", shape=(H,))
    cell = Cell(
        "tried",
        "A cell",
        (W, row, h, target),
        (Eq(h[0], 0), Eq(h[k], tanh(row[k] @ W + h[k - 1]))),
        h[T],
        mean(total((h[T] - target) ** 2)),
    )
    assert print_jacobian(write_derivation(cell)) is None


def test_a_weight_may_be_called_like_a_tangent_in_code():
    odd = Parameter("ds_dw")
    recurrence = Eq(s[k], w * s[k - 1] + odd * x[k])
    cell = Cell("tried", "A cell", (w, odd, x, s, t), (start, recurrence), s[T], mean((s[T] - t) ** 2))
    derivation = write_derivation(cell)
    assert certified(derivation, print_network(derivation), {"jacobian.py": print_jacobian(derivation)})


def test_two_weights_of_equal_effect_have_equal_columns():
    cell = cell_of(start, Eq(s[k], w * s[k - 1] + (a + b) * x[k]))
    jacobian = write_derivation(cell).least_squares.jacobian
    assert jacobian[a].rhs.subs(a, b) == jacobian[b].rhs
    assert jacobian[a].rhs == Total(s[T], a)
