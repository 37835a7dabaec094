"""The LSTM: its loss and its gradient, by backpropagation through time.

Written by `make derive` from the description of the cell `lstm`.
The derivation beside this file says where each line comes from: the number behind a line is that of its equation there.

A training loop calls `value_and_gradient`, and `descend` where it takes plain gradient descent; `predict` gives the
output. The other functions are their parts.

All N sequences are computed at once, and time comes first: `c[k]` holds c_k of every sequence. What the caller
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

    Wxi: Array
    """Weights of the input, input gate. Shape (D, H)."""
    Whi: Array
    """Weights of the previous state, input gate. Shape (H, H)."""
    bi: Array
    """Bias, input gate. Shape (H,)."""
    Wxf: Array
    """Weights of the input, forget gate. Shape (D, H)."""
    Whf: Array
    """Weights of the previous state, forget gate. Shape (H, H)."""
    bf: Array
    """Bias, forget gate. Shape (H,)."""
    Wxg: Array
    """Weights of the input, candidate. Shape (D, H)."""
    Whg: Array
    """Weights of the previous state, candidate. Shape (H, H)."""
    bg: Array
    """Bias, candidate. Shape (H,)."""
    Wxo: Array
    """Weights of the input, output gate. Shape (D, H)."""
    Who: Array
    """Weights of the previous state, output gate. Shape (H, H)."""
    bo: Array
    """Bias, output gate. Shape (H,)."""
    Wy: Array
    """Weights of the output. Shape (H, M)."""
    by: Array
    """Bias of the output. Shape (M,)."""


SHAPES: dict[str, Shape] = {
    "Wxi": ("D", "H"),
    "Whi": ("H", "H"),
    "bi": ("H",),
    "Wxf": ("D", "H"),
    "Whf": ("H", "H"),
    "bf": ("H",),
    "Wxg": ("D", "H"),
    "Whg": ("H", "H"),
    "bg": ("H",),
    "Wxo": ("D", "H"),
    "Who": ("H", "H"),
    "bo": ("H",),
    "Wy": ("H", "M"),
    "by": ("M",),
}
"""The shape of every weight, in the names of its dimensions; () is a number."""
DATA_SHAPES: dict[str, Shape] = {"X": ("N", "T", "D"), "t": ("N", "M")}
"""The shapes of the inputs and the targets."""
LOSS_IS_MEAN = True
"""Whether the loss is a mean over the sequences, but for what depends on the weights alone."""
STATES: dict[str, str] = {"c": "delta_c", "h": "delta_h"}
"""What one step hands on to the next, each with the name of its adjoint."""


class Trace(NamedTuple):
    """What a forward pass reads and computes: arrays with time first, row k for step k of all sequences."""

    x: Array
    """Input. Shape (T + 1, N, D), row 0 not used."""
    zi: Array
    """Pre-activation, input gate. Shape (T + 1, N, H), row 0 not used."""
    i: Array
    """Input gate. Shape (T + 1, N, H), row 0 not used."""
    zf: Array
    """Pre-activation, forget gate. Shape (T + 1, N, H), row 0 not used."""
    f: Array
    """Forget gate. Shape (T + 1, N, H), row 0 not used."""
    zg: Array
    """Pre-activation, candidate. Shape (T + 1, N, H), row 0 not used."""
    g: Array
    """Candidate. Shape (T + 1, N, H), row 0 not used."""
    zo: Array
    """Pre-activation, output gate. Shape (T + 1, N, H), row 0 not used."""
    o: Array
    """Output gate. Shape (T + 1, N, H), row 0 not used."""
    c: Array
    """Memory. Shape (T + 1, N, H)."""
    h: Array
    """State. Shape (T + 1, N, H)."""
    y: Array
    """Output. Shape (T + 1, N, M), row 0 not used."""


class Adjoints(NamedTuple):
    """What a backward pass computes: arrays with time first, row k for step k of all sequences."""

    delta_zi: Array
    """Derivative of the loss with respect to zi[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_i: Array
    """Derivative of the loss with respect to i[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_zf: Array
    """Derivative of the loss with respect to zf[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_f: Array
    """Derivative of the loss with respect to f[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_zg: Array
    """Derivative of the loss with respect to zg[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_g: Array
    """Derivative of the loss with respect to g[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_zo: Array
    """Derivative of the loss with respect to zo[k]. Shape (T + 1, N, H), row 0 not used."""
    delta_o: Array
    """Derivative of the loss with respect to o[k]. Shape (T + 1, N, H), row 0 not used."""
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
    Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = parameters
    x = time_first(X, parameters)
    T, N, dtype, H, M = len(x) - 1, x.shape[1], x.dtype, Wxi.shape[1], Wy.shape[1]
    zi = np.zeros((T + 1, N, H), dtype)
    i = np.zeros((T + 1, N, H), dtype)
    zf = np.zeros((T + 1, N, H), dtype)
    f = np.zeros((T + 1, N, H), dtype)
    zg = np.zeros((T + 1, N, H), dtype)
    g = np.zeros((T + 1, N, H), dtype)
    zo = np.zeros((T + 1, N, H), dtype)
    o = np.zeros((T + 1, N, H), dtype)
    c = np.zeros((T + 1, N, H), dtype)
    h = np.zeros((T + 1, N, H), dtype)
    y = np.zeros((T + 1, N, M), dtype)
    c[0] = 0  # (1)
    h[0] = 0  # (2)
    for k in range(1, T + 1):
        zi[k] = h[k - 1] @ Whi + x[k] @ Wxi + bi  # (3)
        zf[k] = h[k - 1] @ Whf + x[k] @ Wxf + bf  # (4)
        zg[k] = h[k - 1] @ Whg + x[k] @ Wxg + bg  # (5)
        zo[k] = h[k - 1] @ Who + x[k] @ Wxo + bo  # (6)
        i[k] = logistic(zi[k])  # (7)
        f[k] = logistic(zf[k])  # (8)
        g[k] = np.tanh(zg[k])  # (9)
        o[k] = logistic(zo[k])  # (10)
        c[k] = f[k] * c[k - 1] + i[k] * g[k]  # (11)
        h[k] = o[k] * np.tanh(c[k])  # (12)
    y[T] = h[T] @ Wy + by  # (13)
    return Trace(x, zi, i, zf, f, zg, g, zo, o, c, h, y)


def backward(parameters: Parameters, trace: Trace, t: ArrayLike) -> Adjoints:
    """Runs back through time, from the loss to the first step.

    Args:
        parameters: The weights.
        trace: What the forward pass computed with them.
        t: The targets, N × M.

    Raises:
        ValueError: t has another shape.
    """
    Whi, Whf, Whg, Who, Wy = parameters.Whi, parameters.Whf, parameters.Whg, parameters.Who, parameters.Wy
    i, f, g, o, c, y = trace.i, trace.f, trace.g, trace.o, trace.c, trace.y
    T, N, dtype, H, M = len(i) - 1, i.shape[1], i.dtype, i.shape[2], y.shape[2]
    t = as_targets(t, (N, M), dtype)
    delta_zi = np.zeros((T + 1, N, H), dtype)
    delta_i = np.zeros((T + 1, N, H), dtype)
    delta_zf = np.zeros((T + 1, N, H), dtype)
    delta_f = np.zeros((T + 1, N, H), dtype)
    delta_zg = np.zeros((T + 1, N, H), dtype)
    delta_g = np.zeros((T + 1, N, H), dtype)
    delta_zo = np.zeros((T + 1, N, H), dtype)
    delta_o = np.zeros((T + 1, N, H), dtype)
    delta_c = np.zeros((T + 1, N, H), dtype)
    delta_h = np.zeros((T + 1, N, H), dtype)
    delta_y = np.zeros((T + 1, N, M), dtype)
    delta_y[T] = 2 / N * (y[T] - t)  # (58)
    delta_h[T] = delta_y[T] @ Wy.T  # (59)
    delta_c[T] = delta_h[T] * o[T] * (1 - np.tanh(c[T]) ** 2)  # (60)
    delta_o[T] = delta_h[T] * np.tanh(c[T])  # (61)
    delta_g[T] = delta_c[T] * i[T]  # (62)
    delta_f[T] = delta_c[T] * c[T - 1]  # (63)
    delta_i[T] = delta_c[T] * g[T]  # (64)
    delta_zo[T] = delta_o[T] * o[T] * (1 - o[T])  # (65)
    delta_zg[T] = delta_g[T] * (1 - g[T] ** 2)  # (66)
    delta_zf[T] = delta_f[T] * f[T] * (1 - f[T])  # (67)
    delta_zi[T] = delta_i[T] * i[T] * (1 - i[T])  # (68)
    for k in range(T - 1, 0, -1):
        delta_h[k] = (
            delta_zf[k + 1] @ Whf.T + delta_zg[k + 1] @ Whg.T + delta_zi[k + 1] @ Whi.T + delta_zo[k + 1] @ Who.T
        )  # (69)
        delta_c[k] = delta_h[k] * o[k] * (1 - np.tanh(c[k]) ** 2) + delta_c[k + 1] * f[k + 1]  # (70)
        delta_o[k] = delta_h[k] * np.tanh(c[k])  # (71)
        delta_g[k] = delta_c[k] * i[k]  # (72)
        delta_f[k] = delta_c[k] * c[k - 1]  # (73)
        delta_i[k] = delta_c[k] * g[k]  # (74)
        delta_zo[k] = delta_o[k] * o[k] * (1 - o[k])  # (75)
        delta_zg[k] = delta_g[k] * (1 - g[k] ** 2)  # (76)
        delta_zf[k] = delta_f[k] * f[k] * (1 - f[k])  # (77)
        delta_zi[k] = delta_i[k] * i[k] * (1 - i[k])  # (78)
    return Adjoints(
        delta_zi, delta_i, delta_zf, delta_f, delta_zg, delta_g, delta_zo, delta_o, delta_c, delta_h, delta_y
    )


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
    Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = parameters
    Wxi = Wxi - learning_rates.Wxi * gradient.Wxi  # (93)
    Whi = Whi - learning_rates.Whi * gradient.Whi  # (94)
    bi = bi - learning_rates.bi * gradient.bi  # (95)
    Wxf = Wxf - learning_rates.Wxf * gradient.Wxf  # (96)
    Whf = Whf - learning_rates.Whf * gradient.Whf  # (97)
    bf = bf - learning_rates.bf * gradient.bf  # (98)
    Wxg = Wxg - learning_rates.Wxg * gradient.Wxg  # (99)
    Whg = Whg - learning_rates.Whg * gradient.Whg  # (100)
    bg = bg - learning_rates.bg * gradient.bg  # (101)
    Wxo = Wxo - learning_rates.Wxo * gradient.Wxo  # (102)
    Who = Who - learning_rates.Who * gradient.Who  # (103)
    bo = bo - learning_rates.bo * gradient.bo  # (104)
    Wy = Wy - learning_rates.Wy * gradient.Wy  # (105)
    by = by - learning_rates.by * gradient.by  # (106)
    return Parameters(Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by)


def loss_of(trace: Trace, t: ArrayLike) -> Number:
    """The loss of what a forward pass computed."""
    y = trace.y
    T, N, dtype, M = len(y) - 1, y.shape[1], y.dtype, y.shape[2]
    t = as_targets(t, (N, M), dtype)
    value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))  # (14)
    return value


def sum_over_time(trace: Trace, adjoints: Adjoints) -> Parameters:
    """The gradient: what every step of every sequence contributes, added up."""
    x, h = trace.x, trace.h
    delta_zi, delta_zf, delta_zg, delta_zo, delta_y = (
        adjoints.delta_zi,
        adjoints.delta_zf,
        adjoints.delta_zg,
        adjoints.delta_zo,
        adjoints.delta_y,
    )
    T, dtype, D, H, M = len(x) - 1, x.dtype, x.shape[2], h.shape[2], delta_y.shape[2]
    gradient_Wxi = np.zeros((D, H), dtype)
    gradient_Whi = np.zeros((H, H), dtype)
    gradient_bi = np.zeros((H,), dtype)
    gradient_Wxf = np.zeros((D, H), dtype)
    gradient_Whf = np.zeros((H, H), dtype)
    gradient_bf = np.zeros((H,), dtype)
    gradient_Wxg = np.zeros((D, H), dtype)
    gradient_Whg = np.zeros((H, H), dtype)
    gradient_bg = np.zeros((H,), dtype)
    gradient_Wxo = np.zeros((D, H), dtype)
    gradient_Who = np.zeros((H, H), dtype)
    gradient_bo = np.zeros((H,), dtype)
    gradient_Wy = np.zeros((H, M), dtype)
    gradient_by = np.zeros((M,), dtype)
    for k in range(1, T + 1):
        gradient_Wxi += x[k].T @ delta_zi[k]  # (79)
        gradient_Whi += h[k - 1].T @ delta_zi[k]  # (80)
        gradient_bi += np.sum(delta_zi[k], axis=0)  # (81)
        gradient_Wxf += x[k].T @ delta_zf[k]  # (82)
        gradient_Whf += h[k - 1].T @ delta_zf[k]  # (83)
        gradient_bf += np.sum(delta_zf[k], axis=0)  # (84)
        gradient_Wxg += x[k].T @ delta_zg[k]  # (85)
        gradient_Whg += h[k - 1].T @ delta_zg[k]  # (86)
        gradient_bg += np.sum(delta_zg[k], axis=0)  # (87)
        gradient_Wxo += x[k].T @ delta_zo[k]  # (88)
        gradient_Who += h[k - 1].T @ delta_zo[k]  # (89)
        gradient_bo += np.sum(delta_zo[k], axis=0)  # (90)
    gradient_Wy += h[T].T @ delta_y[T]  # (91)
    gradient_by += np.sum(delta_y[T], axis=0)  # (92)
    return Parameters(
        gradient_Wxi,
        gradient_Whi,
        gradient_bi,
        gradient_Wxf,
        gradient_Whf,
        gradient_bf,
        gradient_Wxg,
        gradient_Whg,
        gradient_bg,
        gradient_Wxo,
        gradient_Who,
        gradient_bo,
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
