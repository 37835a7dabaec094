"""The LSTM: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `lstm`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already: `h[k]` is one
step, and `h` all steps of the window. `arrays` lists the arrays, and `windows.Arrays` explains its groups. Where
factors are put beside one another for the gradients, a last row of ones makes the sums of the adjoints part of the
product.
For σ(z) the weights are packed with the ½ of equation (134): the arrays hold z / 2 where a comment says z.
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
            "slope_c": (H,),
            "slopes": (4 * H,),
            "delta_y": (M,),
            "delta_c": (H,),
            "deltas": (4 * H,),
            "delta_x": (D,),
        },
        beside={
            "right": (4 * H,),
            "left": (D + H + 1,),
        },
        step={
            "sums": (4 * H,),
            "spare_H": (H,),
            "delta_h": (H,),
        },
        totals={
            "products": (D + H + 1, 4 * H),
            "total_Wy": (H, M),
            "total_by": (M,),
        },
        parts={
            "i_to_o": ("gates", 0, 3 * H),
            "f": ("gates", H, 2 * H),
            "i": ("gates", 0, H),
            "g": ("gates", 3 * H, 4 * H),
            "o": ("gates", 2 * H, 3 * H),
            "slope_zo": ("slopes", 3 * H, 4 * H),
            "slope_zg": ("slopes", 2 * H, 3 * H),
            "slope_zi_to_slope_zf": ("slopes", 0, 2 * H),
            "i_to_f": ("gates", 0, 2 * H),
            "slope_zf": ("slopes", H, 2 * H),
            "slope_zi": ("slopes", 0, H),
            "delta_zo": ("deltas", 3 * H, 4 * H),
            "delta_zi_to_delta_zg": ("deltas", 0, 3 * H, 3),
            "slope_zi_to_slope_zg": ("slopes", 0, 3 * H, 3),
            "left_x": ("left", 0, D),
            "left_h": ("left", D, D + H),
        },
    )


def packed(parameters: Parameters, dtype: Any) -> Names:
    """What the stages need of the weights, once per call."""
    Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = (
        np.asarray(weight, dtype)[()] for weight in parameters
    )
    return Names(
        Wy_T=np.ascontiguousarray(Wy.T),
        by=by[:, np.newaxis],
        Wy=np.ascontiguousarray(Wy),
        Whi_to_Who=np.concatenate((Whi, Whf, Whg, Who), axis=1),
        Wxi_to_Wxo=np.concatenate((Wxi, Wxf, Wxg, Wxo), axis=1),
        # (134) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Wxi_to_Wxg_T=np.concatenate((0.5 * Wxi.T, 0.5 * Wxf.T, 0.5 * Wxo.T, Wxg.T)),
        bi_to_bg=np.concatenate((0.5 * bi, 0.5 * bf, 0.5 * bo, bg))[:, np.newaxis],
        Whi_to_Whg_T=np.concatenate((0.5 * Whi.T, 0.5 * Whf.T, 0.5 * Who.T, Whg.T)),
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
    # (108) zi_input[k] = x[k] @ Wxi + bi
    # (110) zf_input[k] = x[k] @ Wxf + bf
    # (112) zg_input[k] = x[k] @ Wxg + bg
    # (114) zo_input[k] = x[k] @ Wxo + bo
    # (134) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
    np.matmul(Wxi_to_Wxg_T, x, inputs)
    add(inputs, bi_to_bg, inputs)


def run(weights: Names, window: Window) -> None:
    """The recurrence."""
    Whi_to_Whg_T = weights.Whi_to_Whg_T
    h, sums, inputs, gates = window.rows.h, window.rows.sums, window.rows.inputs, window.rows.gates
    i_to_o, f, c, i, g = window.rows.i_to_o, window.rows.f, window.rows.c, window.rows.i, window.rows.g
    spare_H, tanh_c, o = window.rows.spare_H, window.rows.tanh_c, window.rows.o
    n = window.n
    for k in range(1, n + 1):
        # (109) zi[k] = h[k - 1] @ Whi + zi_input[k]
        # (111) zf[k] = h[k - 1] @ Whf + zf_input[k]
        # (113) zg[k] = h[k - 1] @ Whg + zg_input[k]
        # (115) zo[k] = h[k - 1] @ Who + zo_input[k]
        # (134) logistic(z) = 0.5 + 0.5 * tanh(0.5 * z)
        Whi_to_Whg_T.dot(h[k - 1], sums)
        add(sums, inputs[k], sums)
        # (7) i[k] = logistic(zi[k])
        # (8) f[k] = logistic(zf[k])
        # (9) g[k] = np.tanh(zg[k])
        # (10) o[k] = logistic(zo[k])
        tanh(sums, gates[k])
        multiply(i_to_o[k], 0.5, i_to_o[k])
        add(i_to_o[k], 0.5, i_to_o[k])
        # (11) c[k] = f[k] * c[k - 1] + i[k] * g[k]
        multiply(f[k], c[k - 1], c[k])
        multiply(i[k], g[k], spare_H)
        add(c[k], spare_H, c[k])
        # (107) tanh_c[k] = np.tanh(c[k])
        tanh(c[k], tanh_c[k])
        # (116) h[k] = o[k] * tanh_c[k]
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
    tanh_c, slope_c, o, slope_zo = window.now.tanh_c, window.now.slope_c, window.now.o, window.now.slope_zo
    g, slope_zg, i, i_to_f = window.now.g, window.now.slope_zg, window.now.i, window.now.i_to_f
    slope_zi_to_slope_zf, slope_zf = window.now.slope_zi_to_slope_zf, window.now.slope_zf
    slope_zi = window.now.slope_zi
    c_before = window.before.c
    # (117) slope_c[k] = o[k] * (1 - tanh_c[k] ** 2)
    multiply(tanh_c, tanh_c, slope_c)
    subtract(1, slope_c, slope_c)
    multiply(slope_c, o, slope_c)
    # (119) slope_zo[k] = o[k] * (1 - o[k]) * tanh_c[k]
    subtract(1, o, slope_zo)
    multiply(slope_zo, o, slope_zo)
    multiply(slope_zo, tanh_c, slope_zo)
    # (121) slope_zg[k] = i[k] * (1 - g[k] ** 2)
    multiply(g, g, slope_zg)
    subtract(1, slope_zg, slope_zg)
    multiply(slope_zg, i, slope_zg)
    # (123) slope_zf[k] = f[k] * (1 - f[k]) * c[k - 1]
    # (125) slope_zi[k] = i[k] * (1 - i[k]) * g[k]
    subtract(1, i_to_f, slope_zi_to_slope_zf)
    multiply(slope_zi_to_slope_zf, i_to_f, slope_zi_to_slope_zf)
    multiply(slope_zf, c_before, slope_zf)
    multiply(slope_zi, g, slope_zi)


def run_back(weights: Names, window: Window) -> None:
    """The adjoint recurrence."""
    Wy, Whi_to_Who = weights.Wy, weights.Whi_to_Who
    y, delta_y, delta_h, slope_c = window.rows.y, window.rows.delta_y, window.rows.delta_h, window.rows.slope_c
    delta_c, slope_zo, delta_zo = window.rows.delta_c, window.rows.slope_zo, window.rows.delta_zo
    slope_zi_to_slope_zg, delta_zi_to_delta_zg = window.rows.slope_zi_to_slope_zg, window.rows.delta_zi_to_delta_zg
    deltas, f, spare_H = window.rows.deltas, window.rows.f, window.rows.spare_H
    last, n, t = window.last, window.n, window.target
    N = window.sizes["N"]
    if last:
        # (58) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (59) delta_h[T] = delta_y[T] @ Wy.T
        Wy.dot(delta_y[n], delta_h)
        # (127) delta_c[T] = delta_h[T] * slope_c[T]
        multiply(delta_h, slope_c[n], delta_c[n])
        # (128) delta_zo[T] = delta_h[T] * slope_zo[T]
        multiply(delta_h, slope_zo[n], delta_zo[n])
        # (129) delta_zg[T] = delta_c[T] * slope_zg[T]
        # (130) delta_zf[T] = delta_c[T] * slope_zf[T]
        # (131) delta_zi[T] = delta_c[T] * slope_zi[T]
        multiply(delta_c[n], slope_zi_to_slope_zg[n], delta_zi_to_delta_zg[n])
    for k in range(n - last, 0, -1):
        # (69) delta_h[k] = delta_zf[k + 1] @ Whf.T + delta_zg[k + 1] @ Whg.T + delta_zi[k + 1] @ Whi.T
        #     + delta_zo[k + 1] @ Who.T
        Whi_to_Who.dot(deltas[k + 1], delta_h)
        # (118) delta_c[k] = delta_c[k + 1] * f[k + 1] + delta_h[k] * slope_c[k]
        multiply(delta_c[k + 1], f[k + 1], delta_c[k])
        multiply(delta_h, slope_c[k], spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        # (120) delta_zo[k] = delta_h[k] * slope_zo[k]
        multiply(delta_h, slope_zo[k], delta_zo[k])
        # (122) delta_zg[k] = delta_c[k] * slope_zg[k]
        # (124) delta_zf[k] = delta_c[k] * slope_zf[k]
        # (126) delta_zi[k] = delta_c[k] * slope_zi[k]
        multiply(delta_c[k], slope_zi_to_slope_zg[k], delta_zi_to_delta_zg[k])


def sum_over_time(weights: Names, window: Window) -> None:
    """What these steps add to the gradients."""
    h_rows, delta_y = window.rows.h, window.rows.delta_y
    right_steps, deltas, left_x, x = window.now.right, window.now.deltas, window.now.left_x, window.now.x
    left_h = window.now.left_h
    h_before = window.before.h
    left, right = window.beside.left, window.beside.right
    totals, last, n = window.totals, window.last, window.n
    copyto(right_steps, deltas)
    copyto(left_x, x)
    copyto(left_h, h_before)
    # (79) gradient_Wxi += x[k].T @ delta_zi[k]
    # (80) gradient_Whi += h[k - 1].T @ delta_zi[k]
    # (81) gradient_bi += np.sum(delta_zi[k], axis=0)
    # (82) gradient_Wxf += x[k].T @ delta_zf[k]
    # (83) gradient_Whf += h[k - 1].T @ delta_zf[k]
    # (84) gradient_bf += np.sum(delta_zf[k], axis=0)
    # (85) gradient_Wxg += x[k].T @ delta_zg[k]
    # (86) gradient_Whg += h[k - 1].T @ delta_zg[k]
    # (87) gradient_bg += np.sum(delta_zg[k], axis=0)
    # (88) gradient_Wxo += x[k].T @ delta_zo[k]
    # (89) gradient_Who += h[k - 1].T @ delta_zo[k]
    # (90) gradient_bo += np.sum(delta_zo[k], axis=0)
    totals.products += left.dot(right.T)
    if last:
        # (91) gradient_Wy += h[T].T @ delta_y[T]
        totals.total_Wy += h_rows[n].dot(delta_y[n].T)
        # (92) gradient_by += np.sum(delta_y[T], axis=0)
        totals.total_by += np.sum(delta_y[n], axis=-1)


def input_adjoints(weights: Names, window: Window) -> None:
    """The derivative with respect to the inputs of these steps."""
    Wxi_to_Wxo = weights.Wxi_to_Wxo
    deltas, delta_x = window.now.deltas, window.now.delta_x
    # (133) delta_x[k] = delta_zf[k] @ Wxf.T + delta_zg[k] @ Wxg.T + delta_zi[k] @ Wxi.T +
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
        Wxi=totals.products[:D, :H].copy(),  # (79)
        Whi=totals.products[D : D + H, :H].copy(),  # (80)
        bi=totals.products[D + H, :H].copy(),  # (81)
        Wxf=totals.products[:D, H : 2 * H].copy(),  # (82)
        Whf=totals.products[D : D + H, H : 2 * H].copy(),  # (83)
        bf=totals.products[D + H, H : 2 * H].copy(),  # (84)
        Wxg=totals.products[:D, 2 * H : 3 * H].copy(),  # (85)
        Whg=totals.products[D : D + H, 2 * H : 3 * H].copy(),  # (86)
        bg=totals.products[D + H, 2 * H : 3 * H].copy(),  # (87)
        Wxo=totals.products[:D, 3 * H : 4 * H].copy(),  # (88)
        Who=totals.products[D : D + H, 3 * H : 4 * H].copy(),  # (89)
        bo=totals.products[D + H, 3 * H : 4 * H].copy(),  # (90)
        Wy=totals.total_Wy,  # (91)
        by=totals.total_by,  # (92)
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
