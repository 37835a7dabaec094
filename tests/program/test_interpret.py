"""The interpreter against NumPy written by hand, and types against the arrays that it finds."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import (
    SIZES,
    D,
    H,
    M,
    N,
    T,
    evaluate,
    expressions,
    function,
    module,
    number,
    scan,
    shape,
    symbol,
    types,
    values_for,
)

from derive.language.functions import FUNCTIONS
from derive.program import nodes
from derive.program.interpret import ENTRYWISE, Inputs, Interpreter, first_wrong_pass
from derive.program.nodes import (
    BATCH,
    Add,
    Buffer,
    Call,
    Concat,
    Dot,
    Fill,
    Gemm,
    Kind,
    Let,
    Life,
    Literal,
    Loop,
    Map,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Run,
    Type,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.types import ProgramError, type_of
from derive.program.verify import Level, verify
from derive.program.walk import PARTS, free, rebuild

k = Size.of("k")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_expression_has_the_type_that_the_interpreter_finds(data):
    kind = data.draw(types)
    expression = data.draw(expressions(kind))
    assert type_of(expression) == kind
    with np.errstate(all="ignore"):
        assert evaluate(expression, **values_for(free([expression]).read)).shape == shape(kind)


def test_every_node_says_where_its_parts_are():
    """No pass passes one by in silence."""
    without = {nodes.Type, nodes.Symbol, nodes.Record, nodes.Buffer, nodes.View}
    known = {
        each
        for _, each in inspect.getmembers(nodes, inspect.isclass)
        if each.__module__ == nodes.__name__ and hasattr(each, "__dataclass_fields__")
    }
    assert known - without == set(PARTS)
    for kind, names in PARTS.items():
        assert set(names) <= set(kind.__dataclass_fields__)


def test_the_interpreter_knows_every_expression_and_every_statement():
    for union, method in ((nodes.Expression, Interpreter.value), (nodes.Statement, Interpreter.do)):
        known = inspect.getattr_static(Interpreter, method.__name__).dispatcher.registry
        assert set(union.__args__) <= set(known)


def test_the_interpreter_knows_every_function_that_a_cell_may_use():
    assert set(FUNCTIONS.values()) <= set(ENTRYWISE)


@pytest.mark.parametrize(
    ("contracted", "formula"),
    [
        (((0, 0),), "nd,dh->nh"),
        (((BATCH, BATCH), (0, 0)), None),
    ],
)
def test_a_product_sums_over_the_axes_that_it_names(contracted, formula):
    x, W = symbol("x", "D", batch=True), symbol("W", "D", "H", batch=formula is None)
    values = values_for([x, W])
    found = evaluate(Dot(Ref(x), Ref(W), contracted), **values)
    assert found == pytest.approx(np.einsum(formula or "nd,ndh->h", values["x"], values["W"]))


def test_a_gradient_is_a_product_over_sequences_and_steps():
    h, delta = (symbol(name, size, batch=True, steps=T + 1) for name, size in (("h", "D"), ("delta", "H")))
    values = values_for([h, delta])
    left, right = (Part(Ref(each), 0, Size.of(1), T) for each in (h, delta))
    found = evaluate(Dot(left, right, ((BATCH, BATCH), (0, 0))), **values)
    assert found == pytest.approx(np.einsum("knd,knh->dh", values["h"][1:], values["delta"][1:]))


def test_a_number_of_every_sequence_is_spread_over_its_row():
    a, row, y = symbol("a", batch=True), symbol("row", "H"), symbol("y", "H", batch=True)
    values = values_for([a, row, y])
    found = evaluate(Call("add", (Call("multiply", (Ref(a), Ref(row))), Ref(y))), **values)
    assert found == pytest.approx(values["a"][:, None] * values["row"] + values["y"])


def test_the_cross_entropy_is_that_of_the_softmax():
    y, t = symbol("y", "M", batch=True), symbol("t", batch=True, label=True)
    rows, labels = values_for([y])["y"], np.array([0, 6, 3, 3, 1])
    shares = evaluate(RowWise("softmax", (Ref(y),)), y=rows)
    hot = evaluate(RowWise("one_hot", (Ref(t), Ref(y))), y=rows, t=labels)
    found = evaluate(RowWise("softmax_cross_entropy", (Ref(y), Ref(t))), y=rows, t=labels)
    assert found == pytest.approx(-np.sum(hot * np.log(shares), axis=-1))


def test_parts_beside_one_another_are_the_whole():
    row, other = symbol("row", "H"), symbol("a")
    whole = Concat((Ref(row), Ref(other)))
    assert type_of(whole) == Type((H + 1,))
    assert evaluate(Part(whole, 0, Size(), H), row=[1, 2, 3], a=4) == pytest.approx([1, 2, 3])
    assert evaluate(Part(whole, 0, H), row=[1, 2, 3], a=4) == pytest.approx(4)


def test_a_loop_carries_states_from_step_to_step():
    body, parameters, results, s = scan()
    tried = module(function(body, parameters, (*results, s)))
    x = values_for(parameters)["x"]
    found = Interpreter(tried, SIZES).run("run", {"w": 2.0, "x": x})
    assert found["s"][1:] == pytest.approx(2 * np.cumsum(x[1:], axis=0))
    assert found["value"] == pytest.approx(2 * np.sum(x[1:]))


def test_a_call_passes_by_place_and_changes_nothing_of_the_callers():
    a, b, c = (symbol(name) for name in "abc")
    inner = function([Let(Ref(a), Call("add", (Ref(a), Ref(b))))], [a, b], [a], name="inner")
    outer = function([Run("inner", (a, a), (c,)), Add(Ref(c), Ref(a))], [a], [c])
    tried = module(inner, outer)
    verify(tried, Level.VALUE)
    assert Interpreter(tried, SIZES).run("run", {"a": 3})["c"] == 9


@pytest.mark.parametrize(("first", "expected"), [(1, 1.0), (-1, 0.0)])
def test_a_condition_decides(first, expected):
    a, b = symbol("a"), symbol("b")
    compare = nodes.Compare(">", Ref(a), number(0))
    body = [Let(Ref(b), number(0)), When(compare, (Let(Ref(b), number(1)),))]
    assert Interpreter(module(function(body, [a], [b])), SIZES).run("run", {"a": first})["b"] == expected


def test_a_step_outside_its_array_is_an_error_and_not_the_last_one():
    s, a = symbol("s", steps=T + 1), symbol("a")
    tried = module(function([Let(Ref(a), Ref(s, Size.of(-1)))], [s], [a]))
    with pytest.raises(ProgramError, match="entries -1 to -1 of 5"):
        Interpreter(tried, SIZES).run("run", {"s": np.zeros(5)})


def buffer(name, *axes, steps=None, life=Life.STEP):
    return Buffer(name, Type(tuple(map(Size.of, axes)), True), Role.LOCAL, steps and Size.of(steps), life)


def test_buffers_views_and_products_into_them():
    """All gates of a step at once, split in blocks, and their product entry by entry."""
    x, W, out = symbol("x", "D", batch=True), symbol("W", "D", H * 2), symbol("out", "H", batch=True)
    gates = buffer("gates", H * 2)
    i, g = View("i", gates, Size(), H), View("g", gates, H, H)
    body = [
        Gemm(Ref(gates), Dot(Ref(x), Ref(W), ((0, 0),))),
        Map((Let(Ref(i), Call("tanh", (Ref(i),))), Let(Ref(g), Call("multiply", (Ref(g), Ref(i)))))),
        Let(Ref(out), Ref(g)),
    ]
    tried = module(function(body, [x, W], [out]))
    verify(tried, Level.STORAGE)
    values = values_for([x, W])
    z = values["x"] @ values["W"]
    found = Interpreter(tried, SIZES).run("run", values)["out"]
    assert found == pytest.approx(np.tanh(z[:, :3]) * z[:, 3:])


def test_a_view_in_blocks_is_another_shape_of_the_same_memory():
    gates, out = buffer("gates", H * 2, steps=T + 1, life=Life.WINDOW), symbol("out", "H", batch=True)
    blocks = View("blocks", gates, Size(), H * 2, split=2)
    assert type_of(Ref(blocks, k)) == Type((Size.of(2), H), True)
    body = [
        Fill(Ref(gates)),
        Let(Ref(View("first", gates, Size(), H), T), number(3)),
        Add(Ref(View("second", gates, H, H), T), number(4)),
        Let(Ref(out), Reduce("sum", Ref(blocks, T), (0,))),
    ]
    tried = module(function(body, [], [out]))
    verify(tried, Level.STORAGE)
    assert np.all(Interpreter(tried, SIZES).run("run", {})["out"] == 7)


def test_what_nobody_wrote_to_a_buffer_is_no_number():
    out, gates = symbol("out", "H", batch=True), buffer("gates", "H")
    tried = module(function([Let(Ref(out), Ref(gates))], [], [out]))
    assert np.all(np.isnan(Interpreter(tried, SIZES).run("run", {})["out"]))


def doubled(whole):
    """A pass that does nothing wrong: a + a in place of 2 a."""

    def change(node):
        match node:
            case Call("multiply", (left, right)):
                half = Call("multiply", (number("1/2"), Call("multiply", (left, right))))
                return Call("add", (half, half))
        return node

    return rebuild(whole, change)


def one_slip(whole):
    def change(node):
        return Literal(node.value + 1) if isinstance(node, Literal) and node.value == 0 else node

    return rebuild(whole, change)


def no_sense(whole):
    def change(node):
        return Ref(node.symbol) if isinstance(node, Ref) and node.symbol.steps else node

    return rebuild(whole, change)


def loses_an_equation(whole):
    def change(node):
        return Let(node.target, node.value) if isinstance(node, Let) else node

    return rebuild(whole, change)


@pytest.mark.parametrize("wrong", [one_slip, no_sense, loses_an_equation])
def test_the_first_wrong_pass_is_named(wrong):
    body, parameters, results, s = scan()
    body = (Fill(Ref(s)), *body)
    tried = module(function(body, parameters, results), equations=[1, 2, 3])
    verify(tried, Level.VALUE)
    inputs = Inputs("run", SIZES, values_for(parameters))
    passes = [(Level.VALUE, each) for each in (doubled, wrong, doubled, one_slip)]
    assert first_wrong_pass(tried, passes[:1], inputs) is None
    assert first_wrong_pass(tried, passes, inputs).startswith(f"{wrong.__name__}: ")


def test_loops_in_bulk_run_like_others():
    x = symbol("x", batch=True, steps=T + 1)
    y, total = symbol("y", batch=True, steps=T + 1), symbol("total")
    body = [
        Fill(Ref(y)),
        Let(Ref(total), number(0)),
        Loop(
            "k",
            T,
            Size.of(1),
            True,
            Kind.ALL,
            (Let(Ref(y, k), Call("exp", (Ref(x, k),))), Add(Ref(total), Reduce("sum", Ref(y, k), (BATCH,)))),
        ),
    ]
    tried = module(function(body, [x], [total]))
    verify(tried, Level.VALUE)
    values = values_for([x])
    assert Interpreter(tried, SIZES).run("run", values)["total"] == pytest.approx(np.sum(np.exp(values["x"][1:])))


def test_sizes_are_equal_whatever_their_order():
    assert D + H == H + D
    assert str(H * 2 + D - 1) == "D + 2 * H - 1"
    assert Size.of(1) == (N + 1 - N)
    assert (M - H).is_never_negative is False
    assert (M + H - 2).is_never_negative
