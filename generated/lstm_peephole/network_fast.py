"""The LSTM with peepholes: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `lstm_peephole`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (140): the arrays hold z / 2 where a comment says z.
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
            "c": (H,),
            "h": (H,),
            "inputs": (4 * H,),
            "x": (D,),
            "gates": (4 * H,),
            "tanh_c": (H,),
            "y": (M,),
        },
        backward={
            "slopes": (4 * H,),
            "slope_c": (H,),
            "delta_y": (M,),
            "deltas": (4 * H,),
            "delta_c": (H,),
            "spare_H_2": (H,),
            "delta_x": (D,),
        },
        beside={
            "right": (4 * H,),
            "left": (D + H + 1,),
        },
        step={
            "sums": (4 * H,),
            "spare_sums": (4 * H,),
            "spare_H": (H,),
            "delta_h": (H,),
        },
        totals={
            "products": (D + H + 1, 4 * H),
            "total_pi": (H,),
            "total_pf": (H,),
            "total_po": (H,),
            "total_Wy": (H, M),
            "total_by": (M,),
        },
        parts={
            "spare_sums_zi_to_spare_sums_zf": ("spare_sums", 0, 2 * H, 2),
            "zi_to_zf": ("sums", 0, 2 * H),
            "spare_sums_zi_to_spare_sums_zf_2": ("spare_sums", 0, 2 * H),
            "zi_input_to_zf_input": ("inputs", 0, 2 * H),
            "zg": ("sums", 3 * H, 4 * H),
            "zg_input": ("inputs", 3 * H, 4 * H),
            "i_to_f": ("gates", 0, 2 * H),
            "g": ("gates", 3 * H, 4 * H),
            "f": ("gates", H, 2 * H),
            "i": ("gates", 0, H),
            "spare_sums_zo": ("spare_sums", 2 * H, 3 * H),
            "zo": ("sums", 2 * H, 3 * H),
            "zo_input": ("inputs", 2 * H, 3 * H),
            "o": ("gates", 2 * H, 3 * H),
            "slope_zo": ("slopes", 3 * H, 4 * H),
            "slope_zg": ("slopes", 2 * H, 3 * H),
            "slope_zi_to_slope_zf": ("slopes", 0, 2 * H),
            "slope_zf": ("slopes", H, 2 * H),
            "slope_zi": ("slopes", 0, H),
            "delta_zo": ("deltas", 3 * H, 4 * H),
            "delta_zi_to_delta_zg": ("deltas", 0, 3 * H, 3),
            "slope_zi_to_slope_zg": ("slopes", 0, 3 * H, 3),
            "delta_zf": ("deltas", H, 2 * H),
            "delta_zi": ("deltas", 0, H),
            "left_x": ("left", 0, D),
            "left_h": ("left", D, D + H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    pi, pf, po, Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = (
        np.asarray(weight, dtype)[()] for weight in parameters
    )
    return Names(
        pi=pi[:, np.newaxis],
        pf=pf[:, np.newaxis],
        po=po[:, np.newaxis],
        Wy_T=np.ascontiguousarray(Wy.T),
        by=by[:, np.newaxis],
        Wy=np.ascontiguousarray(Wy),
        Whi_to_Who=np.concatenate((Whi, Whf, Whg, Who), axis=1),
        Wxi_to_Wxo=np.concatenate((Wxi, Wxf, Wxg, Wxo), axis=1),
        Wxi_to_Wxg_T=np.concatenate((Wxi.T, Wxf.T, Wxo.T, Wxg.T)),
        bi_to_bg=np.concatenate((bi, bf, bo, bg))[:, np.newaxis],
        Whi_to_Whg_T=np.concatenate((Whi.T, Whf.T, Who.T, Whg.T)),
        pi_to_pf=np.concatenate((pi, pf))[:, np.newaxis],
    )


def start(weights: Names, window: Window) -> None:
    """The state before the first step."""
    c, h = window.rows.c, window.rows.h
    # (1) c[0] = 0
    copyto(c[0], 0)
    # (2) h[0] = 0
    copyto(h[0], 0)


def hoisted(weights: Names, window: Window) -> None:
    """What needs no state, for all steps at once."""
    Wxi_to_Wxg_T, bi_to_bg = weights.Wxi_to_Wxg_T, weights.bi_to_bg
    x, inputs = window.now.x, window.now.inputs
    # (114) zi_input[k] = x[k] @ Wxi + bi
    # (116) zf_input[k] = x[k] @ Wxf + bf
    # (118) zg_input[k] = x[k] @ Wxg + bg
    # (120) zo_input[k] = x[k] @ Wxo + bo
    np.matmul(Wxi_to_Wxg_T, x, inputs)
    add(inputs, bi_to_bg, inputs)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Whi_to_Whg_T, pi_to_pf, po = weights.Whi_to_Whg_T, weights.pi_to_pf, weights.po
    h, sums, c = window.rows.h, window.rows.sums, window.rows.c
    spare_sums_zi_to_spare_sums_zf, zi_to_zf = window.rows.spare_sums_zi_to_spare_sums_zf, window.rows.zi_to_zf
    spare_sums_zi_to_spare_sums_zf_2 = window.rows.spare_sums_zi_to_spare_sums_zf_2
    zi_input_to_zf_input, zg, zg_input = window.rows.zi_input_to_zf_input, window.rows.zg, window.rows.zg_input
    i_to_f, g, f, i, spare_H = window.rows.i_to_f, window.rows.g, window.rows.f, window.rows.i, window.rows.spare_H
    spare_sums_zo, zo, zo_input, o = window.rows.spare_sums_zo, window.rows.zo, window.rows.zo_input, window.rows.o
    tanh_c = window.rows.tanh_c
    n = window.n
    for k in range(1, n + 1):
        # (115) zi[k] = h[k - 1] @ Whi + zi_input[k] + pi * c[k - 1]
        # (117) zf[k] = h[k - 1] @ Whf + zf_input[k] + pf * c[k - 1]
        # (119) zg[k] = h[k - 1] @ Whg + zg_input[k]
        # (121) zo[k] = h[k - 1] @ Who + zo_input[k] + po * c[k]
        Whi_to_Whg_T.dot(h[k - 1], sums)
        multiply(c[k - 1], pi_to_pf.reshape(2, -1, 1), spare_sums_zi_to_spare_sums_zf)
        add(zi_to_zf, spare_sums_zi_to_spare_sums_zf_2, zi_to_zf)
        add(zi_to_zf, zi_input_to_zf_input[k], zi_to_zf)
        add(zg, zg_input[k], zg)
        # (6) i[k] = logistic(zi[k])
        # (7) f[k] = logistic(zf[k])
        # (140) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        multiply(zi_to_zf, 0.5, i_to_f[k])
        tanh(i_to_f[k], i_to_f[k])
        multiply(i_to_f[k], 0.5, i_to_f[k])
        add(i_to_f[k], 0.5, i_to_f[k])
        # (8) g[k] = np.tanh(zg[k])
        tanh(zg, g[k])
        # (9) c[k] = f[k] * c[k - 1] + i[k] * g[k]
        multiply(f[k], c[k - 1], c[k])
        multiply(i[k], g[k], spare_H)
        add(c[k], spare_H, c[k])
        multiply(c[k], po, spare_sums_zo)
        add(zo, spare_sums_zo, zo)
        add(zo, zo_input[k], zo)
        # (11) o[k] = logistic(zo[k])
        multiply(zo, 0.5, o[k])
        tanh(o[k], o[k])
        multiply(o[k], 0.5, o[k])
        add(o[k], 0.5, o[k])
        # (113) tanh_c[k] = np.tanh(c[k])
        tanh(c[k], tanh_c[k])
        # (122) h[k] = o[k] * tanh_c[k]
        multiply(o[k], tanh_c[k], h[k])


def finish(weights: Names, window: Window) -> None:
    """The last step's own equations."""
    Wy_T, by = weights.Wy_T, weights.by
    h, y = window.rows.h, window.rows.y
    last, n = window.last, window.n
    if last:
        # (13) y[T] = h[T] @ Wy + by
        Wy_T.dot(h[n], y[n])
        add(y[n], by, y[n])


def hoisted_back(weights: Names, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps at once."""
    o, slope_zo, tanh_c, slope_c = window.now.o, window.now.slope_zo, window.now.tanh_c, window.now.slope_c
    g, slope_zg, i, i_to_f = window.now.g, window.now.slope_zg, window.now.i, window.now.i_to_f
    slope_zi_to_slope_zf, slope_zf = window.now.slope_zi_to_slope_zf, window.now.slope_zf
    slope_zi = window.now.slope_zi
    c_before = window.before.c
    # (123) slope_zo[k] = o[k] * (1 - o[k]) * tanh_c[k]
    subtract(1, o, slope_zo)
    multiply(slope_zo, o, slope_zo)
    multiply(slope_zo, tanh_c, slope_zo)
    # (125) slope_c[k] = o[k] * (1 - tanh_c[k] ** 2)
    multiply(tanh_c, tanh_c, slope_c)
    subtract(1, slope_c, slope_c)
    multiply(slope_c, o, slope_c)
    # (127) slope_zg[k] = i[k] * (1 - g[k] ** 2)
    multiply(g, g, slope_zg)
    subtract(1, slope_zg, slope_zg)
    multiply(slope_zg, i, slope_zg)
    # (129) slope_zf[k] = f[k] * (1 - f[k]) * c[k - 1]
    # (131) slope_zi[k] = i[k] * (1 - i[k]) * g[k]
    subtract(1, i_to_f, slope_zi_to_slope_zf)
    multiply(slope_zi_to_slope_zf, i_to_f, slope_zi_to_slope_zf)
    multiply(slope_zf, c_before, slope_zf)
    multiply(slope_zi, g, slope_zi)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy, po, Whi_to_Who, pf, pi = weights.Wy, weights.po, weights.Whi_to_Who, weights.pf, weights.pi
    y, delta_y, delta_h, slope_zo = window.rows.y, window.rows.delta_y, window.rows.delta_h, window.rows.slope_zo
    delta_zo, slope_c, delta_c = window.rows.delta_zo, window.rows.slope_c, window.rows.delta_c
    spare_H, slope_zi_to_slope_zg = window.rows.spare_H, window.rows.slope_zi_to_slope_zg
    delta_zi_to_delta_zg, deltas, f = window.rows.delta_zi_to_delta_zg, window.rows.deltas, window.rows.f
    delta_zf, delta_zi = window.rows.delta_zf, window.rows.delta_zi
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (58) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (59) delta_h[T] = delta_y[T] @ Wy.T
        Wy.dot(delta_y[n], delta_h)
        # (133) delta_zo[T] = delta_h[T] * slope_zo[T]
        multiply(delta_h, slope_zo[n], delta_zo[n])
        # (134) delta_c[T] = delta_h[T] * slope_c[T] + delta_zo[T] * po
        multiply(delta_h, slope_c[n], delta_c[n])
        multiply(delta_zo[n], po, spare_H)
        add(delta_c[n], spare_H, delta_c[n])
        # (135) delta_zg[T] = delta_c[T] * slope_zg[T]
        # (136) delta_zf[T] = delta_c[T] * slope_zf[T]
        # (137) delta_zi[T] = delta_c[T] * slope_zi[T]
        multiply(delta_c[n], slope_zi_to_slope_zg[n], delta_zi_to_delta_zg[n])
    for k in range(n - last, 0, -1):
        # (69) delta_h[k] = delta_zf[k + 1] @ Whf.T + delta_zg[k + 1] @ Whg.T + delta_zi[k + 1] @ Whi.T
        #     + delta_zo[k + 1] @ Who.T
        Whi_to_Who.dot(deltas[k + 1], delta_h)
        # (124) delta_zo[k] = delta_h[k] * slope_zo[k]
        multiply(delta_h, slope_zo[k], delta_zo[k])
        # (126) delta_c[k] = delta_c[k + 1] * f[k + 1] + delta_zf[k + 1] * pf + delta_zi[k + 1] * pi +
        #     delta_h[k] * slope_c[k] + delta_zo[k] * po
        multiply(delta_c[k + 1], f[k + 1], delta_c[k])
        multiply(delta_zf[k + 1], pf, spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        multiply(delta_zi[k + 1], pi, spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        multiply(delta_h, slope_c[k], spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        multiply(delta_zo[k], po, spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        # (128) delta_zg[k] = delta_c[k] * slope_zg[k]
        # (130) delta_zf[k] = delta_c[k] * slope_zf[k]
        # (132) delta_zi[k] = delta_c[k] * slope_zi[k]
        multiply(delta_c[k], slope_zi_to_slope_zg[k], delta_zi_to_delta_zg[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    h_rows, delta_y = window.rows.h, window.rows.delta_y
    right_steps, deltas, left_x, x = window.now.right, window.now.deltas, window.now.left_x, window.now.x
    left_h, delta_zi, spare_H_2 = window.now.left_h, window.now.delta_zi, window.now.spare_H_2
    delta_zf, delta_zo, c = window.now.delta_zf, window.now.delta_zo, window.now.c
    h_before, c_before = window.before.h, window.before.c
    left, right = window.beside.left, window.beside.right
    totals, last, n = window.totals, window.last, window.n
    copyto(right_steps, deltas)
    copyto(left_x, x)
    copyto(left_h, h_before)
    # (82) gradient_Wxi += x[k].T @ delta_zi[k]
    # (83) gradient_Whi += h[k - 1].T @ delta_zi[k]
    # (84) gradient_bi += np.sum(delta_zi[k], axis=0)
    # (85) gradient_Wxf += x[k].T @ delta_zf[k]
    # (86) gradient_Whf += h[k - 1].T @ delta_zf[k]
    # (87) gradient_bf += np.sum(delta_zf[k], axis=0)
    # (88) gradient_Wxg += x[k].T @ delta_zg[k]
    # (89) gradient_Whg += h[k - 1].T @ delta_zg[k]
    # (90) gradient_bg += np.sum(delta_zg[k], axis=0)
    # (91) gradient_Wxo += x[k].T @ delta_zo[k]
    # (92) gradient_Who += h[k - 1].T @ delta_zo[k]
    # (93) gradient_bo += np.sum(delta_zo[k], axis=0)
    totals.products += left.dot(right.T)
    # (79) gradient_pi += np.sum(delta_zi[k] * c[k - 1], axis=0)
    multiply(delta_zi, c_before, spare_H_2)
    totals.total_pi += np.sum(spare_H_2, axis=(-1, 0))
    # (80) gradient_pf += np.sum(delta_zf[k] * c[k - 1], axis=0)
    multiply(delta_zf, c_before, spare_H_2)
    totals.total_pf += np.sum(spare_H_2, axis=(-1, 0))
    # (81) gradient_po += np.sum(delta_zo[k] * c[k], axis=0)
    multiply(delta_zo, c, spare_H_2)
    totals.total_po += np.sum(spare_H_2, axis=(-1, 0))
    if last:
        # (94) gradient_Wy += h[T].T @ delta_y[T]
        totals.total_Wy += h_rows[n].dot(delta_y[n].T)
        # (95) gradient_by += np.sum(delta_y[T], axis=0)
        totals.total_by += np.sum(delta_y[n], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wxi_to_Wxo = weights.Wxi_to_Wxo
    deltas, delta_x = window.now.deltas, window.now.delta_x
    # (139) delta_x[k] = delta_zf[k] @ Wxf.T + delta_zg[k] @ Wxg.T + delta_zi[k] @ Wxi.T +
    #     delta_zo[k] @ Wxo.T
    np.matmul(Wxi_to_Wxo, deltas, delta_x)


def loss_of(weights: Names, window: Window) -> Number:
    """What these steps add to the loss."""
    y = window.rows.y
    last, n, t = window.last, window.n, window.target
    value: Number = 0
    if last:
        # (14) value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))
        value = np.mean(np.sum((y[n] - t) ** 2, axis=-2))
    return value


def gradient(weights: Names, window: Window) -> Parameters:
    """The gradients, when all steps are summed."""
    totals = window.totals
    H, D = window.sizes["H"], window.sizes["D"]
    return Parameters(
        pi=totals.total_pi,  # (79)
        pf=totals.total_pf,  # (80)
        po=totals.total_po,  # (81)
        Wxi=totals.products[:D, :H].copy(),  # (82)
        Whi=totals.products[D : D + H, :H].copy(),  # (83)
        bi=totals.products[D + H, :H].copy(),  # (84)
        Wxf=totals.products[:D, H : 2 * H].copy(),  # (85)
        Whf=totals.products[D : D + H, H : 2 * H].copy(),  # (86)
        bf=totals.products[D + H, H : 2 * H].copy(),  # (87)
        Wxg=totals.products[:D, 2 * H : 3 * H].copy(),  # (88)
        Whg=totals.products[D : D + H, 2 * H : 3 * H].copy(),  # (89)
        bg=totals.products[D + H, 2 * H : 3 * H].copy(),  # (90)
        Wxo=totals.products[:D, 3 * H : 4 * H].copy(),  # (91)
        Who=totals.products[D : D + H, 3 * H : 4 * H].copy(),  # (92)
        bo=totals.products[D + H, 3 * H : 4 * H].copy(),  # (93)
        Wy=totals.total_Wy,  # (94)
        by=totals.total_by,  # (95)
    )


NETWORK = Network(
    module=network,
    input="x",
    target=None,
    classes=(),
    input_adjoint="delta_x",
    carried=(
        "h",
        "c",
    ),
    ahead=(
        "deltas",
        "delta_c",
        "f",
        "delta_zf",
        "delta_zi",
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
