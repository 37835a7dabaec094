"""The logistic network that counts zeros: its residuals and their Jacobian, by real-time recurrent learning.

Written by `make derive` from the description of the cell `logistic`.
The derivation beside this file says where each line comes from: the number behind a line is that of its equation there.

The loss is a sum of squares of residuals, one a sequence. Their derivatives by the weights run forwards with the
states. `loss` and `value_and_gradient` give what those of `network.py` give, within rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .network import Parameters, as_targets, forward

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .network import Array, Number


def residuals_and_jacobian(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Array, Array]:
    """What is squared in the loss, and its derivatives.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.

    Returns:
        The residuals, N, and their Jacobian, N × 2: a row a sequence, a column a weight, in the order of `Parameters`.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    Wrec = parameters.Wrec
    x, s = trace.x, trace.s
    T, N, dtype = len(x) - 1, x.shape[1], x.dtype
    t = as_targets(t, (N,), dtype)
    ds_dWx = np.zeros((T + 1, N), dtype)
    ds_dWrec = np.zeros((T + 1, N), dtype)
    dz_dWx = np.zeros((T + 1, N), dtype)
    dz_dWrec = np.zeros((T + 1, N), dtype)
    ds_dWx[0] = 0  # (52)
    ds_dWrec[0] = 0  # (53)
    for k in range(1, T):
        dz_dWx[k] = Wrec * ds_dWx[k - 1] + x[k]  # (54)
        dz_dWrec[k] = Wrec * ds_dWrec[k - 1] + s[k - 1]  # (55)
        ds_dWx[k] = s[k] * (1 - s[k]) * dz_dWx[k]  # (56)
        ds_dWrec[k] = s[k] * (1 - s[k]) * dz_dWrec[k]  # (57)
    dz_dWx[T] = Wrec * ds_dWx[T - 1] + x[T]  # (54)
    dz_dWrec[T] = Wrec * ds_dWrec[T - 1] + s[T - 1]  # (55)
    ds_dWx[T] = dz_dWx[T]  # (58)
    ds_dWrec[T] = dz_dWrec[T]  # (59)
    residuals = s[T] - t  # (72)
    jacobian = np.zeros((N, 2), dtype)
    jacobian[:, 0] = ds_dWx[T]  # (74)
    jacobian[:, 1] = ds_dWrec[T]  # (75)
    return residuals, jacobian


def residuals_of(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Array:
    """The residuals without their derivatives, which are most of the work."""
    trace = forward(parameters, X)
    s = trace.s
    T, N, dtype = len(s) - 1, s.shape[1], s.dtype
    t = as_targets(t, (N,), dtype)
    residuals: Array = s[T] - t  # (72)
    return residuals


def loss(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Number:
    """The loss on the data; see `value_and_gradient`."""
    return loss_of(residuals_of(parameters, X, t))


def value_and_gradient(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    residuals, jacobian = residuals_and_jacobian(parameters, X, t)
    return loss_of(residuals), gradient_of(residuals, jacobian)


def loss_of(residuals: Array) -> Number:
    """The loss, from the residuals of all sequences."""
    value = np.mean(residuals**2)  # (73)
    return value


def gradient_of(residuals: Array, jacobian: Array) -> Parameters:
    """The derivative of the loss with respect to every weight, from the residuals and their Jacobian."""
    N = len(residuals)
    gradient_Wx = 2 / N * (residuals @ jacobian[:, 0])  # (76)
    gradient_Wrec = 2 / N * (residuals @ jacobian[:, 1])  # (77)
    return Parameters(gradient_Wx, gradient_Wrec)
