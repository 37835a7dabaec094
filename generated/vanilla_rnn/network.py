"""The vanilla recurrent network: its loss and its gradient, by backpropagation through time.

Written by `make derive` from the description of the cell `vanilla_rnn`.
The derivation beside this file says where each line comes from: the number behind a line is that of its equation there.

A training loop calls `value_and_gradient`, and `descend` where it takes plain gradient descent; `predict` gives the
output. The other functions are their parts.

All N sequences are computed at once, and time comes first: `h[k]` holds h_k of every sequence. What the caller
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
    """The weights, and in the same form their gradients; a learning rate is one number a weight."""

    Wx: Array
    """Weights of the input. Shape (D, H)."""
    Wrec: Array
    """Weights of the previous state. Shape (H, H)."""
    b: Array
    """Bias of the state. Shape (H,)."""
    Wy: Array
    """Weights of the output. Shape (H, M)."""
    by: Array
    """Bias of the output. Shape (M,)."""


SHAPES: dict[str, Shape] = {"Wx": ("D", "H"), "Wrec": ("H", "H"), "b": ("H",), "Wy": ("H", "M"), "by": ("M",)}
"""The shape of every weight, in the names of its dimensions; () is a number."""
DATA_SHAPES: dict[str, Shape] = {"X": ("N", "T", "D"), "t": ("N", "M")}
"""The shapes of the inputs and the targets."""
LOSS_IS_MEAN = True
"""Whether the loss is a mean over the sequences, but for what depends on the weights alone."""
STATES: dict[str, str] = {"h": "delta_h"}
"""What one step hands on to the next, each with the name of its adjoint."""


class Trace(NamedTuple):
    """What a forward pass reads and computes: arrays with time first, row k for step k of all sequences."""

    x: Array
    """Input. Shape (T + 1, N, D), row 0 not used."""
    z: Array
    """Pre-activation. Shape (T + 1, N, H), row 0 not used."""
    h: Array
    """State. Shape (T + 1, N, H)."""
    y: Array
    """Output. Shape (T + 1, N, M), row 0 not used."""


class Adjoints(NamedTuple):
    """What a backward pass computes: arrays with time first, row k for step k of all sequences."""

    delta_z: Array
    """Derivative of the loss with respect to z[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_h: Array
    """Derivative of the loss with respect to h[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_y: Array
    """Derivative of the loss with respect to y[k]. Shape (T + 1, N, M), row 0 not used."""


def forward(parameters: Parameters, X: ArrayLike) -> Trace:
    """Runs the network over all steps.

    Args:
        parameters: The weights.
        X: The inputs, N × T × D.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    Wx, Wrec, b, Wy, by = parameters
    x = time_first(X, parameters)
    T, N, dtype, H, M = len(x) - 1, x.shape[1], x.dtype, Wx.shape[1], Wy.shape[1]
    z = np.zeros((T + 1, N, H), dtype)
    h = np.zeros((T + 1, N, H), dtype)
    y = np.zeros((T + 1, N, M), dtype)
    h[0] = 0  # (1)
    for k in range(1, T + 1):
        z[k] = h[k - 1] @ Wrec + x[k] @ Wx + b  # (2)
        h[k] = np.tanh(z[k])  # (3)
    y[T] = h[T] @ Wy + by  # (4)
    return Trace(x, z, h, y)


def backward(parameters: Parameters, trace: Trace, t: ArrayLike) -> Adjoints:
    """Runs back through time, from the loss to the first step.

    Args:
        parameters: The weights.
        trace: What the forward pass computed with them.
        t: The targets, N × M.

    Raises:
        ValueError: t has another shape.
    """
    Wrec, Wy = parameters.Wrec, parameters.Wy
    h, y = trace.h, trace.y
    T, N, dtype, H, M = len(h) - 1, h.shape[1], h.dtype, h.shape[2], y.shape[2]
    t = as_targets(t, (N, M), dtype)
    delta_z = np.zeros((T + 1, N, H), dtype)
    delta_h = np.zeros((T + 1, N, H), dtype)
    delta_y = np.zeros((T + 1, N, M), dtype)
    delta_y[T] = 2 / N * (y[T] - t)  # (18)
    delta_h[T] = delta_y[T] @ Wy.T  # (19)
    delta_z[T] = delta_h[T] * (1 - h[T] ** 2)  # (20)
    for k in range(T - 1, 0, -1):
        delta_h[k] = delta_z[k + 1] @ Wrec.T  # (21)
        delta_z[k] = delta_h[k] * (1 - h[k] ** 2)  # (22)
    return Adjoints(delta_z, delta_h, delta_y)


def predict(parameters: Parameters, X: ArrayLike) -> Array:
    """The output y[T] of the network for every sequence, N × M numbers.

    Args:
        parameters: The weights.
        X: The inputs, N × T × D.

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
        X: The inputs, N × T × D.
        t: The targets, N × M.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    return loss_of(trace, t)


def value_and_gradient(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T × D.
        t: The targets, N × M.

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
    Wx, Wrec, b, Wy, by = parameters
    Wx = Wx - learning_rates.Wx * gradient.Wx  # (28)
    Wrec = Wrec - learning_rates.Wrec * gradient.Wrec  # (29)
    b = b - learning_rates.b * gradient.b  # (30)
    Wy = Wy - learning_rates.Wy * gradient.Wy  # (31)
    by = by - learning_rates.by * gradient.by  # (32)
    return Parameters(Wx, Wrec, b, Wy, by)


def loss_of(trace: Trace, t: ArrayLike) -> Number:
    """The loss of what a forward pass computed."""
    y = trace.y
    T, N, dtype, M = len(y) - 1, y.shape[1], y.dtype, y.shape[2]
    t = as_targets(t, (N, M), dtype)
    value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))  # (5)
    return value


def sum_over_time(trace: Trace, adjoints: Adjoints) -> Parameters:
    """The gradient: what every step of every sequence contributes, added up."""
    x, h = trace.x, trace.h
    delta_z, delta_y = adjoints.delta_z, adjoints.delta_y
    T, dtype, D, H, M = len(x) - 1, x.dtype, x.shape[2], h.shape[2], delta_y.shape[2]
    gradient_Wx = np.zeros((D, H), dtype)
    gradient_Wrec = np.zeros((H, H), dtype)
    gradient_b = np.zeros((H,), dtype)
    gradient_Wy = np.zeros((H, M), dtype)
    gradient_by = np.zeros((M,), dtype)
    for k in range(1, T + 1):
        gradient_Wx += x[k].T @ delta_z[k]  # (23)
        gradient_Wrec += h[k - 1].T @ delta_z[k]  # (24)
        gradient_b += np.sum(delta_z[k], axis=0)  # (25)
    gradient_Wy += h[T].T @ delta_y[T]  # (26)
    gradient_by += np.sum(delta_y[T], axis=0)  # (27)
    return Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_Wy, gradient_by)


def as_sequences(X: ArrayLike, parameters: Parameters) -> Array:
    """Sequences, one a row (N × T × D), as an array of floating point, complex where a parameter is.

    The weights are checked first.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    sequences = np.asarray(X)
    if sequences.dtype.kind not in "biufc":
        raise ValueError(f"X holds numbers; its dtype is {sequences.dtype}")
    if sequences.ndim != 3 or sequences.size == 0:
        raise ValueError(f"X holds N sequences of T steps, N × T × D; its shape is {sequences.shape}")
    check_weights(parameters, sequences)
    floating = sequences.dtype if sequences.dtype.kind in "fc" else np.dtype(np.float64)
    return sequences.astype(np.result_type(floating, *parameters), copy=False)


def time_first(X: ArrayLike, parameters: Parameters) -> Array:
    """Copies sequences, one a row (N × T × D), into steps, one a row: row k holds step k, and row 0 is left zero."""
    sequences = as_sequences(X, parameters)
    N, T = sequences.shape[:2]
    steps = np.zeros((T + 1, N, *sequences.shape[2:]), sequences.dtype)
    steps[1:] = np.swapaxes(sequences, 0, 1)
    return steps


def check_weights(parameters: Parameters, X: Array) -> None:
    """Refuses, by a ValueError, a weight that is no array of its shape; a dimension is as long as it first was."""
    sizes: dict[str | int, int] = {}
    for name, shape, value in (("X", DATA_SHAPES["X"], X), *zip(SHAPES, SHAPES.values(), parameters, strict=True)):
        array = np.asarray(value)
        known = dict(zip(shape, array.shape, strict=False)) | sizes
        fits = array.shape == tuple(known.get(size) if isinstance(size, str) else size for size in shape)
        if not fits or array.dtype.kind not in "biufc" or (shape and array is not value):
            given = f"an array {array.shape} of {array.dtype}" if array is value else f"a {type(value).__name__}"
            expected = "an array " + str(shape).replace("'", "") if shape else "one number"
            told = ", ".join(f"{size} = {sizes[size]}" for size in dict.fromkeys(shape) if size in sizes)
            source = f" with {told} as in X and the weights before it" if told else ""
            raise ValueError(f"{name} is {given}, expected {expected}{source}")
        sizes = known


def as_targets(t: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The targets (N × M), in the floating point of the states."""
    targets = np.asarray(t)
    if targets.dtype.kind not in "biuf":
        raise ValueError(f"t holds real numbers; its dtype is {targets.dtype}")
    if targets.shape != shape:
        raise ValueError(f"t holds one row a sequence, {shape}; its shape is {targets.shape}")
    return targets.astype(dtype)
