"""The linear network that counts ones: its loss and its gradient, in any library of the array API standard.

Printed from the description of the cell `linear`.
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
    s = [zeros((N,))] * (T + 1)
    s[0] = zeros((N,))  # (1)
    for k in range(1, T + 1):
        s[k] = s[k - 1] * Wrec + x[k] * Wx  # (2)
    value = xp.mean((s[T] - t) ** 2)  # (3)
    delta = [zeros((N,))] * (T + 1)
    delta[T] = 2 / N * (s[T] - t)  # (25)
    for k in range(T - 1, 0, -1):
        delta[k] = delta[k + 1] * Wrec  # (26)
    gradient_Wx = zeros(())
    gradient_Wrec = zeros(())
    for k in range(1, T + 1):
        gradient_Wx += delta[k] @ x[k]  # (28)
        gradient_Wrec += delta[k] @ s[k - 1]  # (30)
    return value, Parameters(gradient_Wx, gradient_Wrec)


def steps_of(sequences: Array) -> list[Array]:
    """The steps of sequences, one a row: entry k holds step k, and entry 0 is not used."""
    steps = [sequences[:, k, ...] for k in range(sequences.shape[1])]
    return [steps[0], *steps]
