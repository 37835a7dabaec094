"""Every mistake in the description of a cell is a CellError: one line, which says where, what and the cure."""

from __future__ import annotations

import pytest
from sympy import Eq

from derive import CellError, Intermediate, Parameter, T, k, mean
from tests.cell_mistakes import MISTAKES
from tests.tiny_cell import U, W, c, described, equations, example, inner, outer, s, square, start, t, x, z


def refused(changes: dict) -> CellError:
    with pytest.raises(CellError) as caught:
        described(**changes)
    return caught.value


def test_a_description_without_a_mistake_is_accepted():
    assert described().step == {z: inner.rhs, s: outer.rhs}


@pytest.mark.parametrize(("changes", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_with_where_what_and_cure(changes, words):
    message = str(refused(changes))
    rest = message
    for word in words.replace(": ", " ").replace("; ", " ; ").split():
        assert word in rest, f"{word!r} is missing, or comes too early, in: {message}"
        rest = rest.partition(word)[2]


@pytest.mark.parametrize("changes", [changes for changes, _ in MISTAKES.values()], ids=MISTAKES)
def test_a_message_is_one_line_that_names_the_cell(changes):
    error = refused(changes)
    assert str(error) == f"cell {changes.get('name', 'tiny')!r}, {error.where}: {error.problem}; {error.cure}"
    assert "\n" not in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        (equations(outer, inner, start), [z, s]),
        ({"quantities": (t, s, z, x, U, W)}, [z, s]),
        (equations(start, Eq(z[k], x[k] * U + W), Eq(s[k], s[k - 1] + z[k])), [z, s]),
        (equations(start, Eq(s[k], s[k - 1] * W + x[k]), Eq(z[k], s[k] * U)) | {"output": z[T]}, [s, z]),
    ],
)
def test_equations_are_put_into_computing_order(changes, order):
    assert list(described(**changes).step) == order


y, b, start_value = Intermediate("y"), Parameter("b"), Parameter("start")
DESCRIPTIONS = {
    "two states": {
        "quantities": (W, U, x, s, c, t),
        "equations": (start, Eq(c[0], 1), Eq(s[k], s[k - 1] * W + c[k - 1]), Eq(c[k], c[k - 1] * U + x[k] * s[k])),
    },
    "a last step of its own": equations(start, inner, outer, Eq(s[T], z[T])),
    "an output map": {
        "quantities": (W, U, b, x, z, s, y, t),
        "equations": (start, inner, outer, Eq(y[T], s[T] * b)),
        "output": y[T],
        "loss": mean((y[T] - t) ** 2),
    },
    "a loss at every step": {
        "quantities": (W, U, b, x, z, s, y, t),
        "equations": (start, inner, outer, Eq(y[k], s[k] * b)),
        "output": y[k],
        "loss": mean((y[k] - t[k]) ** 2),
    },
    "a learnt initial state": {
        "quantities": (W, U, start_value, x, z, s, t),
        "equations": (Eq(s[0], start_value), inner, outer),
    },
    "a penalty on the weights": {"loss": mean(square) + W**2 / 10},
}


@pytest.mark.parametrize("changes", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_the_language_can_say(changes):
    assert described(**changes).last_step


def test_an_equation_for_T_replaces_that_for_k():
    cell = described(**DESCRIPTIONS["a last step of its own"])
    assert cell.has_own_last_step
    assert cell.last_step == {z: inner.rhs.subs(k, T), s: z[T]}


DATA_AND_NAMES = {
    "the example's input is nan": example(X=((1, 0), (float("nan"), 1))),
    "the example's target is infinite": example(t=(1, float("inf"))),
    "the cell is called like the trainer": {"name": "train"},
    "the cell is called like the folder of the methods": {"name": "methods"},
}


@pytest.mark.parametrize("changes", DATA_AND_NAMES.values(), ids=DATA_AND_NAMES)
def test_a_mistake_is_not_missed(changes):
    refused(changes)


def test_a_step_that_is_a_text_is_refused():
    with pytest.raises(TypeError, match=r"s\['k'\]: a step is k, T or a number, not a text; write s\[k\]"):
        s["k"]
