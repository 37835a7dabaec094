"""The adjoint recurrence of unusual cells: what it says, where it holds and what it follows from."""

from __future__ import annotations

import pytest
from sympy import Eq, Expr, Integer, Max, tanh

from derive import (
    Cell,
    CellError,
    Dimension,
    Input,
    Intermediate,
    Label,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    mean,
    softmax_cross_entropy,
    total,
)
from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder, gru, lstm, lstm_peephole, vanilla_rnn
from derive.language.quantities import atoms_of, quantity_of
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import ADJOINT, ADJOINT_START, SOFTMAX_CROSS_ENTROPY, SUBSTITUTE
from tests.certifying import certified

D, H, M = map(Dimension, "DHM")
W, U, V, b = Parameter("W", shape=(H, H)), Parameter("U", shape=(D, H)), Parameter("V", shape=(H, M)), Parameter("b")
x, h, z, y = (
    Input("x", shape=(D,)),
    State("h", shape=(H,)),
    Intermediate("z", shape=(H,)),
    Intermediate("y", shape=(M,)),
)

t, label = Target("t", shape=(H,)), Label("label")
w, n, s, v, a = Parameter("w"), Input("n1", "n_1"), State("s"), Intermediate("v"), Target("t")
QUANTITIES = (w, W, U, V, b, n, x, s, h, v, z, y, a, t, label)


def described(*equations: Eq, loss: Expr, output: Expr) -> Cell:
    """A cell of these equations, with the quantities that they use."""
    used = {quantity_of(atom) for side in (*equations, loss) for atom in atoms_of(side)}
    return Cell("own", "A cell of one's own", tuple(q for q in QUANTITIES if q in used), equations, output, loss)


def adjoint(derivation: Derivation, left: Expr) -> Equation:
    """The equation for an adjoint at a step."""
    backward = derivation.backward
    parts = (*backward.start, *backward.before_last, *backward.step, *backward.first)
    return next(equation for equation in parts if equation.lhs == left)


def cited(derivation: Derivation, equation: Equation) -> set[Expr]:
    """The left-hand sides of the cell's own equations that an equation follows from."""
    forward = derivation.forward
    own = (*forward.initial, *forward.step, *forward.last, forward.loss)
    return {source.lhs for source in own if source.number in equation.uses}


OWN_LAST_STEPS = {
    "of numbers": described(
        Eq(s[0], 0),
        Eq(v[k], s[k - 1] * w + n[k]),
        Eq(s[k], tanh(v[k])),
        Eq(v[T], s[T - 1] * w**2 + n[T]),
        Eq(s[T], v[T]),
        loss=mean((s[T] - a) ** 2),
        output=s[T],
    ),
    "of rows": described(
        Eq(h[0], 0),
        Eq(z[k], h[k - 1] @ W + x[k] @ U),
        Eq(h[k], tanh(z[k])),
        Eq(z[T], (h[T - 1] @ W) @ W + x[T] @ U),
        Eq(h[T], z[T]),
        loss=mean(total((h[T] - t) ** 2)),
        output=h[T],
    ),
}


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("cell", OWN_LAST_STEPS.values(), ids=OWN_LAST_STEPS)
def test_a_last_step_that_looks_back_differently_is_proved_whatever_is_displayed(cell, steps):
    derivation = write_derivation(cell, steps)
    source = print_network(derivation)
    assert certified(derivation, source)
    assert "if T > 1:" in source  # nothing before the first step is touched where T = 1


@pytest.mark.parametrize("cell", OWN_LAST_STEPS.values(), ids=OWN_LAST_STEPS)
def test_the_step_before_the_last_is_none_where_there_is_one_step(cell):
    for equation in write_derivation(cell).backward.before_last:
        (over,) = equation.over
        assert over.first == Max(1, T - 1)
        assert [(int(end.subs(T, 1)), int(end.subs(T, 5))) for end in (over.first, over.last)] == [(1, 4), (0, 4)]


def test_what_the_forward_pass_has_computed_is_not_computed_again_in_the_gradient():
    f = Intermediate("f", shape=(H,))
    cell = Cell(
        "own",
        "A cell without pre-activations",
        (W, U, V, x, f, h, y, t_M := Target("t", shape=(M,))),
        (
            Eq(h[0], 0),
            Eq(f[k], logistic(x[k] @ U)),
            Eq(h[k], tanh(h[k - 1] @ W + f[k])),
            Eq(y[T], h[T] @ V),
        ),
        y[T],
        mean(total((y[T] - t_M) ** 2)),
    )
    backward = write_derivation(cell).backward
    assert not any(equation.rhs.has(tanh, logistic) for equation in backward.gradients.values())
    delta = {quantity.name: adjoint[k] for quantity, adjoint in backward.adjoints.items()}
    inside = {weight: equation.rhs.args[0].args[1] for weight, equation in backward.gradients.items()}
    assert inside[U] == delta["f"] * f[k] * (1 - f[k])
    assert inside[W] == delta["h"] * (1 - h[k] ** 2)


def test_a_rule_is_named_for_what_flows_into_the_quantity_itself():
    cell = described(
        Eq(h[0], 0),
        Eq(h[k], tanh(h[k - 1] @ W + x[k] @ U)),
        Eq(y[T], h[T] @ V),
        loss=mean(softmax_cross_entropy(y[T], label) + total(h[T] ** 2)),
        output=y[T],
    )
    derivation = write_derivation(cell)
    delta = derivation.backward.adjoints
    assert adjoint(derivation, delta[y][T]).rule == SOFTMAX_CROSS_ENTROPY
    assert adjoint(derivation, delta[h][T]).rule == ADJOINT_START


# The adjoint of a cell's quantity at a step, and the equations whose partial derivatives are in it.
CITED = [
    (lstm, "h", T, ["y[T]"]),
    (lstm, "h", k, ["zi[k]", "zf[k]", "zo[k]", "zg[k]"]),
    (lstm_peephole, "h", k, ["zi[k]", "zf[k]", "zo[k]", "zg[k]"]),
    (gru, "h", T, ["y[T]"]),
    (vanilla_rnn, "h", T, ["y[T]"]),
    (vanilla_rnn, "h", k, ["z[k]"]),
    (binary_adder, "h", T, ["y[k]"]),
    (binary_adder, "h", Integer(0), ["z[k]"]),
]


@pytest.mark.parametrize(("module", "name", "step", "expected"), CITED)
def test_an_adjoint_cites_the_equations_whose_partial_derivatives_it_has(module, name, step, expected):
    derivation = write_derivation(module.cell)
    delta = {quantity.name: each for quantity, each in derivation.backward.adjoints.items()}[name]
    assert {str(left) for left in cited(derivation, adjoint(derivation, delta[step]))} == set(expected)


def test_a_last_step_of_its_own_that_looks_back_alike_is_cited_too():
    cell = described(
        Eq(s[0], 0), Eq(s[k], s[k - 1] * w + n[k]), Eq(s[T], s[T - 1] * w), loss=mean((s[T] - a) ** 2), output=s[T]
    )
    derivation = write_derivation(cell)
    (step,) = derivation.backward.step
    by_number = {equation.number: str(equation.lhs) for equation in derivation.equations}
    assert len([number for number in step.uses if "Partial(s[T], s[T - 1])" in by_number[number]]) == 1


def test_an_adjoint_is_defined_where_it_is_used():
    derivation = write_derivation(binary_adder.cell)
    defined = {each.lhs.quantity.of.name: each.over for each in derivation.equations if each.rule == ADJOINT}
    firsts = {name: [over.first for over in ranges] for name, ranges in defined.items()}
    assert firsts == {"h": [0], "y": [1], "z": [1], "x": [1]}


def test_a_state_that_stands_in_the_nested_output_is_not_cited_as_replaced():
    derivation = write_derivation(binary_adder.cell)
    nested = next(equation for equation in derivation.equations if equation.rule == SUBSTITUTE)
    (initial,) = derivation.forward.initial
    assert nested.rhs.has(initial.lhs)
    assert initial.number not in nested.uses


LEARNT = {
    "another factor": (Eq(s[T], w**2 * s[T - 1] + n[T]), s),
    "no look back": (Eq(s[T], n[T]), s),
    "an output that looks back": (Eq(v[T], s[T - 1] + s[T]), v),
}


@pytest.mark.parametrize(("last", "output"), LEARNT.values(), ids=LEARNT)
def test_a_learnt_start_and_a_last_step_that_looks_back_differently_are_refused_with_the_equation(last, output):
    loss = mean((output[T] - a) ** 2)
    cell = described(Eq(s[0], b), Eq(s[k], w * s[k - 1] + n[k]), last, loss=loss, output=output[T])
    with pytest.raises(CellError, match=rf"equation {output}\[T\] = .*: the last step looks back .* learnt: s\[0\]"):
        write_derivation(cell)
