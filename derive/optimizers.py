"""Update rules: how a weight moves when its gradient is known, as equations of one entry of one weight.

A method is a list of equations, carried out in order; what stands on the left is overwritten. A quantity that is read
before it is written is a part of the method's state: it starts at 0 and is kept from one update to the next.

To add one, add an entry to `METHODS`: `generated/optimizers.py`, the page beside it and the trainer's --method follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Eq, Expr, sqrt

from derive.quantities import Parameter, Quantity


class Factor(Parameter):
    """A constant of a method; it stands in front."""

    role = "constant"
    place = 1


class Memory(Parameter):
    """What a method computes for a weight."""

    role = "memory"
    place = 3


class Slope(Parameter):
    """The gradient of the loss with respect to the weight."""

    role = "gradient"
    place = 4


class Weight(Parameter):
    """What is learnt; it stands in front of what it is moved by."""

    place = 0


W = Weight("W", "W", "the weight")
g = Slope("gradient", "g", "the derivative of the loss with respect to the weight")
eta = Factor("learning_rate", r"\eta", "the learning rate")
mu = Factor("mu", r"\mu", "how much of the velocity stays")
rho = Factor("rho", r"\rho", "how much of the average stays")
beta_1 = Factor("beta_1", r"\beta_1", "how much of the average of gradients stays")
beta_2 = Factor("beta_2", r"\beta_2", "how much of the average of squares stays")
epsilon = Factor("epsilon", r"\varepsilon", "keeps the divisor from zero")
n = Memory("n", "n", "how many updates there were")
v = Memory("v", "v", "velocity")
m = Memory("m", "m", "average of the gradients")
r = Memory("r", "r", "average of the squares of the gradients")
m_hat = Memory("m_hat", r"\hat{m}", "average of the gradients, without the pull of its start at 0")
r_hat = Memory("r_hat", r"\hat{r}", "average of the squares of the gradients, without the pull of its start at 0")


@dataclass(frozen=True, eq=False)
class Method:
    """An update rule.

    Attributes:
        name: Its code name.
        title: Its name for readers, with an article where it needs one.
        source: Where it comes from.
        equations: The update, in order; the weight is `W`.
        learning_rate: The usual η.
        defaults: The usual values of its other constants.
    """

    name: str
    title: str
    source: str
    equations: tuple[Eq, ...]
    learning_rate: float
    defaults: Mapping[Quantity, float] = field(default_factory=dict)

    @property
    def state(self) -> tuple[Quantity, ...]:
        """What is read before it is written, the weight aside."""
        found: dict[Quantity, None] = {}
        written: set[Expr] = {W}
        for equation in self.equations:
            read = equation.rhs.atoms(Memory) - written
            found |= dict.fromkeys(sorted(read, key=str))
            written.add(equation.lhs)
        return tuple(found)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that its equations name, in order of appearance."""
        found: dict[Quantity, None] = {W: None, g: None, eta: None}
        for equation in self.equations:
            found |= {equation.lhs: None} | dict.fromkeys(sorted(equation.rhs.atoms(Quantity), key=str))
        return tuple(found)


METHODS = {
    method.name: method
    for method in (
        Method(
            "gradient_descent",
            "Gradient descent",
            "A.-L. Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées (1847)",
            (Eq(W, W - eta * g),),
            learning_rate=0.01,
        ),
        Method(
            "momentum",
            "Gradient descent with momentum",
            "B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964)",
            (Eq(v, mu * v - eta * g), Eq(W, W + v)),
            learning_rate=0.01,
            defaults={mu: 0.9},
        ),
        Method(
            "rmsprop",
            "RMSProp",
            "T. Tieleman and G. Hinton, Neural networks for machine learning, lecture 6.5 (2012)",
            (Eq(r, rho * r + (1 - rho) * g**2), Eq(W, W - eta * g / (sqrt(r) + epsilon))),
            learning_rate=0.001,
            defaults={rho: 0.9, epsilon: 1e-8},
        ),
        Method(
            "adam",
            "Adam",
            "D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015)",
            (
                Eq(n, n + 1, evaluate=False),  # SymPy would call it False
                Eq(m, beta_1 * m + (1 - beta_1) * g),
                Eq(r, beta_2 * r + (1 - beta_2) * g**2),
                Eq(m_hat, m / (1 - beta_1**n)),
                Eq(r_hat, r / (1 - beta_2**n)),
                Eq(W, W - eta * m_hat / (sqrt(r_hat) + epsilon)),
            ),
            learning_rate=0.001,
            defaults={beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8},
        ),
    )
}
"""Every method, by name."""
