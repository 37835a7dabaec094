"""Programs that make no sense, each refused in one line that says why."""

import pytest
from programs import H, N, T, function, module, number, scan, symbol

from derive.program.nodes import (
    BATCH,
    Add,
    Buffer,
    Call,
    Compare,
    Concat,
    Dot,
    Fill,
    Gemm,
    Kind,
    Let,
    Life,
    Loop,
    Map,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Run,
    Solve,
    Type,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.types import ProgramError, type_of
from derive.program.verify import Level, verify
from derive.program.walk import equations, free

k = Size.of("k")
a, b, c = (symbol(name) for name in "abc")
row, matrix = symbol("row", "H"), symbol("matrix", "D", "H")
y, label = symbol("y", "H", batch=True), symbol("label", batch=True, label=True)
s, x = (symbol(name, batch=True, steps=T + 1) for name in "sx")
gates = Buffer("gates", Type((H * 2,), True), Role.LOCAL, None, Life.STEP)
state = Buffer("state", Type((H,), True), Role.LOCAL, T + 1, Life.WINDOW)
low, high, middle = View("low", gates, Size(), H), View("high", gates, H, H), View("middle", gates, Size.of(1), H)


def add(*args):
    return Call("add", args)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (add(Ref(row), Ref(matrix), Ref(symbol("d", "D"))), r"axes \(H\) and \(D, H\) and \(D\)"),
        (Dot(Ref(row), Ref(matrix), ((0, 0),)), "axes of"),
        (Dot(Ref(row), Ref(matrix), ((1, 1),)), "no such axes"),
        (Dot(Ref(y), Ref(row), ((BATCH, 0),)), "axes of"),
        (Reduce("sum", Ref(row), (BATCH,)), "no such axis"),
        (Part(Ref(row), 1, Size()), "no such axis"),
        (Concat((Ref(row), Ref(y))), "parts with sequences beside parts without"),
        (Concat((Ref(y), Ref(y)), BATCH), "sequences beside one another"),
        (Concat((Ref(matrix), Ref(row))), "parts do not fit"),
        (Solve(Ref(matrix), Ref(row)), r"a matrix \(D, H\) and \(H\) on the right"),
        (Ref(row, k), "row has no steps, and is used at k"),
        (add(Ref(label), number(1)), "a label is no number to compute with"),
        (RowWise("one_hot", (Ref(y), Ref(y))), "it takes a label and a row"),
        (RowWise("softmax_cross_entropy", (Ref(y), Ref(y))), "it takes a row and a label"),
        (RowWise("sorted", (Ref(y),)), "no such function of rows"),
        (Ref(View("bad", gates, Size(), H, split=2)), "H rows are not 2 blocks"),
    ],
)
def test_an_operation_fits_its_operands(expression, problem):
    with pytest.raises(ProgramError, match=problem):
        type_of(expression)


def refused(body, parameters=(), results=(), level=Level.VALUE):
    with pytest.raises(ProgramError) as caught:
        verify(module(function(body, parameters, results)), level)
    return str(caught.value)


def in_steps(*body, kind=Kind.SCAN, first=1, last=T):
    return Loop("k", Size.of(first), Size.of(last), False, kind, body)


@pytest.mark.parametrize(
    ("body", "parameters", "problem"),
    [
        ([Let(Ref(a), Ref(b))], [], "b: read before written"),
        ([Add(Ref(a), Ref(b))], [b], "a: read before written"),
        ([Let(Ref(a), add(Ref(a), Ref(b)))], [b], "a: read before written"),
        ([in_steps(Let(Ref(b), number(1))), Let(Ref(a), Ref(b))], [], "b: read before written"),
        (
            [When(Compare("<", Ref(c), number(1)), (Let(Ref(b), number(1)),)), Let(Ref(a), Ref(b))],
            [c],
            "b: read before",
        ),
        ([in_steps(Let(Ref(b), Ref(a)), Let(Ref(a), number(1)))], [], "a: read before written"),
        (
            [Let(Part(Ref(row), 0, Size()), number(1)), Let(Ref(a), Reduce("sum", Ref(row), (0,)))],
            [],
            "row: read before",
        ),
        ([Let(Ref(a), Ref(row))], [row], "a is () numbers, and its value (H) numbers"),
        ([Let(Ref(row), number(1))], [], "row is (H) numbers, and its value () numbers"),
        ([in_steps(Let(Ref(s, k), Ref(y)))], [y], "s[k] is (N) numbers, and its value (N, H) numbers"),
        ([Let(Ref(label), Reduce("sum", Ref(y), (0,)))], [y], "label is (N) labels, and its value (N) numbers"),
        ([Let(Ref(a), number(1)), Let(Ref(symbol("a", "H")), Ref(row))], [row], "two places with the name a"),
        ([in_steps(Let(Ref(symbol("k")), number(1)))], [], "two places with the name k"),
        ([When(Compare("<", Ref(row), number(1)), ())], [row], "a condition that is not one for all entries"),
        ([Run("other", (), ())], [], "no function other"),
        ([Run("run", (a,), ())], [a, b], "a call of run with other types"),
        ([Let(Ref(gates), number(0))], [], "gates lies in a buffer, at the level of values"),
        ([Map((Let(Ref(a), number(0)),))], [], "Map at the level of values"),
        ([Gemm(Ref(a), Dot(Ref(row), Ref(row), ((0, 0),)))], [row], "Gemm at the level of values"),
    ],
)
def test_a_function_that_makes_no_sense_is_refused(body, parameters, problem):
    message = refused(body, parameters)
    assert message.startswith("tried.run: ")
    assert problem in message
    assert "\n" not in message


def test_a_result_is_written():
    assert refused([], [], [a]) == "tried.run: a: a result that is not written"


def test_what_makes_sense_passes():
    body, parameters, results, state_of = scan()
    verify(module(function((Fill(Ref(state_of)), *body), parameters, results), equations=[1, 2, 3]), Level.VALUE)
    verify(module(function([Let(Ref(symbol("t", batch=True, label=True)), Ref(label))], [label])), Level.VALUE)


def test_no_equation_is_lost():
    body, parameters, results, state_of = scan()
    lost = module(function((Fill(Ref(state_of)), *body), parameters, results), equations=[1, 2, 3, 4, 7])
    with pytest.raises(ProgramError, match="tried: no statement computes equation 4, 7"):
        verify(lost, Level.VALUE)
    # A sum and a part have a field `of`, too, which holds no numbers.
    assert equations(Let(Ref(a), Reduce("sum", Part(Ref(row), 0, Size(), H), (0,)), (5,))) == {5}


def test_functions_have_names_of_their_own():
    with pytest.raises(ProgramError, match="two functions with the name run"):
        verify(module(function([]), function([])), Level.VALUE)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([Let(Ref(s, k), Ref(s, k - 1))], r"a loop in bulk writes s\[k\] and reads s\[k - 1\]"),
        ([Let(Ref(a), Reduce("sum", Ref(x, k), (BATCH,))), Let(Ref(s, k), Ref(x, k))], None),
        ([Let(Ref(s, k), add(Ref(x, k), Ref(x, k - 1)))], None),
        ([Let(Ref(s, k), Ref(x, k)), Add(Ref(b), Reduce("sum", Ref(s, k), (BATCH,)))], None),
        ([Let(Ref(b), add(Ref(b), number(1)))], "a loop in bulk carries b from step to step"),
    ],
)
def test_no_step_of_a_loop_in_bulk_waits_for_another(body, problem):
    whole = [Fill(Ref(s)), Let(Ref(b), number(0)), in_steps(*body, kind=Kind.ALL)]
    if problem:
        with pytest.raises(ProgramError, match=problem):
            verify(module(function(whole, [x])), Level.VALUE)
    else:
        verify(module(function(whole, [x])), Level.VALUE)
    verify(module(function([*whole[:2], in_steps(*body)], [x])), Level.VALUE)


square = symbol("square", H * 2, H * 2)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (Gemm(Ref(gates), Dot(Ref(gates), Ref(square), ((0, 0),))), "over its own factor gates"),
        (Gemm(Ref(low), Dot(Ref(gates), Ref(symbol("W", H * 2, "H")), ((0, 0),))), "over its own factor gates"),
        (Gemm(Ref(low), Dot(Ref(high), Ref(symbol("W", "H", "H")), ((0, 0),))), None),
        (Gemm(Ref(middle), Dot(Ref(high), Ref(symbol("W", "H", "H")), ((0, 0),))), "over its own factor high"),
        (Gemm(Ref(state, k), Dot(Ref(state, k - 1), Ref(symbol("W", "H", "H")), ((0, 0),))), None),
        (Map((Let(Ref(low), Call("tanh", (Ref(low),))), Let(Ref(high), Ref(low)))), None),
        (Map((Let(Ref(low), Ref(middle)),)), "writes low and reads middle, which overlap"),
        (Map((Let(Ref(low), Ref(high)), Let(Ref(middle), number(0)))), "writes middle and reads high, which overlap"),
        (Map((Let(Ref(low), number(0)), Let(Ref(middle), number(0)))), "writes low and middle, which overlap"),
        (Map((Let(Ref(low), number(0)), Let(Ref(gates), number(0)))), "targets of one shape"),
        (Map((Let(Ref(low), Reduce("sum", Ref(low), (0,))),)), "low is not computed entry by entry"),
        (Map((Let(Ref(state, k), Ref(state, k - 1)),)), None),
    ],
)
def test_what_is_written_in_one_pass_overlaps_nothing_that_is_still_read(statement, problem):
    prepared = [Fill(Ref(gates)), Fill(Ref(state)), in_steps(statement)]
    whole = module(
        function(prepared, [each for each in free([statement]).read if each not in (gates, state, low, high, middle)])
    )
    if problem:
        with pytest.raises(ProgramError, match=problem):
            verify(whole, Level.STORAGE)
    else:
        verify(whole, Level.STORAGE)


def test_a_buffer_may_be_written_by_another_function_of_the_module():
    fill, use = function([Fill(Ref(state))], name="fill"), function([Let(Ref(y), Ref(state, T))], [], [y])
    verify(module(fill, use), Level.STORAGE)
    with pytest.raises(ProgramError, match="state: read before written"):
        verify(module(use), Level.STORAGE)


def test_what_code_needs_of_sizes():
    used = free([Fill(Ref(s)), in_steps(Let(Ref(s, k), Ref(x, k - 1)), last=N)])
    assert used.sizes == ("T", "N")
    assert used.read == (x,)
    assert used.written == (s,)
