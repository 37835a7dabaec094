"""What the trainer needs of the generated modules."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..data.shapes import Array, Shape


class Method(Protocol):
    """What training needs of a method in update_rules.py."""

    learning_rate: float

    @property
    def start(self) -> Callable[[Any, Any], tuple[Any, ...]]:
        """From a weight and its learning rate to the first state."""

    @property
    def update(self) -> Callable[..., tuple[Any, ...]]:
        """From a weight, its gradient, its learning rate and its state to the new weight and the new state."""


class Network(Protocol):
    """What training needs of a network.py; it says itself which shapes X, t and the weights have."""

    Parameters: Any  # the NamedTuple with one field a weight
    SHAPES: Mapping[str, Shape]  # of every weight
    DATA_SHAPES: Mapping[str, Shape]  # of X and t
    LOSS_IS_MEAN: bool  # over the sequences, so that those of several lengths can be taken together

    def loss(self, parameters: Any, X: Array, t: Array) -> float:
        """Return the loss."""

    def value_and_gradient(self, parameters: Any, X: Array, t: Array) -> tuple[float, Any]:
        """Return the loss and its gradient, the latter as Parameters."""

    def descend(self, parameters: Any, gradient: Any, learning_rates: Any) -> Any:
        """Return the parameters after one update by gradient descent."""

    def predict(self, parameters: Any, X: Array) -> Array:
        """Return the output for each of the N sequences."""
