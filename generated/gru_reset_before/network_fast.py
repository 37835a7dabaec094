"""The GRU, reset before the product: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `gru_reset_before`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (103): the arrays hold z / 2 where a comment says z.
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
            "inputs": (2 * H,),
            "x": (D,),
            "zc_input": (H,),
            "gates": (2 * H,),
            "p": (H,),
            "c": (H,),
            "y": (M,),
        },
        backward={
            "slopes": (3 * H,),
            "spare_slopes": (3 * H,),
            "delta_y": (M,),
            "delta_h": (H,),
            "deltas": (3 * H,),
            "delta_p": (H,),
            "delta_x": (D,),
        },
        beside={
            "right": (3 * H,),
            "left": (D + 1,),
            "left_2": (H,),
            "left_3": (H,),
        },
        step={
            "sums": (2 * H,),
            "zc": (H,),
            "spare_H": (H,),
        },
        totals={
            "products": (D + 1, 3 * H),
            "products_2": (H, 2 * H),
            "products_3": (H, H),
            "total_Wy": (H, M),
            "total_by": (M,),
        },
        parts={
            "r": ("gates", 0, H),
            "u": ("gates", H, 2 * H),
            "slope_zc": ("slopes", 0, H),
            "spare_slopes_slope_zc": ("spare_slopes", 0, H),
            "slope_zu": ("slopes", H, 2 * H),
            "spare_slopes_slope_zu": ("spare_slopes", H, 2 * H),
            "slope_zr": ("slopes", 2 * H, 3 * H),
            "delta_zc_to_delta_zu": ("deltas", 0, 2 * H, 2),
            "slope_zc_to_slope_zu": ("slopes", 0, 2 * H, 2),
            "delta_zc": ("deltas", 0, H),
            "delta_zr": ("deltas", 2 * H, 3 * H),
            "delta_zu_to_delta_zr": ("deltas", H, 3 * H),
            "left_x": ("left", 0, D),
            "left_h": ("left_2", 0, H),
            "right_delta_zu": ("right", H, 3 * H),
            "left_p": ("left_3", 0, H),
            "right_delta_zc": ("right", 0, H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, Wy, by = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        Wxc_T=np.ascontiguousarray(Wxc.T),
        bxc=bxc[:, np.newaxis],
        Whc_T=np.ascontiguousarray(Whc.T),
        Wy_T=np.ascontiguousarray(Wy.T),
        by=by[:, np.newaxis],
        Wy=np.ascontiguousarray(Wy),
        Whc=np.ascontiguousarray(Whc),
        Whu_to_Whr=np.concatenate((Whu, Whr), axis=1),
        Wxc_to_Wxr=np.concatenate((Wxc, Wxu, Wxr), axis=1),
        # (103) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Wxr_to_Wxu_T=np.concatenate((0.5 * Wxr.T, 0.5 * Wxu.T)),
        br_to_bu=np.concatenate((0.5 * br, 0.5 * bu))[:, np.newaxis],
        Whr_to_Whu_T=np.concatenate((0.5 * Whr.T, 0.5 * Whu.T)),
    )


def start(weights: Names, window: Window) -> None:
    """The state before the first step."""
    h = window.rows.h
    # (1) h[0] = 0
    copyto(h[0], 0)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wxr_to_Wxu_T, br_to_bu, Wxc_T, bxc = weights.Wxr_to_Wxu_T, weights.br_to_bu, weights.Wxc_T, weights.bxc
    x, inputs, zc_input = window.now.x, window.now.inputs, window.now.zc_input
    # (86) zr_input[k] = x[k] @ Wxr + br
    # (88) zu_input[k] = x[k] @ Wxu + bu
    # (103) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
    np.matmul(Wxr_to_Wxu_T, x, inputs)
    add(inputs, br_to_bu, inputs)
    # (90) zc_input[k] = x[k] @ Wxc + bxc
    np.matmul(Wxc_T, x, zc_input)
    add(zc_input, bxc, zc_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Whr_to_Whu_T, Whc_T = weights.Whr_to_Whu_T, weights.Whc_T
    h, sums, inputs, gates = window.rows.h, window.rows.sums, window.rows.inputs, window.rows.gates
    r, p, zc, zc_input, c = window.rows.r, window.rows.p, window.rows.zc, window.rows.zc_input, window.rows.c
    u, spare_H = window.rows.u, window.rows.spare_H
    n = window.n
    for k in range(1, n + 1):
        # (87) zr[k] = h[k - 1] @ Whr + zr_input[k]
        # (89) zu[k] = h[k - 1] @ Whu + zu_input[k]
        # (103) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Whr_to_Whu_T.dot(h[k - 1], sums)
        add(sums, inputs[k], sums)
        # (4) r[k] = logistic(zr[k])
        # (5) u[k] = logistic(zu[k])
        tanh(sums, gates[k])
        multiply(gates[k], 0.5, gates[k])
        add(gates[k], 0.5, gates[k])
        # (6) p[k] = r[k] * h[k - 1]
        multiply(r[k], h[k - 1], p[k])
        # (91) zc[k] = p[k] @ Whc + zc_input[k]
        Whc_T.dot(p[k], zc)
        add(zc, zc_input[k], zc)
        # (8) c[k] = np.tanh(zc[k])
        tanh(zc, c[k])
        # (9) h[k] = u[k] * h[k - 1] + (1 - u[k]) * c[k]
        multiply(u[k], h[k - 1], h[k])
        subtract(1, u[k], spare_H)
        multiply(spare_H, c[k], spare_H)
        add(h[k], spare_H, h[k])


def finish(weights: Names, window: Window) -> None:
    """The last step's own equations."""
    Wy_T, by = weights.Wy_T, weights.by
    h, y = window.rows.h, window.rows.y
    last, n = window.last, window.n
    if last:
        # (10) y[T] = h[T] @ Wy + by
        Wy_T.dot(h[n], y[n])
        add(y[n], by, y[n])


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    u, slope_zc, c = window.now.u, window.now.slope_zc, window.now.c
    spare_slopes_slope_zc, slope_zu = window.now.spare_slopes_slope_zc, window.now.slope_zu
    spare_slopes_slope_zu, r, slope_zr = window.now.spare_slopes_slope_zu, window.now.r, window.now.slope_zr
    h_before = window.before.h
    # (92) slope_zc[k] = (1 - u[k]) * (1 - c[k] ** 2)
    subtract(1, u, slope_zc)
    multiply(c, c, spare_slopes_slope_zc)
    subtract(1, spare_slopes_slope_zc, spare_slopes_slope_zc)
    multiply(slope_zc, spare_slopes_slope_zc, slope_zc)
    # (94) slope_zu[k] = u[k] * (1 - u[k]) * (h[k - 1] - c[k])
    subtract(1, u, slope_zu)
    subtract(h_before, c, spare_slopes_slope_zu)
    multiply(slope_zu, spare_slopes_slope_zu, slope_zu)
    multiply(slope_zu, u, slope_zu)
    # (96) slope_zr[k] = r[k] * (1 - r[k]) * h[k - 1]
    subtract(1, r, slope_zr)
    multiply(slope_zr, r, slope_zr)
    multiply(slope_zr, h_before, slope_zr)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy, Whc, Whu_to_Whr = weights.Wy, weights.Whc, weights.Whu_to_Whr
    y, delta_y, delta_h = window.rows.y, window.rows.delta_y, window.rows.delta_h
    slope_zc_to_slope_zu, delta_zc_to_delta_zu = window.rows.slope_zc_to_slope_zu, window.rows.delta_zc_to_delta_zu
    delta_zc, delta_p, slope_zr = window.rows.delta_zc, window.rows.delta_p, window.rows.slope_zr
    delta_zr, delta_zu_to_delta_zr, u = window.rows.delta_zr, window.rows.delta_zu_to_delta_zr, window.rows.u
    spare_H, r = window.rows.spare_H, window.rows.r
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (47) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (48) delta_h[T] = delta_y[T] @ Wy.T
        Wy.dot(delta_y[n], delta_h[n])
        # (98) delta_zc[T] = delta_h[T] * slope_zc[T]
        # (99) delta_zu[T] = delta_h[T] * slope_zu[T]
        multiply(delta_h[n], slope_zc_to_slope_zu[n], delta_zc_to_delta_zu[n])
        # (51) delta_p[T] = delta_zc[T] @ Whc.T
        Whc.dot(delta_zc[n], delta_p[n])
        # (100) delta_zr[T] = delta_p[T] * slope_zr[T]
        multiply(delta_p[n], slope_zr[n], delta_zr[n])
    for k in range(n - last, 0, -1):
        # (56) delta_h[k] = delta_h[k + 1] * u[k + 1] + delta_p[k + 1] * r[k + 1] + delta_zr[k + 1] @
        #     Whr.T + delta_zu[k + 1] @ Whu.T
        Whu_to_Whr.dot(delta_zu_to_delta_zr[k + 1], delta_h[k])
        multiply(delta_h[k + 1], u[k + 1], spare_H)
        add(delta_h[k], spare_H, delta_h[k])
        multiply(delta_p[k + 1], r[k + 1], spare_H)
        add(delta_h[k], spare_H, delta_h[k])
        # (93) delta_zc[k] = delta_h[k] * slope_zc[k]
        # (95) delta_zu[k] = delta_h[k] * slope_zu[k]
        multiply(delta_h[k], slope_zc_to_slope_zu[k], delta_zc_to_delta_zu[k])
        # (59) delta_p[k] = delta_zc[k] @ Whc.T
        Whc.dot(delta_zc[k], delta_p[k])
        # (97) delta_zr[k] = delta_p[k] * slope_zr[k]
        multiply(delta_p[k], slope_zr[k], delta_zr[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    h_rows, delta_y = window.rows.h, window.rows.delta_y
    right_steps, deltas, left_x, x = window.now.right, window.now.deltas, window.now.left_x, window.now.x
    left_h, left_p, p = window.now.left_h, window.now.left_p, window.now.p
    h_before = window.before.h
    left, right, left_2 = window.beside.left, window.beside.right, window.beside.left_2
    right_delta_zu, left_3 = window.beside.right_delta_zu, window.beside.left_3
    right_delta_zc = window.beside.right_delta_zc
    totals, last, n = window.totals, window.last, window.n
    copyto(right_steps, deltas)
    copyto(left_x, x)
    # (64) gradient_Wxr += x[k].T @ delta_zr[k]
    # (66) gradient_br += np.sum(delta_zr[k], axis=0)
    # (67) gradient_Wxu += x[k].T @ delta_zu[k]
    # (69) gradient_bu += np.sum(delta_zu[k], axis=0)
    # (70) gradient_Wxc += x[k].T @ delta_zc[k]
    # (72) gradient_bxc += np.sum(delta_zc[k], axis=0)
    totals.products += left.dot(right.T)
    copyto(left_h, h_before)
    # (65) gradient_Whr += h[k - 1].T @ delta_zr[k]
    # (68) gradient_Whu += h[k - 1].T @ delta_zu[k]
    totals.products_2 += left_2.dot(right_delta_zu.T)
    copyto(left_p, p)
    # (71) gradient_Whc += p[k].T @ delta_zc[k]
    totals.products_3 += left_3.dot(right_delta_zc.T)
    if last:
        # (73) gradient_Wy += h[T].T @ delta_y[T]
        totals.total_Wy += h_rows[n].dot(delta_y[n].T)
        # (74) gradient_by += np.sum(delta_y[T], axis=0)
        totals.total_by += np.sum(delta_y[n], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wxc_to_Wxr = weights.Wxc_to_Wxr
    deltas, delta_x = window.now.deltas, window.now.delta_x
    # (102) delta_x[k] = delta_zc[k] @ Wxc.T + delta_zr[k] @ Wxr.T + delta_zu[k] @ Wxu.T
    np.matmul(Wxc_to_Wxr, deltas, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y = window.rows.y
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (11) value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))
        value = np.mean(np.sum((y[n] - t) ** 2, axis=-2))
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    H, D = window.sizes["H"], window.sizes["D"]
    return Parameters(
        Wxr=totals.products[:D, 2 * H : 3 * H].copy(),  # (64)
        Whr=totals.products_2[:H, H : 2 * H].copy(),  # (65)
        br=totals.products[D, 2 * H : 3 * H].copy(),  # (66)
        Wxu=totals.products[:D, H : 2 * H].copy(),  # (67)
        Whu=totals.products_2[:H, :H].copy(),  # (68)
        bu=totals.products[D, H : 2 * H].copy(),  # (69)
        Wxc=totals.products[:D, :H].copy(),  # (70)
        Whc=totals.products_3[:H, :H].copy(),  # (71)
        bxc=totals.products[D, :H].copy(),  # (72)
        Wy=totals.total_Wy,  # (73)
        by=totals.total_by,  # (74)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=("h",),
    ahead=(
        "delta_zu_to_delta_zr",
        "delta_h",
        "u",
        "delta_p",
        "r",
    ),
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
