"""A cell's author may use any name that a generated module uses itself: the gradient stays what it was."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import Eq, tanh

from derive import (
    Cell,
    CellError,
    Dimension,
    Input,
    Intermediate,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    mean,
    total,
)
from derive.backends.numpy.loading import load_package
from derive.language.names import RESERVED_FILES, RESERVED_SIZES
from derive.mathematics.pipeline import write_derivation
from derive.output.modules import PRINTERS
from tests.certifying import certified

GENERATED = Path(__file__).parents[1] / "generated"
MATRIX_NAMES = ("A", "B", "V", "b", "D", "H", "x", "h", "z", "y", "t", "tried")
ROW_NAMES = ("w", "D", "x", "h", "t", "tried")
NUMBER_NAMES = ("w", "x", "s", "t", "tried")
IS_CELL = -1
"""The place of the cell's own name."""


def matrix_cell(names: Sequence[str]) -> Cell:
    """A cell of rows and matrices: what needs products, functions and columns has a name of the author's."""
    D, H = map(Dimension, names[4:6])
    shapes = ((H, H), (D, H), (H, 2), (H,))
    pairs = zip(names, shapes, MATRIX_NAMES, strict=False)
    A, B, V, b = (Parameter(name, latex, shape=shape) for name, shape, latex in pairs)
    x, h = Input(names[6], "x", shape=(D,)), State(names[7], "h", shape=(H,))
    z, y = Intermediate(names[8], "z", shape=(H,)), Intermediate(names[9], "y", shape=(2,))
    t = Target(names[10], "t", shape=(2,))
    step = (Eq(h[0], b), Eq(z[k], h[k - 1] @ A + x[k] @ B), Eq(h[k], tanh(z[k]) * logistic(z[k])), Eq(y[T], h[T] @ V))
    return Cell(names[IS_CELL], "A cell", (A, B, V, b, x, h, z, y, t), step, y[T], mean(total((y[T] - t) ** 2)))


def row_cell(names: Sequence[str]) -> Cell:
    """The least cell that has one of everything."""
    D = Dimension(names[1])
    w, x = Parameter(names[0], "w", shape=(D,)), Input(names[2], "x", shape=(D,))
    h, t = State(names[3], "h", shape=(D,)), Target(names[4], "t", shape=(D,))
    step = (Eq(h[0], 0), Eq(h[k], tanh(w * h[k - 1] + x[k])))
    return Cell(names[IS_CELL], "A cell", (w, x, h, t), step, h[T], mean(total((h[T] - t) ** 2)))


def number_cell(names: Sequence[str]) -> Cell:
    """The least linear cell of numbers, which has the modules of the shortcuts, too."""
    pairs = zip((Parameter, Input, State, Target), names, NUMBER_NAMES, strict=False)
    w, x, s, t = (kind(name, latex) for kind, name, latex in pairs)
    step = (Eq(s[0], 0), Eq(s[k], w * s[k - 1] + x[k]))
    return Cell(names[IS_CELL], "A cell", (w, x, s, t), step, s[T], mean((s[T] - t) ** 2))


CELLS = {
    "matrices": (matrix_cell, MATRIX_NAMES),
    "rows": (row_cell, ROW_NAMES),
    "numbers": (number_cell, NUMBER_NAMES),
}
IN_ALL = ("network.py", "network_fast.py", "network_array_api.py")
MODULES = {
    "matrices": IN_ALL,
    "rows": IN_ALL,
    "numbers": ("network.py", "closed_form.py", "moments.py", "jacobian.py"),
}
"""Which modules a cell is tried with."""
DATA = {
    "matrices": ([(3, 3), (2, 3), (3, 2), (3,)], (4, 5, 2), (4, 2)),
    "rows": ([(3,)], (4, 5, 3), (4, 3)),
    "numbers": ([()], (4, 5), (4,)),
}


def identifiers(*files: str) -> list[str]:
    """Every name in generated modules, except those that no cell can have, in order of appearance."""
    found: dict[str, None] = {}
    for file in files:
        for path in sorted(GENERATED.glob(file)):
            tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
            found |= {token.string: None for token in tokens if token.type == tokenize.NAME}
    others = {*keyword.kwlist, *keyword.softkwlist} | RESERVED_SIZES | RESERVED_FILES
    return [name for name in found if name not in others and not name.startswith("_")]


def gradients(kind: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """The loss and its gradient by every module of a cell with these names, at the same numbers each time."""
    cell = CELLS[kind][0](names)
    derivation = write_derivation(cell)
    modules = load_package({name: PRINTERS[name](derivation) for name in MODULES[kind]}, cell.name)
    draw, (shapes, *data) = np.random.default_rng(0), DATA[kind]
    weights = modules["network.py"].Parameters(*(draw.normal(size=shape) / 2 for shape in shapes))
    X, t = (draw.normal(size=shape) for shape in data)
    found = {}
    for name, module in modules.items():
        given = (module.Moments.of(X, t),) if name == "moments.py" else (X, t)
        value, gradient = module.value_and_gradient(weights, *given)
        found[name] = [value, *gradient]
    return found


@cache
def plain_gradients(kind: str) -> dict[str, list[Any]]:
    """Those of the cell with names that no module uses, which is certified."""
    plain = [f"{name}_plain" for name in CELLS[kind][1]]
    derivation = write_derivation(CELLS[kind][0](plain))
    assert certified(derivation, PRINTERS["network.py"](derivation))
    return gradients(kind, plain)


def assert_same(kind: str, names: Sequence[str]) -> None:
    found = gradients(kind, names)
    for module, expected in plain_gradients(kind).items():
        for ours, theirs in zip(found[module], expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13, err_msg=f"{module} with {names}")


EVERYWHERE = identifiers("*/network.py", "*/network_fast.py", "*/network_array_api.py", "trainer/run/windows.py")
OF_SHORTCUTS = identifiers("linear/closed_form.py", "linear/moments.py", "linear/jacobian.py")
TURNS = [
    *(("rows", EVERYWHERE, first) for first in range(len(EVERYWHERE))),
    *(("numbers", OF_SHORTCUTS, first) for first in range(len(OF_SHORTCUTS))),
    # With products, functions and columns a cell takes longer: here each name is something once, not everything.
    *(("matrices", EVERYWHERE, first) for first in range(0, len(EVERYWHERE), len(MATRIX_NAMES))),
]


@pytest.mark.parametrize(("kind", "names", "first"), TURNS, ids=[f"{kind}-{names[i]}" for kind, names, i in TURNS])
def test_a_name_of_a_generated_module_is_the_authors_to_use(kind, names, first):
    """Each name is in turn the weight, and the names after it are the dimension, the input, the state, the cell."""
    assert_same(kind, [names[(first + place) % len(names)] for place in range(len(CELLS[kind][1]))])


@pytest.mark.parametrize("name", sorted(RESERVED_SIZES))
def test_a_dimension_cannot_be_called_like_the_numbers_of_steps_and_sequences(name):
    names = [*MATRIX_NAMES]
    names[5] = name
    with pytest.raises(CellError, match=rf"dimension {name}: its name is taken"):
        matrix_cell(names)


@pytest.mark.parametrize("name", sorted(RESERVED_SIZES))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_quantity_can(name, place):
    names = [f"{each}_plain" for each in NUMBER_NAMES]
    names[place] = name
    assert_same("numbers", names)
