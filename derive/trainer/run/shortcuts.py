"""Training without a pass over the steps, where a cell's folder holds modules that can do without.

module           a whole epoch costs                      used
moments.py       O(T), after one pass over the data       while the estimated rounding errors are within the bounds
closed_form.py   one pass over the data                   near the optimum, and for batches
network_fast.py  T steps forwards and back                where there is no other, or where the others overflow
"""

import operator
from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np

from ..cells import module_of
from ..data.sequences import Unread, blocks
from ..data.shapes import Array
from .protocols import Network
from .settings import Settings
from .updates import all_finite

SPACES = 4
"""How many workspaces are kept."""
LARGEST_ERROR_OF_LOSS = 1e-9
LARGEST_ERROR_OF_GRADIENT = 1e-12
"""Relative rounding errors beyond which moments are given up: the loss is only shown, the gradient adds up."""
LONGEST_FOR_MOMENTS = 1000
"""Steps from which on moments are not tried: making them takes T multiplications for each number of the data."""


class Fast:
    """A network whose loss and gradient are those of its network_fast.py, in workspaces that are kept."""

    def __init__(self, network: Network, fast: Any) -> None:
        """Set it up with what is trained and its network_fast.py."""
        self._network, self._fast = network, fast
        # A workspace for N and T. The last batch of an epoch may be smaller, and batches of several lengths are of
        # any size: few are kept, the rest would fill the memory.
        self._space = lru_cache(SPACES)(lambda N, T: fast.Workspace())

    def __getattr__(self, name: str) -> Any:
        """Everything else is the network's own."""
        return getattr(self._network, name)

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[float, Any]:
        """Return the loss and its gradient."""
        result: tuple[float, Any] = self._fast.value_and_gradient(parameters, X, t, self._space(*X.shape[:2]))
        return result


class Shortcut:
    """A network whose loss and gradient are computed the fastest way that is precise."""

    def __init__(self, network: Network, closed_form: Any, moments: Any, data: Iterable[tuple[Array, Any]]) -> None:
        """Set it up.

        Args:
            network: What is trained.
            closed_form: The cell's closed_form.py.
            moments: The cell's moments.py, or None.
            data: Inputs, each with the moments of them and their targets.
        """
        self._network, self._closed_form, self._moments, self._data = network, closed_form, moments, tuple(data)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the network's own."""
        return getattr(self._network, name)

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[float, Any]:
        """Return the loss and its gradient, by moments where X is the very array that moments are of."""
        for inputs, data in self._data:
            if inputs is X:
                of_loss, of_gradient = self._moments.relative_errors(parameters, data)
                if of_loss <= LARGEST_ERROR_OF_LOSS and of_gradient <= LARGEST_ERROR_OF_GRADIENT:
                    result: tuple[float, Any] = self._moments.value_and_gradient(parameters, data)
                    return result
        loss, gradient = self._closed_form.value_and_gradient(parameters, X, t)
        if all_finite(loss, *gradient):
            return loss, gradient
        return self._network.value_and_gradient(parameters, X, t)


def fastest(settings: Settings) -> Network:
    """Return the network of a run, with the shortcuts that its cell has."""
    fast, closed_form, moments = (module_of(settings.cell, name) for name in ("network_fast", "closed_form", "moments"))
    network = settings.network if fast is None else cast(Network, Fast(settings.network, fast))
    if closed_form is None:
        return network
    data = []
    for X, t in settings.data.groups:
        # This must not depend on --epochs: a run that goes on has other ones, and the same bits.
        if moments is not None and settings.batch is None and X.shape[1] < LONGEST_FOR_MOMENTS:
            data.append((X, _moments_of(moments, X, t)))
    return cast(Network, Shortcut(network, closed_form, moments, data))


def _moments_of(moments: Any, X: Array, t: Array) -> Any:
    """Return the moments of a group. What is not read yet is read block by block, and their moments are added."""
    with np.errstate(all="ignore"):  # moments that overflow are never precise enough to be used
        if not isinstance(X, Unread):
            return moments.Moments.of(X, t)
        return reduce(operator.add, (moments.Moments.of(X[block], t[block]) for block in blocks(X)))
