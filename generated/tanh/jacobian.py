"""The tanh network with an output weight: its residuals and their Jacobian, by real-time recurrent learning.

Written by `make derive` from the description of the cell `tanh`.
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
        The residuals, N, and their Jacobian, N × 3: a row a sequence, a column a weight, in the order of `Parameters`.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    Wrec, Wy = parameters.Wrec, parameters.Wy
    x, s, y = trace.x, trace.s, trace.y
    T, N, dtype = len(x) - 1, x.shape[1], x.dtype
    t = as_targets(t, (N,), dtype)
    ds_dWx = np.zeros((T + 1, N), dtype)
    ds_dWrec = np.zeros((T + 1, N), dtype)
    dz_dWx = np.zeros((T + 1, N), dtype)
    dz_dWrec = np.zeros((T + 1, N), dtype)
    dy_dWx = np.zeros((T + 1, N), dtype)
    dy_dWrec = np.zeros((T + 1, N), dtype)
    dy_dWy = np.zeros((T + 1, N), dtype)
    ds_dWx[0] = 0  # (60)
    ds_dWrec[0] = 0  # (61)
    for k in range(1, T + 1):
        dz_dWx[k] = Wrec * ds_dWx[k - 1] + x[k]  # (62)
        dz_dWrec[k] = Wrec * ds_dWrec[k - 1] + s[k - 1]  # (63)
        ds_dWx[k] = (1 - s[k] ** 2) * dz_dWx[k]  # (64)
        ds_dWrec[k] = (1 - s[k] ** 2) * dz_dWrec[k]  # (65)
    dy_dWx[T] = Wy * ds_dWx[T]  # (66)
    dy_dWrec[T] = Wy * ds_dWrec[T]  # (67)
    dy_dWy[T] = s[T]  # (68)
    residuals = y[T] - t  # (86)
    jacobian = np.zeros((N, 3), dtype)
    jacobian[:, 0] = dy_dWx[T]  # (88)
    jacobian[:, 1] = dy_dWrec[T]  # (89)
    jacobian[:, 2] = dy_dWy[T]  # (90)
    return residuals, jacobian


def residuals_of(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Array:
    """The residuals without their derivatives, which are most of the work."""
    trace = forward(parameters, X)
    y = trace.y
    T, N, dtype = len(y) - 1, y.shape[1], y.dtype
    t = as_targets(t, (N,), dtype)
    residuals: Array = y[T] - t  # (86)
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
    value = np.mean(residuals**2)  # (87)
    return value


def gradient_of(residuals: Array, jacobian: Array) -> Parameters:
    """The derivative of the loss with respect to every weight, from the residuals and their Jacobian."""
    N = len(residuals)
    gradient_Wx = 2 / N * (residuals @ jacobian[:, 0])  # (91)
    gradient_Wrec = 2 / N * (residuals @ jacobian[:, 1])  # (92)
    gradient_Wy = 2 / N * (residuals @ jacobian[:, 2])  # (93)
    return Parameters(gradient_Wx, gradient_Wrec, gradient_Wy)
