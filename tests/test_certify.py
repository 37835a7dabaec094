"""Nothing false gets past the certificate: every equation and every line of code is falsified, and must be caught."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sympy import Add, E, Eq, Expr, Integer, Rational, S, Sum, Symbol, exp, log, pi, sqrt, tanh

from derive import Cell, CellError, CertificateError, Label, Parameter, T, k, mean
from derive.backends.numpy.network_code import print_network
from derive.cells import character_model, vanilla_rnn
from derive.cells.linear import W_rec, W_x, cell, s, t, x
from derive.certify.equations import check_equation, points_for
from derive.certify.gradient import check_against_diff
from derive.certify.points import number_of_classes, small_sizes
from derive.language.operations import BatchSum, Partial
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import ADJOINT, SUM_OF_PATHS, Relation
from derive.mathematics.unroll import MOST_WRITTEN_OUT, SHOWN_STEPS
from tests.certifying import certified, check_network

LINEAR = write_derivation(cell)
ASSIGNMENTS = [equation for equation in LINEAR.equations if equation.rule.relation is Relation.BECOMES]
DEFINITIONS = [equation for equation in LINEAR.equations if equation.rule == ADJOINT]
COMPARED = [equation for equation in LINEAR.equations if equation not in ASSIGNMENTS + DEFINITIONS]
SOURCE = print_network(LINEAR)
TINY = Rational(1, 10**20)


@pytest.fixture(scope="module")
def points():
    return points_for(LINEAR)


def falsified(right: Expr) -> Iterator[tuple[str, Expr]]:
    """Right-hand sides that are wrong by little, each with what was done to it; test_mutations.py makes other slips."""
    if right.is_Matrix:
        for i in range(right.rows):
            for j in range(right.cols):
                for change, entry in falsified(right[i, j]):
                    wrong = right.as_mutable()
                    wrong[i, j] = entry
                    yield f"entry {i}, {j}: {change}", wrong.as_immutable()
        return
    yield "1e-20 more", right + TINY
    yield "a 1e-20th larger", right * (1 + TINY)


def worth(right: Expr) -> Expr:
    """What is left of a right-hand side since s_0 = 0; what is worth nothing can change its sign and stay true."""
    first = Partial(s[1], W_rec)

    def is_nothing(part: Expr) -> bool:
        return (
            part == s[0] or (isinstance(part, BatchSum) and part.has(first)) or (isinstance(part, Sum) and empty(part))
        )

    def empty(total: Sum) -> bool:
        return total.limits[0][1:] == (1, 0)

    return right.replace(is_nothing, lambda _: Integer(0))


WRONG = [
    pytest.param(replace(equation, rhs=wrong), id=f"{equation.number}: {change}")
    for equation in COMPARED
    for change, wrong in falsified(equation.rhs)
    if worth(wrong) != worth(equation.rhs)
]


def test_most_equations_are_compared():
    assert list(LINEAR.update) == ASSIGNMENTS
    of_inputs = LINEAR.staged.inputs[0].lhs.quantity
    assert [equation.lhs.quantity for equation in DEFINITIONS] == [*LINEAR.backward.adjoints.values(), of_inputs]
    assert {param.values[0].number for param in WRONG} == {equation.number for equation in COMPARED}
    assert len(WRONG) > 1.5 * len(COMPARED)


@pytest.mark.parametrize("equation", COMPARED, ids=lambda equation: str(equation.number))
def test_an_equation_holds_at_several_points(equation, points):
    entry = check_equation(equation, points)
    assert entry["number"] == equation.number
    assert entry["values"] > 0


@pytest.mark.parametrize("equation", WRONG)
def test_a_wrong_equation_is_refused_with_its_number_both_values_and_the_point(equation, points):
    with pytest.raises(CertificateError) as caught:
        check_equation(equation, points)
    message = str(caught.value)
    values = re.search(r"left (\S+), right (\S+), at T = \d+, N = \d+", message)
    assert values, message
    assert values[1] != values[2]
    assert f"cell 'linear', equation ({equation.number})" in message
    assert all(f"{weight} = " in message for weight in cell.parameters)


@pytest.mark.parametrize(
    "equation", [each for each in COMPARED if not each.rhs.is_Matrix], ids=lambda equation: str(equation.number)
)
def test_the_message_about_a_wrong_equation_is_one_line(equation, points):
    with pytest.raises(CertificateError) as caught:
        check_equation(replace(equation, rhs=equation.rhs + 1), points)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("equation", "what"),
    [(each, "an assignment") for each in ASSIGNMENTS] + [(each, "a definition") for each in DEFINITIONS],
    ids=lambda part: getattr(part, "lhs", part),
)
def test_what_claims_nothing_is_said_not_to_be_compared(equation, what, points):
    entry = {"number": equation.number, "rule": equation.rule.name, "checked": f"nothing: {what}"}
    assert check_equation(equation, points) == entry


def test_an_equation_that_is_never_evaluated_is_refused(points):
    nowhere = replace(LINEAR.equations[0], over=(replace(LINEAR.equations[1].over[0], last=Integer(0)),))
    with pytest.raises(CertificateError, match=r"equation \(1\) .* never evaluated"):
        check_equation(nowhere, points)


def test_an_equation_that_is_nan_is_refused(points):
    first = LINEAR.equations[0]  # s_0 = 0, and 0 log 0 is nan
    with pytest.raises(CertificateError):
        check_equation(replace(first, rhs=s[0] * log(s[0])), points)


# --- a long sequence, of which most is not written out

LONG = write_derivation(cell, MOST_WRITTEN_OUT + 10)
SUMS = [equation for equation in LONG.equations if equation.rule == SUM_OF_PATHS]


@pytest.fixture(scope="module")
def long_points():
    return points_for(LONG)


def test_every_equation_of_a_long_sequence_holds(long_points):
    for equation in LONG.equations:
        check_equation(equation, long_points)


@pytest.mark.parametrize("term", range(SHOWN_STEPS + 1))
@pytest.mark.parametrize("equation", SUMS, ids=lambda equation: str(equation.lhs.args[1]))
def test_a_sum_of_paths_that_lacks_a_term_is_refused(equation, term, long_points):
    terms = equation.rhs.args
    assert len(terms) == SHOWN_STEPS + 1
    with pytest.raises(CertificateError):
        check_equation(replace(equation, rhs=Add(*terms[:term], *terms[term + 1 :])), long_points)


def test_what_holds_at_every_step_is_not_compared_at_all_of_very_many(long_points):
    assert max(point.steps for point in long_points["rolled"]) <= MOST_WRITTEN_OUT
    assert {point.steps for point in long_points["unrolled"]} == {LONG.steps}


# --- the gradient against SymPy's diff


def mutate(derivation: Derivation, part: str) -> Derivation:
    """The derivation with the sign of one part of its backward pass flipped."""

    def flip(equation: Equation) -> Equation:
        return replace(equation, rhs=-equation.rhs)

    backward = derivation.backward
    old = getattr(backward, part)
    new = {key: flip(each) for key, each in old.items()} if part == "gradients" else tuple(map(flip, old))
    return replace(derivation, backward=replace(backward, **{part: new}))


def test_the_gradient_is_sympys():
    check_against_diff(LINEAR)
    with pytest.raises(CertificateError):
        check_against_diff(mutate(LINEAR, "step"))


@pytest.mark.parametrize("part", ["start", "step", "gradients"])
def test_a_wrong_backward_pass_is_refused(part):
    with pytest.raises(CertificateError, match=r"cell 'linear', T = \d: .*W.* differs"):
        check_against_diff(mutate(LINEAR, part))


def test_an_adjoint_of_another_step_is_refused():
    late = tuple(
        replace(each, rhs=each.rhs + each.rhs.subs(cell.parameters[1], 0) + 1) for each in LINEAR.backward.step
    )
    with pytest.raises(CertificateError):
        check_against_diff(replace(LINEAR, backward=replace(LINEAR.backward, step=late)))


# --- the generated code

LINES = [line for line in SOURCE.splitlines() if re.search(r"# \(\d+\)$", line)]


def test_the_generated_code_holds():
    check_network(cell, SOURCE)
    assert len(LINES) == 9


def test_what_is_wrong_in_the_code_is_said_with_both_values_and_the_point():
    with pytest.raises(CertificateError, match=r"cell 'linear', network\.py: .* gives .* should give .* at N = \d+, T"):
        check_network(cell, SOURCE.replace("delta[k] = ", "delta[k] = -"))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("delta[k] @ s[k - 1]", "delta[k] @ s[k]"),
        ("return Parameters(gradient_Wx, gradient_Wrec)", "return Parameters(gradient_Wrec, gradient_Wx)"),
        ("delta[k + 1] * Wrec", "delta[k + 1] * Wrec * (1 + 1e-10)"),
        ("delta[k + 1] * Wrec", "delta[k + 1] * np.nan"),
    ],
)
def test_a_slip_in_the_gradient_is_caught(line, wrong):
    """Of those that test_mutations.py does not make."""
    assert line in SOURCE
    with pytest.raises(CertificateError):
        check_network(cell, SOURCE.replace(line, wrong))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("s[0] = 0", "s[0] = 1"),
        ("np.mean((s[T] - t) ** 2)", "np.mean((s[T] - t) ** 2) + 1"),
        ("Wx - learning_rates.Wx", "Wx + learning_rates.Wx"),
        ("Wrec - learning_rates.Wrec", "Wrec - learning_rates.Wx"),
        (".s[-1]", ".s[-2]"),
    ],
)
def test_a_slip_outside_the_gradient_is_caught(line, wrong):
    assert line in SOURCE
    with pytest.raises(CertificateError):
        check_network(cell, SOURCE.replace(line, wrong))


ROWS = print_network(write_derivation(vanilla_rnn.cell))
SABOTAGE = {
    "nothing but nan for several sequences": (
        "    return value\n",
        "    return value if len(np.asarray(t)) == 1 else np.nan * value\n",
    ),
    "a gradient of another shape": ("return Parameters(gradient_Wx,", "return Parameters(gradient_Wx[None],"),
    "a bias as a column": ("gradient_b, ", "gradient_b[:, None], "),
    "an output the wrong way round": ("    return output\n", "    return output.T\n"),
    "a small error in a small gradient": ("gradient_b, ", "gradient_b + 1e-9 * (np.arange(len(gradient_b)) == 0), "),
}


@pytest.mark.parametrize(("line", "wrong"), SABOTAGE.values(), ids=SABOTAGE)
def test_a_slip_in_rows_is_caught(line, wrong):
    assert line in ROWS
    with pytest.raises(CertificateError):
        check_network(vanilla_rnn.cell, ROWS.replace(line, wrong))


def test_a_wrong_weight_is_not_hidden_by_the_larger_gradient_of_another():
    b = Parameter("b")
    large = Cell(
        "large",
        "A gradient much larger than the other",
        (W_x, b, x, s, t),
        (Eq(s[0], 0), Eq(s[k], s[k - 1] / 2 + x[k] * W_x + b / 10**7)),
        s[T],
        mean((s[T] - t) ** 2),
    )
    source, right = print_network(write_derivation(large)), "return Parameters(gradient_Wx, gradient_b)"
    assert right in source
    check_network(large, source)
    with pytest.raises(CertificateError, match="value_and_gradient"):
        check_network(large, source.replace(right, "return Parameters(gradient_Wx, gradient_b * (1 + 1e-4))"))


def test_what_cannot_be_checked_is_one_line_that_names_the_cell():
    with pytest.raises(CertificateError, match=r"^cell 'linear', network\.py: it cannot be checked: NameError: .*$"):
        certified(LINEAR, SOURCE.replace("delta[T] =", "delta[T] = nothing +"))
    first, *others = LINEAR.sections
    step = LINEAR.equations[1]
    entries = tuple(replace(step, rhs=step.rhs + Symbol("q")) if entry == step else entry for entry in first.entries)
    broken = replace(LINEAR, sections=(replace(first, entries=entries), *others))
    with pytest.raises(CertificateError, match=r"^cell 'linear', equation \(2\) .*: it cannot be checked: .*$"):
        certified(broken, SOURCE)


def test_labels_of_every_class_are_drawn():
    points = points_for(write_derivation(character_model.cell))["rolled"]
    drawn = (value for point in points for atom, value in point.given.items() if atom.has(Label))
    labels = {int(points[0].arithmetic.exactly(label)) for value in drawn for label in value.flat}
    assert labels == set(range(number_of_classes(character_model.cell, small_sizes(character_model.cell))))


def test_nothing_is_claimed_of_the_gradient_of_rows_where_nothing_is_compared():
    assert "gradient" not in certified(write_derivation(vanilla_rnn.cell), ROWS)
    assert certified(LINEAR, SOURCE)["gradient"]["steps"] == [1, 2, 3, 4]


def described(right: Expr, start: Expr = S.Zero) -> Cell:
    """A cell of one state with this right-hand side."""
    used = [weight for weight in (W_x, W_rec) if right.has(weight)]
    return Cell("own", "A cell", (*used, x, s, t), (Eq(s[0], start), Eq(s[k], right)), s[T], mean((s[T] - t) ** 2))


PROVED = {
    "pi and e": tanh(pi * W_rec * s[k - 1] / E + x[k]),
    "something like a GELU": s[k - 1] * (1 + tanh(sqrt(2 / pi) * (W_rec * s[k - 1] + s[k - 1] ** 3 / 20))) / 2 + x[k],
    "the number of steps": s[k - 1] * W_rec + x[k] / T,
    "the step": W_rec * s[k - 1] / k + x[k],
    "a root of a weight": s[k - 1] * sqrt(W_rec) + x[k],
    "a power of a weight": W_rec**2 * s[k - 1] + x[k] * W_rec**k,
    "a function that saturates": tanh(s[k - 1] * W_rec + x[k] * k),
    "a pole": 1 / (x[k] * W_x + W_rec) + s[k - 1] / 2,
    "the logarithm of a weight": log(W_rec) * s[k - 1] + x[k],
}


@pytest.mark.parametrize("right", PROVED.values(), ids=PROVED)
def test_a_cell_is_proved_at_points_that_suit_it(right):
    derivation = write_derivation(described(right))
    assert certified(derivation, print_network(derivation))


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (sqrt(W_x * s[k - 1]) + W_rec * x[k], r"the derivative does not exist at s\[0\] = 0; start elsewhere"),
        (W_rec * x[k] + 1 / s[k - 1], r"the loss is no real number .* at s\[0\] = 0; .* start elsewhere"),
        (log(-1 - s[k - 1] ** 2) * W_rec + x[k], "the loss is no real number .* keep it positive"),
        (exp(exp(s[k - 1] ** 2 + 3)) * (1 + W_rec**2) + x[k], "the loss is no real number .* it grows"),
    ],
)
def test_a_cell_without_a_value_or_a_derivative_is_refused_in_one_line(right, words):
    with pytest.raises(CellError, match=words) as caught:
        certified(derivation := write_derivation(described(right)), print_network(derivation))
    assert "\n" not in str(caught.value)


def test_the_certificate_lists_every_equation_and_is_the_same_twice():
    first, second = certified(LINEAR, SOURCE), certified(LINEAR, SOURCE)
    assert first == second
    assert [entry["number"] for entry in first["equations"]] == list(range(1, len(LINEAR.equations) + 1))
    assert first["cell"] == "linear"
