"""The vanilla recurrent network: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `vanilla_rnn`.
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
        X: The inputs, N × T × D.
        t: The targets, N × M.
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
    H, D, M = sizes["H"], sizes["D"], sizes["M"]
    return Arrays(
        kept={
            "h": (H,),
            "z_input": (H,),
            "x": (D,),
            "y": (M,),
        },
        backward={
            "slope_z": (H,),
            "delta_y": (M,),
            "delta_z": (H,),
            "delta_x": (D,),
        },
        beside={
            "right": (H,),
            "left": (D + H + 1,),
        },
        step={
            "z": (H,),
        },
        totals={
            "products": (D + H + 1, H),
            "total_Wy": (H, M),
            "total_by": (M,),
        },
        parts={
            "left_x": ("left", 0, D),
            "left_h": ("left", D, D + H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wx, Wrec, b, Wy, by = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        Wx_T=np.ascontiguousarray(Wx.T),
        b=b[:, np.newaxis],
        Wrec_T=np.ascontiguousarray(Wrec.T),
        Wy_T=np.ascontiguousarray(Wy.T),
        by=by[:, np.newaxis],
        Wy=np.ascontiguousarray(Wy),
        Wrec=np.ascontiguousarray(Wrec),
        Wx=np.ascontiguousarray(Wx),
    )


def start(weights: Names, window: Window) -> None:
    """The state before the first step."""
    h = window.rows.h
    # (1) h[0] = 0
    copyto(h[0], 0)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wx_T, b = weights.Wx_T, weights.b
    x, z_input = window.now.x, window.now.z_input
    # (33) z_input[k] = x[k] @ Wx + b
    np.matmul(Wx_T, x, z_input)
    add(z_input, b, z_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec_T = weights.Wrec_T
    h, z, z_input = window.rows.h, window.rows.z, window.rows.z_input
    n = window.n
    for k in range(1, n + 1):
        # (34) z[k] = h[k - 1] @ Wrec + z_input[k]
        Wrec_T.dot(h[k - 1], z)
        add(z, z_input[k], z)
        # (3) h[k] = np.tanh(z[k])
        tanh(z, h[k])


def finish(weights: Names, window: Window) -> None:
    """The last step's own equations."""
    Wy_T, by = weights.Wy_T, weights.by
    h, y = window.rows.h, window.rows.y
    last, n = window.last, window.n
    if last:
        # (4) y[T] = h[T] @ Wy + by
        Wy_T.dot(h[n], y[n])
        add(y[n], by, y[n])


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    h, slope_z = window.now.h, window.now.slope_z
    # (35) slope_z[k] = 1 - h[k] ** 2
    multiply(h, h, slope_z)
    subtract(1, slope_z, slope_z)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy, Wrec = weights.Wy, weights.Wrec
    y, delta_y, delta_z, slope_z = window.rows.y, window.rows.delta_y, window.rows.delta_z, window.rows.slope_z
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (18) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (37) delta_z[T] = (delta_y[T] @ Wy.T) * slope_z[T]
        Wy.dot(delta_y[n], delta_z[n])
        multiply(delta_z[n], slope_z[n], delta_z[n])
    for k in range(n - last, 0, -1):
        # (36) delta_z[k] = (delta_z[k + 1] @ Wrec.T) * slope_z[k]
        Wrec.dot(delta_z[k + 1], delta_z[k])
        multiply(delta_z[k], slope_z[k], delta_z[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    h_rows, delta_y = window.rows.h, window.rows.delta_y
    right_steps, delta_z, left_x, x = window.now.right, window.now.delta_z, window.now.left_x, window.now.x
    left_h = window.now.left_h
    h_before = window.before.h
    left, right = window.beside.left, window.beside.right
    totals, last, n = window.totals, window.last, window.n
    copyto(right_steps, delta_z)
    copyto(left_x, x)
    copyto(left_h, h_before)
    # (23) gradient_Wx += x[k].T @ delta_z[k]
    # (24) gradient_Wrec += h[k - 1].T @ delta_z[k]
    # (25) gradient_b += np.sum(delta_z[k], axis=0)
    totals.products += left.dot(right.T)
    if last:
        # (26) gradient_Wy += h[T].T @ delta_y[T]
        totals.total_Wy += h_rows[n].dot(delta_y[n].T)
        # (27) gradient_by += np.sum(delta_y[T], axis=0)
        totals.total_by += np.sum(delta_y[n], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta_z, delta_x = window.now.delta_z, window.now.delta_x
    # (39) delta_x[k] = delta_z[k] @ Wx.T
    np.matmul(Wx, delta_z, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y = window.rows.y
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (5) value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))
        value = np.mean(np.sum((y[n] - t) ** 2, axis=-2))
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    H, D = window.sizes["H"], window.sizes["D"]
    return Parameters(
        Wx=totals.products[:D, :H].copy(),  # (23)
        Wrec=totals.products[D : D + H, :H].copy(),  # (24)
        b=totals.products[D + H, :H].copy(),  # (25)
        Wy=totals.total_Wy,  # (26)
        by=totals.total_by,  # (27)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=("h",),
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
