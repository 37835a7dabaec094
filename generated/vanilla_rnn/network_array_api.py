"""The vanilla recurrent network: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `vanilla_rnn`.
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
    Wx, Wrec, b, Wy, by = parameters
    T, H, N, M, D = X.shape[1], parameters.Wx.shape[1], X.shape[0], parameters.Wy.shape[1], parameters.Wx.shape[0]
    x = steps_of(X)
    z = [zeros((N, H))] * (T + 1)
    h = [zeros((N, H))] * (T + 1)
    y = [zeros((N, M))] * (T + 1)
    h[0] = zeros((N, H))  # (1)
    for k in range(1, T + 1):
        z[k] = h[k - 1] @ Wrec + x[k] @ Wx + b  # (2)
        h[k] = xp.tanh(z[k])  # (3)
    y[T] = h[T] @ Wy + by  # (4)
    value = xp.mean(xp.sum((y[T] - t) ** 2, axis=-1))  # (5)
    delta_z = [zeros((N, H))] * (T + 1)
    delta_h = [zeros((N, H))] * (T + 1)
    delta_y = [zeros((N, M))] * (T + 1)
    delta_y[T] = 2 / N * (y[T] - t)  # (18)
    delta_h[T] = delta_y[T] @ Wy.T  # (19)
    delta_z[T] = delta_h[T] * (1 - h[T] ** 2)  # (20)
    for k in range(T - 1, 0, -1):
        delta_h[k] = delta_z[k + 1] @ Wrec.T  # (21)
        delta_z[k] = delta_h[k] * (1 - h[k] ** 2)  # (22)
    gradient_Wx = zeros((D, H))
    gradient_Wrec = zeros((H, H))
    gradient_b = zeros((H,))
    gradient_Wy = zeros((H, M))
    gradient_by = zeros((M,))
    for k in range(1, T + 1):
        gradient_Wx += x[k].T @ delta_z[k]  # (23)
        gradient_Wrec += h[k - 1].T @ delta_z[k]  # (24)
        gradient_b += xp.sum(delta_z[k], axis=0)  # (25)
    gradient_Wy += h[T].T @ delta_y[T]  # (26)
    gradient_by += xp.sum(delta_y[T], axis=0)  # (27)
    return value, Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_Wy, gradient_by)


def steps_of(sequences: Array) -> list[Array]:
    """The steps of sequences, one a row: entry k holds step k, and entry 0 is not used."""
    steps = [sequences[:, k, ...] for k in range(sequences.shape[1])]
    return [steps[0], *steps]
