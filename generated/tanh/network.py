"""The tanh network with an output weight: its loss and its gradient, by backpropagation through time.

Written by `make derive` from the description of the cell `tanh`.
The derivation beside this file says where each line comes from: the number behind a line is that of its equation there.

A training loop calls `value_and_gradient`, and `descend` where it takes plain gradient descent; `predict` gives the
output. The other functions are their parts.

All N sequences are computed at once, and time comes first: `s[k]` holds s_k of every sequence. What the caller
passes is one sequence a row. Integers are converted to float64; what is floating point stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:  # importing it takes longer than all the rest
    from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = "NDArray[Any]"
Number: TypeAlias = Any
"""A float; complex where a parameter is complex, as in a complex-step derivative."""
Shape: TypeAlias = tuple[str | int, ...]


class Parameters(NamedTuple):
    """The weights. Gradients and learning rates come in the same form, one number a weight."""

    Wx: Number
    """Weight of the input."""
    Wrec: Number
    """Weight of the previous state."""
    Wy: Number
    """Weight of the output."""


SHAPES: dict[str, Shape] = {"Wx": (), "Wrec": (), "Wy": ()}
"""The shape of every weight, in the names of its dimensions; () is a number."""
DATA_SHAPES: dict[str, Shape] = {"X": ("N", "T"), "t": ("N",)}
"""The shapes of the inputs and the targets."""
LOSS_IS_MEAN = True
"""Whether the loss is a mean over the sequences, but for what depends on the weights alone."""
STATES: dict[str, str] = {"s": "delta_s"}
"""What one step hands on to the next, each with the name of its adjoint."""


class Trace(NamedTuple):
    """What a forward pass reads and computes: arrays with time first, row k for step k of all sequences."""

    x: Array
    """0 or 1. Shape (T + 1, N), row 0 not used."""
    z: Array
    """Pre-activation. Shape (T + 1, N), row 0 not used."""
    s: Array
    """Between -1 and 1. Shape (T + 1, N)."""
    y: Array
    """Output. Shape (T + 1, N), row 0 not used."""


class Adjoints(NamedTuple):
    """What a backward pass computes: arrays with time first, row k for step k of all sequences."""

    delta_z: Array
    """Derivative of the loss with respect to z[k]. Shape (T + 1, N), row 0 not used."""
    delta_s: Array
    """Derivative of the loss with respect to s[k]. Shape (T + 1, N), row 0 not used."""
    delta_y: Array
    """Derivative of the loss with respect to y[k]. Shape (T + 1, N), row 0 not used."""


def forward(parameters: Parameters, X: ArrayLike) -> Trace:
    """Runs the network over all steps.

    Args:
        parameters: The weights.
        X: The inputs, N × T.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    Wx, Wrec, Wy = parameters
    x = time_first(X, parameters)
    T, N, dtype = len(x) - 1, x.shape[1], x.dtype
    z = np.zeros((T + 1, N), dtype)
    s = np.zeros((T + 1, N), dtype)
    y = np.zeros((T + 1, N), dtype)
    s[0] = 0  # (1)
    for k in range(1, T + 1):
        z[k] = s[k - 1] * Wrec + x[k] * Wx  # (2)
        s[k] = np.tanh(z[k])  # (3)
    y[T] = s[T] * Wy  # (4)
    return Trace(x, z, s, y)


def backward(parameters: Parameters, trace: Trace, t: ArrayLike) -> Adjoints:
    """Runs back through time, from the loss to the first step.

    Args:
        parameters: The weights.
        trace: What the forward pass computed with them.
        t: The targets, N.

    Raises:
        ValueError: t has another shape.
    """
    Wrec, Wy = parameters.Wrec, parameters.Wy
    s, y = trace.s, trace.y
    T, N, dtype = len(s) - 1, s.shape[1], s.dtype
    t = as_targets(t, (N,), dtype)
    delta_z = np.zeros((T + 1, N), dtype)
    delta_s = np.zeros((T + 1, N), dtype)
    delta_y = np.zeros((T + 1, N), dtype)
    delta_y[T] = 2 / N * (y[T] - t)  # (39)
    delta_s[T] = delta_y[T] * Wy  # (40)
    delta_z[T] = delta_s[T] * (1 - s[T] ** 2)  # (41)
    for k in range(T - 1, 0, -1):
        delta_s[k] = delta_z[k + 1] * Wrec  # (42)
        delta_z[k] = delta_s[k] * (1 - s[k] ** 2)  # (43)
    return Adjoints(delta_z, delta_s, delta_y)


def predict(parameters: Parameters, X: ArrayLike) -> Array:
    """The output y[T] of the network for every sequence, N numbers.

    Args:
        parameters: The weights.
        X: The inputs, N × T.

    Raises:
        ValueError: X or a weight has another shape.
    """
    trace = forward(parameters, X)
    output: Array = trace.y[-1]
    return output


def loss(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Number:
    """The loss on the data.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    return loss_of(trace, t)


def value_and_gradient(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    adjoints = backward(parameters, trace, t)
    return loss_of(trace, t), sum_over_time(trace, adjoints)


def gradients(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Parameters:
    """The derivative of the loss with respect to every weight; see `value_and_gradient`."""
    return value_and_gradient(parameters, X, t)[1]


def descend(parameters: Parameters, gradient: Parameters, learning_rates: Parameters) -> Parameters:
    """The weights after one step of gradient descent."""
    Wx, Wrec, Wy = parameters
    Wx = Wx - learning_rates.Wx * gradient.Wx  # (50)
    Wrec = Wrec - learning_rates.Wrec * gradient.Wrec  # (51)
    Wy = Wy - learning_rates.Wy * gradient.Wy  # (52)
    return Parameters(Wx, Wrec, Wy)


def loss_of(trace: Trace, t: ArrayLike) -> Number:
    """The loss of what a forward pass computed."""
    y = trace.y
    T, N, dtype = len(y) - 1, y.shape[1], y.dtype
    t = as_targets(t, (N,), dtype)
    value = np.mean((y[T] - t) ** 2)  # (5)
    return value


def sum_over_time(trace: Trace, adjoints: Adjoints) -> Parameters:
    """The gradient: what every step of every sequence contributes, added up."""
    x, s = trace.x, trace.s
    delta_z, delta_y = adjoints.delta_z, adjoints.delta_y
    T = len(x) - 1
    gradient_Wx = 0
    gradient_Wrec = 0
    gradient_Wy = 0
    for k in range(1, T + 1):
        gradient_Wx += delta_z[k] @ x[k]  # (45)
        gradient_Wrec += delta_z[k] @ s[k - 1]  # (47)
    gradient_Wy += delta_y[T] @ s[T]  # (49)
    return Parameters(gradient_Wx, gradient_Wrec, gradient_Wy)


def as_sequences(X: ArrayLike, parameters: Parameters) -> Array:
    """Sequences, one a row (N × T), as an array of floating point, complex where a parameter is.

    The weights are checked first.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    sequences = np.asarray(X)
    if sequences.dtype.kind not in "biufc":
        raise ValueError(f"X holds numbers; its dtype is {sequences.dtype}")
    if sequences.ndim != 2 or sequences.size == 0:
        raise ValueError(f"X holds N sequences of T steps, N × T; its shape is {sequences.shape}")
    check_weights(parameters)
    floating = sequences.dtype if sequences.dtype.kind in "fc" else np.dtype(np.float64)
    return sequences.astype(np.result_type(floating, *parameters), copy=False)


def time_first(X: ArrayLike, parameters: Parameters) -> Array:
    """Copies sequences, one a row (N × T), into steps, one a row: row k holds step k, and row 0 is left zero."""
    sequences = as_sequences(X, parameters)
    N, T = sequences.shape[:2]
    steps = np.zeros((T + 1, N, *sequences.shape[2:]), sequences.dtype)
    steps[1:] = np.swapaxes(sequences, 0, 1)
    return steps


def check_weights(parameters: Parameters) -> None:
    """Refuses, by a ValueError, a weight that is not one number."""
    for name, weight in zip(SHAPES, parameters, strict=True):
        number = np.asarray(weight)
        if number.shape or number.dtype.kind not in "biufc":
            raise ValueError(f"{name} is one number; its shape is {number.shape} and its dtype {number.dtype}")


def as_targets(t: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The targets (N), in the floating point of the states."""
    targets = np.asarray(t)
    if targets.dtype.kind not in "biuf":
        raise ValueError(f"t holds real numbers; its dtype is {targets.dtype}")
    if targets.shape != shape:
        raise ValueError(f"t holds one target a sequence, {shape[0]} of them; its shape is {targets.shape}")
    return targets.astype(dtype)
