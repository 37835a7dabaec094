"""The derivation of the linear network, recomputed here by hand, by SymPy and by NumPy."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import itertools
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import numpy as np
import pytest
from sympy import Add, Expr, Integer, Matrix, S, Sum, Symbol, expand, preorder_traversal, simplify

from derive import Cell, CertificateError, DeriveError, N, T, derive, k
from derive.backends.numpy.network_code import print_network
from derive.cells.linear import W_rec, W_x, cell, s, t, x
from derive.language.operations import (
    BatchMean,
    BatchSum,
    Determinant,
    Eigenvalue,
    Hessian,
    Partial,
    SpectralRadius,
    Total,
    UpdateJacobian,
)
from derive.language.quantities import LOSS, Adjoint, At
from derive.mathematics.derivation import Derivation, Dots, Equation, Remark, Table
from derive.mathematics.pipeline import write_derivation
from derive.mathematics.rules import CHAIN, CLOSED_FORM, SUBSTITUTE, SUM_OF_PATHS, SUM_OVER_TIME, UNROLL
from derive.mathematics.unroll import MOST_WRITTEN_OUT, SHOWN_STEPS
from derive.output import notebook

WEIGHTS = (W_x, W_rec)
X, TARGETS = cell.example.X, cell.example.t
PAIRS = [(W_x, W_x), (W_x, W_rec), (W_rec, W_rec)]


def by_rule(derivation: Derivation, rule) -> list[Equation]:
    return [equation for equation in derivation.equations if equation.rule is rule]


def by_left(derivation: Derivation, kind) -> list[Equation]:
    return [equation for equation in derivation.equations if isinstance(equation.lhs, kind)]


def equation_for(derivation: Derivation, left: Expr, rule=None) -> Equation:
    """The last equation with this left-hand side."""
    return [e for e in derivation.equations if e.lhs == left and rule in (None, e.rule)][-1]


# --- the list of equations


@pytest.fixture(scope="module", params=[1, 2, 3, 4, 7, 8])
def any_length(request) -> Derivation:
    return write_derivation(cell, request.param)


def test_equations_are_numbered_without_a_gap(any_length):
    assert [equation.number for equation in any_length.equations] == list(range(1, len(any_length.equations) + 1))


def test_an_equation_follows_from_earlier_ones(any_length):
    for equation in any_length.equations:
        assert all(1 <= used < equation.number for used in equation.uses), equation
        assert list(equation.uses) == sorted(set(equation.uses))


def test_every_equation_is_given_or_follows_from_something(linear):
    first = {
        "given",
        "definition of the adjoint",
        "induction hypothesis",
        "naming a repeating term",
        "chain rule, all paths",
    }
    assert {equation.rule.name for equation in linear.equations if not equation.uses} <= first


def test_every_rule_has_one_name_and_a_law(linear):
    rules = {equation.rule for equation in linear.equations}
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.law.endswith(".") and rule.law[0].isupper() for rule in rules)


def test_the_parts_are_equations_of_the_list(linear):
    forward, backward = linear.forward, linear.backward
    parts = (*forward.initial, *forward.step, *forward.last, forward.loss, *backward.start, *backward.step)
    assert {*parts, *backward.gradients.values(), *linear.update} <= set(linear.equations)


def test_deriving_twice_gives_the_same(linear):
    assert derive(cell).equations == linear.equations


def test_what_derive_returns_has_been_certified(linear, monkeypatch):
    first, *others = linear.sections
    step = linear.forward.step[0]
    entries = tuple(dataclasses.replace(step, rhs=2 * step.rhs) if entry == step else entry for entry in first.entries)
    wrong = dataclasses.replace(linear, sections=(dataclasses.replace(first, entries=entries), *others))
    monkeypatch.setattr(notebook, "write_derivation", lambda cell, steps: wrong)
    with pytest.raises(CertificateError, match=rf"equation \({step.number}\)"):
        derive(cell)


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps_are_an_error(steps):
    with pytest.raises(DeriveError, match=f"{steps}.*1 or more"):
        derive(cell, steps)


def test_one_step_is_enough():
    short = write_derivation(cell, 1)
    assert [equation.lhs for equation in by_rule(short, UNROLL)] == [s[1], LOSS]
    assert equation_for(short, s[1], SUBSTITUTE).rhs == x[1] * W_x
    assert len(by_rule(short, CHAIN)) == 2


def test_many_steps_are_all_there_and_hidden_in_the_display_only():
    long = write_derivation(cell, 50)
    assert [equation.lhs for equation in by_rule(long, UNROLL)] == [s[step] for step in range(1, 51)] + [LOSS]
    assert len(by_rule(long, CHAIN)) == 2 * 2 * SHOWN_STEPS
    hidden = {number for section in long.sections for number in section.elided}
    shown = [equation for equation in by_rule(long, UNROLL) if equation.number not in hidden]
    assert len(shown) < 10
    assert {shown[0].lhs, shown[-2].lhs, shown[-1].lhs} == {s[1], s[50], LOSS}
    assert hidden <= {equation.number for equation in long.equations}


def size(derivation: Derivation) -> int:
    """How many nodes the expressions of a derivation have."""
    sides = (side for each in derivation.equations for side in (each.lhs, each.rhs))
    return sum(1 for side in sides for _ in preorder_traversal(side))


def equations_in(part: object) -> Iterator[Equation]:
    """Every equation that a derivation, or a part of it, leads to."""
    if isinstance(part, Equation):
        yield part
    elif isinstance(part, Mapping):
        yield from equations_in((*part.keys(), *part.values()))
    elif isinstance(part, tuple | list):
        yield from (equation for each in part for equation in equations_in(each))
    elif dataclasses.is_dataclass(part) and not isinstance(part, Cell):
        yield from equations_in([getattr(part, each.name) for each in dataclasses.fields(part)])


@pytest.mark.parametrize("name", ["linear", "logistic", "lstm"])
def test_a_number_is_one_equation(name):
    derivation = write_derivation(importlib.import_module(f"derive.cells.{name}").cell)
    numbered = {equation.number: equation for equation in derivation.equations}
    assert list(numbered) == list(range(1, len(derivation.equations) + 1))
    found = list(equations_in(derivation))
    assert {equation.number for equation in found} == set(numbered)
    assert all(equation is numbered[equation.number] for equation in found)


@pytest.mark.parametrize("name", ["linear", "logistic", "tanh"])
def test_a_derivation_grows_by_as_much_with_every_step(name):
    any_cell = importlib.import_module(f"derive.cells.{name}").cell
    short, middle, long = (write_derivation(any_cell, steps) for steps in (30, 40, 50))
    assert size(long) - size(middle) == size(middle) - size(short)
    assert len(long.equations) - len(middle.equations) == 10 * len(any_cell.step)


def test_a_thousand_steps_are_written_out():
    long = write_derivation(cell, 1000)
    assert size(long) < 200 * 1000
    assert max(len(equation.uses) for equation in long.equations) < 1010
    assert repeating(long)[0] == {step: 2 * step for step in (1, 2, 3, 998, 999, 1000)}


@pytest.mark.parametrize("steps", [MOST_WRITTEN_OUT, MOST_WRITTEN_OUT + 1])
def test_dots_stand_where_equations_are_left_out(steps):
    sections = [section.entries for section in write_derivation(cell, steps).sections]
    dots = [(before, after) for entries in sections for before, dot, after in triples(entries) if dot == Dots()]
    assert len(dots) == (3 if steps > MOST_WRITTEN_OUT else 0)  # the paths of two weights, and the terms
    assert all(before.rule == after.rule for before, after in dots)


def triples(entries: tuple) -> Iterator[tuple]:
    """Every three entries that stand one after the other."""
    return zip(entries, entries[1:], entries[2:], strict=False)


def test_the_paths_that_are_not_written_out_are_gathered_in_one_total_derivative():
    long = write_derivation(cell, 50)
    for weight, whole in zip(WEIGHTS, by_rule(long, SUM_OF_PATHS), strict=True):
        factors = [term.args[0].args for term in whole.rhs.args]
        ends = [Partial(s[50], weight), Partial(s[49], weight), Partial(s[48], weight), Total(s[47], weight)]
        assert [chain[-1] for chain in factors] == ends
        assert [len(chain) for chain in factors] == [2, 3, 4, 5]


def test_few_steps_are_all_shown(linear):
    assert not any(section.elided for section in linear.sections)


# --- the terms that repeat, recounted on paths written as text


def written_paths(steps: int) -> list[str]:
    """The product of every path from the loss to a use of a weight, as a line of code."""
    start = f"2 / N * (s{steps} - t)"
    return [
        start + " * Wrec" * (steps - step) + f" * {last}"
        for step in range(1, steps + 1)
        for last in (f"x{step}", f"s{step - 1}")
    ]


def operations(code: str) -> int:
    return sum(isinstance(node, ast.BinOp) for node in ast.walk(ast.parse(code)))


def named_operations(steps: int) -> int:
    """The same with δ_k by name: its own line each, and one line a path."""
    names = [f"2 / N * (s{steps} - t)"] + [f"delta{step + 1} * Wrec" for step in range(1, steps)]
    uses = [f"delta{step} * {last}" for step in range(1, steps + 1) for last in (f"x{step}", f"s{step - 1}")]
    return sum(map(operations, names + uses))


def repeating(derivation: Derivation) -> tuple[dict[int, int], list[int]]:
    """How often each δ_k occurs, by k, where it is not elided, and the numbers of operations: as the page says."""
    section = next(section for section in derivation.sections if "repeat" in section.title)
    table = next(entry for entry in section.entries if isinstance(entry, Table))
    values = [entry.values for entry in section.entries if isinstance(entry, Remark) and "before" in entry.values]
    shown = {int(row[0].index): int(row[-1]) for row in table.rows if isinstance(row[0], At)}
    return shown, [int(values[0]["before"]), int(values[0]["after"])]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 9, 40])
def test_occurrences_and_operations_are_counted_right(steps):
    occurrences, counted = repeating(write_derivation(cell, steps))
    paths = written_paths(steps)
    starts = {step: f"2 / N * (s{steps} - t)" + " * Wrec" * (steps - step) for step in range(1, steps + 1)}
    recounted = {step: sum(path.startswith(start) for path in paths) for step, start in starts.items()}
    assert recounted == {step: 2 * step for step in starts}
    assert occurrences.items() <= recounted.items()
    assert {1, steps} <= occurrences.keys()
    assert steps > 6 or occurrences == recounted
    assert counted == [sum(map(operations, paths)), named_operations(steps)]


def test_three_steps_have_the_numbers_of_the_tutorial(linear):
    assert repeating(linear) == ({3: 6, 2: 4, 1: 2}, [30, 11])


# --- closed form and gradient, against SymPy's diff of the network written out here


def nested(row, steps: int | None = None) -> Expr:
    """The last state, as one expression of the weights; `row` holds the inputs."""
    state = S.Zero
    for value in row[:steps]:
        state = state * W_rec + value * W_x
    return expand(state)


INPUTS = [x[step] for step in range(1, 6)]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_the_closed_form_is_the_nested_one(linear, steps):
    (closed,) = by_rule(linear, CLOSED_FORM)
    assert expand(closed.rhs.subs(T, steps).doit()) == nested(INPUTS, steps)
    assert expand(equation_for(write_derivation(cell, steps), s[steps], SUBSTITUTE).rhs) == nested(INPUTS, steps)


def batch_of(sequences: int, steps: int) -> list[dict[Expr, Expr]]:
    """Every sequence with symbols of its own for inputs and target, and its states written out."""
    batch = []
    for n in range(sequences):
        row = [Symbol(f"x{step}_{n}") for step in range(1, steps + 1)]
        states = {s[step]: nested(row, step) for step in range(steps + 1)}
        batch.append({x[step]: row[step - 1] for step in range(1, steps + 1)} | {t: Symbol(f"t{n}")} | states)
    return batch


def over_batch(expression: Expr, batch: list[dict[Expr, Expr]]) -> Expr:
    """Sums and means over the batch, written out."""

    def total(inside: Expr) -> Expr:
        return Add(*(inside.xreplace(sequence) for sequence in batch))

    written = expression.replace(BatchMean, lambda inside: total(inside) / N).replace(BatchSum, total)
    return written.subs(N, len(batch))


def over_time(expression: Expr, steps: int) -> Expr:
    """Σ over k = 1 … T, written out."""
    return expression.replace(
        lambda part: isinstance(part, Sum),
        lambda total: Add(*(total.function.subs(k, step) for step in range(1, steps + 1))),
    ).subs(T, steps)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_the_gradient_is_sympys_derivative_of_the_nested_loss(linear, weight, steps):
    batch = batch_of(2, steps)
    (start,), (step_back,) = linear.backward.start, linear.backward.step
    for sequence in batch:
        sequence[start.lhs.subs(T, steps)] = start.rhs.subs({T: steps, N: len(batch)}).xreplace(sequence)
        for step in range(steps - 1, 0, -1):
            sequence[step_back.lhs.subs(k, step)] = step_back.rhs.subs(k, step).xreplace(sequence)
    gradient = over_batch(over_time(equation_for(linear, Total(LOSS, weight), SUM_OVER_TIME).rhs, steps), batch)
    loss = over_batch(cell.loss.subs(T, steps), batch)
    assert not gradient.has(Adjoint, s)
    assert expand(gradient - loss.diff(weight)) == 0


# --- curvature and learning rates, on the tutorial's data

LOSS_OF_WEIGHTS = expand(sum((nested(row) - target) ** 2 for row, target in zip(X, TARGETS, strict=True)) / 3)
"""The loss of the tutorial's three sequences, a polynomial of the two weights."""
HESSIAN = Matrix(2, 2, lambda i, j: LOSS_OF_WEIGHTS.diff(WEIGHTS[i], WEIGHTS[j]).subs({W_x: 1, W_rec: 1}))
H = np.array(HESSIAN.tolist(), dtype=float)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_second_derivative_is_sympys_at_all_weights(linear, pair):
    slopes = {equation.lhs: equation.rhs for equation in by_left(linear, Total) if equation.lhs.args[0] == s[T]}
    bent = equation_for(linear, Total(LOSS, *pair)).rhs.xreplace(slopes).subs(T, 3)
    batch = [
        {x[step]: Integer(row[step - 1]) for step in range(1, 4)} | {t: Integer(target), s[3]: nested(row)}
        for row, target in zip(X, TARGETS, strict=True)
    ]
    assert expand(over_batch(bent.doit(), batch) - LOSS_OF_WEIGHTS.diff(*pair)) == 0


def test_the_hessian_at_the_solution_is_sympys(linear):
    (hessian,) = by_left(linear, Hessian)
    assert hessian.rhs == HESSIAN
    assert [LOSS_OF_WEIGHTS.diff(weight).subs({W_x: 1, W_rec: 1}) for weight in WEIGHTS] == [0, 0]


def test_the_eigenvalues_are_roots_of_the_characteristic_polynomial_in_order(linear):
    found = [equation.rhs for equation in by_left(linear, Eigenvalue)]
    assert all(expand((HESSIAN - value * Matrix.eye(2)).det()) == 0 for value in found)
    np.testing.assert_allclose([float(value) for value in found], np.linalg.eigvalsh(H), rtol=1e-13)


def radius(rates) -> float:
    return np.abs(np.linalg.eigvals(np.eye(2) - np.diag(rates) @ H)).max()


def printed_factors(derivation: Derivation) -> list[tuple[np.ndarray, float]]:
    """The learning rates of the page with the factor that it gives for them: the example's, one rate, a pair."""
    found = []
    for equation in by_left(derivation, SpectralRadius):
        rates = {pair[0]: pair[1] for pair in equation.lhs.args[0].args}
        found.append((np.array([float(rates[weight].args[0]) for weight in WEIGHTS]), equation.rhs))
    return found


def test_the_update_jacobian_is_numpys(linear):
    (jacobian,) = by_left(linear, UpdateJacobian)
    rates = [pair[1] for pair in jacobian.lhs.args]
    assert (jacobian.rhs - (Matrix.eye(2) - Matrix.diag(*rates) * HESSIAN)).expand() == Matrix.zeros(2)


def test_the_factors_are_numpys_spectral_radii(linear):
    factors = printed_factors(linear)
    assert len(factors) == 3
    for rates, factor in factors:
        np.testing.assert_allclose(float(factor.args[0]), radius(rates), rtol=1e-12)


def test_the_factor_of_the_example_is_that_of_its_rates(linear):
    rates, factor = printed_factors(linear)[0]
    assert rates.tolist() == [0.02, 0.0006]
    assert factor.args[1] == 6
    assert f"{float(factor.args[0]):.6g}" == "0.99948"


def test_no_single_rate_and_no_pair_is_better_than_the_best(linear):
    _, (single, single_factor), (_, pair_factor) = printed_factors(linear)
    nearby = np.concatenate([np.linspace(0.5, 1.5, 201), 1 + np.linspace(-1e-4, 1e-4, 21)])
    assert min(radius(single * scale) for scale in nearby) >= float(single_factor.args[0]) - 1e-14
    grid = itertools.product(np.linspace(0.001, 0.3, 90), repeat=2)
    assert min(radius(pair) for pair in grid) >= float(pair_factor.args[0]) - 1e-14


@pytest.fixture(scope="module")
def network(linear) -> SimpleNamespace:
    namespace = {"__name__": "network"}
    exec(compile(print_network(linear), "network.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


def distances(network, rates, updates: int, away: float = 1e-6) -> np.ndarray:
    """Trains on the tutorial's data from `away` of the solution; how far from it the weights are after each update."""
    parameters, rates = network.Parameters(1 + away, 1 + away), network.Parameters(*rates)
    found = []
    for _ in range(updates):
        parameters = network.descend(parameters, network.gradients(parameters, X, TARGETS), rates)
        found.append(np.linalg.norm(np.array(parameters) - 1))
    return np.array(found)


@pytest.mark.parametrize(("which", "updates"), [(0, 1500), (1, 60), (2, 60)], ids=["example", "one rate", "a pair"])
def test_training_shrinks_the_error_by_the_printed_factor(linear, network, which, updates):
    rates, factor = printed_factors(linear)[which]
    away = distances(network, rates, updates)
    # Over two updates: with the best rates both eigenvalues are as large, and of opposite sign.
    np.testing.assert_allclose(np.sqrt(away[-1] / away[-3]), float(factor.args[0]), rtol=1e-6)


@pytest.mark.parametrize(("scale", "shrinks"), [(0.995, True), (1.005, False)])
@pytest.mark.parametrize("direction", [(1, 1), (1, 0.003), (0.2, 1)], ids=str)
def test_the_border_of_stability_is_where_training_turns(linear, network, direction, scale, shrinks):
    (border,), (jacobian,) = by_left(linear, Determinant), by_left(linear, UpdateJacobian)
    length = Symbol("length")
    along = {pair[1]: length * part for pair, part in zip(jacobian.lhs.args, direction, strict=True)}
    first_crossing = min(map(float, border.rhs.subs(along).as_poly(length).nroots()))
    assert first_crossing > 0
    away = distances(network, scale * first_crossing * np.array(direction), updates=1500, away=1e-9)
    assert (away[-1] < away[0] / 2) if shrinks else (away[-1] > 100 * away[0])


def test_the_largest_single_rate_is_two_over_the_largest_eigenvalue(linear):
    (border,), (jacobian,) = by_left(linear, Determinant), by_left(linear, UpdateJacobian)
    both = 2 / by_left(linear, Eigenvalue)[-1].rhs
    assert simplify(border.rhs.subs({pair[1]: both for pair in jacobian.lhs.args})) == 0
    assert f"{float(both):.3g}" == "0.0846"
