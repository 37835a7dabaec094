"""Runs the stages of a network_fast.py over windows of steps, with arrays that are made once.

A window is up to m steps in a row. Its arrays have the steps first and the sequences last: row k is for step k of the
window, row 0 for the step before and row n + 1 for the step after. The forward pass fills one window after another; the
backward pass goes through them from the last, and its arrays serve all windows. With `recompute` one window does for
all: what it starts from is kept, and its steps are computed once more when the backward pass comes to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt, prod
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

WINDOW_BYTES = 8_000_000
"""How many bytes the arrays of the backward pass take at most, unless that is less than two steps: about what stays in
the cache. A workspace may be given another number."""

Array: TypeAlias = Any
Number: TypeAlias = Any
Names: TypeAlias = SimpleNamespace
"""Arrays by their names."""
Sizes: TypeAlias = Mapping[str, int]
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
Part: TypeAlias = tuple[str, int, int] | tuple[str, int, int, int]
"""An array, its first row and the one after its last, and in how many equal blocks those rows are."""


class Arrays(NamedTuple):
    """The arrays that the stages of a network need, each with what it holds of one sequence at one step.

    Attributes:
        kept: Computed by the forward pass, and read by the backward pass.
        backward: Computed by the backward pass.
        beside: Matrices with all steps of a window beside one another, and 1 where nothing is written.
        step: Of one step.
        totals: Sums over all windows, of all sequences; these are whole shapes.
        parts: Rows of other arrays.
        labels: Those of `kept` that hold whole numbers.
    """

    kept: Shapes
    backward: Shapes
    beside: Shapes
    step: Shapes
    totals: Shapes
    parts: Mapping[str, Part]
    labels: tuple[str, ...] = ()


class Network(NamedTuple):
    """What a network_fast.py is made of.

    Attributes:
        module: The network.py beside it.
        input: The array of the inputs.
        target: That of the targets, where each step has one.
        classes: The sizes that bound a label, where the targets are labels.
        input_adjoint: The array of the derivative with respect to the inputs.
        carried: What a step reads of the step before.
        ahead: What it reads of the step after.
        arrays: Their shapes.
        packed: What the stages need of the weights.
        start: Sets the state before the first step.
        forward: The stages of the forward pass.
        loss_of: What a window adds to the loss.
        backward: The stages of the backward pass.
        input_adjoints: The stage for the inputs.
        gradient: Puts the gradient together from the sums over all windows.
    """

    module: ModuleType
    input: str
    target: str | None
    classes: tuple[str, ...]
    input_adjoint: str
    carried: tuple[str, ...]
    ahead: tuple[str, ...]
    arrays: Callable[[Sizes], Arrays]
    packed: Callable[[Any, Any], Names]
    start: Stage
    forward: tuple[Stage, ...]
    loss_of: Callable[[Names, Window], Number]
    backward: tuple[Stage, ...]
    input_adjoints: Stage
    gradient: Callable[[Names, Window], Any]


class Window:
    """Up to m steps in a row, and the arrays for them.

    Attributes:
        rows: The rows of every array by step, in a list; arrays of one step as they are.
        now: All steps of every array, 1, …, n.
        beside: The matrices with those steps beside one another.
        before: The steps before them, 0, …, n - 1.
        after: The steps after them, 2, …, n + 1.
        totals: The sums over all windows.
        target: The targets, where a sequence has one.
        sizes: N, T, and every other size by its name.
        n: How many steps there are.
        first: Whether the first step is among them.
        last: Whether the last one is.
    """

    def __init__(self, storage: Storage, sizes: Sizes, n: int, *, first: bool, last: bool) -> None:
        """Sets up the steps in the arrays of a storage."""
        self.rows = storage.rows
        self.now, self.before, self.after, self.beside = storage.steps(n)
        self.totals, self.sizes = Names(), sizes
        self.target: Array = None
        self.n, self.first, self.last = n, first, last


Stage: TypeAlias = Callable[[Names, Window], None]


class Storage:
    """Arrays for windows of up to m steps.

    Args:
        shared: The arrays that serve all windows.
        kept: Those of the forward pass.
        arrays: What to make of them.
        N: How many sequences there are.
    """

    def __init__(self, shared: Mapping[str, Array], kept: Mapping[str, Array], arrays: Arrays, N: int) -> None:
        """Makes the views."""
        self._beside = {name: shared[name] for name in arrays.beside}
        step = {name: shared[name] for name in arrays.step}
        stepped = {**kept, **{name: shared[name] for name in arrays.backward}}
        for name, (of, first, last, *split) in arrays.parts.items():
            if of in step:
                step[name] = _blocks(step[of][first:last], 0, split)
            elif of in arrays.beside:
                self._beside[name] = shared[of][first:last]
            else:
                stepped[name] = _blocks(stepped[of][:, first:last], 1, split)
        self._stepped, self._N = stepped, N
        self.rows = Names(**{name: list(array) for name, array in stepped.items()}, **step)
        self._steps: dict[int, tuple[Names, Names, Names, Names]] = {}

    def steps(self, n: int) -> tuple[Names, Names, Names, Names]:
        """Every array at steps 1, …, n, at the steps before, at those after; and the matrices of those steps."""
        if n not in self._steps:
            beside = {name: matrix[:, : n * self._N] for name, matrix in self._beside.items()}
            steps = {name: matrix.reshape(-1, n, self._N).transpose(1, 0, 2) for name, matrix in beside.items()}
            now, before, after = (
                {name: array[first : first + n] for name, array in self._stepped.items()} for first in (1, 0, 2)
            )
            self._steps[n] = Names(**now, **steps), Names(**before), Names(**after), Names(**beside)
        return self._steps[n]


def _blocks(rows: Array, axis: int, split: list[int]) -> Array:
    """Rows as they are, or in equal blocks."""
    if not split:
        return rows
    return rows.reshape(*rows.shape[:axis], split[0], -1, *rows.shape[axis + 1 :])


class Workspace:
    """The arrays of a calculation. A caller who keeps one, for one thread, has them made once for a shape.

    Args:
        window_bytes: How many bytes the arrays of the backward pass take at most, unless that is less than two steps.

    Attributes:
        windows: The steps, in order.
        arrays: Every array that was made.
    """

    def __init__(self, window_bytes: int | None = None) -> None:
        """An empty one."""
        self._key: Any = None
        self._window_bytes = window_bytes
        self.windows: list[Window] = []
        self.arrays: list[Array] = []
        self.starts: list[list[Array]] = []

    def fit(self, network: Network, sizes: Sizes, dtype: Any, recompute: bool) -> None:
        """Makes the arrays, unless those of the call before fit."""
        key = (network, tuple(sizes.values()), dtype, recompute)
        if key == self._key:
            return
        self._key = None  # until all arrays are there: there may be no memory for them
        N, T = sizes["N"], sizes["T"]
        arrays = network.arrays(sizes)
        m = _length(arrays, N, T, np.dtype(dtype).itemsize, recompute, self._window_bytes or WINDOW_BYTES)
        count = -(-T // m)
        shared = {name: np.zeros((m + 2, *shape, N), dtype) for name, shape in arrays.backward.items()}
        shared |= {name: np.ones((*shape, m * N), dtype) for name, shape in arrays.beside.items()}
        shared |= {name: np.zeros((*shape, N), dtype) for name, shape in arrays.step.items()}
        self.arrays, self.recompute, self.totals = list(shared.values()), recompute, arrays.totals
        storages: list[Storage] = []
        for _ in range(1 if recompute else count):
            kept = {
                name: np.zeros((m + 2, *shape, N), np.intp if name in arrays.labels else dtype)
                for name, shape in arrays.kept.items()
            }
            self.arrays += kept.values()
            storages.append(Storage(shared, kept, arrays, N))
        self.windows = [
            Window(
                storages[0 if recompute else number],
                sizes,
                m if number else T - (count - 1) * m,
                first=number == 0,
                last=number == count - 1,
            )
            for number in range(count)
        ]
        self.dtype, self._key = dtype, key


def _length(arrays: Arrays, N: int, T: int, itemsize: int, recompute: bool, allowed: int) -> int:
    """How many steps a window has at most."""
    if recompute:
        m = isqrt(T - 1) + 1
    else:
        stepped = sum(prod(shape) for shape in arrays.backward.values()) * N * itemsize
        beside = sum(prod(shape) for shape in arrays.beside.values()) * N * itemsize
        m = allowed // (stepped + beside)
    return min(T, max(m, 2))


def value_and_gradient(
    network: Network,
    parameters: Any,
    X: Any,
    t: Any,
    workspace: Workspace | None,
    recompute: bool,
    input_gradient: Array | None,
) -> tuple[Number, Any]:
    """The loss on the data, and its derivative with respect to every weight; see a network_fast.py."""
    space, weights, x, t = _prepared(network, parameters, X, t, workspace, recompute)
    if input_gradient is not None:
        check_array(input_gradient, np.shape(X), space.dtype)
    value = _run_forward(network, weights, space, x, t)
    totals = Names(**{name: np.zeros(shape, space.dtype)[()] for name, shape in space.totals.items()})
    end, later = len(x), None
    for number in range(len(space.windows) - 1, -1, -1):
        window = space.windows[number]
        n = window.n
        if later is not None:
            for name in network.ahead:
                getattr(window.rows, name)[n + 1][...] = getattr(later.rows, name)[1]
            if recompute:
                _enter(network, window, x, t, end - n)
                for name, row in zip(network.carried, space.starts[number], strict=True):
                    getattr(window.rows, name)[0][...] = row
                for stage in network.forward:
                    stage(weights, window)
        window.totals = totals
        for stage in network.backward:
            stage(weights, window)
        if input_gradient is not None:
            network.input_adjoints(weights, window)
            slope = input_gradient.transpose(*range(1, input_gradient.ndim), 0)
            slope[end - n : end] = getattr(window.now, network.input_adjoint)
        end, later = end - n, window
    return value, network.gradient(weights, space.windows[0])


def loss(network: Network, parameters: Any, X: Any, t: Any, workspace: Workspace | None) -> Number:
    """The loss on the data."""
    # A workspace that is kept keeps its arrays; one of this call takes as little as it can.
    space, weights, x, t = _prepared(network, parameters, X, t, workspace, workspace is None)
    return _run_forward(network, weights, space, x, t)


def check_array(array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Finds out before the work whether an array can take a result.

    Raises:
        ValueError: It cannot.
    """
    fits = isinstance(array, np.ndarray) and array.shape == shape and np.can_cast(dtype, array.dtype, "same_kind")
    if not fits or not array.flags.writeable:
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"input_gradient is an array to write to, {shape} of {dtype}, as X is; it is {found}")


def _prepared(
    network: Network, parameters: Any, X: Any, t: Any, workspace: Workspace | None, recompute: bool
) -> tuple[Workspace, Names, Array, Array]:
    """The arrays to work in, the weights as the steps need them, and the data with time first and sequences last."""
    module = network.module
    X = module.as_sequences(X, parameters)
    sizes = dict(zip(module.DATA_SHAPES["X"], X.shape, strict=True))
    for shape, weight in zip(module.SHAPES.values(), parameters, strict=True):
        if shape:
            sizes.update(zip(shape, weight.shape, strict=True))
    space = workspace if workspace is not None else Workspace()
    space.fit(network, sizes, X.dtype, recompute)
    shape = tuple(sizes.get(size, size) for size in module.DATA_SHAPES["t"])
    kind = min(sizes.get(size, size) for size in network.classes) if network.classes else X.dtype
    t = module.as_targets(t, shape, kind)
    if len(shape) > (1 if network.target is None else 2):
        t = np.swapaxes(t, -1, -2)
    return space, network.packed(parameters, X.dtype), X.transpose(*range(1, X.ndim), 0), t


def _run_forward(network: Network, weights: Names, space: Workspace, x: Array, t: Array) -> Number:
    """Runs over all windows.

    Returns:
        The loss.
    """
    value: Number = 0
    first, before, space.starts = 0, None, []
    for window in space.windows:
        carried: list[Array] = (
            [getattr(before.rows, name)[before.n] for name in network.carried] if before is not None else []
        )
        _enter(network, window, x, t, first)
        if before is None:
            network.start(weights, window)
        for name, row in zip(network.carried, carried, strict=False):
            getattr(window.rows, name)[0][...] = row
        if space.recompute:
            space.starts.append([getattr(window.rows, name)[0].copy() for name in network.carried])
        for stage in network.forward:
            stage(weights, window)
        value += network.loss_of(weights, window)
        first, before = first + window.n, window
    return value


def _enter(network: Network, window: Window, x: Array, t: Array, first: int) -> None:
    """Puts the data of a window into it, from a step on."""
    end = first + window.n
    getattr(window.now, network.input)[...] = x[first:end]
    if network.target is None:
        window.target = t
    else:
        getattr(window.now, network.target)[...] = t[first + 1 : end + 1]
