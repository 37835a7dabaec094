"""The GRU, reset after the product: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `gru`.
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
        Wxr, Whr, br, Wxu, Whu, bu, Wxc, Whc, bxc, bhc, Wy, by = (
            np.asarray(weight, dtype)[()]
            for weight in (
                parameters.Wxr,
                parameters.Whr,
                parameters.br,
                parameters.Wxu,
                parameters.Whu,
                parameters.bu,
                parameters.Wxc,
                parameters.Whc,
                parameters.bxc,
                parameters.bhc,
                parameters.Wy,
                parameters.by,
            )
        )
        self.of_inputs: Array = np.concatenate((0.5 * Wxr.T, 0.5 * Wxu.T, Wxc.T))
        self.inputs_bias: Array = np.concatenate((0.5 * br, 0.5 * bu, bxc))[:, np.newaxis]
        self.of_h: Array = np.concatenate((Whc.T, 0.5 * Whr.T, 0.5 * Whu.T))
        self.bhc: Array = bhc[:, np.newaxis]
        self.Wy_columns: Array = np.ascontiguousarray(Wy.T)
        self.by: Array = by[:, np.newaxis]
        self.Wy_rows: Array = np.ascontiguousarray(Wy)
        self.back_Whc_Whr_Whu: Array = np.concatenate((Whc, Whr, Whu), axis=1)
        self.back_Wxr_Wxu_Wxc: Array = np.concatenate((Wxr, Wxu, Wxc), axis=1)


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
        D = sizes["D"]
        H = sizes["H"]
        M = sizes["M"]
        self.inputs: Array = np.zeros((m + 2, 3 * H, N), dtype)
        self.zr_input: Array = self.inputs[:, :H]
        self.zu_input: Array = self.inputs[:, H : 2 * H]
        self.zc_input: Array = self.inputs[:, 2 * H : 3 * H]
        self.gates: Array = np.zeros((m + 2, 2 * H, N), dtype)
        self.r: Array = self.gates[:, :H]
        self.u: Array = self.gates[:, H : 2 * H]
        self.x: Array = np.zeros((m + 2, D, N), dtype)
        self.h: Array = np.zeros((m + 2, H, N), dtype)
        self.p: Array = np.zeros((m + 2, H, N), dtype)
        self.c: Array = np.zeros((m + 2, H, N), dtype)
        self.y: Array = np.zeros((m + 2, M, N), dtype)
        self.inputs_gates: Array = self.inputs[:, : 2 * H]
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.n, self.stop, self.is_first, self.is_last = m, m + 1, False, False


class Adjoints:
    """What the way back computes of up to m steps in a row, in the form of Window; one for all windows."""

    def __init__(self, m: int, N: int, sizes: dict[str, int], dtype: Any) -> None:
        D = sizes["D"]
        H = sizes["H"]
        M = sizes["M"]
        self.deltas: Array = np.zeros((m + 2, 4 * H, N), dtype)
        self.delta_p: Array = self.deltas[:, :H]
        self.delta_zr: Array = self.deltas[:, H : 2 * H]
        self.delta_zu: Array = self.deltas[:, 2 * H : 3 * H]
        self.delta_zc: Array = self.deltas[:, 3 * H : 4 * H]
        self.slopes: Array = np.zeros((m + 2, 3 * H, N), dtype)
        self.slope_zr: Array = self.slopes[:, :H]
        self.slope_zu: Array = self.slopes[:, H : 2 * H]
        self.slope_zc: Array = self.slopes[:, 2 * H : 3 * H]
        self.delta_y: Array = np.zeros((m + 2, M, N), dtype)
        self.delta_h: Array = np.zeros((m + 2, H, N), dtype)
        self.deltas_of_h: Array = self.deltas[:, 2 * H : 4 * H].reshape(-1, 2, H, N)
        self.slopes_of_h: Array = self.slopes[:, H : 3 * H].reshape(-1, 2, H, N)
        self.deltas_p_zr_zu: Array = self.deltas[:, : 3 * H]
        self.deltas_zr_zu_zc: Array = self.deltas[:, H : 4 * H]
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.steps_H: Array = np.zeros((m, H, N), dtype)
        self.left: Array = np.ones((D + H + 1, m * N), dtype)
        self.right: Array = np.ones((4 * H, m * N), dtype)
        self.delta_x: Array = np.zeros((m, D, N), dtype)


class Spare:
    """Arrays of one step, for what no other step needs."""

    def __init__(self, N: int, sizes: dict[str, int], dtype: Any) -> None:
        H = sizes["H"]
        self.from_h: Array = np.zeros((3 * H, N), dtype)
        self.zc: Array = np.zeros((H, N), dtype)
        self.spare_H: Array = np.zeros((H, N), dtype)
        self.from_h_p: Array = self.from_h[:H]
        self.from_h_gates: Array = self.from_h[H : 3 * H]


class Totals:
    """The sums over the windows that the gradients are."""

    def __init__(self, parameters: Parameters, sizes: dict[str, int], dtype: Any) -> None:
        D = sizes["D"]
        H = sizes["H"]
        self.products_1: Array = np.zeros((H, 3 * H), dtype)
        self.products_2: Array = np.zeros((D + 1, 3 * H), dtype)
        self.gradient_bhc: Array = np.zeros(np.shape(parameters.bhc), dtype)[()]
        self.gradient_Wy: Array = np.zeros(np.shape(parameters.Wy), dtype)[()]
        self.gradient_by: Array = np.zeros(np.shape(parameters.by), dtype)[()]


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
        D = parameters.Wxr.shape[0]
        H = parameters.Wxr.shape[1]
        M = parameters.Wy.shape[1]
        sizes: dict[str, int] = {
            "D": D,
            "H": H,
            "M": M,
        }
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
        X: The inputs, N × T × D.
        t: The targets, N × M.
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
            space.adjoints.delta_h[n + 1] = space.adjoints.delta_h[1]
            space.adjoints.deltas[n + 1] = space.adjoints.deltas[1]
            window.u[n + 1] = space.windows[number + 1].u[1]
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
            np.transpose(input_gradient, (1, 2, 0))[last - n : last] = space.adjoints.delta_x[:n]
    D = space.sizes["D"]
    H = space.sizes["H"]
    return value, Parameters(
        totals.products_2[:D, :H].copy(),
        totals.products_1[:H, H : 2 * H].copy(),
        totals.products_2[D, :H].copy(),
        totals.products_2[:D, H : 2 * H].copy(),
        totals.products_1[:H, 2 * H : 3 * H].copy(),
        totals.products_2[D, H : 2 * H].copy(),
        totals.products_2[:D, 2 * H : 3 * H].copy(),
        totals.products_1[:H, :H].copy(),
        totals.products_2[D, 2 * H : 3 * H].copy(),
        totals.gradient_bhc,
        totals.gradient_Wy,
        totals.gradient_by,
    )


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
    targets = as_targets(
        t,
        (
            space.N,
            space.sizes["M"],
        ),
        dtype,
    )
    targets = np.swapaxes(targets, -1, -2)
    space.t = targets
    return space, Weights(parameters, dtype), np.transpose(X, (1, 2, 0)), targets


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


CARRIED = ("h",)
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
    h = window.rows["h"]
    # (1) h[0] = 0
    h[0][...] = 0


def hoisted(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no state, for all steps of a window."""
    inputs_bias, of_inputs = weights.inputs_bias, weights.of_inputs
    inputs, x = window.inputs, window.x
    stop = window.stop
    # (88) zr_input[k] = x[k] @ Wxr + br
    # (90) zu_input[k] = x[k] @ Wxu + bu
    # (92) zc_input[k] = x[k] @ Wxc + bxc
    np.matmul(of_inputs, x[1:stop], inputs[1:stop])
    add(inputs[1:stop], inputs_bias, inputs[1:stop])


def run(weights: Weights, space: Workspace, window: Window) -> None:
    """The recurrence."""
    spare = space.spare
    bhc, of_h = weights.bhc, weights.of_h
    c, gates, h, inputs_gates, p, r, u, zc_input = (
        window.rows["c"],
        window.rows["gates"],
        window.rows["h"],
        window.rows["inputs_gates"],
        window.rows["p"],
        window.rows["r"],
        window.rows["u"],
        window.rows["zc_input"],
    )
    from_h, from_h_gates, from_h_p, spare_H, zc = (
        spare.from_h,
        spare.from_h_gates,
        spare.from_h_p,
        spare.spare_H,
        spare.zc,
    )
    stop = window.stop
    for k in range(1, stop):
        # (89) zr[k] = h[k - 1] @ Whr + zr_input[k]
        # (91) zu[k] = h[k - 1] @ Whu + zu_input[k]
        of_h.dot(h[k - 1], from_h)
        # (5) r[k] = logistic(zr[k])
        # (6) u[k] = logistic(zu[k])
        add(from_h_gates, inputs_gates[k], gates[k])
        tanh(gates[k], gates[k])
        multiply(gates[k], 0.5, gates[k])
        add(gates[k], 0.5, gates[k])
        # (4) p[k] = h[k - 1] @ Whc + bhc
        add(from_h_p, bhc, p[k])
        # (93) zc[k] = r[k] * p[k] + zc_input[k]
        multiply(r[k], p[k], zc)
        add(zc, zc_input[k], zc)
        # (8) c[k] = np.tanh(zc[k])
        tanh(zc, c[k])
        # (9) h[k] = u[k] * h[k - 1] + (1 - u[k]) * c[k]
        multiply(u[k], h[k - 1], h[k])
        subtract(1, u[k], spare_H)
        multiply(spare_H, c[k], spare_H)
        add(h[k], spare_H, h[k])


def finish(weights: Weights, space: Workspace, window: Window) -> None:
    """What the last step has equations of its own for."""
    Wy_columns, by = weights.Wy_columns, weights.by
    h, y = window.rows["h"], window.rows["y"]
    n = window.n
    # (10) y[T] = h[T] @ Wy + by
    Wy_columns.dot(h[n], y[n])
    add(y[n], by, y[n])


def loss_of(weights: Weights, space: Workspace, window: Window) -> Number:
    """What a window adds to the loss."""
    if not window.is_last:
        return 0
    y = window.rows["y"]
    n, t = window.n, space.t
    # (11) value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))
    return np.mean(np.sum((y[n] - t) ** 2, axis=-2))


def hoisted_back(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps of a window."""
    adjoints = space.adjoints
    c, h, p, r, u = window.c, window.h, window.p, window.r, window.u
    slope_zc, slope_zr, slope_zu, steps_H = adjoints.slope_zc, adjoints.slope_zr, adjoints.slope_zu, adjoints.steps_H
    stop = window.n + 1
    # (94) slope_zc[k] = (1 - u[k]) * (1 - c[k] ** 2)
    subtract(1, u[1:stop], slope_zc[1:stop])
    multiply(c[1:stop], c[1:stop], steps_H[: stop - 1])
    subtract(1, steps_H[: stop - 1], steps_H[: stop - 1])
    multiply(slope_zc[1:stop], steps_H[: stop - 1], slope_zc[1:stop])
    # (96) slope_zu[k] = u[k] * (1 - u[k]) * (h[k - 1] - c[k])
    subtract(1, u[1:stop], slope_zu[1:stop])
    subtract(h[: stop - 1], c[1:stop], steps_H[: stop - 1])
    multiply(slope_zu[1:stop], steps_H[: stop - 1], slope_zu[1:stop])
    multiply(slope_zu[1:stop], u[1:stop], slope_zu[1:stop])
    # (98) slope_zr[k] = r[k] * (1 - r[k]) * p[k]
    subtract(1, r[1:stop], slope_zr[1:stop])
    multiply(slope_zr[1:stop], r[1:stop], slope_zr[1:stop])
    multiply(slope_zr[1:stop], p[1:stop], slope_zr[1:stop])


def run_back(weights: Weights, space: Workspace, window: Window) -> None:
    """The adjoint recurrence."""
    adjoints = space.adjoints
    spare = space.spare
    Wy_rows, back_Whc_Whr_Whu = weights.Wy_rows, weights.back_Whc_Whr_Whu
    delta_h, delta_p, delta_y, delta_zc, delta_zr, deltas_of_h, deltas_p_zr_zu, slope_zr, slopes_of_h = (
        adjoints.rows["delta_h"],
        adjoints.rows["delta_p"],
        adjoints.rows["delta_y"],
        adjoints.rows["delta_zc"],
        adjoints.rows["delta_zr"],
        adjoints.rows["deltas_of_h"],
        adjoints.rows["deltas_p_zr_zu"],
        adjoints.rows["slope_zr"],
        adjoints.rows["slopes_of_h"],
    )
    r, u, y = window.rows["r"], window.rows["u"], window.rows["y"]
    spare_H = spare.spare_H
    n, N, t = window.n, space.N, space.t
    if window.is_last:
        # (47) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (48) delta_h[T] = delta_y[T] @ Wy.T
        Wy_rows.dot(delta_y[n], delta_h[n])
        # (101) delta_zu[T] = delta_h[T] * slope_zu[T]
        # (100) delta_zc[T] = delta_h[T] * slope_zc[T]
        multiply(slopes_of_h[n], delta_h[n], deltas_of_h[n])
        # (53) delta_p[T] = delta_zc[T] * r[T]
        multiply(delta_zc[n], r[n], delta_p[n])
        # (102) delta_zr[T] = delta_zc[T] * slope_zr[T]
        multiply(delta_zc[n], slope_zr[n], delta_zr[n])
    for k in range(n - 1 if window.is_last else n, 0, -1):
        # (56) delta_h[k] = delta_h[k + 1] * u[k + 1] + delta_p[k + 1] @ Whc.T + delta_zr[k + 1] @ Whr.T
        #     + delta_zu[k + 1] @ Whu.T
        back_Whc_Whr_Whu.dot(deltas_p_zr_zu[k + 1], delta_h[k])
        multiply(delta_h[k + 1], u[k + 1], spare_H)
        add(delta_h[k], spare_H, delta_h[k])
        # (97) delta_zu[k] = delta_h[k] * slope_zu[k]
        # (95) delta_zc[k] = delta_h[k] * slope_zc[k]
        multiply(slopes_of_h[k], delta_h[k], deltas_of_h[k])
        # (61) delta_p[k] = delta_zc[k] * r[k]
        multiply(delta_zc[k], r[k], delta_p[k])
        # (99) delta_zr[k] = delta_zc[k] * slope_zr[k]
        multiply(delta_zc[k], slope_zr[k], delta_zr[k])


def add_up(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the steps of a window add to the gradients."""
    adjoints = space.adjoints
    delta_p, deltas, left, right = adjoints.delta_p, adjoints.deltas, adjoints.left, adjoints.right
    h, x = window.h, window.x
    n, stop, N, D, H = window.n, window.n + 1, space.N, space.sizes["D"], space.sizes["H"]
    columns(deltas[1:stop], right)
    columns(h[: stop - 1], left[:H])
    columns(x[1:stop], left[H : D + H])
    # (65), (68), (71)
    totals.products_1 += left[:H, : n * N].dot(right[: 3 * H, : n * N].T)
    # (64), (66), (67), (69), (70), (72)
    totals.products_2 += left[H : D + H + 1, : n * N].dot(right[H : 4 * H, : n * N].T)
    # (73)
    totals.gradient_bhc += np.sum(delta_p[1:stop], axis=(0, -1))


def back_to_inputs(weights: Weights, space: Workspace, window: Window) -> None:
    """The derivative with respect to the inputs of a window."""
    adjoints = space.adjoints
    back_Wxr_Wxu_Wxc = weights.back_Wxr_Wxu_Wxc
    delta_x, deltas_zr_zu_zc = adjoints.delta_x, adjoints.deltas_zr_zu_zc
    stop = window.stop
    # (104) delta_x[k] = delta_zc[k] @ Wxc.T + delta_zr[k] @ Wxr.T + delta_zu[k] @ Wxu.T
    np.matmul(back_Wxr_Wxu_Wxc, deltas_zr_zu_zc[1:stop], delta_x[: stop - 1])


def add_ends(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the first and the last step add to the gradients, each once."""
    adjoints = space.adjoints
    delta_y = adjoints.rows["delta_y"]
    h = window.rows["h"]
    n = window.n
    if window.is_last:
        # (74)
        totals.gradient_Wy += h[n].dot(delta_y[n].T)
        # (75)
        totals.gradient_by += np.sum(delta_y[n], axis=-1)


def columns(steps: Array, out: Array | None = None) -> Array:
    """The steps side by side: n × F × N as F × n N, in the first columns of `out` if that is given."""
    n, F, N = steps.shape
    if out is None:
        out = np.empty((F, n * N), steps.dtype)
    out[:, : n * N].reshape(F, n, N)[...] = steps.transpose(1, 0, 2)
    return out
