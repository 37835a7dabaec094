"""Small programs for the tests, and random expressions that make sense."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from derive.program.interpret import Interpreter
from derive.program.nodes import (
    BATCH,
    Call,
    Compare,
    Concat,
    Dim,
    Dot,
    Function,
    Identity,
    Kind,
    Let,
    Literal,
    Loop,
    Module,
    Part,
    Reduce,
    Ref,
    Role,
    RowWise,
    Select,
    Solve,
    Symbol,
    Transpose,
    Type,
)
from derive.program.sizes import Size
from derive.program.types import type_of
from derive.program.verify import Level, verify
from derive.program.walk import free

SIZES = {"N": 5, "T": 4, "D": 2, "H": 3, "M": 7}
"""All different, so that no axis passes for another."""
N, T, D, H, M = map(Size.of, SIZES)


def symbol(name, *axes, batch=False, steps=None, role=Role.LOCAL, label=False):
    return Symbol(name, Type(tuple(map(Size.of, axes)), batch, label), role, None if steps is None else Size.of(steps))


def number(value):
    return Literal(Fraction(value))


def module(*functions, equations=()):
    return Module("tried", "Tried", functions, frozenset(equations))


def function(body, parameters=(), results=(), name="run"):
    return Function(name, tuple(parameters), tuple(results), tuple(body))


def evaluate(expression, **values):
    """The value of an expression, by a function of what it reads that returns it."""
    result = Symbol("result", type_of(expression), Role.LOCAL)
    whole = module(function([Let(Ref(result), expression)], free([expression]).read, [result]))
    verify(whole, Level.VALUE)
    return Interpreter(whole, SIZES).run("run", values)["result"]


def shape(kind, steps=None):
    """The shape of an array in the interpreter."""
    sizes = (*([steps] if steps else []), *([N] if kind.batch else []), *kind.axes)
    return tuple(size.number(SIZES) for size in sizes)


def scan():
    """A linear network: s[k] = s[k - 1] + w x[k], and the sum of its last state over the sequences."""
    s = symbol("s", batch=True, steps=T + 1, role=Role.STATE)
    x = symbol("x", batch=True, steps=T + 1, role=Role.INPUT)
    w, value = symbol("w", role=Role.PARAMETER), symbol("value", role=Role.LOSS)
    k = Size.of("k")
    step = Call("add", (Ref(s, k - 1), Call("multiply", (Ref(w), Ref(x, k)))))
    body = (
        Let(Ref(s, Size()), number(0), (1,)),
        Loop("k", Size.of(1), T, False, Kind.SCAN, (Let(Ref(s, k), step, (2,)),)),
        Let(Ref(value), Reduce("sum", Ref(s, T), (BATCH,)), (3,)),
    )
    return body, (w, x), (value,), s


SOME_SIZES = (D, H, D + H, Size.of(4))
types = st.builds(Type, st.lists(st.sampled_from(SOME_SIZES), max_size=2).map(tuple), st.booleans())


@st.composite
def expressions(draw, kind, depth=3):
    """An expression of a type, with every operation that gives one."""
    makers = [_leaf]
    if depth:
        makers += [_call, _select, _dot, _sum, _part]
        makers += [_concat, _softmax] if kind.axes else []
        makers += [_solve] if 1 <= len(kind.axes) <= 2 and not kind.batch else []
        makers += [_transpose] if len(kind.axes) == 2 and not kind.batch else []
        makers += [_identity] if len(kind.axes) == 2 and len(set(kind.axes)) == 1 and not kind.batch else []
    return draw(st.sampled_from(makers))(draw, kind, depth - 1)


def _leaf(draw, kind, depth):
    if kind == Type() and draw(st.booleans()):
        return draw(st.sampled_from([number(draw(st.fractions(-2, 2, max_denominator=5))), Dim(H + 1)]))
    has_steps = draw(st.booleans())
    axes = "_".join(map(str, kind.axes)).replace(" + ", "p")
    place = Symbol(f"s_{axes}_{int(kind.batch)}{int(has_steps)}", kind, Role.LOCAL, T + 1 if has_steps else None)
    return Ref(place, draw(st.sampled_from([Size(), T - 1, T])) if has_steps else None)


def _smaller(draw, kind):
    """A type that is spread over another."""
    return Type(kind.axes[draw(st.integers(0, len(kind.axes))) :], kind.batch and draw(st.booleans()))


def _pair(draw, kind, depth):
    both = (draw(expressions(kind, depth)), draw(expressions(_smaller(draw, kind), depth)))
    return both if draw(st.booleans()) else both[::-1]


def _call(draw, kind, depth):
    if draw(st.booleans()):
        return Call(draw(st.sampled_from(["tanh", "logistic", "negative"])), (draw(expressions(kind, depth)),))
    return Call(draw(st.sampled_from(["add", "subtract", "multiply", "maximum"])), _pair(draw, kind, depth))


def _select(draw, kind, depth):
    return Select(Compare("<", *_pair(draw, kind, depth)), *_pair(draw, kind, depth))


def _dot(draw, kind, depth):
    cut = draw(st.integers(0, len(kind.axes)))
    size = draw(st.sampled_from(SOME_SIZES))
    left, right = (*kind.axes[:cut], size), (size, *kind.axes[cut:])
    pairs = [(cut, 0)]
    if not kind.batch:
        batch = draw(st.booleans())
        batches = (batch, batch)
        pairs += [(BATCH, BATCH)] if batch else []
    else:
        batches = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    operands = (Type(axes, batch) for axes, batch in zip((left, right), batches, strict=True))
    return Dot(*(draw(expressions(each, depth)) for each in operands), tuple(pairs))


def _sum(draw, kind, depth):
    op = draw(st.sampled_from(["sum", "mean", "max", "norm"]))
    if not kind.batch and draw(st.booleans()):
        return Reduce(op, draw(expressions(Type(kind.axes, True), depth)), (BATCH,))
    axis = draw(st.integers(0, len(kind.axes)))
    size = draw(st.sampled_from(SOME_SIZES))
    return Reduce(op, draw(expressions(Type((*kind.axes[:axis], size, *kind.axes[axis:]), kind.batch), depth)), (axis,))


def _part(draw, kind, depth):
    if not kind.axes or draw(st.booleans()):
        axis = draw(st.integers(0, len(kind.axes)))
        axes = (*kind.axes[:axis], H, *kind.axes[axis:])
        return Part(draw(expressions(Type(axes, kind.batch), depth)), axis, draw(st.sampled_from([Size(), H - 1])))
    axis = draw(st.integers(0, len(kind.axes) - 1))
    axes = (*kind.axes[:axis], kind.axes[axis] + 2, *kind.axes[axis + 1 :])
    return Part(draw(expressions(Type(axes, kind.batch), depth)), axis, Size.of(1), kind.axes[axis])


def _concat(draw, kind, depth):
    axis = draw(st.integers(0, len(kind.axes) - 1))
    parts = [D, H] if kind.axes[axis] == D + H else [Size.of(1), kind.axes[axis] - 1]
    cut = [Type((*kind.axes[:axis], size, *kind.axes[axis + 1 :]), kind.batch) for size in parts]
    return Concat(tuple(draw(expressions(each, depth)) for each in cut), axis)


def _softmax(draw, kind, depth):
    return RowWise("softmax", (draw(expressions(kind, depth)),))


def _solve(draw, kind, depth):
    return Solve(Identity(kind.axes[0]), draw(expressions(kind, depth)))


def _transpose(draw, kind, depth):
    return Transpose(draw(expressions(Type(kind.axes[::-1]), depth)))


def _identity(draw, kind, depth):
    return Identity(kind.axes[0])


def values_for(symbols, seed=1):
    """Random arrays by name."""
    random = np.random.default_rng(seed)
    return {each.name: random.normal(size=shape(each.type, each.steps)) for each in symbols}
