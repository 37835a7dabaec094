"""The character model: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `character_model`.
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
from .network import Parameters, one_hot, softmax, softmax_cross_entropy


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
        X: The inputs, N × T × V.
        t: The targets, N × T.
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
    H, V = sizes["H"], sizes["V"]
    return Arrays(
        kept={
            "h": (H,),
            "z_input": (H,),
            "x": (V,),
            "y": (V,),
            "t": (),
        },
        backward={
            "delta_y": (V,),
            "spare_V": (V,),
            "slope_z": (H,),
            "slope_z_2": (H,),
            "delta_z": (H,),
            "delta_x": (V,),
        },
        beside={
            "right": (H,),
            "left": (H + V + 1,),
            "right_2": (V,),
            "left_2": (H + 1,),
        },
        step={
            "z": (H,),
        },
        totals={
            "products": (H + V + 1, H),
            "products_2": (H + 1, V),
        },
        parts={
            "left_x": ("left", 0, V),
            "left_h": ("left", V, H + V),
            "left_h_2": ("left_2", 0, H),
        },
        labels=("t",),
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
    # (36) z_input[k] = x[k] @ Wx + b
    np.matmul(Wx_T, x, z_input)
    add(z_input, b, z_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Wrec_T = weights.Wrec_T
    h, z, z_input = window.rows.h, window.rows.z, window.rows.z_input
    n = window.n
    for k in range(1, n + 1):
        # (37) z[k] = h[k - 1] @ Wrec + z_input[k]
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
    delta_y, y, spare_V, t = window.now.delta_y, window.now.y, window.now.spare_V, window.now.t
    slope_z, h, slope_z_2 = window.now.slope_z, window.now.h, window.now.slope_z_2
    N = window.sizes["N"]
    # (23) delta_y[k] = 1 / N * (softmax(y[k]) - one_hot(t[k], y[k]))
    copyto(delta_y, np.swapaxes(softmax(np.swapaxes(y, -1, -2)), -1, -2))
    copyto(spare_V, np.swapaxes(one_hot(t, np.swapaxes(y, -1, -2)), -1, -2))
    subtract(delta_y, spare_V, delta_y)
    multiply(delta_y, 1 / N, delta_y)
    # (38) slope_z[k] = delta_y[k] @ Wy.T
    np.matmul(Wy, delta_y, slope_z)
    # (39) slope_z_2[k] = 1 - h[k] ** 2
    multiply(h, h, slope_z_2)
    subtract(1, slope_z_2, slope_z_2)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wrec = weights.Wrec
    slope_z, slope_z_2, delta_z = window.rows.slope_z, window.rows.slope_z_2, window.rows.delta_z
    last, n = window.last, window.n
    if last:
        # (41) delta_z[T] = slope_z[T] * slope_z_2[T]
        multiply(slope_z[n], slope_z_2[n], delta_z[n])
    for k in range(n - last, 0, -1):
        # (40) delta_z[k] = (delta_z[k + 1] @ Wrec.T + slope_z[k]) * slope_z_2[k]
        Wrec.dot(delta_z[k + 1], delta_z[k])
        add(delta_z[k], slope_z[k], delta_z[k])
        multiply(delta_z[k], slope_z_2[k], delta_z[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    right_steps, delta_z, left_x, x = window.now.right, window.now.delta_z, window.now.left_x, window.now.x
    left_h, right_2_steps, delta_y = window.now.left_h, window.now.right_2, window.now.delta_y
    left_h_2, h = window.now.left_h_2, window.now.h
    h_before = window.before.h
    left, right, left_2 = window.beside.left, window.beside.right, window.beside.left_2
    right_2 = window.beside.right_2
    totals = window.totals
    copyto(right_steps, delta_z)
    copyto(left_x, x)
    copyto(left_h, h_before)
    # (26) gradient_Wx += x[k].T @ delta_z[k]
    # (27) gradient_Wrec += h[k - 1].T @ delta_z[k]
    # (28) gradient_b += np.sum(delta_z[k], axis=0)
    totals.products += left.dot(right.T)
    copyto(right_2_steps, delta_y)
    copyto(left_h_2, h)
    # (29) gradient_Wy += h[k].T @ delta_y[k]
    # (30) gradient_by += np.sum(delta_y[k], axis=0)
    totals.products_2 += left_2.dot(right_2.T)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wx = weights.Wx
    delta_z, delta_x = window.now.delta_z, window.now.delta_x
    # (43) delta_x[k] = delta_z[k] @ Wx.T
    np.matmul(Wx, delta_z, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y, t = window.now.y, window.now.t
    N = window.sizes["N"]
    value: Number = 0
    # (5) value += np.sum(softmax_cross_entropy(y[k], t[k])) / N
    value += np.sum(softmax_cross_entropy(np.swapaxes(y, -1, -2), t)) / N
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    H, V = window.sizes["H"], window.sizes["V"]
    return Parameters(
        Wx=totals.products[:V, :H].copy(),  # (26)
        Wrec=totals.products[V : H + V, :H].copy(),  # (27)
        b=totals.products[H + V, :H].copy(),  # (28)
        Wy=totals.products_2[:H, :V].copy(),  # (29)
        by=totals.products_2[H, :V].copy(),  # (30)
    )


NETWORK = Network(
    module=network,
    input="x",
    target="t",
    classes=("V",),
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
