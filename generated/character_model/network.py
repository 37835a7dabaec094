"""The character model: its loss and its gradient, by backpropagation through time.

Written by `make derive` from the description of the cell `character_model`.
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
    """Weights of the input. Shape (V, H)."""
    Wrec: Array
    """Weights of the previous state. Shape (H, H)."""
    b: Array
    """Bias of the state. Shape (H,)."""
    Wy: Array
    """Weights of the output. Shape (H, V)."""
    by: Array
    """Bias of the output. Shape (V,)."""


SHAPES: dict[str, Shape] = {"Wx": ("V", "H"), "Wrec": ("H", "H"), "b": ("H",), "Wy": ("H", "V"), "by": ("V",)}
"""The shape of every weight, in the names of its dimensions; () is a number."""
DATA_SHAPES: dict[str, Shape] = {"X": ("N", "T", "V"), "t": ("N", "T")}
"""The shapes of the inputs and the targets."""
LOSS_IS_MEAN = True
"""Whether the loss is a mean over the sequences, but for what depends on the weights alone."""
STATES: dict[str, str] = {"h": "delta_h"}
"""What one step hands on to the next, each with the name of its adjoint."""


class Trace(NamedTuple):
    """What a forward pass reads and computes: arrays with time first, row k for step k of all sequences."""

    x: Array
    """The character, 1 in its own place and 0 elsewhere. Shape (T + 1, N, V), row 0 not used."""
    z: Array
    """Pre-activation. Shape (T + 1, N, H), row 0 not used."""
    h: Array
    """State. Shape (T + 1, N, H)."""
    y: Array
    """Output, before the softmax. Shape (T + 1, N, V), row 0 not used."""


class Adjoints(NamedTuple):
    """What a backward pass computes: arrays with time first, row k for step k of all sequences."""

    delta_z: Array
    """Derivative of the loss with respect to z[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_h: Array
    """Derivative of the loss with respect to h[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_y: Array
    """Derivative of the loss with respect to y[k]. Shape (T + 1, N, V), row 0 not used."""


def forward(parameters: Parameters, X: ArrayLike) -> Trace:
    """Runs the network over all steps.

    Args:
        parameters: The weights.
        X: The inputs, N × T × V.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    Wx, Wrec, b, Wy, by = parameters
    x = time_first(X, parameters)
    T, N, dtype, V, H = len(x) - 1, x.shape[1], x.dtype, x.shape[2], Wx.shape[1]
    z = np.zeros((T + 1, N, H), dtype)
    h = np.zeros((T + 1, N, H), dtype)
    y = np.zeros((T + 1, N, V), dtype)
    h[0] = 0  # (1)
    for k in range(1, T + 1):
        z[k] = h[k - 1] @ Wrec + x[k] @ Wx + b  # (2)
        h[k] = np.tanh(z[k])  # (3)
        y[k] = h[k] @ Wy + by  # (4)
    return Trace(x, z, h, y)


def backward(parameters: Parameters, trace: Trace, t: ArrayLike) -> Adjoints:
    """Runs back through time, from the loss to the first step.

    Args:
        parameters: The weights.
        trace: What the forward pass computed with them.
        t: The targets, N × T.

    Raises:
        ValueError: t has another shape.
    """
    Wrec, Wy = parameters.Wrec, parameters.Wy
    h, y = trace.h, trace.y
    T, N, dtype, H, V = len(h) - 1, h.shape[1], h.dtype, h.shape[2], y.shape[2]
    t = as_targets(t, (N, T), V)
    delta_z = np.zeros((T + 1, N, H), dtype)
    delta_h = np.zeros((T + 1, N, H), dtype)
    delta_y = np.zeros((T + 1, N, V), dtype)
    delta_y[T] = 1 / N * (softmax(y[T]) - one_hot(t[T], y[T]))  # (20)
    delta_h[T] = delta_y[T] @ Wy.T  # (21)
    delta_z[T] = delta_h[T] * (1 - h[T] ** 2)  # (22)
    for k in range(T - 1, 0, -1):
        delta_y[k] = 1 / N * (softmax(y[k]) - one_hot(t[k], y[k]))  # (23)
        delta_h[k] = delta_z[k + 1] @ Wrec.T + delta_y[k] @ Wy.T  # (24)
        delta_z[k] = delta_h[k] * (1 - h[k] ** 2)  # (25)
    return Adjoints(delta_z, delta_h, delta_y)


def predict(parameters: Parameters, X: ArrayLike) -> Array:
    """The output y[k] of the network for every sequence, N × T × V numbers.

    Args:
        parameters: The weights.
        X: The inputs, N × T × V.

    Raises:
        ValueError: X or a weight has another shape.
    """
    trace = forward(parameters, X)
    outputs: Array = np.swapaxes(trace.y[1:], 0, 1)
    return outputs


def loss(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> Number:
    """The loss on the data.

    Args:
        parameters: The weights.
        X: The inputs, N × T × V.
        t: The targets, N × T.

    Raises:
        ValueError: X, t or a weight has another shape.
    """
    trace = forward(parameters, X)
    return loss_of(trace, t)


def value_and_gradient(parameters: Parameters, X: ArrayLike, t: ArrayLike) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T × V.
        t: The targets, N × T.

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
    Wx = Wx - learning_rates.Wx * gradient.Wx  # (31)
    Wrec = Wrec - learning_rates.Wrec * gradient.Wrec  # (32)
    b = b - learning_rates.b * gradient.b  # (33)
    Wy = Wy - learning_rates.Wy * gradient.Wy  # (34)
    by = by - learning_rates.by * gradient.by  # (35)
    return Parameters(Wx, Wrec, b, Wy, by)


def loss_of(trace: Trace, t: ArrayLike) -> Number:
    """The loss of what a forward pass computed."""
    y = trace.y
    T, N, V = len(y) - 1, y.shape[1], y.shape[2]
    t = as_targets(t, (N, T), V)
    value: Number = 0
    for k in range(1, T + 1):
        value += np.mean(softmax_cross_entropy(y[k], t[k]))  # (5)
    return value


def sum_over_time(trace: Trace, adjoints: Adjoints) -> Parameters:
    """The gradient: what every step of every sequence contributes, added up."""
    x, h = trace.x, trace.h
    delta_z, delta_y = adjoints.delta_z, adjoints.delta_y
    T, dtype, V, H = len(x) - 1, x.dtype, x.shape[2], h.shape[2]
    gradient_Wx = np.zeros((V, H), dtype)
    gradient_Wrec = np.zeros((H, H), dtype)
    gradient_b = np.zeros((H,), dtype)
    gradient_Wy = np.zeros((H, V), dtype)
    gradient_by = np.zeros((V,), dtype)
    for k in range(1, T + 1):
        gradient_Wx += x[k].T @ delta_z[k]  # (26)
        gradient_Wrec += h[k - 1].T @ delta_z[k]  # (27)
        gradient_b += np.sum(delta_z[k], axis=0)  # (28)
        gradient_Wy += h[k].T @ delta_y[k]  # (29)
        gradient_by += np.sum(delta_y[k], axis=0)  # (30)
    return Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_Wy, gradient_by)


def softmax(y: Array) -> Array:
    """exp(y_i) / Σ_j exp(y_j) in every row, by a form that no y makes overflow."""
    powers = np.exp(y - np.max(np.real(y), axis=-1, keepdims=True))
    probabilities: Array = powers / np.sum(powers, axis=-1, keepdims=True)
    return probabilities


def one_hot(t: Array, y: Array) -> Array:
    """For each label of t a row as long as those of y: 1 at the label, 0 elsewhere."""
    rows: Array = np.eye(y.shape[-1], dtype=np.real(y).dtype)[t]
    return rows


def softmax_cross_entropy(y: Array, t: Array) -> Array:
    """-log softmax(y)_t for each row and its label, by a form that no y makes overflow."""
    largest = np.max(np.real(y), axis=-1, keepdims=True)
    logarithm = np.log(np.sum(np.exp(y - largest), axis=-1)) + largest[..., 0]
    chosen: Array = np.take_along_axis(y, t[..., np.newaxis], axis=-1)[..., 0]
    entropy: Array = logarithm - chosen
    return entropy


def as_sequences(X: ArrayLike, parameters: Parameters) -> Array:
    """Sequences, one a row (N × T × V), as an array of floating point, complex where a parameter is.

    The weights are checked first.

    Raises:
        ValueError: X or a weight has another shape, or there is no sequence, or no step.
    """
    sequences = np.asarray(X)
    if sequences.dtype.kind not in "biufc":
        raise ValueError(f"X holds numbers; its dtype is {sequences.dtype}")
    if sequences.ndim != 3 or sequences.size == 0:
        raise ValueError(f"X holds N sequences of T steps, N × T × V; its shape is {sequences.shape}")
    check_weights(parameters, sequences)
    floating = sequences.dtype if sequences.dtype.kind in "fc" else np.dtype(np.float64)
    return sequences.astype(np.result_type(floating, *parameters), copy=False)


def time_first(X: ArrayLike, parameters: Parameters) -> Array:
    """Copies sequences, one a row (N × T × V), into steps, one a row: row k holds step k, and row 0 is left zero."""
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


def as_targets(t: ArrayLike, shape: tuple[int, ...], classes: int) -> Array:
    """The labels (N × T), with time first: whole numbers from 0 to classes - 1."""
    labels = np.asarray(t)
    if labels.dtype.kind not in "iu" or labels.shape != shape:
        raise ValueError(f"t holds whole numbers, {shape}; its dtype is {labels.dtype} and its shape {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"t holds labels from 0 to {classes - 1}; they run from {labels.min()} to {labels.max()}")
    N, T = shape
    steps = np.zeros((T + 1, N), np.intp)
    steps[1:] = labels.T
    return steps
