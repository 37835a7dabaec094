"""The network that adds binary numbers: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `binary_adder`.
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
    Wx, Wrec, b, start, Wy, by = parameters
    T, H, N, M, D = X.shape[1], parameters.Wx.shape[1], X.shape[0], parameters.Wy.shape[1], parameters.Wx.shape[0]
    x = steps_of(X)
    t = steps_of(t)
    z = [zeros((N, H))] * (T + 1)
    h = [zeros((N, H))] * (T + 1)
    y = [zeros((N, M))] * (T + 1)
    h[0] = zeros((N, H)) + start  # (1)
    for k in range(1, T + 1):
        z[k] = h[k - 1] @ Wrec + x[k] @ Wx + b  # (2)
        h[k] = xp.tanh(z[k])  # (3)
        y[k] = h[k] @ Wy + by  # (4)
    value = 0.0
    for k in range(1, T + 1):
        value += xp.mean(xp.sum(logistic_cross_entropy(xp, y[k], t[k]), axis=-1))  # (5)
    delta_z = [zeros((N, H))] * (T + 1)
    delta_h = [zeros((N, H))] * (T + 1)
    delta_y = [zeros((N, M))] * (T + 1)
    delta_y[T] = 1 / N * (logistic(xp, y[T]) - t[T])  # (20)
    delta_h[T] = delta_y[T] @ Wy.T  # (21)
    delta_z[T] = delta_h[T] * (1 - h[T] ** 2)  # (22)
    for k in range(T - 1, 0, -1):
        delta_y[k] = 1 / N * (logistic(xp, y[k]) - t[k])  # (23)
        delta_h[k] = delta_z[k + 1] @ Wrec.T + delta_y[k] @ Wy.T  # (24)
        delta_z[k] = delta_h[k] * (1 - h[k] ** 2)  # (25)
    delta_h[0] = delta_z[1] @ Wrec.T  # (26)
    gradient_Wx = zeros((D, H))
    gradient_Wrec = zeros((H, H))
    gradient_b = zeros((H,))
    gradient_start = zeros((H,))
    gradient_Wy = zeros((H, M))
    gradient_by = zeros((M,))
    for k in range(1, T + 1):
        gradient_Wx += x[k].T @ delta_z[k]  # (27)
        gradient_Wrec += h[k - 1].T @ delta_z[k]  # (28)
        gradient_b += xp.sum(delta_z[k], axis=0)  # (29)
        gradient_Wy += h[k].T @ delta_y[k]  # (31)
        gradient_by += xp.sum(delta_y[k], axis=0)  # (32)
    gradient_start += xp.sum(delta_h[0], axis=0)  # (30)
    return value, Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_start, gradient_Wy, gradient_by)


def steps_of(sequences: Array) -> list[Array]:
    """The steps of sequences, one a row: entry k holds step k, and entry 0 is not used."""
    steps = [sequences[:, k, ...] for k in range(sequences.shape[1])]
    return [steps[0], *steps]


def logistic(xp: Any, z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(-z)), by a form that no z makes overflow."""
    return (1 + xp.tanh(z / 2)) / 2


def logistic_cross_entropy(xp: Any, y: Array, t: Array) -> Array:
    """-t log σ(y) - (1 - t) log(1 - σ(y)), by a form that no y makes overflow."""
    return xp.where(y > 0, y, 0 * y) - t * y + xp.log1p(xp.exp(-xp.abs(y)))
