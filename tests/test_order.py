"""Terms and factors appear as the author of a cell wrote them, on paper and in code."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Add, Eq, Expr, Matrix, Mul, Pow, Rational, cos, diff, exp, sin, sqrt, tanh

from derive import Cell, Dimension, Input, Intermediate, Parameter, State, T, Target, k, logistic, mean
from derive.backends.numpy.network_code import print_network
from derive.backends.numpy.printer import Printer
from derive.cells.lstm import cell as lstm
from derive.documents.latex import Formulas
from derive.language.order import BY_ROLE, Order
from derive.language.quantities import indexed_of
from derive.mathematics.pipeline import write_derivation
from derive.program.build import STEPS, Builder, Scope
from derive.program.names import Namer

H = Dimension("H")
x, a, b, c = Input("x", "x"), State("a", "a"), State("b", "b"), Intermediate("c", "c")
W, U = Parameter("W", "W"), Parameter("U", "U")
X, A, V = Input("X", "X", shape=(H,)), State("A", "A", shape=(H,)), Parameter("V", "V", shape=(H, H))

NAMES = {each.name: each for each in (x, a, b, c, W, U, X, A, V, k)} | {
    each.__name__: each for each in (Rational, exp, logistic, sin, sqrt, sum, tanh)
}

EARLIER = tanh(W * x[k] + U * b[k])
"""The same argument of a function in another order; SymPy keeps it."""

PAIRS = [
    ("c[k] * a[k - 1] + b[k] * x[k]", "c[k] * a[k - 1] + b[k] * x[k]", "c_k a_{k - 1} + b_k x_k"),
    ("x[k] * W + b[k - 1] * U + W", "x[k] * W + b[k - 1] * U + W", "x_k W + b_{k - 1} U + W"),
    ("W * x[k]", "W * x[k]", "W x_k"),
    ("X[k] @ V + A[k - 1] @ V", "X[k] @ V + A[k - 1] @ V", "X_k V + A_{k - 1} V"),
    ("(1 - a[k]) * c[k]", "(1 - a[k]) * c[k]", r"\left( 1 - a_k \right) c_k"),
    ("c[k] - a[k]", "c[k] - a[k]", "c_k - a_k"),
    ("c[k] - a[k] + b[k]", "c[k] - a[k] + b[k]", "c_k - a_k + b_k"),
    ("-c[k] + a[k]", "-c[k] + a[k]", "-c_k + a_k"),
    ("a[k] - a[k - 1]", "a[k] - a[k - 1]", "a_k - a_{k - 1}"),
    ("a[k - 1] - a[k]", "a[k - 1] - a[k]", "a_{k - 1} - a_k"),
    ("c[k] - (b[k] - a[k])", "c[k] - b[k] + a[k]", "c_k - b_k + a_k"),
    ("2 * (c[k] + a[k])", "2 * c[k] + 2 * a[k]", "2 c_k + 2 a_k"),
    ("c[k] / a[k] * b[k]", "c[k] / a[k] * b[k]", r"c_k \frac{1}{a_k} b_k"),
    ("1 / c[k] * a[k]", "1 / c[k] * a[k]", r"\frac{1}{c_k} a_k"),
    ("c[k] * 3 * a[k]", "3 * c[k] * a[k]", "3 c_k a_k"),
    ("Rational(1, 2) * c[k] * a[k]", "1 / 2 * c[k] * a[k]", r"\frac{1}{2} c_k a_k"),
    ("c[k] ** 2 + a[k] ** 2", "c[k] ** 2 + a[k] ** 2", "c_k^{2} + a_k^{2}"),
    ("(c[k] * a[k]) ** 2", "c[k] ** 2 * a[k] ** 2", "c_k^{2} a_k^{2}"),
    ("c[k] * a[k] * c[k]", "c[k] ** 2 * a[k]", "c_k^{2} a_k"),
    ("(c[k] + a[k]) ** 2", "(c[k] + a[k]) ** 2", r"\left( c_k + a_k \right)^{2}"),
    ("c[k] * tanh(a[k])", "c[k] * np.tanh(a[k])", r"c_k \tanh\left( a_k \right)"),
    ("tanh(c[k]) * a[k]", "np.tanh(c[k]) * a[k]", r"\tanh\left( c_k \right) a_k"),
    (
        "logistic(c[k]) * tanh(a[k])",
        "logistic(c[k]) * np.tanh(a[k])",
        r"\sigma\left( c_k \right) \tanh\left( a_k \right)",
    ),
    ("tanh(x[k] * W + U * b[k])", "np.tanh(x[k] * W + U * b[k])", r"\tanh\left( x_k W + U b_k \right)"),
    ("exp(sin(W + c[k]))", "np.exp(np.sin(W + c[k]))", r"e^{\sin\left( W + c_k \right)}"),
    ("sqrt(W + c[k])", "np.sqrt(W + c[k])", r"\sqrt{W + c_k}"),
    ("sum([W, c[k], a[k]])", "W + c[k] + a[k]", "W + c_k + a_k"),
    ("(X[k] * A[k - 1]) @ V + X[k]", "(X[k] * A[k - 1]) @ V + X[k]", r"\left( X_k \odot A_{k - 1} \right) V + X_k"),
]
"""What is written, its code and its LaTeX."""


def code_of(expression: Expr, order: Order) -> str:
    scope = Scope(Namer())
    for atom in sorted(indexed_of(expression), key=str):
        scope.declare(atom.quantity, steps=STEPS)
    return Printer().text(Builder(scope, order).expression(expression))


@pytest.mark.parametrize(("text", "code", "latex"), PAIRS)
def test_an_expression_is_printed_as_it_was_written(text, code, latex):
    written = eval(text, NAMES)
    order = Order([written])
    assert code_of(written, order) == code
    assert Formulas(order=order).doprint(written) == latex


@pytest.mark.parametrize("step", [T, 3, k - 1])
def test_at_another_step_it_has_the_same_order(step):
    written = c[k] * a[k - 1] + b[k] * x[k]
    ours = Formulas(order=Order([written])).doprint(written.subs(k, step))
    assert re.findall("[abcx]", ours) == ["c", "a", "b", "x"]


def test_what_is_written_is_sympys_own_but_for_the_note():
    for written in [c[k] * a[k] + b[k] * x[k], W * a[k], a[k] - 1, 2 / a[k], a[k] ** 2 * W, 2 ** a[k]]:
        plain = written.func(*written.args)
        assert written.func in (Add, Mul, Pow) and type(plain) is written.func
        assert written == plain and plain == written and hash(written) == hash(plain)
        assert written != plain + 1 and written != 0 and written is not None
        assert written.args == plain.args and str(written) == str(plain)
        assert pickle.loads(pickle.dumps(written)) == plain
        assert diff(written, a[k]) == diff(plain, a[k])
        assert written.subs(a[k], W) == plain.subs(a[k], W)
    assert a[k] * Matrix([1, 2]) == Matrix([a[k], 2 * a[k]])
    with pytest.raises(TypeError, match="unsupported operand"):
        a[k] + "1"


def test_two_functions_of_sympys_alone_are_ordered_by_role():
    assert Order([cos(c[k]) * sin(a[k])]).factors(cos(c[k]) * sin(a[k])) == [sin(a[k]), cos(c[k])]


DERIVED = [
    (c[k] * tanh(a[k]), b[k] * c[k] * (1 - tanh(a[k]) ** 2), "b[k] * c[k] * (1 - np.tanh(a[k]) ** 2)"),
    (c[k] * a[k - 1], x[k] * c[k] * (1 - c[k]) * a[k - 1], "c[k] * (1 - c[k]) * a[k - 1] * x[k]"),
    (c[k] - a[k], a[k] - c[k], "a[k] - c[k]"),
    (x[k] + c[k] + a[k], c[k] + x[k], "x[k] + c[k]"),
    (W * U, x[k] * U * W, "x[k] * W * U"),
]
"""What is written, what is derived from it, and its code."""


@pytest.mark.parametrize(("written", "derived", "code"), DERIVED)
def test_what_is_derived_keeps_the_order_of_the_parts(written, derived, code):
    assert code_of(derived, Order([written])) == code


def test_a_sum_is_one_factor_and_a_product_is_one_term():
    written = (c[k] - a[k]) * (b[k] * W) + 1
    order = Order([written])
    assert order.factors(c[k] - a[k]) == [c[k] - a[k]]
    assert order.factors(Mul(2, c[k] - a[k], evaluate=False)) == [2, c[k] - a[k]]
    assert order.terms(b[k] * W) == [b[k] * W]


def test_without_an_author_the_order_is_that_of_the_roles():
    assert BY_ROLE.factors(W * x[k] * a[k]) == [a[k], x[k], W]
    assert BY_ROLE.terms(-W + x[k]) == [x[k], -W]


LEAVES = 8
ROWS = [Intermediate(f"q{i}", rf"\mathrm{{q{i}}}", shape=(H,)) for i in range(LEAVES)]


def trees(leaves: int) -> st.SearchStrategy[str]:
    """Expressions of + - * @ and tanh as Python text, with `q` for each leaf."""
    if leaves == 1:
        return st.just("q")
    pair = st.integers(1, leaves - 1).flatmap(lambda left: st.tuples(trees(left), trees(leaves - left)))
    forms = ["({} {} {})", "-({} {} {})", "({} {} {}) @ V", "(W * tanh({} {} {}))", "(sin({} {} {}) / U)"]
    drawn = st.tuples(st.sampled_from(forms), pair, st.sampled_from("+-*"))
    return drawn.map(lambda parts: parts[0].format(parts[1][0], parts[2], parts[1][1]))


@given(st.integers(2, LEAVES).flatmap(trees), st.permutations(range(LEAVES)))
def test_any_expression_shows_its_leaves_in_the_order_of_its_author(text, permutation):
    numbers = (f"q{permutation[i]}[k]" for i in count())
    text = re.sub("q", lambda _: next(numbers), text)
    written = eval(text, NAMES | {row.name: row for row in ROWS})
    order, wanted = Order([written]), re.findall(r"q\d", text)
    assert re.findall(r"q\d", code_of(written, order)) == wanted
    assert re.findall(r"q\d", Formulas(order=order).doprint(written)) == wanted


# --- cells ---

t = Target("t")
y = Intermediate("y")


def gated(*, turned: bool) -> Cell:
    """A cell with two inner sums and products, in one order or the other."""
    z, s = Intermediate("z"), State("s")
    inner = [x[k] * U, s[k - 1] * W]
    outer = [z[k], tanh(z[k] + x[k])]
    if turned:
        inner, outer = inner[::-1], [tanh(x[k] + z[k]), z[k]]
    return Cell(
        name="gated",
        title="A cell",
        quantities=(W, U, x, z, s, t),
        equations=(Eq(s[0], 0), Eq(z[k], inner[0] + inner[1]), Eq(s[k], outer[0] * outer[1])),
        output=s[T],
        loss=mean((t - s[T]) ** 2 if turned else (s[T] - t) ** 2),
    )


def network(cell: Cell) -> str:
    """The source of its network.py."""
    return print_network(write_derivation(cell))


ONE = ["z[k] = x[k] * U + s[k - 1] * W", "s[k] = z[k] * np.tanh(z[k] + x[k])", "(s[T] - t) ** 2"]
OTHER = ["z[k] = s[k - 1] * W + x[k] * U", "s[k] = np.tanh(x[k] + z[k]) * z[k]", "(t - s[T]) ** 2"]


def test_two_cells_that_differ_in_order_alone_keep_theirs_in_one_process():
    cells = [gated(turned=False), gated(turned=True), gated(turned=False)]
    sources = [network(cell) for cell in (*cells, *reversed(cells))]
    for source, lines in zip(sources, [ONE, OTHER, ONE, ONE, OTHER, ONE], strict=True):
        assert all(line in source for line in lines), source
    assert len(set(sources)) == 2


def test_the_order_is_the_same_under_any_hash_seed():
    program = "from test_order import gated, network; print(network(gated(turned=True)))"
    paths = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == (network(gated(turned=True)) + "\n").encode()


def test_an_equation_of_another_cell_keeps_its_order():
    memory = next(each.rhs for each in lstm.equations if each.lhs == lstm.states[0][k])
    other = memory.func(*memory.args) + a[k]
    assert re.findall(r"\b[cfig]\b", code_of(other, Order([memory + a[k]]))) == ["f", "c", "i", "g"]


def test_gates_built_in_a_loop_are_as_written():
    lines = network(lstm)
    for letter in "ifgo":
        assert f"z{letter}[k] = h[k - 1] @ Wh{letter} + x[k] @ Wx{letter} + b{letter}" in lines
    assert "c[k] = f[k] * c[k - 1] + i[k] * g[k]" in lines
    assert "h[k] = o[k] * np.tanh(c[k])" in lines
