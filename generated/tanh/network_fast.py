"""The tanh network with an output weight: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `tanh`.
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
from numpy import add, copyto, multiply, subtract, tanh

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
            "z_input": (),
            "x": (),
            "y": (),
        },
        backward={
            "slope_z": (),
            "delta_y": (),
            "delta_z": (),
            "delta_x": (),
        },
        beside={},
        step={
            "z": (),
        },
        totals={
            "total_Wx": (),
            "total_Wrec": (),
            "total_Wy": (),
        },
        parts={},
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wx, Wrec, Wy = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        Wx=Wx,
        Wrec=Wrec,
        Wy=Wy,
    )


def start(weights: Names, window: Window) -> None:
    """The state before the first step."""
    s = window.rows.s
    # (1) s[0] = 0
    copyto(s[0], 0)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wx = weights.Wx
    x, z_input = window.now.x, window.now.z_input
    # (53) z_input[k] = x[k] * Wx
    multiply(x, Wx, z_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec = weights.Wrec
    s, z, z_input = window.rows.s, window.rows.z, window.rows.z_input
    n = window.n
    for k in range(1, n + 1):
        # (54) z[k] = s[k - 1] * Wrec + z_input[k]
        multiply(s[k - 1], Wrec, z)
        add(z, z_input[k], z)
        # (3) s[k] = np.tanh(z[k])
        tanh(z, s[k])


def finish(weights: Names, window: Window) -> None:
    """The last step's own equations."""
    Wy = weights.Wy
    s, y = window.rows.s, window.rows.y
    last, n = window.last, window.n
    if last:
        # (4) y[T] = s[T] * Wy
        multiply(s[n], Wy, y[n])


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    Wrec = weights.Wrec
    s, slope_z = window.now.s, window.now.slope_z
    # (55) slope_z[k] = (1 - s[k] ** 2) * Wrec
    multiply(s, s, slope_z)
    subtract(1, slope_z, slope_z)
    multiply(slope_z, Wrec, slope_z)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy = weights.Wy
    y, delta_y, s, delta_z = window.rows.y, window.rows.delta_y, window.rows.s, window.rows.delta_z
    slope_z = window.rows.slope_z
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (39) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (57) delta_z[T] = delta_y[T] * (1 - s[T] ** 2) * Wy
        multiply(s[n], s[n], delta_z[n])
        subtract(1, delta_z[n], delta_z[n])
        multiply(delta_z[n], delta_y[n], delta_z[n])
        multiply(delta_z[n], Wy, delta_z[n])
    for k in range(n - last, 0, -1):
        # (56) delta_z[k] = delta_z[k + 1] * slope_z[k]
        multiply(delta_z[k + 1], slope_z[k], delta_z[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    delta_y, s_rows = window.rows.delta_y, window.rows.s
    delta_z, x = window.now.delta_z, window.now.x
    s_before = window.before.s
    totals, last, n = window.totals, window.last, window.n
    # (45) gradient_Wx += delta_z[k] @ x[k]
    totals.total_Wx += delta_z.ravel().dot(x.ravel())
    # (47) gradient_Wrec += delta_z[k] @ s[k - 1]
    totals.total_Wrec += delta_z.ravel().dot(s_before.ravel())
    if last:
        # (49) gradient_Wy += delta_y[T] @ s[T]
        totals.total_Wy += delta_y[n].dot(s_rows[n])


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta_z, delta_x = window.now.delta_z, window.now.delta_x
    # (59) delta_x[k] = delta_z[k] * Wx
    multiply(delta_z, Wx, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y = window.rows.y
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (5) value = np.mean((y[T] - t) ** 2)
        value = np.mean((y[n] - t) ** 2)
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    return Parameters(
        Wx=totals.total_Wx,  # (45)
        Wrec=totals.total_Wrec,  # (47)
        Wy=totals.total_Wy,  # (49)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=("s",),
    ahead=("delta_z",),
    arrays=arrays,
    packed=packed,
    start=start,
    forward=(
        hoisted,
        run,
        finish,
    ),
    loss_of=loss_of,
    backward=(
        hoisted_back,
        run_back,
        sum_over_time,
    ),
    input_adjoints=input_adjoints,
    gradient=gradient,
)
