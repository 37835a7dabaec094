"""The certificate of what values do not show: the ranges of the equations, the counts, and points near an exact fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sympy import Eq, Expr, Rational, exp, log, sqrt, tanh

from derive import Cell, CertificateError, Input, Parameter, State, T, Target, k, mean
from derive.backends.numpy.closed_form_code import print_closed_form
from derive.backends.numpy.moments_code import print_moments
from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder, logistic, lstm
from derive.certify.definedness import check_definedness
from derive.certify.equations import points_for
from derive.certify.paths import check_repeats
from derive.language.calculus import expanded_size, vanishes
from derive.language.operations import logistic as sigma
from derive.language.operations import softplus
from derive.language.quantities import LOSS
from derive.mathematics.derivation import Derivation, Equation
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import HOIST
from tests.certifying import certified

x, s, t = Input("x"), State("s"), Target("t")
W, U = Parameter("W"), Parameter("U")
HALF = Rational(1, 2)


@pytest.fixture(scope="module")
def derivation() -> Derivation:
    return write_derivation(logistic.cell)


@pytest.fixture(scope="module")
def long_memory() -> Derivation:
    return write_derivation(lstm.cell)


def changed(derivation: Derivation, old: Equation, new: Equation) -> Derivation:
    """The derivation with one equation in place of another."""
    sections = (
        replace(section, entries=tuple(new if entry == old else entry for entry in section.entries))
        for section in derivation.sections
    )
    return replace(derivation, sections=tuple(sections))


def test_a_name_that_is_used_beyond_its_range_is_refused(derivation):
    check_definedness(derivation)
    (name,) = (each for each in derivation.equations if each.rule == HOIST)
    (used,) = (each for each in derivation.equations if name.lhs in each.rhs.args)
    assert used.over[0].last == name.over[0].last == T - 1
    further = replace(used, over=(replace(used.over[0], last=T),))
    with pytest.raises(CertificateError, match=rf"equation \({used.number}\) .* is not defined, at T = 1, k = 1"):
        check_definedness(changed(derivation, used, further))


def test_an_index_that_is_one_too_large_is_refused(derivation):
    first = derivation.forward.step[0]
    with pytest.raises(CertificateError, match="is not defined"):
        check_definedness(
            changed(
                derivation,
                first,
                replace(first, rhs=first.rhs.xreplace({logistic.cell.inputs[0][k]: logistic.cell.inputs[0][k + 2]})),
            )
        )


@pytest.mark.parametrize(
    ("cell", "products", "through"),
    [(lstm.cell, 344, {"h[2]": 276, "c[2]": 270, "h[1]": 228}), (binary_adder.cell, 27, {"h[2]": 14})],
    ids=["lstm", "binary_adder"],
)
def test_a_term_repeats_once_for_each_way_to_it_and_on_from_it(cell, products, through):
    derivation = write_derivation(cell)
    found = {str(place): count for place, count in derivation.repeats.items()}
    assert derivation.repeats[LOSS] == products
    assert {place: found[place] for place in through} == through
    assert check_repeats(derivation)["T"] == [derivation.steps]


def test_a_learnt_start_is_counted_too():
    start = Parameter("start")
    c = State("c")
    step = (Eq(s[k], tanh(W * s[k - 1] + c[k - 1])), Eq(c[k], s[k] + c[k - 1] + x[k]))
    cell = Cell(
        "learnt", "A start", (W, start, x, s, c, t), (Eq(s[0], start), Eq(c[0], 0), *step), c[T], mean((c[T] - t) ** 2)
    )
    assert write_derivation(cell, steps=1).repeats == {LOSS: 2, c[1]: 2, s[1]: 2, s[0]: 1, c[0]: 0}
    derivation = write_derivation(cell)
    assert derivation.repeats[s[0]] > 1
    check_repeats(derivation)


def test_a_wrong_count_is_refused(long_memory):
    for place, count in long_memory.repeats.items():
        if count:
            wrong = replace(long_memory, repeats={**long_memory.repeats, place: count - 1})
            with pytest.raises(CertificateError, match="there are"):
                check_repeats(wrong)


def of_numbers(right: Expr, *weights: Parameter, start: Expr = HALF) -> Cell:
    """A cell of one state with this right-hand side."""
    return Cell("own", "A cell", (*weights, x, s, t), (Eq(s[0], start), Eq(s[k], right)), s[T], mean((s[T] - t) ** 2))


def test_a_cell_close_to_an_exact_fit_is_certified():
    w = [Parameter(f"w{i}") for i in range(5)]
    cell = of_numbers(w[0] * x[k] + w[1] * s[k - 1] + w[2] * x[k] + w[3] * s[k - 1] + w[4] * x[k], *w, start=0)
    derivation = write_derivation(cell)
    others = {"closed_form.py": print_closed_form(derivation), "moments.py": print_moments(derivation)}
    entries = certified(derivation, print_network(derivation), others)["code"]
    assert [entry["code"] for entry in entries] == ["network.py", "closed_form.py", "moments.py", "lambdify"]


NOT_EVERYWHERE = {
    "a root of a weight": s[k - 1] * sqrt(W) + x[k],
    "a root of a square": sqrt(1 + s[k - 1] ** 2) * W + x[k],
    "a power that is not whole": (1 + s[k - 1] ** 2) ** Rational(1, 3) * W + x[k],
    "a logarithm": log(1 + W**2) * s[k - 1] + x[k],
    "the logarithm of a weight": log(W) * s[k - 1] + x[k],
    "a quotient": s[k - 1] / (2 + W * x[k]) + x[k],
    "a pole": 1 / (x[k] * W) + s[k - 1] / 2,
    "what grows": exp(W * s[k - 1]) / 4 + x[k],
}


@pytest.mark.parametrize("right", NOT_EVERYWHERE.values(), ids=NOT_EVERYWHERE)
def test_a_cell_that_is_not_defined_everywhere_is_certified(right):
    derivation = write_derivation(of_numbers(right, W))
    assert certified(derivation, print_network(derivation))["code"]
    assert all(abs(value) < 10**3 for value in map(lambda point: point.number(LOSS), points_for(derivation)["rolled"]))


def test_what_is_too_large_to_simplify_is_known_beforehand():
    assert expanded_size((W + U) ** 3 * (x[1] + x[2])) == 16
    assert expanded_size(tanh((W + U) * (x[1] + x[2]))) == 4


def test_numbers_tell_whether_an_expression_is_zero_where_our_own_functions_are_in_it():
    w = Parameter("w")
    for difference in (sigma(w) - (1 + tanh(w / 2)) / 2, softplus(w) - log(1 + exp(w)), (-w) ** 2 - w**2):
        assert vanishes(difference)
        assert not vanishes(difference + Rational(1, 10**25))
