"""Update rules: how a weight moves when its gradient is known.

Written by `make derive` from the equations in derive/optimizers.py, which optimizers.md shows on paper:
a line is an equation. A function moves one weight, a number or an array, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Leaf: TypeAlias = Any
"""A number, or an array of any shape."""


class Method(NamedTuple):
    """An update rule: its function, how many numbers it keeps for each entry, and its usual learning rate."""

    update: Callable[..., tuple[Leaf, ...]]
    """From the weight, its gradient, the learning rate and the state to the new weight and the new state."""
    state: int
    """The length of the state, which starts at zero."""
    learning_rate: float


def gradient_descent(W: Leaf, gradient: Leaf, learning_rate: Leaf) -> tuple[Leaf, ...]:
    """Gradient descent.

    A.-L. Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées (1847).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.

    Returns:
        The new weight.
    """
    W = W - learning_rate * gradient
    return (W,)


def momentum(W: Leaf, gradient: Leaf, learning_rate: Leaf, v: Leaf, *, mu: float = 0.9) -> tuple[Leaf, ...]:
    """Gradient descent with momentum.

    B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        v: Velocity.
        mu: How much of the velocity stays.

    Returns:
        The new weight, and the new v.
    """
    v = mu * v - learning_rate * gradient
    W = W + v
    return W, v


def rmsprop(
    W: Leaf, gradient: Leaf, learning_rate: Leaf, r: Leaf, *, rho: float = 0.9, epsilon: float = 1e-08
) -> tuple[Leaf, ...]:
    """RMSProp.

    T. Tieleman and G. Hinton, Neural networks for machine learning, lecture 6.5 (2012).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        r: Average of the squares of the gradients.
        rho: How much of the average stays.
        epsilon: Keeps the divisor from zero.

    Returns:
        The new weight, and the new r.
    """
    r = rho * r + (1 - rho) * gradient**2
    W = W - learning_rate * gradient / (np.sqrt(r) + epsilon)
    return W, r


def adam(
    W: Leaf,
    gradient: Leaf,
    learning_rate: Leaf,
    n: Leaf,
    m: Leaf,
    r: Leaf,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-08,
) -> tuple[Leaf, ...]:
    """Adam.

    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        n: How many updates there were.
        m: Average of the gradients.
        r: Average of the squares of the gradients.
        beta_1: How much of the average of gradients stays.
        beta_2: How much of the average of squares stays.
        epsilon: Keeps the divisor from zero.

    Returns:
        The new weight, and the new n and m and r.
    """
    n = n + 1
    m = beta_1 * m + (1 - beta_1) * gradient
    r = beta_2 * r + (1 - beta_2) * gradient**2
    m_hat = m / (1 - beta_1**n)
    r_hat = r / (1 - beta_2**n)
    W = W - learning_rate * m_hat / (np.sqrt(r_hat) + epsilon)
    return W, n, m, r


METHODS = {
    "gradient_descent": Method(gradient_descent, state=0, learning_rate=0.01),
    "momentum": Method(momentum, state=1, learning_rate=0.01),
    "rmsprop": Method(rmsprop, state=1, learning_rate=0.001),
    "adam": Method(adam, state=3, learning_rate=0.001),
}
"""Every method, by name."""
