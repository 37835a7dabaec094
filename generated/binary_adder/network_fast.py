"""The network that adds binary numbers: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `binary_adder`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (49): the arrays hold z / 2 where a comment says z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import add, copyto, multiply, subtract, tanh

from ..trainer.run import windows
from ..trainer.run.windows import Array, Arrays, Names, Network, Number, Sizes, Window, Workspace
from . import network
from .network import Parameters, logistic_cross_entropy


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
        t: The targets, N × T × M.
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
            "t": (M,),
        },
        backward={
            "delta_y": (M,),
            "slope_h": (H,),
            "slope_z": (H,),
            "delta_h": (H,),
            "delta_z": (H,),
            "delta_x": (D,),
        },
        beside={
            "right": (H,),
            "left": (D + H + 1,),
            "right_2": (M,),
            "left_2": (H + 1,),
        },
        step={
            "z": (H,),
        },
        totals={
            "products": (D + H + 1, H),
            "products_2": (H + 1, M),
            "total_start": (H,),
        },
        parts={
            "left_x": ("left", 0, D),
            "left_h": ("left", D, D + H),
            "left_h_2": ("left_2", 0, H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wx, Wrec, b, start, Wy, by = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        start=start[:, np.newaxis],
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
    start = weights.start
    h = window.rows.h
    # (1) h[0] = start
    copyto(h[0], start)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wx_T, b = weights.Wx_T, weights.b
    x, z_input = window.now.x, window.now.z_input
    # (39) z_input[k] = x[k] @ Wx + b
    np.matmul(Wx_T, x, z_input)
    add(z_input, b, z_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec_T = weights.Wrec_T
    h, z, z_input = window.rows.h, window.rows.z, window.rows.z_input
    n = window.n
    for k in range(1, n + 1):
        # (40) z[k] = h[k - 1] @ Wrec + z_input[k]
        Wrec_T.dot(h[k - 1], z)
        add(z, z_input[k], z)
        # (3) h[k] = np.tanh(z[k])
        tanh(z, h[k])


def outputs(weights: Names, window: Window) -> None:
    """What no later step needs, for all steps at once."""
    Wy_T, by = weights.Wy_T, weights.by
    h, y = window.now.h, window.now.y
    # (4) y[k] = h[k] @ Wy + by
    np.matmul(Wy_T, h, y)
    add(y, by, y)


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    Wy = weights.Wy
    y, delta_y, t, slope_h, h = window.now.y, window.now.delta_y, window.now.t, window.now.slope_h, window.now.h
    slope_z = window.now.slope_z
    N = window.sizes["N"]
    # (23) delta_y[k] = 1 / N * (logistic(y[k]) - t[k])
    # (49) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
    multiply(y, 0.5, delta_y)
    tanh(delta_y, delta_y)
    multiply(delta_y, 0.5, delta_y)
    add(delta_y, 0.5, delta_y)
    subtract(delta_y, t, delta_y)
    multiply(delta_y, 1 / N, delta_y)
    # (41) slope_h[k] = delta_y[k] @ Wy.T
    np.matmul(Wy, delta_y, slope_h)
    # (43) slope_z[k] = 1 - h[k] ** 2
    multiply(h, h, slope_z)
    subtract(1, slope_z, slope_z)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wrec = weights.Wrec
    delta_h, slope_h, slope_z = window.rows.delta_h, window.rows.slope_h, window.rows.slope_z
    delta_z = window.rows.delta_z
    last, n, first = window.last, window.n, window.first
    if last:
        # (45) delta_h[T] = slope_h[T]
        copyto(delta_h[n], slope_h[n])
        # (46) delta_z[T] = delta_h[T] * slope_z[T]
        multiply(delta_h[n], slope_z[n], delta_z[n])
    for k in range(n - last, 0, -1):
        # (42) delta_h[k] = delta_z[k + 1] @ Wrec.T + slope_h[k]
        Wrec.dot(delta_z[k + 1], delta_h[k])
        add(delta_h[k], slope_h[k], delta_h[k])
        # (44) delta_z[k] = delta_h[k] * slope_z[k]
        multiply(delta_h[k], slope_z[k], delta_z[k])
    if first:
        # (26) delta_h[0] = delta_z[1] @ Wrec.T
        Wrec.dot(delta_z[1], delta_h[0])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    delta_h = window.rows.delta_h
    right_steps, delta_z, left_x, x = window.now.right, window.now.delta_z, window.now.left_x, window.now.x
    left_h, right_2_steps, delta_y = window.now.left_h, window.now.right_2, window.now.delta_y
    left_h_2, h = window.now.left_h_2, window.now.h
    h_before = window.before.h
    left, right, left_2 = window.beside.left, window.beside.right, window.beside.left_2
    right_2 = window.beside.right_2
    totals, first = window.totals, window.first
    copyto(right_steps, delta_z)
    copyto(left_x, x)
    copyto(left_h, h_before)
    # (27) gradient_Wx += x[k].T @ delta_z[k]
    # (28) gradient_Wrec += h[k - 1].T @ delta_z[k]
    # (29) gradient_b += np.sum(delta_z[k], axis=0)
    totals.products += left.dot(right.T)
    copyto(right_2_steps, delta_y)
    copyto(left_h_2, h)
    # (31) gradient_Wy += h[k].T @ delta_y[k]
    # (32) gradient_by += np.sum(delta_y[k], axis=0)
    totals.products_2 += left_2.dot(right_2.T)
    if first:
        # (30) gradient_start += np.sum(delta_h[0], axis=0)
        totals.total_start += np.sum(delta_h[0], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta_z, delta_x = window.now.delta_z, window.now.delta_x
    # (48) delta_x[k] = delta_z[k] @ Wx.T
    np.matmul(Wx, delta_z, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y, t = window.now.y, window.now.t
    N = window.sizes["N"]
    value: Number = 0
    # (5) value += np.sum(np.sum(logistic_cross_entropy(y[k], t[k]), axis=-1)) / N
    value += np.sum(np.sum(logistic_cross_entropy(y, t), axis=-2)) / N
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    H, D, M = window.sizes["H"], window.sizes["D"], window.sizes["M"]
    return Parameters(
        Wx=totals.products[:D, :H].copy(),  # (27)
        Wrec=totals.products[D : D + H, :H].copy(),  # (28)
        b=totals.products[D + H, :H].copy(),  # (29)
        start=totals.total_start,  # (30)
        Wy=totals.products_2[:H, :M].copy(),  # (31)
        by=totals.products_2[H, :M].copy(),  # (32)
    )


NETWORK = Network(
    module=network,
    input="x",
    target="t",
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
        outputs,
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
