"""The GRU, reset after the product: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `gru`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (105): the arrays hold z / 2 where a comment says z.
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
            "p": (H,),
            "gates": (2 * H,),
            "c": (H,),
            "y": (M,),
        },
        backward={
            "slopes": (3 * H,),
            "spare_slopes": (3 * H,),
            "delta_y": (M,),
            "delta_h": (H,),
            "deltas": (4 * H,),
            "delta_x": (D,),
        },
        beside={
            "right": (4 * H,),
            "left": (D + 1,),
            "left_2": (H + 1,),
        },
        step={
            "sums": (3 * H,),
            "zc": (H,),
            "spare_H": (H,),
        },
        totals={
            "products": (D + 1, 3 * H),
            "products_2": (H + 1, 3 * H),
            "total_Wy": (H, M),
            "total_by": (M,),
        },
        parts={
            "zr_to_zu": ("sums", H, 3 * H),
            "p_product": ("sums", 0, H),
            "r": ("gates", 0, H),
            "u": ("gates", H, 2 * H),
            "slope_zc": ("slopes", 2 * H, 3 * H),
            "spare_slopes_slope_zc": ("spare_slopes", 2 * H, 3 * H),
            "slope_zr_to_slope_zu": ("slopes", 0, 2 * H),
            "spare_slopes_slope_zu": ("spare_slopes", H, 2 * H),
            "slope_zu": ("slopes", H, 2 * H),
            "slope_zr": ("slopes", 0, H),
            "delta_zu_to_delta_zc": ("deltas", 2 * H, 4 * H, 2),
            "slope_zu_to_slope_zc": ("slopes", H, 3 * H, 2),
            "delta_p": ("deltas", 0, H),
            "delta_zc": ("deltas", 3 * H, 4 * H),
            "delta_zr": ("deltas", H, 2 * H),
            "delta_p_to_delta_zu": ("deltas", 0, 3 * H),
            "left_x": ("left", 0, D),
            "right_delta_zr": ("right", H, 4 * H),
            "left_h": ("left_2", 0, H),
            "right_delta_p": ("right", 0, 3 * H),
            "delta_zr_to_delta_zc": ("deltas", H, 4 * H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, bhc, Wy, by = (np.asarray(weight, dtype)[()] for weight in parameters)
    return Names(
        Wxc_T=np.ascontiguousarray(Wxc.T),
        bxc=bxc[:, np.newaxis],
        bhc=bhc[:, np.newaxis],
        Wy_T=np.ascontiguousarray(Wy.T),
        by=by[:, np.newaxis],
        Wy=np.ascontiguousarray(Wy),
        Whc_to_Whu=np.concatenate((Whc, Whr, Whu), axis=1),
        Wxr_to_Wxc=np.concatenate((Wxr, Wxu, Wxc), axis=1),
        # (105) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Wxr_to_Wxu_T=np.concatenate((0.5 * Wxr.T, 0.5 * Wxu.T)),
        br_to_bu=np.concatenate((0.5 * br, 0.5 * bu))[:, np.newaxis],
        Whc_to_Whu_T=np.concatenate((Whc.T, 0.5 * Whr.T, 0.5 * Whu.T)),
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
    # (88) zr_input[k] = x[k] @ Wxr + br
    # (90) zu_input[k] = x[k] @ Wxu + bu
    # (105) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
    np.matmul(Wxr_to_Wxu_T, x, inputs)
    add(inputs, br_to_bu, inputs)
    # (92) zc_input[k] = x[k] @ Wxc + bxc
    np.matmul(Wxc_T, x, zc_input)
    add(zc_input, bxc, zc_input)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Whc_to_Whu_T, bhc = weights.Whc_to_Whu_T, weights.bhc
    h, sums, zr_to_zu, inputs = window.rows.h, window.rows.sums, window.rows.zr_to_zu, window.rows.inputs
    p_product, p, gates, r = window.rows.p_product, window.rows.p, window.rows.gates, window.rows.r
    zc, zc_input, c, u = window.rows.zc, window.rows.zc_input, window.rows.c, window.rows.u
    spare_H = window.rows.spare_H
    n = window.n
    for k in range(1, n + 1):
        # (4) p[k] = h[k - 1] @ Whc + bhc
        # (89) zr[k] = h[k - 1] @ Whr + zr_input[k]
        # (91) zu[k] = h[k - 1] @ Whu + zu_input[k]
        # (105) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Whc_to_Whu_T.dot(h[k - 1], sums)
        add(zr_to_zu, inputs[k], zr_to_zu)
        add(p_product, bhc, p[k])
        # (5) r[k] = logistic(zr[k])
        # (6) u[k] = logistic(zu[k])
        tanh(zr_to_zu, gates[k])
        multiply(gates[k], 0.5, gates[k])
        add(gates[k], 0.5, gates[k])
        # (93) zc[k] = r[k] * p[k] + zc_input[k]
        multiply(r[k], p[k], zc)
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
    spare_slopes_slope_zc, gates = window.now.spare_slopes_slope_zc, window.now.gates
    slope_zr_to_slope_zu, spare_slopes_slope_zu = window.now.slope_zr_to_slope_zu, window.now.spare_slopes_slope_zu
    slope_zu, slope_zr, p = window.now.slope_zu, window.now.slope_zr, window.now.p
    h_before = window.before.h
    # (94) slope_zc[k] = (1 - u[k]) * (1 - c[k] ** 2)
    subtract(1, u, slope_zc)
    multiply(c, c, spare_slopes_slope_zc)
    subtract(1, spare_slopes_slope_zc, spare_slopes_slope_zc)
    multiply(slope_zc, spare_slopes_slope_zc, slope_zc)
    # (96) slope_zu[k] = u[k] * (1 - u[k]) * (h[k - 1] - c[k])
    # (98) slope_zr[k] = r[k] * (1 - r[k]) * p[k]
    subtract(1, gates, slope_zr_to_slope_zu)
    subtract(h_before, c, spare_slopes_slope_zu)
    multiply(slope_zu, spare_slopes_slope_zu, slope_zu)
    multiply(slope_zr_to_slope_zu, gates, slope_zr_to_slope_zu)
    multiply(slope_zr, p, slope_zr)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy, Whc_to_Whu = weights.Wy, weights.Whc_to_Whu
    y, delta_y, delta_h = window.rows.y, window.rows.delta_y, window.rows.delta_h
    slope_zu_to_slope_zc, delta_zu_to_delta_zc = window.rows.slope_zu_to_slope_zc, window.rows.delta_zu_to_delta_zc
    delta_zc, r, delta_p, slope_zr = window.rows.delta_zc, window.rows.r, window.rows.delta_p, window.rows.slope_zr
    delta_zr, delta_p_to_delta_zu, u = window.rows.delta_zr, window.rows.delta_p_to_delta_zu, window.rows.u
    spare_H = window.rows.spare_H
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (47) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (48) delta_h[T] = delta_y[T] @ Wy.T
        Wy.dot(delta_y[n], delta_h[n])
        # (100) delta_zc[T] = delta_h[T] * slope_zc[T]
        # (101) delta_zu[T] = delta_h[T] * slope_zu[T]
        multiply(delta_h[n], slope_zu_to_slope_zc[n], delta_zu_to_delta_zc[n])
        # (53) delta_p[T] = delta_zc[T] * r[T]
        multiply(delta_zc[n], r[n], delta_p[n])
        # (102) delta_zr[T] = delta_zc[T] * slope_zr[T]
        multiply(delta_zc[n], slope_zr[n], delta_zr[n])
    for k in range(n - last, 0, -1):
        # (56) delta_h[k] = delta_h[k + 1] * u[k + 1] + delta_p[k + 1] @ Whc.T + delta_zr[k + 1] @ Whr.T
        #     + delta_zu[k + 1] @ Whu.T
        Whc_to_Whu.dot(delta_p_to_delta_zu[k + 1], delta_h[k])
        multiply(delta_h[k + 1], u[k + 1], spare_H)
        add(delta_h[k], spare_H, delta_h[k])
        # (95) delta_zc[k] = delta_h[k] * slope_zc[k]
        # (97) delta_zu[k] = delta_h[k] * slope_zu[k]
        multiply(delta_h[k], slope_zu_to_slope_zc[k], delta_zu_to_delta_zc[k])
        # (61) delta_p[k] = delta_zc[k] * r[k]
        multiply(delta_zc[k], r[k], delta_p[k])
        # (99) delta_zr[k] = delta_zc[k] * slope_zr[k]
        multiply(delta_zc[k], slope_zr[k], delta_zr[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    h_rows, delta_y = window.rows.h, window.rows.delta_y
    right_steps, deltas, left_x, x = window.now.right, window.now.deltas, window.now.left_x, window.now.x
    left_h = window.now.left_h
    h_before = window.before.h
    left, right_delta_zr, left_2 = window.beside.left, window.beside.right_delta_zr, window.beside.left_2
    right_delta_p = window.beside.right_delta_p
    totals, last, n = window.totals, window.last, window.n
    copyto(right_steps, deltas)
    copyto(left_x, x)
    # (64) gradient_Wxr += x[k].T @ delta_zr[k]
    # (66) gradient_br += np.sum(delta_zr[k], axis=0)
    # (67) gradient_Wxu += x[k].T @ delta_zu[k]
    # (69) gradient_bu += np.sum(delta_zu[k], axis=0)
    # (70) gradient_Wxc += x[k].T @ delta_zc[k]
    # (72) gradient_bxc += np.sum(delta_zc[k], axis=0)
    totals.products += left.dot(right_delta_zr.T)
    copyto(left_h, h_before)
    # (65) gradient_Whr += h[k - 1].T @ delta_zr[k]
    # (68) gradient_Whu += h[k - 1].T @ delta_zu[k]
    # (71) gradient_Whc += h[k - 1].T @ delta_p[k]
    # (73) gradient_bhc += np.sum(delta_p[k], axis=0)
    totals.products_2 += left_2.dot(right_delta_p.T)
    if last:
        # (74) gradient_Wy += h[T].T @ delta_y[T]
        totals.total_Wy += h_rows[n].dot(delta_y[n].T)
        # (75) gradient_by += np.sum(delta_y[T], axis=0)
        totals.total_by += np.sum(delta_y[n], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wxr_to_Wxc = weights.Wxr_to_Wxc
    delta_zr_to_delta_zc, delta_x = window.now.delta_zr_to_delta_zc, window.now.delta_x
    # (104) delta_x[k] = delta_zc[k] @ Wxc.T + delta_zr[k] @ Wxr.T + delta_zu[k] @ Wxu.T
    np.matmul(Wxr_to_Wxc, delta_zr_to_delta_zc, delta_x)


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
        Wxr=totals.products[:D, :H].copy(),  # (64)
        Whr=totals.products_2[:H, H : 2 * H].copy(),  # (65)
        br=totals.products[D, :H].copy(),  # (66)
        Wxu=totals.products[:D, H : 2 * H].copy(),  # (67)
        Whu=totals.products_2[:H, 2 * H : 3 * H].copy(),  # (68)
        bu=totals.products[D, H : 2 * H].copy(),  # (69)
        Wxc=totals.products[:D, 2 * H : 3 * H].copy(),  # (70)
        Whc=totals.products_2[:H, :H].copy(),  # (71)
        bxc=totals.products[D, 2 * H : 3 * H].copy(),  # (72)
        bhc=totals.products_2[H, :H].copy(),  # (73)
        Wy=totals.total_Wy,  # (74)
        by=totals.total_by,  # (75)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=("h",),
    ahead=(
        "delta_p_to_delta_zu",
        "delta_h",
        "u",
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
