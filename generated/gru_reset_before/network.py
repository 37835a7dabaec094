"""The GRU, reset before the product: its loss and its gradient, by backpropagation through time.

Written by `make derive` from the description of the cell `gru_reset_before`.
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

    Wxr: Array
    """Weights of the input, reset gate. Shape (D, H)."""
    Whr: Array
    """Weights of the previous state, reset gate. Shape (H, H)."""
    br: Array
    """Bias, reset gate. Shape (H,)."""
    Wxu: Array
    """Weights of the input, update gate. Shape (D, H)."""
    Whu: Array
    """Weights of the previous state, update gate. Shape (H, H)."""
    bu: Array
    """Bias, update gate. Shape (H,)."""
    Wxc: Array
    """Weights of the input, candidate. Shape (D, H)."""
    Whc: Array
    """Weights of the previous state, candidate. Shape (H, H)."""
    bxc: Array
    """Bias, candidate. Shape (H,)."""
    Wy: Array
    """Weights of the output. Shape (H, M)."""
    by: Array
    """Bias of the output. Shape (M,)."""


SHAPES: dict[str, Shape] = {
    "Wxr": ("D", "H"),
    "Whr": ("H", "H"),
    "br": ("H",),
    "Wxu": ("D", "H"),
    "Whu": ("H", "H"),
    "bu": ("H",),
    "Wxc": ("D", "H"),
    "Whc": ("H", "H"),
    "bxc": ("H",),
    "Wy": ("H", "M"),
    "by": ("M",),
}
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
    zr: Array
    """Pre-activation, reset gate. Shape (T + 1, N, H), row 0 not used."""
    zu: Array
    """Pre-activation, update gate. Shape (T + 1, N, H), row 0 not used."""
    zc: Array
    """Pre-activation, candidate. Shape (T + 1, N, H), row 0 not used."""
    r: Array
    """Reset gate: how much of the past the candidate sees. Shape (T + 1, N, H), row 0 not used."""
    u: Array
    """Update gate: how much of the past stays. Shape (T + 1, N, H), row 0 not used."""
    p: Array
    """What the candidate may see of the past. Shape (T + 1, N, H), row 0 not used."""
    c: Array
    """Candidate for the new state. Shape (T + 1, N, H), row 0 not used."""
    h: Array
    """State. Shape (T + 1, N, H)."""
    y: Array
    """Output. Shape (T + 1, N, M), row 0 not used."""


class Adjoints(NamedTuple):
    """What a backward pass computes: arrays with time first, row k for step k of all sequences."""

    delta_zr: Array
    """Derivative of the loss with respect to zr[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_zu: Array
    """Derivative of the loss with respect to zu[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_zc: Array
    """Derivative of the loss with respect to zc[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_r: Array
    """Derivative of the loss with respect to r[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_u: Array
    """Derivative of the loss with respect to u[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_p: Array
    """Derivative of the loss with respect to p[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_c: Array
    """Derivative of the loss with respect to c[k]. Shape (T + 1, N, H), row 0 not used."""
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
    Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, Wy, by = parameters
    x = time_first(X, parameters)
    T, N, dtype, H, M = len(x) - 1, x.shape[1], x.dtype, Wxr.shape[1], Wy.shape[1]
    zr = np.zeros((T + 1, N, H), dtype)
    zu = np.zeros((T + 1, N, H), dtype)
    zc = np.zeros((T + 1, N, H), dtype)
    r = np.zeros((T + 1, N, H), dtype)
    u = np.zeros((T + 1, N, H), dtype)
    p = np.zeros((T + 1, N, H), dtype)
    c = np.zeros((T + 1, N, H), dtype)
    h = np.zeros((T + 1, N, H), dtype)
    y = np.zeros((T + 1, N, M), dtype)
    h[0] = 0  # (1)
    for k in range(1, T + 1):
        zr[k] = h[k - 1] @ Whr + x[k] @ Wxr + br  # (2)
        zu[k] = h[k - 1] @ Whu + x[k] @ Wxu + bu  # (3)
        r[k] = logistic(zr[k])  # (4)
        u[k] = logistic(zu[k])  # (5)
        p[k] = r[k] * h[k - 1]  # (6)
        zc[k] = p[k] @ Whc + x[k] @ Wxc + bxc  # (7)
        c[k] = np.tanh(zc[k])  # (8)
        h[k] = u[k] * h[k - 1] + (1 - u[k]) * c[k]  # (9)
    y[T] = h[T] @ Wy + by  # (10)
    return Trace(x, zr, zu, zc, r, u, p, c, h, y)


def backward(parameters: Parameters, trace: Trace, t: ArrayLike) -> Adjoints:
    """Runs back through time, from the loss to the first step.

    Args:
        parameters: The weights.
        trace: What the forward pass computed with them.
        t: The targets, N × M.

    Raises:
        ValueError: t has another shape.
    """
    Whr, Whu, Whc, Wy = parameters.Whr, parameters.Whu, parameters.Whc, parameters.Wy
    r, u, c, h, y = trace.r, trace.u, trace.c, trace.h, trace.y
    T, N, dtype, H, M = len(r) - 1, r.shape[1], r.dtype, r.shape[2], y.shape[2]
    t = as_targets(t, (N, M), dtype)
    delta_zr = np.zeros((T + 1, N, H), dtype)
    delta_zu = np.zeros((T + 1, N, H), dtype)
    delta_zc = np.zeros((T + 1, N, H), dtype)
    delta_r = np.zeros((T + 1, N, H), dtype)
    delta_u = np.zeros((T + 1, N, H), dtype)
    delta_p = np.zeros((T + 1, N, H), dtype)
    delta_c = np.zeros((T + 1, N, H), dtype)
    delta_h = np.zeros((T + 1, N, H), dtype)
    delta_y = np.zeros((T + 1, N, M), dtype)
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
    return Adjoints(delta_zr, delta_zu, delta_zc, delta_r, delta_u, delta_p, delta_c, delta_h, delta_y)


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
    Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, Wy, by = parameters
    Wxr = Wxr - learning_rates.Wxr * gradient.Wxr  # (75)
    Whr = Whr - learning_rates.Whr * gradient.Whr  # (76)
    br = br - learning_rates.br * gradient.br  # (77)
    Wxu = Wxu - learning_rates.Wxu * gradient.Wxu  # (78)
    Whu = Whu - learning_rates.Whu * gradient.Whu  # (79)
    bu = bu - learning_rates.bu * gradient.bu  # (80)
    Wxc = Wxc - learning_rates.Wxc * gradient.Wxc  # (81)
    Whc = Whc - learning_rates.Whc * gradient.Whc  # (82)
    bxc = bxc - learning_rates.bxc * gradient.bxc  # (83)
    Wy = Wy - learning_rates.Wy * gradient.Wy  # (84)
    by = by - learning_rates.by * gradient.by  # (85)
    return Parameters(Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, Wy, by)


def loss_of(trace: Trace, t: ArrayLike) -> Number:
    """The loss of what a forward pass computed."""
    y = trace.y
    T, N, dtype, M = len(y) - 1, y.shape[1], y.dtype, y.shape[2]
    t = as_targets(t, (N, M), dtype)
    value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))  # (11)
    return value


def sum_over_time(trace: Trace, adjoints: Adjoints) -> Parameters:
    """The gradient: what every step of every sequence contributes, added up."""
    x, p, h = trace.x, trace.p, trace.h
    delta_zr, delta_zu, delta_zc, delta_y = adjoints.delta_zr, adjoints.delta_zu, adjoints.delta_zc, adjoints.delta_y
    T, dtype, D, H, M = len(x) - 1, x.dtype, x.shape[2], p.shape[2], delta_y.shape[2]
    gradient_Wxr = np.zeros((D, H), dtype)
    gradient_Whr = np.zeros((H, H), dtype)
    gradient_br = np.zeros((H,), dtype)
    gradient_Wxu = np.zeros((D, H), dtype)
    gradient_Whu = np.zeros((H, H), dtype)
    gradient_bu = np.zeros((H,), dtype)
    gradient_Wxc = np.zeros((D, H), dtype)
    gradient_Whc = np.zeros((H, H), dtype)
    gradient_bxc = np.zeros((H,), dtype)
    gradient_Wy = np.zeros((H, M), dtype)
    gradient_by = np.zeros((M,), dtype)
    for k in range(1, T + 1):
        gradient_Wxr += x[k].T @ delta_zr[k]  # (64)
        gradient_Whr += h[k - 1].T @ delta_zr[k]  # (65)
        gradient_br += np.sum(delta_zr[k], axis=0)  # (66)
        gradient_Wxu += x[k].T @ delta_zu[k]  # (67)
        gradient_Whu += h[k - 1].T @ delta_zu[k]  # (68)
        gradient_bu += np.sum(delta_zu[k], axis=0)  # (69)
        gradient_Wxc += x[k].T @ delta_zc[k]  # (70)
        gradient_Whc += p[k].T @ delta_zc[k]  # (71)
        gradient_bxc += np.sum(delta_zc[k], axis=0)  # (72)
    gradient_Wy += h[T].T @ delta_y[T]  # (73)
    gradient_by += np.sum(delta_y[T], axis=0)  # (74)
    return Parameters(
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


def logistic(z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(-z)), by a form that no z makes overflow."""
    positive = np.real(z) > 0
    power = np.exp(np.where(positive, -z, z))
    value: Array = np.where(positive, 1, power) / (1 + power)
    return value


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
