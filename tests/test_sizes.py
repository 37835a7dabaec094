"""Large cells: work that grows with what is written, bounds by size alone, and a word of what takes long."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, pairwise

import pytest
from sympy import Eq, Expr, Integer, tanh

from derive import Cell, CertificateError, Input, Parameter, State, T, Target, k, mean
from derive.backends.numpy.network_code import print_network
from derive.certify import gradient
from derive.certify.gradient import check_against_diff, size_of_nested
from derive.language.calculus import derivative, is_small, is_zero, vanishes
from derive.language.operations import Total
from derive.mathematics import closed_form
from derive.mathematics.ledger import Ledger
from derive.mathematics.pipeline import MOST_WEIGHTS, write_derivation
from derive.mathematics.pullbacks import partial
from derive.output.progress import PATIENCE, REWRITE, Progress
from tests.certifying import certified

x, t, s, w, u = Input("x"), Target("t"), State("s"), Parameter("w"), Parameter("u")


def described(quantities: tuple[Expr, ...], *equations: Eq, output: State = s) -> Cell:
    loss = mean((output[T] - t) ** 2)
    return Cell("large", "A large cell", (*quantities, x, t), equations, output[T], loss)


def nested(depth: int) -> Cell:
    """tanh of tanh of tanh …"""
    value = w * s[k - 1] + u * x[k]
    for _ in range(depth):
        value = tanh(value)
    return described((w, u, s), Eq(s[0], 0), Eq(s[k], value))


def coupled(count: int) -> Cell:
    """Every state reads every state."""
    states = [State(f"s{place}") for place in range(count)]
    rows = [[Parameter(f"w{row}{column}") for column in range(count)] for row in range(count)]
    inputs = [Parameter(f"u{row}") for row in range(count)]
    starts = (Eq(state[0], 0) for state in states)
    steps = (
        Eq(state[k], tanh(sum((weight * other[k - 1] for weight, other in zip(row, states, strict=True)), own * x[k])))
        for state, row, own in zip(states, rows, inputs, strict=True)
    )
    return described((*chain(*rows), *inputs, *states), *starts, *steps, output=states[0])


def weighted(count: int) -> Cell:
    """The sums of many weights: half of them times the state, half times the input."""
    weights = [Parameter(f"w{place}") for place in range(count)]
    total = sum((weight * (s[k - 1] if place % 2 else x[k]) for place, weight in enumerate(weights)), Integer(0))
    return described((*weights, s), Eq(s[0], 0), Eq(s[k], total))


def chained(count: int) -> Cell:
    """Each state reads the one before."""
    states = [State(f"s{place}") for place in range(count)]
    starts = (Eq(state[0], 0) for state in states)
    steps = (Eq(state[k], tanh(before[k - 1])) for before, state in pairwise(states))
    first = Eq(states[0][k], w * states[-1][k - 1] + u * x[k])
    return described((w, u, *states), *starts, first, *steps, output=states[-1])


@pytest.fixture
def terms(monkeypatch) -> Iterator[Counter[str]]:
    """How many terms the proofs simplify, as they are found."""
    counted: Counter[str] = Counter()
    simplified = closed_form.simplified

    def count(difference: Expr) -> Expr:
        counted["terms"] += closed_form.expanded_size(difference)
        return simplified(difference)

    monkeypatch.setattr(closed_form, "simplified", count)
    yield counted


@pytest.mark.parametrize(("made", "small", "power"), [(nested, 5, 0), (weighted, 5, 2), (chained, 6, 1)])
def test_proofs_grow_with_what_they_say(made: Callable[[int], Cell], small, power, terms):
    """Twice as deep, the same terms; twice the weights, twice as many proofs of twice as many terms."""
    write_derivation(made(small))
    before = terms.pop("terms")
    write_derivation(made(2 * small))
    assert terms["terms"] <= 2**power * before * 1.5


def test_a_derivative_grows_with_the_depth():
    value = nested(30).step[s]
    factors = partial(value, s[k - 1]).args
    assert len(factors) == 31
    assert derivative(value, s[k - 1]).has(tanh)


@pytest.mark.parametrize("cell", [nested(4), coupled(2), weighted(MOST_WEIGHTS + 1), chained(7)])
def test_a_large_cell_is_derived_and_certified(cell):
    derivation = write_derivation(cell)
    assert derivation.by_numbers == ()
    assert "proofs" not in certified(derivation, print_network(derivation))


def left_hand_sides(cell: Cell) -> list[Expr]:
    return [equation.lhs for equation in write_derivation(cell).equations]


def test_the_second_derivatives_by_many_weights_are_not_written_out():
    pairs = [
        sum(
            isinstance(each.lhs, Total) and len(each.lhs.args) == 3
            for each in write_derivation(weighted(count)).equations
        )
        for count in (2, MOST_WEIGHTS + 1)
    ]
    assert pairs == [6, 0]


def test_where_a_proof_would_be_too_large_numbers_take_over_and_the_certificate_says_so(monkeypatch):
    monkeypatch.setattr(closed_form, "LARGEST_PROVED", 0)
    derivation = write_derivation(weighted(2))
    assert "the induction step of the closed form" in derivation.by_numbers
    assert "that forward mode gives the gradient for w0, at a step" in derivation.by_numbers
    proofs = certified(derivation, print_network(derivation))["proofs"]
    assert proofs["claims"] == list(derivation.by_numbers)
    assert "30 digits" in proofs["statement"]


def test_numbers_refuse_what_is_wrong(monkeypatch):
    monkeypatch.setattr(closed_form, "LARGEST_PROVED", 0)
    with pytest.raises(CertificateError, match=r"^cell 'large': a slip is not proved: "):
        closed_form.prove(weighted(2), "a slip", w * s[k], w * s[k] + u * s[k] / 10**9, Ledger())


def test_a_gradient_too_large_to_be_simplified_is_compared_at_points(monkeypatch):
    derivation = write_derivation(nested(1))
    assert check_against_diff(derivation)["steps"] == [1, 2, 3]
    monkeypatch.setattr(gradient, "is_zero", lambda difference: False)
    entry = check_against_diff(derivation)
    assert (entry["steps"], entry["steps at random points, to 30 digits"]) == ([], [1, 2, 3, 4])


def test_a_nested_loss_is_measured_before_it_is_put_together():
    assert size_of_nested(coupled(3), 4) > 3 * size_of_nested(coupled(3), 3)
    assert size_of_nested(coupled(9), 4) > gradient.LARGEST_BUILT


def test_what_vanishes():
    large = (w + u * x[1]) ** 60
    assert not is_small(large)
    assert not is_zero(large - large.expand())
    assert vanishes(large - large.expand())
    assert not vanishes(large - large.expand() + w / 10**20)


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def watched(stream: io.StringIO) -> list[float]:
    """What a progress waits for while it shows two things, one after the other."""
    waited: list[float] = []
    steps = iter(["proving equation 1 of 9", "proving equation 2 of 9"])

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        what = next(steps, None)
        progress(what or "")
        return what is None

    progress = Progress("large", stream, wait)
    with progress:
        pass
    return waited


def test_a_log_has_a_line_every_ten_seconds(monkeypatch):
    monkeypatch.setattr("derive.output.progress.PATIENCE", PATIENCE)
    stream = io.StringIO()
    assert watched(stream) == [PATIENCE] * 3
    assert stream.getvalue() == "large: proving equation 1 of 9 …\nlarge: proving equation 2 of 9 …\n"


def test_a_terminal_has_one_line_and_is_left_clean(monkeypatch):
    monkeypatch.setattr("derive.output.progress.PATIENCE", PATIENCE)
    stream = Terminal()
    assert watched(stream) == [PATIENCE, REWRITE, REWRITE]
    shown = [part.rstrip() for part in stream.getvalue().split("\r")]
    assert shown == ["", "large: proving equation 1 of 9 …", "large: proving equation 2 of 9 …", "", ""]


def test_what_ends_sooner_says_nothing():
    stream = Terminal()
    with Progress("small", stream) as progress:
        progress("proving equation 1 of 9")
    assert stream.getvalue() == ""
    with Progress("small", None) as progress:
        progress("proving equation 1 of 9")


def test_every_equation_is_named_before_it_is_proved():
    said: list[str] = []
    derivation = write_derivation(nested(1), report=said.append)
    count = len(derivation.equations)
    assert said == [f"deriving equation {number}" for number in range(2, count + 2)]
