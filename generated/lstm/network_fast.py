"""The LSTM: the loss and the gradient of network.py, the same numbers, faster.

Written by `make derive` from the description of the cell `lstm`.
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
        Wxi, Whi, bi, Wxf, Whf, bf, Wxg, Whg, bg, Wxo, Who, bo, Wy, by = (
            np.asarray(weight, dtype)[()]
            for weight in (
                parameters.Wxi,
                parameters.Whi,
                parameters.bi,
                parameters.Wxf,
                parameters.Whf,
                parameters.bf,
                parameters.Wxg,
                parameters.Whg,
                parameters.bg,
                parameters.Wxo,
                parameters.Who,
                parameters.bo,
                parameters.Wy,
                parameters.by,
            )
        )
        self.of_inputs: Array = np.concatenate((0.5 * Wxo.T, 0.5 * Wxi.T, 0.5 * Wxf.T, Wxg.T))
        self.inputs_bias: Array = np.concatenate((0.5 * bo, 0.5 * bi, 0.5 * bf, bg))[:, np.newaxis]
        self.of_h: Array = np.concatenate((0.5 * Who.T, 0.5 * Whi.T, 0.5 * Whf.T, Whg.T))
        self.Wy_columns: Array = np.ascontiguousarray(Wy.T)
        self.by: Array = by[:, np.newaxis]
        self.Wy_rows: Array = np.ascontiguousarray(Wy)
        self.back_Who_Whi_Whf_Whg: Array = np.concatenate((Who, Whi, Whf, Whg), axis=1)
        self.back_Wxo_Wxi_Wxf_Wxg: Array = np.concatenate((Wxo, Wxi, Wxf, Wxg), axis=1)


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
        self.inputs: Array = np.zeros((m + 2, 4 * H, N), dtype)
        self.zo_input: Array = self.inputs[:, :H]
        self.zi_input: Array = self.inputs[:, H : 2 * H]
        self.zf_input: Array = self.inputs[:, 2 * H : 3 * H]
        self.zg_input: Array = self.inputs[:, 3 * H : 4 * H]
        self.gates: Array = np.zeros((m + 2, 4 * H, N), dtype)
        self.o: Array = self.gates[:, :H]
        self.i: Array = self.gates[:, H : 2 * H]
        self.f: Array = self.gates[:, 2 * H : 3 * H]
        self.g: Array = self.gates[:, 3 * H : 4 * H]
        self.x: Array = np.zeros((m + 2, D, N), dtype)
        self.h: Array = np.zeros((m + 2, H, N), dtype)
        self.c: Array = np.zeros((m + 2, H, N), dtype)
        self.tanh_c: Array = np.zeros((m + 2, H, N), dtype)
        self.y: Array = np.zeros((m + 2, M, N), dtype)
        self.gates_logistic: Array = self.gates[:, : 3 * H]
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.n, self.stop, self.is_first, self.is_last = m, m + 1, False, False


class Adjoints:
    """What the way back computes of up to m steps in a row, in the form of Window; one for all windows."""

    def __init__(self, m: int, N: int, sizes: dict[str, int], dtype: Any) -> None:
        D = sizes["D"]
        H = sizes["H"]
        M = sizes["M"]
        self.deltas: Array = np.zeros((m + 2, 4 * H, N), dtype)
        self.delta_zo: Array = self.deltas[:, :H]
        self.delta_zi: Array = self.deltas[:, H : 2 * H]
        self.delta_zf: Array = self.deltas[:, 2 * H : 3 * H]
        self.delta_zg: Array = self.deltas[:, 3 * H : 4 * H]
        self.slopes: Array = np.zeros((m + 2, 4 * H, N), dtype)
        self.slope_zo: Array = self.slopes[:, :H]
        self.slope_zi: Array = self.slopes[:, H : 2 * H]
        self.slope_zf: Array = self.slopes[:, 2 * H : 3 * H]
        self.slope_zg: Array = self.slopes[:, 3 * H : 4 * H]
        self.slope_c: Array = np.zeros((m + 2, H, N), dtype)
        self.delta_y: Array = np.zeros((m + 2, M, N), dtype)
        self.delta_c: Array = np.zeros((m + 2, H, N), dtype)
        self.deltas_of_c: Array = self.deltas[:, H : 4 * H].reshape(-1, 3, H, N)
        self.slopes_of_c: Array = self.slopes[:, H : 4 * H].reshape(-1, 3, H, N)
        self.rows: dict[str, Any] = {name: list(array) for name, array in vars(self).items()}
        self.left: Array = np.ones((D + H + 1, m * N), dtype)
        self.right: Array = np.ones((4 * H, m * N), dtype)
        self.delta_x: Array = np.zeros((m, D, N), dtype)


class Spare:
    """Arrays of one step, for what no other step needs."""

    def __init__(self, N: int, sizes: dict[str, int], dtype: Any) -> None:
        H = sizes["H"]
        self.from_h: Array = np.zeros((4 * H, N), dtype)
        self.spare_H: Array = np.zeros((H, N), dtype)
        self.delta_h: Array = np.zeros((H, N), dtype)


class Totals:
    """The sums over the windows that the gradients are."""

    def __init__(self, parameters: Parameters, sizes: dict[str, int], dtype: Any) -> None:
        D = sizes["D"]
        H = sizes["H"]
        self.products: Array = np.zeros((D + H + 1, 4 * H), dtype)
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
        D = parameters.Wxi.shape[0]
        H = parameters.Wxi.shape[1]
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
            space.adjoints.delta_c[n + 1] = space.adjoints.delta_c[1]
            space.adjoints.deltas[n + 1] = space.adjoints.deltas[1]
            window.f[n + 1] = space.windows[number + 1].f[1]
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
        totals.products[:D, H : 2 * H].copy(),
        totals.products[D : D + H, H : 2 * H].copy(),
        totals.products[D + H, H : 2 * H].copy(),
        totals.products[:D, 2 * H : 3 * H].copy(),
        totals.products[D : D + H, 2 * H : 3 * H].copy(),
        totals.products[D + H, 2 * H : 3 * H].copy(),
        totals.products[:D, 3 * H : 4 * H].copy(),
        totals.products[D : D + H, 3 * H : 4 * H].copy(),
        totals.products[D + H, 3 * H : 4 * H].copy(),
        totals.products[:D, :H].copy(),
        totals.products[D : D + H, :H].copy(),
        totals.products[D + H, :H].copy(),
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


CARRIED = (
    "c",
    "h",
)
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
    c, h = window.rows["c"], window.rows["h"]
    # (1) c[0] = 0
    c[0][...] = 0
    # (2) h[0] = 0
    h[0][...] = 0


def hoisted(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no state, for all steps of a window."""
    inputs_bias, of_inputs = weights.inputs_bias, weights.of_inputs
    inputs, x = window.inputs, window.x
    stop = window.stop
    # (114) zo_input[k] = x[k] @ Wxo + bo
    # (108) zi_input[k] = x[k] @ Wxi + bi
    # (110) zf_input[k] = x[k] @ Wxf + bf
    # (112) zg_input[k] = x[k] @ Wxg + bg
    np.matmul(of_inputs, x[1:stop], inputs[1:stop])
    add(inputs[1:stop], inputs_bias, inputs[1:stop])


def run(weights: Weights, space: Workspace, window: Window) -> None:
    """The recurrence."""
    spare = space.spare
    of_h = weights.of_h
    c, f, g, gates, gates_logistic, h, i, inputs, o, tanh_c = (
        window.rows["c"],
        window.rows["f"],
        window.rows["g"],
        window.rows["gates"],
        window.rows["gates_logistic"],
        window.rows["h"],
        window.rows["i"],
        window.rows["inputs"],
        window.rows["o"],
        window.rows["tanh_c"],
    )
    from_h, spare_H = spare.from_h, spare.spare_H
    stop = window.stop
    for k in range(1, stop):
        # (115) zo[k] = h[k - 1] @ Who + zo_input[k]
        # (109) zi[k] = h[k - 1] @ Whi + zi_input[k]
        # (111) zf[k] = h[k - 1] @ Whf + zf_input[k]
        # (113) zg[k] = h[k - 1] @ Whg + zg_input[k]
        of_h.dot(h[k - 1], from_h)
        # (10) o[k] = logistic(zo[k])
        # (7) i[k] = logistic(zi[k])
        # (8) f[k] = logistic(zf[k])
        # (9) g[k] = np.tanh(zg[k])
        add(from_h, inputs[k], gates[k])
        tanh(gates[k], gates[k])
        multiply(gates_logistic[k], 0.5, gates_logistic[k])
        add(gates_logistic[k], 0.5, gates_logistic[k])
        # (11) c[k] = f[k] * c[k - 1] + i[k] * g[k]
        multiply(f[k], c[k - 1], c[k])
        multiply(i[k], g[k], spare_H)
        add(c[k], spare_H, c[k])
        # (107) tanh_c[k] = np.tanh(c[k])
        tanh(c[k], tanh_c[k])
        # (116) h[k] = o[k] * tanh_c[k]
        multiply(o[k], tanh_c[k], h[k])


def finish(weights: Weights, space: Workspace, window: Window) -> None:
    """What the last step has equations of its own for."""
    Wy_columns, by = weights.Wy_columns, weights.by
    h, y = window.rows["h"], window.rows["y"]
    n = window.n
    # (13) y[T] = h[T] @ Wy + by
    Wy_columns.dot(h[n], y[n])
    add(y[n], by, y[n])


def loss_of(weights: Weights, space: Workspace, window: Window) -> Number:
    """What a window adds to the loss."""
    if not window.is_last:
        return 0
    y = window.rows["y"]
    n, t = window.n, space.t
    # (14) value = np.mean(np.sum((y[T] - t) ** 2, axis=-1))
    return np.mean(np.sum((y[n] - t) ** 2, axis=-2))


def hoisted_back(weights: Weights, space: Workspace, window: Window) -> None:
    """What needs no adjoint of a later step, for all steps of a window."""
    adjoints = space.adjoints
    c, f, g, i, o, tanh_c = window.c, window.f, window.g, window.i, window.o, window.tanh_c
    slope_c, slope_zf, slope_zg, slope_zi, slope_zo = (
        adjoints.slope_c,
        adjoints.slope_zf,
        adjoints.slope_zg,
        adjoints.slope_zi,
        adjoints.slope_zo,
    )
    stop = window.n + 1
    # (117) slope_c[k] = o[k] * (1 - tanh_c[k] ** 2)
    multiply(tanh_c[1:stop], tanh_c[1:stop], slope_c[1:stop])
    subtract(1, slope_c[1:stop], slope_c[1:stop])
    multiply(slope_c[1:stop], o[1:stop], slope_c[1:stop])
    # (119) slope_zo[k] = o[k] * (1 - o[k]) * tanh_c[k]
    subtract(1, o[1:stop], slope_zo[1:stop])
    multiply(slope_zo[1:stop], o[1:stop], slope_zo[1:stop])
    multiply(slope_zo[1:stop], tanh_c[1:stop], slope_zo[1:stop])
    # (121) slope_zg[k] = i[k] * (1 - g[k] ** 2)
    multiply(g[1:stop], g[1:stop], slope_zg[1:stop])
    subtract(1, slope_zg[1:stop], slope_zg[1:stop])
    multiply(slope_zg[1:stop], i[1:stop], slope_zg[1:stop])
    # (123) slope_zf[k] = f[k] * (1 - f[k]) * c[k - 1]
    subtract(1, f[1:stop], slope_zf[1:stop])
    multiply(slope_zf[1:stop], f[1:stop], slope_zf[1:stop])
    multiply(slope_zf[1:stop], c[: stop - 1], slope_zf[1:stop])
    # (125) slope_zi[k] = i[k] * (1 - i[k]) * g[k]
    subtract(1, i[1:stop], slope_zi[1:stop])
    multiply(slope_zi[1:stop], i[1:stop], slope_zi[1:stop])
    multiply(slope_zi[1:stop], g[1:stop], slope_zi[1:stop])


def run_back(weights: Weights, space: Workspace, window: Window) -> None:
    """The adjoint recurrence."""
    adjoints = space.adjoints
    spare = space.spare
    Wy_rows, back_Who_Whi_Whf_Whg = weights.Wy_rows, weights.back_Who_Whi_Whf_Whg
    delta_c, delta_y, delta_zo, deltas, deltas_of_c, slope_c, slope_zo, slopes_of_c = (
        adjoints.rows["delta_c"],
        adjoints.rows["delta_y"],
        adjoints.rows["delta_zo"],
        adjoints.rows["deltas"],
        adjoints.rows["deltas_of_c"],
        adjoints.rows["slope_c"],
        adjoints.rows["slope_zo"],
        adjoints.rows["slopes_of_c"],
    )
    f, y = window.rows["f"], window.rows["y"]
    delta_h = spare.delta_h
    spare_H = spare.spare_H
    n, N, t = window.n, space.N, space.t
    if window.is_last:
        # (58) delta_y[T] = 2 / N * (y[T] - t)
        subtract(y[n], t, delta_y[n])
        multiply(delta_y[n], 2 / N, delta_y[n])
        # (59) delta_h[T] = delta_y[T] @ Wy.T
        Wy_rows.dot(delta_y[n], delta_h)
        # (127) delta_c[T] = delta_h[T] * slope_c[T]
        multiply(delta_h, slope_c[n], delta_c[n])
        # (128) delta_zo[T] = delta_h[T] * slope_zo[T]
        multiply(delta_h, slope_zo[n], delta_zo[n])
        # (131) delta_zi[T] = delta_c[T] * slope_zi[T]
        # (130) delta_zf[T] = delta_c[T] * slope_zf[T]
        # (129) delta_zg[T] = delta_c[T] * slope_zg[T]
        multiply(slopes_of_c[n], delta_c[n], deltas_of_c[n])
    for k in range(n - 1 if window.is_last else n, 0, -1):
        # (69) delta_h[k] = delta_zf[k + 1] @ Whf.T + delta_zg[k + 1] @ Whg.T + delta_zi[k + 1] @ Whi.T
        #     + delta_zo[k + 1] @ Who.T
        back_Who_Whi_Whf_Whg.dot(deltas[k + 1], delta_h)
        # (118) delta_c[k] = delta_c[k + 1] * f[k + 1] + delta_h[k] * slope_c[k]
        multiply(delta_c[k + 1], f[k + 1], delta_c[k])
        multiply(delta_h, slope_c[k], spare_H)
        add(delta_c[k], spare_H, delta_c[k])
        # (120) delta_zo[k] = delta_h[k] * slope_zo[k]
        multiply(delta_h, slope_zo[k], delta_zo[k])
        # (126) delta_zi[k] = delta_c[k] * slope_zi[k]
        # (124) delta_zf[k] = delta_c[k] * slope_zf[k]
        # (122) delta_zg[k] = delta_c[k] * slope_zg[k]
        multiply(slopes_of_c[k], delta_c[k], deltas_of_c[k])


def add_up(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the steps of a window add to the gradients."""
    adjoints = space.adjoints
    deltas, left, right = adjoints.deltas, adjoints.left, adjoints.right
    h, x = window.h, window.x
    n, stop, N, D, H = window.n, window.n + 1, space.N, space.sizes["D"], space.sizes["H"]
    columns(deltas[1:stop], right)
    columns(x[1:stop], left[:D])
    columns(h[: stop - 1], left[D : D + H])
    # (79), (80), (81), (82), (83), (84), (85), (86), (87), (88), (89), (90)
    totals.products += left[: D + H + 1, : n * N].dot(right[: 4 * H, : n * N].T)


def back_to_inputs(weights: Weights, space: Workspace, window: Window) -> None:
    """The derivative with respect to the inputs of a window."""
    adjoints = space.adjoints
    back_Wxo_Wxi_Wxf_Wxg = weights.back_Wxo_Wxi_Wxf_Wxg
    delta_x, deltas = adjoints.delta_x, adjoints.deltas
    stop = window.stop
    # (133) delta_x[k] = delta_zf[k] @ Wxf.T + delta_zg[k] @ Wxg.T + delta_zi[k] @ Wxi.T +
    #     delta_zo[k] @ Wxo.T
    np.matmul(back_Wxo_Wxi_Wxf_Wxg, deltas[1:stop], delta_x[: stop - 1])


def add_ends(weights: Weights, space: Workspace, window: Window, totals: Totals) -> None:
    """What the first and the last step add to the gradients, each once."""
    adjoints = space.adjoints
    delta_y = adjoints.rows["delta_y"]
    h = window.rows["h"]
    n = window.n
    if window.is_last:
        # (91)
        totals.gradient_Wy += h[n].dot(delta_y[n].T)
        # (92)
        totals.gradient_by += np.sum(delta_y[n], axis=-1)


def columns(steps: Array, out: Array | None = None) -> Array:
    """The steps side by side: n × F × N as F × n N, in the first columns of `out` if that is given."""
    n, F, N = steps.shape
    if out is None:
        out = np.empty((F, n * N), steps.dtype)
    out[:, : n * N].reshape(F, n, N)[...] = steps.transpose(1, 0, 2)
    return out
