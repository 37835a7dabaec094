"""Update rules: how a weight moves when its gradient is known.

Written by `make derive` from the equations in derive/methods/update_rules.py, which update_rules.md shows on paper:
a line is an equation. A function moves one weight, a number or an array, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Leaf: TypeAlias = Any
"""A number, or an array of any shape."""


class Method(NamedTuple):
    """An update rule: its function, how what it keeps begins, and its usual learning rate."""

    update: Callable[..., tuple[Leaf, ...]]
    """From the weight, its gradient, the learning rate and the state to the new weight and the new state."""
    start: Callable[[Leaf, Leaf], tuple[Leaf, ...]]
    """From the weight and its learning rate to the first state: numbers, or arrays of its shape and type."""
    learning_rate: float


def gradient_descent(W: Leaf, gradient: Leaf, learning_rate: float) -> tuple[Leaf, ...]:
    """Gradient descent.

    Downhill, in proportion to the gradient.

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


def momentum(W: Leaf, gradient: Leaf, learning_rate: float, v: Leaf, *, mu: float = 0.9) -> tuple[Leaf, ...]:
    """Gradient descent with momentum.

    A velocity gathers the gradients, and moves the weight.

    B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        v: Velocity; starts at 0.
        mu: How much of the velocity stays.

    Returns:
        The new weight, and the new v.
    """
    v = mu * v - learning_rate * gradient
    W = W + v
    return W, v


def nesterov(W: Leaf, gradient: Leaf, learning_rate: float, v: Leaf, *, mu: float = 0.9) -> tuple[Leaf, ...]:
    """Nesterov momentum.

    Momentum, with the gradient taken where the velocity is about to carry the weight.

    The gradient is taken where the velocity alone would carry the weight, and that place is what W keeps from one
    update to the next. In the usual form B is the weight: the gradient is taken at B + μ v, and B moves by the new
    v. The two come together as the velocity dies down; the trainer reports W.

    Y. Nesterov, A method of solving a convex programming problem with convergence rate O(1/k²) (1983); as momentum:
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, On the importance of initialization and momentum in deep
    learning (2013).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        v: Velocity; starts at 0.
        mu: How much of the velocity stays.

    Returns:
        The new weight, and the new v.
    """
    B = W - mu * v
    v = mu * v - learning_rate * gradient
    W = B + v + mu * v
    return W, v


def rprop(
    W: Leaf,
    gradient: Leaf,
    learning_rate: float,
    Delta: Leaf,
    s: Leaf,
    *,
    eta_plus: float = 1.2,
    eta_minus: float = 0.5,
) -> tuple[Leaf, ...]:
    """RProp.

    Each entry has its own step size, which grows while the sign of the gradient stays and shrinks otherwise.

    The first update and a gradient of 0 count as a change of sign. A sign is worth something when the gradient is
    that of all data: train without batches.

    M. Riedmiller and H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm
    (1993); without bounds, as in P. Roelants, How to implement a recurrent neural network, part 1.

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate; the update does not read it.
        Delta: Step size; starts at learning_rate.
        s: Sign of the gradient, from one update to the next; starts at 0.
        eta_plus: What the step size is multiplied by while the sign stays.
        eta_minus: What the step size is multiplied by when the sign changes.

    Returns:
        The new weight, and the new Delta and s.
    """
    Delta = where(s * gradient > 0, eta_plus * Delta, eta_minus * Delta)
    s = np.sign(gradient)
    W = W - s * Delta
    return W, Delta, s


def irprop_minus(
    W: Leaf,
    gradient: Leaf,
    learning_rate: float,
    Delta: Leaf,
    s: Leaf,
    *,
    eta_plus: float = 1.2,
    eta_minus: float = 0.5,
    Delta_min: float = 1e-6,
    Delta_max: float = 50,
) -> tuple[Leaf, ...]:
    """iRProp-.

    RProp with bounds for the step size; where the sign changes, the weight rests for one update.

    After a change of sign the gradient is taken as 0, now and in the comparison of the next update. A sign is worth
    something when the gradient is that of all data: train without batches.

    C. Igel and M. Hüsken, Empirical evaluation of the improved Rprop learning algorithms (2003).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate; the update does not read it.
        Delta: Step size; starts at learning_rate.
        s: Sign of the gradient, from one update to the next; starts at 0.
        eta_plus: What the step size is multiplied by while the sign stays.
        eta_minus: What the step size is multiplied by when the sign changes.
        Delta_min: The smallest step size.
        Delta_max: The largest step size.

    Returns:
        The new weight, and the new Delta and s.
    """
    Delta = where(
        s * gradient > 0,
        np.minimum(eta_plus * Delta, Delta_max),
        where(s * gradient < 0, np.maximum(eta_minus * Delta, Delta_min), Delta),
    )
    s = where(s * gradient < 0, 0, np.sign(gradient))
    W = W - s * Delta
    return W, Delta, s


def rmsprop(
    W: Leaf, gradient: Leaf, learning_rate: float, r: Leaf, *, rho: float = 0.9, epsilon: float = 1e-8
) -> tuple[Leaf, ...]:
    """RMSProp.

    Each entry's gradient is divided by the root of the average of its squares.

    T. Tieleman and G. Hinton, Neural networks for machine learning, lecture 6.5 (2012).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        r: Average of the squares of the gradients; starts at 0.
        rho: How much of the average stays.
        epsilon: Keeps the divisor from zero.

    Returns:
        The new weight, and the new r.
    """
    r = rho * r + (1 - rho) * gradient**2
    W = W - learning_rate * gradient / (np.sqrt(r) + epsilon)
    return W, r


def rmsprop_nesterov(
    W: Leaf,
    gradient: Leaf,
    learning_rate: float,
    v: Leaf,
    r: Leaf,
    *,
    mu: float = 0.8,
    rho: float = 0.5,
    epsilon: float = 1e-6,
) -> tuple[Leaf, ...]:
    """RMSProp with Nesterov momentum.

    The gradient of RMSProp drives the velocity of Nesterov momentum.

    The gradient is taken where the velocity alone would carry the weight, and that place is what W keeps from one
    update to the next. In the usual form B is the weight: the gradient is taken at B + μ v, and B moves by the new
    v. The two come together as the velocity dies down; the trainer reports W.

    P. Roelants, How to implement a recurrent neural network, part 2; after T. Tieleman and G. Hinton (2012) and Y.
    Nesterov (1983).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        v: Velocity; starts at 0.
        r: Average of the squares of the gradients; starts at 0.
        mu: How much of the velocity stays.
        rho: How much of the average stays.
        epsilon: Keeps the divisor from zero.

    Returns:
        The new weight, and the new v and r.
    """
    B = W - mu * v
    r = rho * r + (1 - rho) * gradient**2
    v = mu * v - learning_rate * gradient / (np.sqrt(r) + epsilon)
    W = B + v + mu * v
    return W, v, r


def adam(
    W: Leaf,
    gradient: Leaf,
    learning_rate: float,
    n: Leaf,
    m: Leaf,
    r: Leaf,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Leaf, ...]:
    """Adam.

    The average of gradients is divided by the root of that of squares, both corrected for their start at 0.

    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015).

    Args:
        W: The weight.
        gradient: The derivative of the loss with respect to the weight.
        learning_rate: The learning rate.
        n: How many updates there were; starts at 0.
        m: Average of the gradients; starts at 0.
        r: Average of the squares of the gradients; starts at 0.
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


def clip(gradient: Leaf, norm: float, bound: float) -> Leaf:
    """Gradient clipping.

    A gradient longer than a bound is shortened to that length, in its direction; before the update, by any method.

    The norm is the root of the sum of the squares of all entries of all weights. The share is the smaller one of 1
    and bound / norm, written so that nothing is divided by the norm of a gradient of 0. The RProps read only signs,
    which clipping leaves as they are.

    R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks (2013).

    Args:
        gradient: The derivative of the loss with respect to the weight.
        norm: The norm of the gradient, over all entries of all weights together.
        bound: The largest norm that is left as it is, more than 0.

    Returns:
        The gradient with respect to this weight, clipped.
    """
    share = bound / max(bound, norm)
    gradient = share * gradient
    return gradient


def where(condition: Leaf, yes: Leaf, no: Leaf) -> Leaf:
    """Choose entry by entry, as np.where; of numbers, a number."""
    chosen: Leaf = np.where(condition, yes, no)
    return chosen[()]


METHODS = {
    "gradient_descent": Method(gradient_descent, lambda W, learning_rate: (), learning_rate=0.01),
    "momentum": Method(momentum, lambda W, learning_rate: (0.0,), learning_rate=0.01),
    "nesterov": Method(nesterov, lambda W, learning_rate: (0.0,), learning_rate=0.01),
    "rprop": Method(rprop, lambda W, learning_rate: (learning_rate * np.ones_like(W), 0.0), learning_rate=0.001),
    "irprop_minus": Method(
        irprop_minus, lambda W, learning_rate: (learning_rate * np.ones_like(W), 0.0), learning_rate=0.01
    ),
    "rmsprop": Method(rmsprop, lambda W, learning_rate: (0.0,), learning_rate=0.001),
    "rmsprop_nesterov": Method(rmsprop_nesterov, lambda W, learning_rate: (0.0, 0.0), learning_rate=0.05),
    "adam": Method(adam, lambda W, learning_rate: (0.0, 0.0, 0.0), learning_rate=0.001),
}
"""Every method, by name."""
