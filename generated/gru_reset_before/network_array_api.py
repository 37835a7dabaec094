"""The GRU, reset before the product: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `gru_reset_before`.
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
    Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, Wy, by = parameters
    T, H, N, M, D = X.shape[1], parameters.Wxr.shape[1], X.shape[0], parameters.Wy.shape[1], parameters.Wxr.shape[0]
    x = steps_of(X)
    zr = [zeros((N, H))] * (T + 1)
    zu = [zeros((N, H))] * (T + 1)
    zc = [zeros((N, H))] * (T + 1)
    r = [zeros((N, H))] * (T + 1)
    u = [zeros((N, H))] * (T + 1)
    p = [zeros((N, H))] * (T + 1)
    c = [zeros((N, H))] * (T + 1)
    h = [zeros((N, H))] * (T + 1)
    y = [zeros((N, M))] * (T + 1)
    h[0] = zeros((N, H))  # (1)
    for k in range(1, T + 1):
        zr[k] = h[k - 1] @ Whr + x[k] @ Wxr + br  # (2)
        zu[k] = h[k - 1] @ Whu + x[k] @ Wxu + bu  # (3)
        r[k] = logistic(xp, zr[k])  # (4)
        u[k] = logistic(xp, zu[k])  # (5)
        p[k] = r[k] * h[k - 1]  # (6)
        zc[k] = p[k] @ Whc + x[k] @ Wxc + bxc  # (7)
        c[k] = xp.tanh(zc[k])  # (8)
        h[k] = u[k] * h[k - 1] + (1 - u[k]) * c[k]  # (9)
    y[T] = h[T] @ Wy + by  # (10)
    value = xp.mean(xp.sum((y[T] - t) ** 2, axis=-1))  # (11)
    delta_zr = [zeros((N, H))] * (T + 1)
    delta_zu = [zeros((N, H))] * (T + 1)
    delta_zc = [zeros((N, H))] * (T + 1)
    delta_r = [zeros((N, H))] * (T + 1)
    delta_u = [zeros((N, H))] * (T + 1)
    delta_p = [zeros((N, H))] * (T + 1)
    delta_c = [zeros((N, H))] * (T + 1)
    delta_h = [zeros((N, H))] * (T + 1)
    delta_y = [zeros((N, M))] * (T + 1)
    delta_y[T] = 2 / N * (y[T] - t)  # (47)
    delta_h[T] = delta_y[T] @ Wy.T  # (48)
    delta_c[T] = delta_h[T] * (1 - u[T])  # (49)
    delta_zc[T] = delta_c[T] * (1 - c[T] ** 2)  # (50)
    delta_p[T] = delta_zc[T] @ Whc.T  # (51)
    delta_u[T] = delta_h[T] * (h[T - 1] - c[T])  # (52)
    delta_r[T] = delta_p[T] * h[T - 1]  # (53)
    delta_zu[T] = delta_u[T] * u[T] * (1 - u[T])  # (54)
    delta_zr[T] = delta_r[T] * r[T] * (1 - r[T])  # (55)
    for k in range(T - 1, 0, -1):
        delta_h[k] = (
            delta_h[k + 1] * u[k + 1] + delta_p[k + 1] * r[k + 1] + delta_zr[k + 1] @ Whr.T + delta_zu[k + 1] @ Whu.T
        )  # (56)
        delta_c[k] = delta_h[k] * (1 - u[k])  # (57)
        delta_zc[k] = delta_c[k] * (1 - c[k] ** 2)  # (58)
        delta_p[k] = delta_zc[k] @ Whc.T  # (59)
        delta_u[k] = delta_h[k] * (h[k - 1] - c[k])  # (60)
        delta_r[k] = delta_p[k] * h[k - 1]  # (61)
        delta_zu[k] = delta_u[k] * u[k] * (1 - u[k])  # (62)
        delta_zr[k] = delta_r[k] * r[k] * (1 - r[k])  # (63)
    gradient_Wxr = zeros((D, H))
    gradient_Whr = zeros((H, H))
    gradient_br = zeros((H,))
    gradient_Wxu = zeros((D, H))
    gradient_Whu = zeros((H, H))
    gradient_bu = zeros((H,))
    gradient_Wxc = zeros((D, H))
    gradient_Whc = zeros((H, H))
    gradient_bxc = zeros((H,))
    gradient_Wy = zeros((H, M))
    gradient_by = zeros((M,))
    for k in range(1, T + 1):
        gradient_Wxr += x[k].T @ delta_zr[k]  # (64)
        gradient_Whr += h[k - 1].T @ delta_zr[k]  # (65)
        gradient_br += xp.sum(delta_zr[k], axis=0)  # (66)
        gradient_Wxu += x[k].T @ delta_zu[k]  # (67)
        gradient_Whu += h[k - 1].T @ delta_zu[k]  # (68)
        gradient_bu += xp.sum(delta_zu[k], axis=0)  # (69)
        gradient_Wxc += x[k].T @ delta_zc[k]  # (70)
        gradient_Whc += p[k].T @ delta_zc[k]  # (71)
        gradient_bxc += xp.sum(delta_zc[k], axis=0)  # (72)
    gradient_Wy += h[T].T @ delta_y[T]  # (73)
    gradient_by += xp.sum(delta_y[T], axis=0)  # (74)
    return value, Parameters(
        gradient_Wxr,
        gradient_Whr,
        gradient_br,
        gradient_Wxu,
        gradient_Whu,
        gradient_bu,
        gradient_Wxc,
        gradient_Whc,
        gradient_bxc,
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
