"""Formulas of cost against numbers that count what is done to them."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import SIZES, D, H, N, T, expressions, function, module, scan, shape, symbol, types

from derive.program.cost import OPERATORS, Cost, cost_of, loops, per_step
from derive.program.interpret import ENTRYWISE, ROW_WISE, Interpreter
from derive.program.nodes import (
    BATCH,
    Add,
    Call,
    Dot,
    Fill,
    Kind,
    Let,
    Loop,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Run,
    Symbol,
)
from derive.program.polynomials import Polynomial
from derive.program.sizes import Size
from derive.program.types import ProgramError, type_of
from derive.program.walk import every, free

k = Size.of("k")


class Counted:
    """A number of which each operation is counted."""

    counts: ClassVar = Counter()

    def __init__(self, value):
        self.value = getattr(value, "value", value)

    def operate(self, *others):
        Counted.counts["operations"] += 1
        return Counted(self.value)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = operate
    __pow__ = __rpow__ = __neg__ = operate

    def __lt__(self, other):
        Counted.counts["operations"] += 1
        return self.value < getattr(other, "value", other)

    __gt__ = __le__ = __ge__ = __lt__

    def call(self):
        Counted.counts["functions"] += 1
        return Counted(self.value)

    exp = log = sqrt = tanh = call


def called(*arguments):
    Counted.counts["functions"] += 1
    return arguments[0]


def operated(*arguments):
    Counted.counts["operations"] += 1
    return arguments[0]


CALLS = {
    name: np.frompyfunc(
        operated if name in OPERATORS else called, 2 if name in {"minimum", "maximum", "power"} else 1, 1
    )
    if name not in {"add", "subtract", "multiply", "divide", "negative"}
    else ENTRYWISE[name]
    for name in ENTRYWISE
} | ROW_WISE


def counted(whole, name="run"):
    """What a function does when it is run on counted numbers."""
    tried = next(each for each in whole.functions if each.name == name)
    values = {}
    for each in tried.parameters:
        random = np.random.default_rng(seed=1).normal(size=shape(each.type, each.steps))
        values[each.name] = np.frompyfunc(Counted, 1, 1)(random)
    Counted.counts.clear()
    Interpreter(whole, SIZES, CALLS, object).run(name, values)
    return Counted.counts["operations"], Counted.counts["functions"]


def expected(cost):
    return cost.operations.number(SIZES), cost.functions.number(SIZES)


def check(whole):
    assert counted(whole) == expected(cost_of(whole.functions[-1], whole))


def test_a_scan_costs_what_it_does():
    body, parameters, results, _ = scan()
    whole = module(function(body, parameters, results))
    (loop,) = loops(whole.functions[0])
    assert str(per_step(loop).operations) == "2 N"
    assert str(per_step(loop).bytes) == "24 N + 8"
    assert str(cost_of(whole.functions[0]).operations) == "2 N T + N - 1"
    check(whole)


def lstm_gate():
    """tanh(x W + h V + b), one of the four gates of an LSTM."""
    x, h = symbol("x", "D", batch=True), symbol("h", "H", batch=True)
    W, V, b = symbol("W", "D", "H"), symbol("V", "H", "H"), symbol("b", "H")
    products = [Dot(Ref(left), Ref(right), ((0, 0),)) for left, right in ((x, W), (h, V))]
    z = Call("add", (Call("add", tuple(products)), Ref(b)))
    return Call("tanh", (z,)), (x, W, h, V, b)


def test_a_gate_takes_as_many_multiplications_as_additions():
    gate, parameters = lstm_gate()
    g = symbol("g", "H", batch=True)
    statement = Let(Ref(g), gate)
    cost = cost_of(statement)
    assert str(cost.operations) == "2 N D H + 2 N H^2"
    assert str(cost.functions) == "N H"
    assert cost.bytes == (poly(N) * D + poly(N) * H * 2 + poly(D) * H + poly(H) * H + H) * 8
    check(module(function([statement], parameters, [g])))


def poly(size):
    return Polynomial.of(size)


def test_rows_sums_and_norms():
    y, J = symbol("y", "M", batch=True), symbol("J", "D", batch=True)
    t = symbol("t", batch=True, label=True)
    shares, lengths, value = symbol("shares", "M", batch=True), symbol("lengths", "D"), symbol("value")
    body = [
        Let(Ref(shares), RowWise("softmax", (Ref(y),))),
        Let(Ref(lengths), Reduce("norm", Ref(J), (BATCH,))),
        Let(Ref(value), Reduce("mean", Reduce("sum", Ref(y), (0,)), (BATCH,))),
        Add(Ref(value), Reduce("max", Ref(lengths), (0,))),
    ]
    check(module(function(body, [y, J], [value])))
    assert str(cost_of(RowWise("softmax_cross_entropy", (Ref(y), Ref(t)))).operations) == "3 N M"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_expressions_cost_what_they_do(data):
    expression = data.draw(expressions(data.draw(types), depth=2))
    unlike = any(type(each).__name__ in {"Solve", "Select", "Identity", "Compare"} for each in every(expression))
    if unlike:  # elimination is counted to leading order, and what is chosen is not counted
        return
    result = Symbol("result", type_of(expression), Role.LOCAL)
    whole = module(function([Let(Ref(result), expression)], free([expression]).read, [result]))
    check(whole)


def test_work_that_grows_from_step_to_step_has_no_formula_here():
    x = symbol("x", steps=T + 1)
    total = symbol("total")
    part = Part(Ref(x), 0, Size(), k)
    body = Loop("k", Size.of(1), T, False, Kind.SCAN, (Add(Ref(total), Reduce("sum", part, (0,))),))
    with pytest.raises(ProgramError, match="the work of a step depends on k"):
        cost_of(body)


def test_calls_count_what_they_call():
    y = symbol("y", "H", batch=True)
    inner = function([Let(Ref(y), Call("exp", (Ref(y),)))], [y], [y], name="inner")
    outer = function([Run("inner", (y,), (y,)), Run("inner", (y,), (y,))], [y], [y])
    whole = module(inner, outer)
    assert str(cost_of(outer, whole).functions) == "2 N H"
    with pytest.raises(ProgramError, match="no function inner"):
        cost_of(outer)


def test_polynomials():
    n = poly(N)
    square = (n + 2) * (n - 3)
    assert str(square) == "N^2 - N - 6"
    assert square.number({"N": 5}) == 14
    assert str(n - n) == "0"
    assert str((D + H * 2) * 1) == "D + 2 * H"
    assert str(poly(D + H * 2) * -1) == "-D - 2 H"
    assert poly(D) * H == poly(H) * D
    assert Cost() + Cost(n) == Cost(n)
    assert cost_of(Fill(Ref(symbol("W", "D", "H")))) == Cost(bytes=poly(D) * H * 8)
