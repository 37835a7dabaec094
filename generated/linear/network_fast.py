"""The linear network that counts ones: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `linear`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import add, copyto, multiply, subtract

from ..trainer.run import windows
from ..trainer.run.windows import Array, Arrays, Names, Network, Number, Sizes, Window, Workspace
from . import network
from .network import Parameters


def value_and_gradient(
    parameters: Parameters,
    X: Any,
    t: Any,
    workspace: Workspace | None = None,
    *,
    recompute: bool = False,
    input_gradient: Array | None = None,
) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.
        workspace: Arrays of an earlier call to use again; made anew unless given.
        recompute: Keep the states at about √T steps only, and compute what lies between them once more in the backward
            pass: for sequences so long that memory does not hold all steps.
        input_gradient: An array of the shape of X for the derivative of the loss with respect to the inputs, which is
            not computed unless there is one.

    Raises:
        ValueError: X, t or input_gradient has another shape, or input_gradient another type.
    """
    return windows.value_and_gradient(NETWORK, parameters, X, t, workspace, recompute, input_gradient)


def loss(parameters: Parameters, X: Any, t: Any, workspace: Workspace | None = None) -> Number:
    """The loss on the data; see `value_and_gradient`."""
    return windows.loss(NETWORK, parameters, X, t, workspace)


def arrays(sizes: Sizes) -> Arrays:
    """The arrays that the stages need, each by its shape for one sequence at one step."""
    return Arrays(
        kept={
            "s": (),
            "s_input": (),
            "x": (),
        },
        backward={
            "delta": (),
            "delta_x": (),
        },
        beside={},
        step={},
        totals={
            "total_Wx": (),
            "total_Wrec": (),
        },
        parts={},
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wx, Wrec = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        Wx=Wx,
        Wrec=Wrec,
    )


def start(weights: Names, window: Window) -> None:
    """The state before the first step."""
    s = window.rows.s
    # (1) s[0] = 0
    copyto(s[0], 0)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wx = weights.Wx
    x, s_input = window.now.x, window.now.s_input
    # (58) s_input[k] = x[k] * Wx
    multiply(x, Wx, s_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec = weights.Wrec
    s, s_input = window.rows.s, window.rows.s_input
    n = window.n
    for k in range(1, n + 1):
        # (59) s[k] = s[k - 1] * Wrec + s_input[k]
        multiply(s[k - 1], Wrec, s[k])
        add(s[k], s_input[k], s[k])


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wrec = weights.Wrec
    s, delta = window.rows.s, window.rows.delta
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (25) delta[T] = 2 / N * (s[T] - t)
        subtract(s[n], t, delta[n])
        multiply(delta[n], 2 / N, delta[n])
    for k in range(n - last, 0, -1):
        # (26) delta[k] = delta[k + 1] * Wrec
        multiply(delta[k + 1], Wrec, delta[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    delta, x = window.now.delta, window.now.x
    s_before = window.before.s
    totals = window.totals
    # (28) gradient_Wx += delta[k] @ x[k]
    totals.total_Wx += delta.ravel().dot(x.ravel())
    # (30) gradient_Wrec += delta[k] @ s[k - 1]
    totals.total_Wrec += delta.ravel().dot(s_before.ravel())


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta, delta_x = window.now.delta, window.now.delta_x
    # (61) delta_x[k] = delta[k] * Wx
    multiply(delta, Wx, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    s = window.rows.s
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (3) value = np.mean((s[T] - t) ** 2)
        value = np.mean((s[n] - t) ** 2)
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    return Parameters(
        Wx=totals.total_Wx,  # (28)
        Wrec=totals.total_Wrec,  # (30)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=("s",),
    ahead=("delta",),
    arrays=arrays,
    packed=packed,
    start=start,
    forward=(
        hoisted,
        run,
    ),
    loss_of=loss_of,
    backward=(
        run_back,
        sum_over_time,
    ),
    input_adjoints=input_adjoints,
    gradient=gradient,
)
