"""The LSTM: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `lstm`.
The derivation of network.py says where each line comes from: the number behind a line is that of its equation there.

The arrays may be NumPy's, JAX's (within `jax.jit`, too) or those of any other library that has `__array_namespace__`;
weights, inputs and targets are of one library and one type of floating point. No entry of an array is assigned to, as
some libraries have arrays that cannot change: what has a value at each step is a list, with one entry per step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

from .network import Parameters

Array: TypeAlias = Any
"""An array of the caller's library."""


def value_and_gradient(parameters: Parameters, X: Array, t: Array) -> tuple[Array, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights, all arrays.
        X: The inputs, one sequence a row.
        t: The targets.
    """
    xp = X.__array_namespace__()
    zeros = partial(xp.zeros, dtype=X.dtype)
    Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = parameters
    T, H, N, M, D = X.shape[1], parameters.Wxi.shape[1], X.shape[0], parameters.Wy.shape[1], parameters.Wxi.shape[0]
    x = steps_of(X)
    zi = [zeros((N, H))] * (T + 1)
    i = [zeros((N, H))] * (T + 1)
    zf = [zeros((N, H))] * (T + 1)
    f = [zeros((N, H))] * (T + 1)
    zg = [zeros((N, H))] * (T + 1)
    g = [zeros((N, H))] * (T + 1)
    zo = [zeros((N, H))] * (T + 1)
    o = [zeros((N, H))] * (T + 1)
    c = [zeros((N, H))] * (T + 1)
    h = [zeros((N, H))] * (T + 1)
    y = [zeros((N, M))] * (T + 1)
    c[0] = zeros((N, H))  # (1)
    h[0] = zeros((N, H))  # (2)
    for k in range(1, T + 1):
        zi[k] = h[k - 1] @ Whi + x[k] @ Wxi + bi  # (3)
        zf[k] = h[k - 1] @ Whf + x[k] @ Wxf + bf  # (4)
        zg[k] = h[k - 1] @ Whg + x[k] @ Wxg + bg  # (5)
        zo[k] = h[k - 1] @ Who + x[k] @ Wxo + bo  # (6)
        i[k] = logistic(xp, zi[k])  # (7)
        f[k] = logistic(xp, zf[k])  # (8)
        g[k] = xp.tanh(zg[k])  # (9)
        o[k] = logistic(xp, zo[k])  # (10)
        c[k] = f[k] * c[k - 1] + i[k] * g[k]  # (11)
        h[k] = o[k] * xp.tanh(c[k])  # (12)
    y[T] = h[T] @ Wy + by  # (13)
    value = xp.mean(xp.sum((y[T] - t) ** 2, axis=-1))  # (14)
    delta_zi = [zeros((N, H))] * (T + 1)
    delta_i = [zeros((N, H))] * (T + 1)
    delta_zf = [zeros((N, H))] * (T + 1)
    delta_f = [zeros((N, H))] * (T + 1)
    delta_zg = [zeros((N, H))] * (T + 1)
    delta_g = [zeros((N, H))] * (T + 1)
    delta_zo = [zeros((N, H))] * (T + 1)
    delta_o = [zeros((N, H))] * (T + 1)
    delta_c = [zeros((N, H))] * (T + 1)
    delta_h = [zeros((N, H))] * (T + 1)
    delta_y = [zeros((N, M))] * (T + 1)
    delta_y[T] = 2 / N * (y[T] - t)  # (58)
    delta_h[T] = delta_y[T] @ Wy.T  # (59)
    delta_c[T] = delta_h[T] * o[T] * (1 - xp.tanh(c[T]) ** 2)  # (60)
    delta_o[T] = delta_h[T] * xp.tanh(c[T])  # (61)
    delta_g[T] = delta_c[T] * i[T]  # (62)
    delta_f[T] = delta_c[T] * c[T - 1]  # (63)
    delta_i[T] = delta_c[T] * g[T]  # (64)
    delta_zo[T] = delta_o[T] * o[T] * (1 - o[T])  # (65)
    delta_zg[T] = delta_g[T] * (1 - g[T] ** 2)  # (66)
    delta_zf[T] = delta_f[T] * f[T] * (1 - f[T])  # (67)
    delta_zi[T] = delta_i[T] * i[T] * (1 - i[T])  # (68)
    for k in range(T - 1, 0, -1):
        delta_h[k] = (
            delta_zf[k + 1] @ Whf.T + delta_zg[k + 1] @ Whg.T + delta_zi[k + 1] @ Whi.T + delta_zo[k + 1] @ Who.T
        )  # (69)
        delta_c[k] = delta_h[k] * o[k] * (1 - xp.tanh(c[k]) ** 2) + delta_c[k + 1] * f[k + 1]  # (70)
        delta_o[k] = delta_h[k] * xp.tanh(c[k])  # (71)
        delta_g[k] = delta_c[k] * i[k]  # (72)
        delta_f[k] = delta_c[k] * c[k - 1]  # (73)
        delta_i[k] = delta_c[k] * g[k]  # (74)
        delta_zo[k] = delta_o[k] * o[k] * (1 - o[k])  # (75)
        delta_zg[k] = delta_g[k] * (1 - g[k] ** 2)  # (76)
        delta_zf[k] = delta_f[k] * f[k] * (1 - f[k])  # (77)
        delta_zi[k] = delta_i[k] * i[k] * (1 - i[k])  # (78)
    gradient_Wxi = zeros((D, H))
    gradient_Whi = zeros((H, H))
    gradient_bi = zeros((H,))
    gradient_Wxf = zeros((D, H))
    gradient_Whf = zeros((H, H))
    gradient_bf = zeros((H,))
    gradient_Wxg = zeros((D, H))
    gradient_Whg = zeros((H, H))
    gradient_bg = zeros((H,))
    gradient_Wxo = zeros((D, H))
    gradient_Who = zeros((H, H))
    gradient_bo = zeros((H,))
    gradient_Wy = zeros((H, M))
    gradient_by = zeros((M,))
    for k in range(1, T + 1):
        gradient_Wxi += x[k].T @ delta_zi[k]  # (79)
        gradient_Whi += h[k - 1].T @ delta_zi[k]  # (80)
        gradient_bi += xp.sum(delta_zi[k], axis=0)  # (81)
        gradient_Wxf += x[k].T @ delta_zf[k]  # (82)
        gradient_Whf += h[k - 1].T @ delta_zf[k]  # (83)
        gradient_bf += xp.sum(delta_zf[k], axis=0)  # (84)
        gradient_Wxg += x[k].T @ delta_zg[k]  # (85)
        gradient_Whg += h[k - 1].T @ delta_zg[k]  # (86)
        gradient_bg += xp.sum(delta_zg[k], axis=0)  # (87)
        gradient_Wxo += x[k].T @ delta_zo[k]  # (88)
        gradient_Who += h[k - 1].T @ delta_zo[k]  # (89)
        gradient_bo += xp.sum(delta_zo[k], axis=0)  # (90)
    gradient_Wy += h[T].T @ delta_y[T]  # (91)
    gradient_by += xp.sum(delta_y[T], axis=0)  # (92)
    return value, Parameters(
        gradient_Wxi,
        gradient_Whi,
        gradient_bi,
        gradient_Wxf,
        gradient_Whf,
        gradient_bf,
        gradient_Wxg,
        gradient_Whg,
        gradient_bg,
        gradient_Wxo,
        gradient_Who,
        gradient_bo,
        gradient_Wy,
        gradient_by,
    )


def steps_of(sequences: Array) -> list[Array]:
    """The steps of sequences, one a row: entry k holds step k, and entry 0 is not used."""
    steps = [sequences[:, k, ...] for k in range(sequences.shape[1])]
    return [steps[0], *steps]


def logistic(xp: Any, z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(-z)), by a form that no z makes overflow."""
    return (1 + xp.tanh(z / 2)) / 2
