"""Learning from the gradient: every method of update_rules.py, on all sequences at once or in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data.sequences import Sequences
from .loop import Epoch
from .protocols import Method, Network
from .updates import Memory, all_finite, clip, first_memory, largest_entry, move


class FirstOrder:
    """Updates the weights by their gradient."""

    def __init__(
        self, network: Network, method: Method | None, learning_rates: Any, batch: int | None, bound: float | None
    ) -> None:
        """Set it up.

        Args:
            network: The loss with its gradient, and the update by gradient descent.
            method: The update rule; gradient descent unless given.
            learning_rates: Parameters, one learning rate a weight.
            batch: How many sequences an update sees, the last one of an epoch perhaps fewer; all unless given.
            bound: The largest norm of a gradient; a longer one is shortened. No bound unless given.
        """
        self._network, self._method, self._learning_rates = network, method, learning_rates
        self._batch, self._bound = batch, bound

    def start(self, parameters: Any) -> Memory:
        """Return what the method keeps before the first update."""
        return first_memory(parameters, self._learning_rates, self._method)

    def epoch(
        self, parameters: Any, memory: Memory, data: Sequences, random: np.random.Generator, update: bool
    ) -> Epoch:
        """Pass over the data once, batch after batch, in an order that changes from epoch to epoch."""
        mean, slope = 0.0, 0.0
        for part in batches(data, self._batch or len(data), random if update else None):
            loss, gradient = value_and_gradient(self._network, parameters, part)
            if not all_finite(loss, *parameters, *gradient):
                return Epoch(math.nan, math.nan, parameters, memory)
            mean += len(part) / len(data) * float(loss)
            slope = largest_entry(gradient)
            if update:
                gradient = gradient if self._bound is None else clip(gradient, self._bound)
                parameters, memory = move(
                    self._network, self._method, parameters, gradient, self._learning_rates, memory
                )
        return Epoch(mean, slope, parameters, memory)


def value_and_gradient(network: Network, parameters: Any, data: Sequences) -> tuple[Any, Any]:
    """Return the loss and its gradient on sequences of several lengths: the mean over all of them."""
    if len(data.groups) == 1:
        return network.value_and_gradient(parameters, *data.groups[0])
    value, total = 0.0, [0.0] * len(parameters)
    for group, share in data.shares():
        loss, gradient = network.value_and_gradient(parameters, *group)
        value += share * loss
        total = [so_far + share * leaf for so_far, leaf in zip(total, gradient, strict=True)]
    return value, parameters._make(total)


def loss_of(network: Network, parameters: Any, data: Sequences) -> float:
    """Return the loss on sequences of several lengths."""
    return float(sum(share * network.loss(parameters, *group) for group, share in data.shares()))


def batches(data: Sequences, size: int, random: np.random.Generator | None) -> Iterator[Sequences]:
    """Yield the sequences that each update of an epoch sees, in random order if there is a generator."""
    N = len(data)
    if size >= N:
        yield data
        return
    order = np.arange(N) if random is None else random.permutation(N)
    for first in range(0, N, size):
        yield data.take(order[first : first + size])
