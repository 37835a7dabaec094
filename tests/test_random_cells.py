"""Cells that nobody would write: drawn at random, derived, printed, run, and compared with the cell itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from sympy import Eq, Expr, Rational, sin, tanh

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
    logistic_cross_entropy,
    mean,
    softmax_cross_entropy,
    softplus,
    total,
)
from derive.backends.numpy.adapter import candidates_of, network_candidate
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import network_of, print_network
from derive.backends.numpy.network_fast_code import print_network_fast
from derive.certify.candidate import check_candidate
from derive.certify.points import Numbers, draw_numbers, sample_of, trouble_with
from derive.documents.html import print_html
from derive.documents.markdown import print_markdown
from derive.documents.tex import print_tex
from derive.language.quantities import Product, Quantity, Shape, atoms_of, quantity_of
from derive.mathematics.pipeline import write_derivation
from tests.certifying import certified

D, H, G, M = map(Dimension, "DHGM")
REFUSED = "the last step looks back differently from the others, and the initial state is learnt"


class Author:
    """Draws expressions, and declares the weights in them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.weights, self._numbers = draw, [], count(1)

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def weight(self, *shape: Dimension) -> Parameter:
        """A new weight or, now and then, one that is used already."""
        if (alike := [w for w in self.weights if w.dimensions == shape]) and self.one_of(True, False, False):
            return self.one_of(*alike)
        self.weights.append(Parameter(f"w{next(self._numbers)}", shape=shape))
        return self.weights[-1]

    def product(self, atom: Expr, shape: Shape, known: Sequence[Expr] = ()) -> Expr:
        """What is known, now and then gated by another of its shape, times a weight: a matrix, a transpose, a sum."""
        rows = atom.quantity.dimensions
        if not rows:
            return atom * self.weight()
        alike = [other for other in known if other.quantity.dimensions == rows]
        left = atom * self.one_of(*alike) if alike and self.one_of(True, False, False) else atom
        match self.one_of("matrix", "matrix", "transpose", "sum"):
            case "matrix":
                return Product(left, self.weight(*rows, *shape))
            case "transpose":
                return Product(left, self.weight(*shape, *rows).T)
            case _:
                return Product(left, self.weight(*rows, *shape) - self.weight(*shape, *rows).T)

    def expression(self, shape: Shape, known: list[Expr], depth: int = 2) -> Expr:
        """An expression of this shape, of quantities at a step that are known."""
        alike = [atom for atom in known if atom.quantity.dimensions == shape]
        deeper = ("sum", "Hadamard", "function", "scaled", "biased") if depth else ()
        kind = self.one_of("product", *(["known"] if alike else []), *deeper)
        if kind == "known":
            return self.one_of(*alike)
        if kind == "product":
            return self.product(self.one_of(*known), shape, known)
        inner = self.expression(shape, known, depth - 1)
        match kind:
            case "sum":
                return inner + self.expression(shape, known, depth - 1)
            case "Hadamard":
                return inner * self.expression(shape, known, depth - 1)
            case "function":
                return self.one_of(tanh, logistic, softplus, sin)(inner)
            case "scaled":
                return self.one_of(self.weight(), Rational(1, 3), Rational(-2, 5)) * inner
            case _:
                return inner + self.weight(*shape)


def leading_to(end: Quantity, equations: list[Eq]) -> set[Quantity]:
    """Everything that a quantity is computed from, itself included."""
    found, more = set(), {end}
    while more:
        found |= more
        more = {quantity_of(atom) for each in equations if each.lhs.quantity in more for atom in atoms_of(each.rhs)}
        more -= found
    return found


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """A cell of one to three states, of rows or of numbers."""
    author = Author(draw)
    choose = author.one_of
    rows = choose(True, True, False)

    def shape(*sizes: Dimension) -> Shape:
        return (choose(*sizes),) if rows else ()

    x, y = Input("x", shape=shape(D, D, H, M)), Intermediate("y", shape=shape(M))
    states = [State(f"s{i}", shape=shape(H, G, M)) for i in range(choose(1, 2, 3))]
    inner = [Intermediate(f"z{i}", shape=shape(H, G, M)) for i in range(choose(0, 1, 2))]
    equations = [
        Eq(s[0], choose(0, 0, 1, Rational(1, 2), author.weight(*s.dimensions), tanh(author.weight(*s.dimensions))))
        for s in states
    ]
    known = [x[k], *(s[k - 1] for s in states)]
    own_last = choose(None, None, *states, *inner)
    for q in draw(st.permutations([*states, *inner])):
        equations.append(Eq(q[k], author.expression(q.dimensions, known)))
        if q == own_last:
            equations.append(Eq(q[T], author.expression(q.dimensions, known).subs(k, T)))
        known.append(q[k])

    # What leads nowhere goes into the output; a state of its shape, to which all leads, may be the output itself.
    everything = {x, *states, *inner}
    at = choose(k, T)
    ends = [s for s in states if s.dimensions == y.dimensions and everything <= leading_to(s, equations)]
    output = choose(y, *ends)
    if output == y:
        equations.append(Eq(y[at], author.expression(y.dimensions, known).subs(k, at)))
        for q in sorted(everything, key=str):
            if q not in leading_to(y, equations):
                right = equations.pop().rhs + author.product(q[at], y.dimensions)
                equations.append(Eq(y[at], right))
    at = choose(k, T) if at == k else T

    t, label = Target("t", shape=y.dimensions), Label("t")
    target = t[k] if at == k else t
    scale = choose(1, 1, author.weight(), author.weight(*y.dimensions))
    losses = [
        mean(_summed((scale * output[at] - target) ** 2)),
        mean(_summed(scale * logistic_cross_entropy(output[at], target))),
    ]
    if rows:
        losses.append(mean(softmax_cross_entropy(scale * output[at], label[k] if at == k else label)))
    penalty = choose(0, 0, author.weight() ** 2 / 10, _summed(author.weight(*y.dimensions) ** 2))
    loss = choose(1, Rational(1, 3), Rational(1, 2)) * (choose(*losses) + penalty)
    used = {quantity_of(atom) for side in (*(each.rhs for each in equations), loss) for atom in atoms_of(side)}
    declared = (*author.weights, x, *states, *inner, y, t, label)
    quantities = tuple(q for q in declared if q in used)
    sized = {size for q in (*author.weights, x) if q in used for size in q.dimensions}
    assume(used & {*author.weights} and all({*q.dimensions} <= sized for q in quantities))  # else no data say how large
    return Cell("drawn", "A cell drawn at random", quantities, tuple(equations), output[at], loss)


def _summed(entries: Expr) -> Expr:
    return total(entries) if any(quantity_of(atom).dimensions for atom in atoms_of(entries)) else entries


@st.composite
def numbers(draw: st.DrawFn, cell: Cell) -> Numbers:
    """Weights, inputs and targets for a cell, of random sizes."""
    steps, sequences = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    sizes = dict(zip((D, H, G, M), draw(st.permutations(range(1, 5))), strict=True))
    return draw_numbers(cell, sequences, steps, draw(st.integers(0, 999)), draw(st.integers(0, 3)), sizes)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large])
@given(cells(), st.data())
def test_the_modules_of_a_random_cell_compute_what_the_interpreted_cell_does(cell, data):
    """The plain one, and the fast one in windows of any length."""
    note("\n".join(map(str, (*cell.equations, cell.loss))))
    samples = [sample_of(cell, data.draw(numbers(cell))) for _ in range(2)]
    # A state that is squared at every step overflows.
    assume(all(trouble_with(sample) is None and abs(sample.loss) < 50 for sample in samples))
    try:
        derivation = write_derivation(cell)
    except CellError as error:
        assume(REFUSED not in str(error))
        raise
    sources = {"network.py": print_network(derivation), "network_fast.py": print_network_fast(derivation)}
    candidates, _ = candidates_of(derivation, sources)
    assert len(candidates) > len(sources)
    for candidate in candidates:
        check_candidate(candidate, samples)


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(cells())
def test_a_random_cell_is_certified_and_printed(cell):
    note("\n".join(map(str, (*cell.equations, cell.loss))))
    try:
        derivation = write_derivation(cell)
        certified(derivation, print_network(derivation))
    except CellError as error:
        assume(REFUSED not in str(error) and "no real number" not in str(error))
        raise
    module = network_of(derivation).module
    assert all(printed(derivation, module) for printed in (print_tex, print_html, print_markdown))


# --- what the test above has found, as small as it gets --------------------------------------------------------------

V, W = Parameter("V", shape=(D, H)), Parameter("W", shape=(D, H))
a, w, v_start = Parameter("a", shape=(D,)), Parameter("w"), Parameter("v_start")
x, s, z = Input("x", shape=(D,)), State("s", shape=(H,)), Intermediate("z", shape=(H,))
c, t, t_c = State("c", shape=(D,)), Target("t", shape=(H,)), Target("t", shape=(D,))
n, r, y, t_r, v = Input("n1", "n_1"), State("r"), Intermediate("y"), Target("t"), Target("v")
rows = mean(total((s[T] - t) ** 2))


def described(*equations: Eq, loss: Expr) -> Cell:
    """A cell of these equations, with the quantities that they use."""
    used = {quantity_of(atom) for side in (*equations, loss) for atom in atoms_of(side)}
    (output,) = {atom for atom in atoms_of(loss) if isinstance(quantity_of(atom), State | Intermediate)}
    quantities = tuple(q for q in (V, W, a, w, v_start, x, n, r, s, c, z, y, t, t_c, t_r, v) if q in used)
    return Cell("found", "A cell once derived wrongly", quantities, equations, output, loss)


FOUND = {
    "an output of every step, beside a last step of its own": described(
        Eq(r[0], 0), Eq(r[k], w * n[k]), Eq(r[T], n[T]), Eq(y[k], w * r[k]), loss=mean((y[T] - t_r) ** 2)
    ),
    "a state after one with a last step of its own": described(
        Eq(y[k], sin(w * n[k])),
        Eq(y[T], w * n[T]),
        Eq(r[0], 0),
        Eq(r[k], r[k - 1] + y[k]),
        loss=mean((r[T] - t_r) ** 2),
    ),
    "a power of a matrix product": described(Eq(s[0], 0), Eq(s[k], (x[k] @ W) ** 2), loss=rows),
    "a weight that the last step does not use": described(
        Eq(s[0], 0), Eq(s[k], s[k - 1] + x[k] @ W), Eq(s[T], s[T - 1] + x[T] @ V), loss=rows
    ),
    "a dimension that the input has and no weight": described(
        Eq(c[0], 0), Eq(c[k], sin(w * c[k - 1] + x[k])), loss=mean(total((c[T] - t_c) ** 2))
    ),
    "a row that a number is the factor of": described(
        Eq(c[0], a), Eq(c[k], w * c[k - 1] + x[k]), loss=mean(total((c[T] - t_c) ** 2))
    ),
    "a learnt start of what the loss sees at every step": described(
        Eq(r[0], w), Eq(r[k], sin(r[k - 1] + n[k])), loss=mean((r[k] - t_r[k]) ** 2)
    ),
    "a learnt start that nothing looks back at": described(
        Eq(r[0], v_start), Eq(r[k], w * n[k]), loss=mean((r[k] - t_r[k]) ** 2)
    ),
    "a target of another name than t": described(
        Eq(r[0], 0), Eq(r[k], sin(w * r[k - 1] + n[k])), loss=mean((r[T] - v) ** 2)
    ),
}


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("cell", FOUND.values(), ids=FOUND)
def test_the_gradient_of_a_cell_once_derived_wrongly_is_right(cell, steps):
    network = load(print_network(write_derivation(cell)), cell.name)
    check_candidate(network_candidate(cell, network), [sample_of(cell, draw_numbers(cell, 2, steps, 0))])


def test_a_dimension_that_neither_a_weight_nor_the_input_has_is_refused():
    with pytest.raises(CellError, match="H"):
        described(Eq(s[0], 1), Eq(s[k], w * s[k - 1]), Eq(r[0], 0), Eq(r[k], r[k - 1] + n[k]), loss=rows)
