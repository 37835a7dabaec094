"""The tanh network with an output weight: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `tanh`.
The derivation beside this file says why each line may stand where it does: the number in a comment is that of its
equation there, and the comment is the equation as network.py would write it.

Time comes first and the sequences last, so that a step is one block of memory, and quantities with the same left factor
are stacked: they are blocks of rows of one array. The steps are cut into windows. What no step must wait for is
computed for a whole window at once, and every result is written into an array that is there already.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy import add, multiply, subtract, tanh

from .network import Parameters, as_sequences, as_targets

Array = Any
Number = Any

WINDOW_BYTES = 8_000_000
"""How many bytes the arrays of the way back take at most, unless that is less than two steps: about what stays in the
cache."""


class Weights:
    """What the steps need of the weights: transposed, stacked, as columns."""

    def __init__(self, parameters: Parameters, dtype: Any) -> None:
        Wx, Wrec, Wy = (
            np.asarray(weight, dtype)[()]
            for weight in (
                parameters.Wx,
                parameters.Wrec,
                parameters.Wy,
            )
        )
        self.Wx: Array = Wx
        self.Wrec: Array = Wrec
        self.Wy: Array = Wy


class Window:
    """What the forward pass keeps of up to m steps in a row.

    Row k of an array is for the window's step k; row 0 is for the step before and row m + 1 for the step after.

    Attributes:
        n: How many steps it has.
        stop: 1 more than the last step that has the equations of all steps.
        is_first: Whether it has the first step.
        is_last: Whether it has the last one.
        rows: The rows of every array, by its name.
    """

    def __init__(self, m: int, N: int, sizes: dict[str, int], dtype: Any) -> None:
        self.z_input: Array = np.zeros((m + 2, N), dtype)
        self.x: Array = np.zeros((m + 2, N), dtype)
        self.s: Array = np.zeros((m + 2, N), dtype)
        self.y: Array = np.zeros((m + 2, N), dtype)
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.n, self.stop, self.is_first, self.is_last = m, m + 1, False, False


class Adjoints:
    """What the way back computes of up to m steps in a row, in the form of Window; one for all windows."""

    def __init__(self, m: int, N: int, sizes: dict[str, int], dtype: Any) -> None:
        self.slope_z: Array = np.zeros((m + 2, N), dtype)
        self.delta_y: Array = np.zeros((m + 2, N), dtype)
        self.delta_z: Array = np.zeros((m + 2, N), dtype)
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.delta_x: Array = np.zeros((m, N), dtype)


class Spare:
    """Arrays of one step, for what no other step needs."""

    def __init__(self, N: int, sizes: dict[str, int], dtype: Any) -> None:
        self.z: Array = np.zeros(N, dtype)


class Totals:
    """The sums over the windows that the gradients are."""

    def __init__(self, parameters: Parameters, sizes: dict[str, int], dtype: Any) -> None:
        self.gradient_Wx: Array = np.zeros(np.shape(parameters.Wx), dtype)[()]
        self.gradient_Wrec: Array = np.zeros(np.shape(parameters.Wrec), dtype)[()]
        self.gradient_Wy: Array = np.zeros(np.shape(parameters.Wy), dtype)[()]


class Workspace:
    """The arrays of a calculation. A caller who keeps one, for one thread, has them made once for a shape.

    Attributes:
        N: How many sequences there are.
        T: How many steps.
        windows: The steps, in order; the same one again and again where what is not kept is recomputed.
    """

    def __init__(self) -> None:
        self._key: Any = None

    def fit(self, parameters: Parameters, X: Array, dtype: Any, recompute: bool) -> None:
        """Makes the arrays, unless those of the call before fit."""
        sizes: dict[str, int] = {}
        N, T = X.shape[:2]
        key = (N, T, tuple(sizes.values()), dtype, recompute)
        if key == self._key:
            return
        self._key = None  # until all arrays are there: there may be no memory for them
        self.N, self.T, self.sizes, self.dtype = N, T, sizes, dtype
        one, two = (bytes_of(Adjoints(m, N, sizes, dtype)) for m in (1, 2))
        m = isqrt(T - 1) + 1 if recompute else 1 + (WINDOW_BYTES - one) // (two - one)
        m = min(T, max(m, 2))
        count = -(-T // m)
        self.windows = (
            [Window(m, N, sizes, dtype)] * count if recompute else [Window(m, N, sizes, dtype) for _ in range(count)]
        )
        self.lengths = [T - (count - 1) * m] + [m] * (count - 1)
        self.adjoints = Adjoints(m, N, sizes, dtype)
        self.spare = Spare(N, sizes, dtype)
        self.recompute, self.t = recompute, np.zeros(0)
        self.starts: list[list[Array]] = []
        self._key = key


def value_and_gradient(
    parameters: Parameters,
    X: Any,
    t: Any,
    workspace: Workspace | None = None,
    *,
    recompute: bool = False,
    input_gradient: Array | None = None,
) -> tuple[Number, Parameters]:
    """The loss on the data, and its derivative with respect to every weight.

    Args:
        parameters: The weights.
        X: The inputs, N × T.
        t: The targets, N.
        workspace: Arrays of an earlier call to use again; made anew unless given.
        recompute: Keep the states at about √T steps only, and compute what lies between them once more on the way
            back: for sequences so long that memory does not hold all steps.
        input_gradient: An array of the shape of X for the derivative of the loss with respect to the inputs, which is
            not computed unless there is one.

    Raises:
        ValueError: X, t or input_gradient has another shape, or input_gradient another type.
    """
    space, weights, x, t = prepared(parameters, X, t, workspace, recompute)
    if input_gradient is not None:
        check_array(input_gradient, np.shape(X), space.dtype)
    value = run_forward(parameters, weights, space, x, t)
    totals = Totals(parameters, space.sizes, space.dtype)
    count = len(space.windows)
    for number in range(count - 1, -1, -1):
        window = space.windows[number]
        n = space.lengths[number]
        if number < count - 1:
            space.adjoints.delta_z[n + 1] = space.adjoints.delta_z[1]
            if recompute:
                enter(space, number, x, t)
                restore(space, number)
                advance(weights, space, window)
        hoisted_back(weights, space, window)
        run_back(weights, space, window)
        add_up(weights, space, window, totals)
        add_ends(weights, space, window, totals)
        if input_gradient is not None:
            back_to_inputs(weights, space, window)
            last = space.T - sum(space.lengths[number + 1 :])
            np.transpose(input_gradient, (1, 0))[last - n : last] = space.adjoints.delta_x[:n]
    return value, Parameters(totals.gradient_Wx, totals.gradient_Wrec, totals.gradient_Wy)


def loss(parameters: Parameters, X: Any, t: Any, workspace: Workspace | None = None) -> Number:
    """The loss on the data; see `value_and_gradient`."""
    # A workspace that is kept keeps its arrays; one of this call takes as little as it can.
    space, weights, x, t = prepared(parameters, X, t, workspace, workspace is None)
    return run_forward(parameters, weights, space, x, t)


def check_array(array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Finds out before the work whether an array can take a result.

    Raises:
        ValueError: It cannot.
    """
    fits = isinstance(array, np.ndarray) and array.shape == shape and np.can_cast(dtype, array.dtype, "same_kind")
    if not fits or not array.flags.writeable:
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"input_gradient is an array to write to, {shape} of {dtype}, as X is; it is {found}")


def bytes_of(owner: Any) -> int:
    """What the arrays of an object take; those that are parts of others take nothing."""
    arrays = [array for array in vars(owner).values() if isinstance(array, np.ndarray)]
    return sum(array.nbytes for array in arrays if array.base is None)


def prepared(
    parameters: Parameters, X: Any, t: Any, workspace: Workspace | None, recompute: bool
) -> tuple[Workspace, Weights, Array, Array]:
    """The arrays to work in, the weights as the steps need them, and the data with the sequences last."""
    X = as_sequences(X, parameters)
    dtype = X.dtype
    space = workspace if workspace is not None else Workspace()
    space.fit(parameters, X, dtype, recompute)
    targets = as_targets(t, (space.N,), dtype)
    space.t = targets
    return space, Weights(parameters, dtype), np.transpose(X, (1, 0)), targets


def run_forward(parameters: Parameters, weights: Weights, space: Workspace, x: Array, t: Array) -> Number:
    """Runs over all windows, and returns the loss."""
    value: Number = 0
    space.starts = []
    for number, window in enumerate(space.windows):
        before = space.windows[number - 1].rows if number else {}
        carried = [before[name][space.lengths[number - 1]] for name in CARRIED] if number else []
        enter(space, number, x, t)
        if number == 0:
            start(weights, space, window)
        for name, row in zip(CARRIED, carried, strict=False):
            window.rows[name][0][...] = row
        if space.recompute:
            space.starts.append([window.rows[name][0].copy() for name in CARRIED])
        advance(weights, space, window)
        value += loss_of(weights, space, window)
    return value


CARRIED = ("s",)
"""What a step reads of the step before."""


def enter(space: Workspace, number: int, x: Array, t: Array) -> None:
    """Puts the data of a window into it."""
    window, n = space.windows[number], space.lengths[number]
    first = sum(space.lengths[:number])
    window.n, window.is_first, window.is_last = n, number == 0, number == len(space.windows) - 1
    window.stop = n + 1
    window.x[1 : n + 1] = x[first : first + n]


def restore(space: Workspace, number: int) -> None:
    """Puts back what the first step of a window reads of the step before."""
    window = space.windows[number]
    for name, row in zip(CARRIED, space.starts[number], strict=True):
        window.rows[name][0][...] = row


def advance(weights: Weights, space: Workspace, window: Window) -> None:
    """Runs over the steps of a window."""
    hoisted(weights, space, window)
    run(weights, space, window)
    if window.is_last:
        finish(weights, space, window)


def start(weights: Weights, space: Workspace, window: Window) -> None:
    """The state before the first step."""
    s = window.rows["s"]
    # (1) s[0] = 0
    s[0][...] = 0


def hoisted(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no state, for all steps of a window."""
    Wx = weights.Wx
    x, z_input = window.x, window.z_input
    stop = window.stop
    # (53) z_input[k] = x[k] * Wx
    multiply(x[1:stop], Wx, z_input[1:stop])


def run(weights: Weights, space: Workspace, window: Window) -> None:
    """The recurrence."""
    spare = space.spare
    Wrec = weights.Wrec
    s, z_input = window.rows["s"], window.rows["z_input"]
    z = spare.z
    stop = window.stop
    for k in range(1, stop):
        # (54) z[k] = s[k - 1] * Wrec + z_input[k]
        multiply(s[k - 1], Wrec, z)
        add(z, z_input[k], z)
        # (3) s[k] = np.tanh(z[k])
        tanh(z, s[k])


def finish(weights: Weights, space: Workspace, window: Window) -> None:
    """What the last step has equations of its own for."""
    Wy = weights.Wy
    s, y = window.rows["s"], window.rows["y"]
    n = window.n
    # (4) y[T] = s[T] * Wy
    multiply(s[n], Wy, y[n])


def loss_of(weights: Weights, space: Workspace, window: Window) -> Number:
    """What a window adds to the loss."""
    if not window.is_last:
        return 0
    y = window.rows["y"]
    n, t = window.n, space.t
    # (5) value = np.mean((y[T] - t) ** 2)
    return np.mean((y[n] - t) ** 2)


def hoisted_back(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps of a window."""
    adjoints = space.adjoints
    Wrec = weights.Wrec
    s = window.s
    slope_z = adjoints.slope_z
    stop = window.n + 1
    # (55) slope_z[k] = (1 - s[k] ** 2) * Wrec
    multiply(s[1:stop], s[1:stop], slope_z[1:stop])
    subtract(1, slope_z[1:stop], slope_z[1:stop])
    multiply(slope_z[1:stop], Wrec, slope_z[1:stop])


def run_back(weights: Weights, space: Workspace, window: Window) -> None:
    """The adjoint recurrence."""
    adjoints = space.adjoints
    Wy = weights.Wy
    delta_y, delta_z, slope_z = adjoints.rows["delta_y"], adjoints.rows["delta_z"], adjoints.rows["slope_z"]
    s, y = window.rows["s"], window.rows["y"]
    n, N, t = window.n, space.N, space.t
    if window.is_last:
        # (39) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (57) delta_z[T] = delta_y[T] * (1 - s[T] ** 2) * Wy
        multiply(s[n], s[n], delta_z[n])
        subtract(1, delta_z[n], delta_z[n])
        multiply(delta_z[n], delta_y[n], delta_z[n])
        multiply(delta_z[n], Wy, delta_z[n])
    for k in range(n - 1 if window.is_last else n, 0, -1):
        # (56) delta_z[k] = delta_z[k + 1] * slope_z[k]
        multiply(delta_z[k + 1], slope_z[k], delta_z[k])


def add_up(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the steps of a window add to the gradients."""
    adjoints = space.adjoints
    delta_z = adjoints.delta_z
    s, x = window.s, window.x
    stop = window.n + 1
    # (45)
    totals.gradient_Wx += delta_z[1:stop].ravel().dot(x[1:stop].ravel())
    # (47)
    totals.gradient_Wrec += delta_z[1:stop].ravel().dot(s[: stop - 1].ravel())


def back_to_inputs(weights: Weights, space: Workspace, window: Window) -> None:
    """The derivative with respect to the inputs of a window."""
    adjoints = space.adjoints
    Wx = weights.Wx
    delta_x, delta_z = adjoints.delta_x, adjoints.delta_z
    stop = window.stop
    # (59) delta_x[k] = delta_z[k] * Wx
    multiply(delta_z[1:stop], Wx, delta_x[: stop - 1])


def add_ends(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the first and the last step add to the gradients, each once."""
    adjoints = space.adjoints
    delta_y = adjoints.rows["delta_y"]
    s = window.rows["s"]
    n = window.n
    if window.is_last:
        # (49)
        totals.gradient_Wy += delta_y[n].dot(s[n])
