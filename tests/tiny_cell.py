"""A small cell without a mistake, and ways to change it; for the tests of what a description may hold."""

from __future__ import annotations

from typing import Any

from sympy import Eq, Function, tanh

from derive import Cell, Example, Input, Intermediate, Parameter, State, T, Target, k, mean

W, U = Parameter("W"), Parameter("U")
x, z, s, t = Input("x"), Intermediate("z"), State("s"), Target("t")
v, c, v_k = Target("v"), State("c"), Intermediate("v")
start, inner, outer = Eq(s[0], 0), Eq(z[k], s[k - 1] * W + x[k] * U), Eq(s[k], tanh(z[k]))
square = (s[T] - t) ** 2
unknown = Function("f")


def described(**changes) -> Cell:
    """A small cell without a mistake, but for what is changed."""
    fields = {
        "name": "tiny",
        "title": "A tiny cell",
        "quantities": (W, U, x, z, s, t),
        "equations": (start, inner, outer),
        "output": s[T],
        "loss": mean(square),
    }
    return Cell(**{**fields, **changes})


def also(quantity) -> dict[str, Any]:
    """The small cell with one more quantity."""
    return {"quantities": (W, U, x, z, s, t, quantity)}


def called(name: str, latex: str = "") -> dict[str, Any]:
    """The small cell with its first weight called otherwise."""
    weight = Parameter(name, latex)
    return {"quantities": (weight, U, x, z, s, t), "equations": (start, inner.subs(W, weight), outer)}


def without(quantity) -> dict[str, Any]:
    """The small cell with a quantity not declared."""
    return {"quantities": tuple(each for each in (W, U, x, z, s, t) if each != quantity)}


def equations(*written) -> dict[str, Any]:
    """The small cell with other equations."""
    return {"equations": written}


def example(**changes) -> dict[str, Any]:
    """The small cell with an example without a mistake, but for what is changed."""
    fields = {
        "title": "an example",
        "X": ((1, 0), (0, 1)),
        "t": (1, 2),
        "start": {"W": 1, "U": 1},
        "learning_rates": {"W": 0.1, "U": 0.1},
        "epochs": 2,
    }
    return {"example": Example(**{**fields, **changes})}
