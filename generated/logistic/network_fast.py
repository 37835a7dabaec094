"""The logistic network that counts zeros: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `logistic`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (51): the arrays hold z / 2 where a comment says z.
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
        },
        backward={
            "slope_z": (),
            "delta_z": (),
            "delta_x": (),
        },
        beside={},
        step={
            "z": (),
            "spare": (),
        },
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
    x, z_input = window.now.x, window.now.z_input
    last, n = window.last, window.n
    # (43) z_input[k] = x[k] * Wx
    multiply(x[: n - last], Wx, z_input[: n - last])


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec = weights.Wrec
    s, z, z_input = window.rows.s, window.rows.z, window.rows.z_input
    last, n = window.last, window.n
    for k in range(1, n - last + 1):
        # (44) z[k] = s[k - 1] * Wrec + z_input[k]
        multiply(s[k - 1], Wrec, z)
        add(z, z_input[k], z)
        # (3) s[k] = logistic(z[k])
        # (51) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        multiply(z, 0.5, s[k])
        tanh(s[k], s[k])
        multiply(s[k], 0.5, s[k])
        add(s[k], 0.5, s[k])


def finish(weights: Names, window: Window) -> None:
    """The last step's own equations."""
    Wrec, Wx = weights.Wrec, weights.Wx
    s, z, x, spare = window.rows.s, window.rows.z, window.rows.x, window.rows.spare
    last, n = window.last, window.n
    if last:
        # (2) z[T] = s[T - 1] * Wrec + x[T] * Wx
        multiply(s[n - 1], Wrec, z)
        multiply(x[n], Wx, spare)
        add(z, spare, z)
        # (4) s[T] = z[T]
        copyto(s[n], z)


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    Wrec = weights.Wrec
    s, slope_z = window.now.s, window.now.slope_z
    # (45) slope_z[k] = s[k] * (1 - s[k]) * Wrec
    subtract(1, s, slope_z)
    multiply(slope_z, s, slope_z)
    multiply(slope_z, Wrec, slope_z)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    s, delta_z, slope_z = window.rows.s, window.rows.delta_z, window.rows.slope_z
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (47) delta_z[T] = 2 / N * (s[T] - t)
        subtract(s[n], t, delta_z[n])
        multiply(delta_z[n], 2 / N, delta_z[n])
    for k in range(n - last, 0, -1):
        # (46) delta_z[k] = delta_z[k + 1] * slope_z[k]
        multiply(delta_z[k + 1], slope_z[k], delta_z[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    delta_z, x = window.now.delta_z, window.now.x
    s_before = window.before.s
    totals = window.totals
    # (38) gradient_Wx += delta_z[k] @ x[k]
    totals.total_Wx += delta_z.ravel().dot(x.ravel())
    # (40) gradient_Wrec += delta_z[k] @ s[k - 1]
    totals.total_Wrec += delta_z.ravel().dot(s_before.ravel())


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta_z_rows, delta_x_rows = window.rows.delta_z, window.rows.delta_x
    delta_z, delta_x = window.now.delta_z, window.now.delta_x
    last, n = window.last, window.n
    # (49) delta_x[k] = delta_z[k] * Wx
    multiply(delta_z[: n - last], Wx, delta_x[: n - last])
    if last:
        # (50) delta_x[T] = delta_z[T] * Wx
        multiply(delta_z_rows[n], Wx, delta_x_rows[n])


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    s = window.rows.s
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (5) value = np.mean((s[T] - t) ** 2)
        value = np.mean((s[n] - t) ** 2)
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    return Parameters(
        Wx=totals.total_Wx,  # (38)
        Wrec=totals.total_Wrec,  # (40)
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
