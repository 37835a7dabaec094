"""The logistic network that counts zeros: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `logistic`.
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
    Wx, Wrec = parameters
    T, N = X.shape[1], X.shape[0]
    x = steps_of(X)
    z = [zeros((N,))] * (T + 1)
    s = [zeros((N,))] * (T + 1)
    s[0] = zeros((N,))  # (1)
    for k in range(1, T):
        z[k] = s[k - 1] * Wrec + x[k] * Wx  # (2)
        s[k] = logistic(xp, z[k])  # (3)
    z[T] = s[T - 1] * Wrec + x[T] * Wx  # (2)
    s[T] = z[T]  # (4)
    value = xp.mean((s[T] - t) ** 2)  # (5)
    delta_z = [zeros((N,))] * (T + 1)
    delta_s = [zeros((N,))] * (T + 1)
    delta_s[T] = 2 / N * (s[T] - t)  # (33)
    delta_z[T] = delta_s[T]  # (34)
    for k in range(T - 1, 0, -1):
        delta_s[k] = delta_z[k + 1] * Wrec  # (35)
        delta_z[k] = delta_s[k] * s[k] * (1 - s[k])  # (36)
    gradient_Wx = zeros(())
    gradient_Wrec = zeros(())
    for k in range(1, T + 1):
        gradient_Wx += delta_z[k] @ x[k]  # (38)
        gradient_Wrec += delta_z[k] @ s[k - 1]  # (40)
    return value, Parameters(gradient_Wx, gradient_Wrec)


def steps_of(sequences: Array) -> list[Array]:
    """The steps of sequences, one a row: entry k holds step k, and entry 0 is not used."""
    steps = [sequences[:, k, ...] for k in range(sequences.shape[1])]
    return [steps[0], *steps]


def logistic(xp: Any, z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(-z)), by a form that no z makes overflow."""
    return (1 + xp.tanh(z / 2)) / 2
