"""The losses of the cells, written once for every library that has NumPy's functions and differentiates them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

States: TypeAlias = tuple[Any, ...]
"""What a step hands on; the last of them is what the output is made of."""
Scan: TypeAlias = Callable[[Callable[[States, Any], States], States, Any], States]
"""(step, first states, inputs with time first) → last states."""


class Library(NamedTuple):
    """What a library brings along."""

    np: Any
    sigmoid: Callable[[Any], Any]
    scan: Scan


def loss(library: Library, cell: str, hoisted: bool) -> Callable[[Any, Any, Any], Any]:
    """The loss of weights (blocks for a cell with rows), inputs with time first and targets.

    Args:
        library: Whose functions.
        cell: The cell's name.
        hoisted: Whether the inputs of all steps are multiplied at once, before the first, or each in its step.
    """
    first, inputs, step, output = CELLS[cell]

    def loss_of(p: Any, x: Any, t: Any) -> Any:
        def one(states: States, each: Any) -> States:
            return step(library, p, states, each if hoisted else inputs(p, each))

        states = first(library.np, p, x)
        last = library.scan(one, states, inputs(p, x) if hoisted else x)[-1]
        return library.np.sum((output(p, last) - t) ** 2) / len(t)

    return loss_of


def loop(step: Callable[[States, Any], States], states: States, inputs: Any) -> States:
    """The scan of a library that has none."""
    for each in inputs:
        states = step(states, each)
    return states


def linear_step(_library: Library, p: Any, states: States, wx: Any) -> States:
    """s_k; wx is N."""
    return (states[0] * p["Wrec"] + wx,)


def vanilla_step(library: Library, p: Any, states: States, wx: Any) -> States:
    """h_k; wx is N × H."""
    return (library.np.tanh(states[0] @ p["W_h"] + wx),)


def gru_step(library: Library, p: Any, states: States, wx: Any) -> States:
    """h_k; wx is N × 3H."""
    (h,), H = states, states[0].shape[1]
    wh = h @ p["W_h"]
    gates = library.sigmoid(wx[:, : 2 * H] + wh[:, : 2 * H])
    r, u = gates[:, :H], gates[:, H:]
    c = library.np.tanh(wx[:, 2 * H :] + r * (wh[:, 2 * H :] + p["b_h"]))
    return (u * h + (1 - u) * c,)


def lstm_step(library: Library, p: Any, states: States, wx: Any) -> States:
    """c_k and h_k; wx is N × 4H."""
    c, h = states
    z, H = h @ p["W_h"] + wx, h.shape[1]
    i, f = library.sigmoid(z[:, :H]), library.sigmoid(z[:, H : 2 * H])
    g, o = library.np.tanh(z[:, 2 * H : 3 * H]), library.sigmoid(z[:, 3 * H :])
    c = f * c + i * g
    return c, o * library.np.tanh(c)


def zeros_of_rows(number: int) -> Callable[[Any, Any, Any], States]:
    """So many first states, N × H each."""
    return lambda np, p, x: (np.zeros((x.shape[1], len(p["W_h"])), x.dtype),) * number


def input_products(p: Any, x: Any) -> Any:
    """… × D → … × the width of all gates."""
    return x @ p["W_x"] + p["b"]


def last_output(p: Any, h: Any) -> Any:
    """N × M."""
    return h @ p["W_y"] + p["b_y"]


CELLS: dict[str, tuple[Any, Any, Any, Any]] = {
    "linear": (
        lambda np, _p, x: (np.zeros(x.shape[1], x.dtype),),
        lambda p, x: x * p["Wx"],
        linear_step,
        lambda _p, s: s,
    ),
    "vanilla_rnn": (zeros_of_rows(1), input_products, vanilla_step, last_output),
    "gru": (zeros_of_rows(1), input_products, gru_step, last_output),
    "lstm": (zeros_of_rows(2), input_products, lstm_step, last_output),
}
"""First states, what a step's input is multiplied by, the step, the output."""
