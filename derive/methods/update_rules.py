"""Update rules: how a weight moves when its gradient is known, as equations of one entry of one weight.

A method is a list of equations, carried out in order; what stands on the left is overwritten. A quantity that is read
before it is written is a part of the method's state: it is kept from one update to the next, and starts at 0 unless the
method says otherwise.

To add one, add an entry to `METHODS`: `generated/methods/update_rules.py`, the page beside it and --method follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Eq, Expr, Max, Min, Piecewise, S, sign, sqrt

from derive.language.quantities import Parameter, Quantity


class Scalar(Parameter):
    """A number that is the same for all entries; it stands in front."""

    role = "scalar"
    place = 1


class PerEntry(Parameter):
    """A number for each entry of the weight; equations are written for one of them."""


class Computed(PerEntry):
    """What a method computes for a weight."""

    role = "computed"
    place = 3


class Slope(PerEntry):
    """The gradient of the loss with respect to the weight."""

    role = "gradient"
    place = 4


class Sign(Computed):
    """The direction of a step, which stands before its size."""

    place = 2


class Weight(PerEntry):
    """What is learnt, or where it was; it stands in front of what it is moved by."""

    place = 0


W = Weight("W", "W", "the weight")
B = Weight("B", "B", "where the momentum begins")
g = Slope("gradient", "g", "the derivative of the loss with respect to the weight")
eta = Scalar("learning_rate", r"\eta", "the learning rate")
mu = Scalar("mu", r"\mu", "how much of the velocity stays")
rho = Scalar("rho", r"\rho", "how much of the average stays")
beta_1 = Scalar("beta_1", r"\beta_1", "how much of the average of gradients stays")
beta_2 = Scalar("beta_2", r"\beta_2", "how much of the average of squares stays")
epsilon = Scalar("epsilon", r"\varepsilon", "keeps the divisor from zero")
eta_plus = Scalar("eta_plus", r"\eta^{+}", "what the step size is multiplied by while the sign stays")
eta_minus = Scalar("eta_minus", r"\eta^{-}", "what the step size is multiplied by when the sign changes")
Delta_min = Scalar("Delta_min", r"\Delta_{\min}", "the smallest step size")
Delta_max = Scalar("Delta_max", r"\Delta_{\max}", "the largest step size")
n = Computed("n", "n", "how many updates there were")
v = Computed("v", "v", "velocity")
m = Computed("m", "m", "average of the gradients")
r = Computed("r", "r", "average of the squares of the gradients")
m_hat = Computed("m_hat", r"\hat{m}", "average of the gradients, without the pull of its start at 0")
r_hat = Computed("r_hat", r"\hat{r}", "average of the squares of the gradients, without the pull of its start at 0")
Delta = Computed("Delta", r"\Delta", "step size")
s = Sign("s", "s", "sign of the gradient, from one update to the next")
norm = Scalar("norm", r"\lVert g \rVert", "the norm of the gradient, over all entries of all weights together")
bound = Scalar("bound", "c", "the largest norm that is left as it is, more than 0")
share = Scalar("share", r"\alpha", "how much of the gradient stays")


@dataclass(frozen=True, eq=False)
class UpdateRule:
    """Equations of one entry of one weight, for readers and for the trainer.

    Attributes:
        name: Its code name.
        title: Its name for readers, with an article where it needs one.
        idea: What it does, in a sentence.
        source: Where it comes from.
        equations: What is computed, in order.
        defaults: The usual values of its constants.
        remark: What a reader has to know besides; empty if nothing.
        takes: The quantities that it is given, its constants aside.
    """

    name: str
    title: str
    idea: str
    source: str
    equations: tuple[Eq, ...]
    defaults: Mapping[Quantity, float] = field(default_factory=dict)
    remark: str = ""
    takes: tuple[Quantity, ...] = ()

    @property
    def arguments(self) -> tuple[Quantity, ...]:
        """All that it is given: what it works on, and the constants that have a usual value."""
        return (*self.takes, *self.defaults)

    @property
    def results(self) -> tuple[Quantity, ...]:
        """What it gives: the result of its last equation."""
        return (self.equations[-1].lhs,)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that its equations name, in order of appearance."""
        found: dict[Quantity, None] = {}
        for equation in self.equations:
            found |= {equation.lhs: None} | dict.fromkeys(sorted(equation.rhs.atoms(Quantity), key=str))
        return tuple(found)

    @property
    def reads(self) -> set[Quantity]:
        """All on the right of its equations."""
        return set().union(*(equation.rhs.atoms(Quantity) for equation in self.equations))


@dataclass(frozen=True, eq=False, kw_only=True)
class Method(UpdateRule):
    """An update rule; the weight is `W`.

    Attributes:
        learning_rate: The usual η.
        starts: Where a quantity of the state starts that does not start at 0: a number or η.
    """

    learning_rate: float
    starts: Mapping[Quantity, Expr] = field(default_factory=dict)

    @property
    def state(self) -> Mapping[Quantity, Expr]:
        """What is read before it is written, the weight aside, and where each of it starts."""
        found: dict[Quantity, None] = {}
        written: set[Expr] = {W}
        for equation in self.equations:
            read = equation.rhs.atoms(Computed) - written
            found |= dict.fromkeys(sorted(read, key=str))
            written.add(equation.lhs)
        return {quantity: self.starts.get(quantity, S.Zero) for quantity in found}

    @property
    def arguments(self) -> tuple[Quantity, ...]:
        """The weight, its gradient, the learning rate, the state and the constants."""
        return (W, g, eta, *self.state, *self.defaults)

    @property
    def results(self) -> tuple[Quantity, ...]:
        """The new weight and the new state."""
        return (W, *self.state)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The weight, its gradient and the learning rate, then what else its equations name."""
        return tuple(dict.fromkeys((W, g, eta, *super().quantities)))


LOOK_AHEAD = (
    "The gradient is taken where the velocity alone would carry the weight, and that place is what W keeps from one "
    "update to the next. In the usual form B is the weight: the gradient is taken at B + μ v, and B moves by the new "
    "v. The two come together as the velocity dies down; the trainer reports W."
)
"""How Nesterov momentum is written here: the trainer takes the gradient at the weights that it keeps."""

ALL_DATA = "A sign is worth something when the gradient is that of all data: train without batches."
"""What methods that read only signs have in common."""

METHODS = {
    method.name: method
    for method in (
        Method(
            "gradient_descent",
            "Gradient descent",
            "Downhill, in proportion to the gradient.",
            "A.-L. Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées (1847)",
            (Eq(W, W - eta * g),),
            learning_rate=0.01,
        ),
        Method(
            "momentum",
            "Gradient descent with momentum",
            "A velocity gathers the gradients, and moves the weight.",
            "B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964)",
            (Eq(v, mu * v - eta * g), Eq(W, W + v)),
            {mu: 0.9},
            learning_rate=0.01,
        ),
        Method(
            "nesterov",
            "Nesterov momentum",
            "Momentum, with the gradient taken where the velocity is about to carry the weight.",
            "Y. Nesterov, A method of solving a convex programming problem with convergence rate O(1/k²) (1983); as "
            "momentum: I. Sutskever, J. Martens, G. Dahl and G. Hinton, On the importance of initialization and "
            "momentum in deep learning (2013)",
            (Eq(B, W - mu * v), Eq(v, mu * v - eta * g), Eq(W, B + v + mu * v)),
            {mu: 0.9},
            LOOK_AHEAD,
            learning_rate=0.01,
        ),
        Method(
            "rprop",
            "RProp",
            "Each entry has its own step size, which grows while the sign of the gradient stays and shrinks otherwise.",
            "M. Riedmiller and H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP "
            "algorithm (1993); without bounds, as in P. Roelants, How to implement a recurrent neural network, part 1",
            (
                Eq(Delta, Piecewise((eta_plus * Delta, s * g > 0), (eta_minus * Delta, True))),
                Eq(s, sign(g)),
                Eq(W, W - s * Delta),
            ),
            {eta_plus: 1.2, eta_minus: 0.5},
            f"The first update and a gradient of 0 count as a change of sign. {ALL_DATA}",
            learning_rate=0.001,
            starts={Delta: eta},
        ),
        Method(
            "irprop_minus",
            "iRProp-",
            "RProp with bounds for the step size; where the sign changes, the weight rests for one update.",
            "C. Igel and M. Hüsken, Empirical evaluation of the improved Rprop learning algorithms (2003)",
            (
                Eq(
                    Delta,
                    Piecewise(
                        (Min(eta_plus * Delta, Delta_max), s * g > 0),
                        (Max(eta_minus * Delta, Delta_min), s * g < 0),
                        (Delta, True),
                    ),
                ),
                Eq(s, Piecewise((0, s * g < 0), (sign(g), True))),
                Eq(W, W - s * Delta),
            ),
            {eta_plus: 1.2, eta_minus: 0.5, Delta_min: 1e-6, Delta_max: 50},
            f"After a change of sign the gradient is taken as 0, now and in the comparison of the next update. "
            f"{ALL_DATA}",
            learning_rate=0.01,
            starts={Delta: eta},
        ),
        Method(
            "rmsprop",
            "RMSProp",
            "Each entry's gradient is divided by the root of the average of its squares.",
            "T. Tieleman and G. Hinton, Neural networks for machine learning, lecture 6.5 (2012)",
            (Eq(r, rho * r + (1 - rho) * g**2), Eq(W, W - eta * g / (sqrt(r) + epsilon))),
            {rho: 0.9, epsilon: 1e-8},
            learning_rate=0.001,
        ),
        Method(
            "rmsprop_nesterov",
            "RMSProp with Nesterov momentum",
            "The gradient of RMSProp drives the velocity of Nesterov momentum.",
            "P. Roelants, How to implement a recurrent neural network, part 2; after T. Tieleman and G. Hinton (2012) "
            "and Y. Nesterov (1983)",
            (
                Eq(B, W - mu * v),
                Eq(r, rho * r + (1 - rho) * g**2),
                Eq(v, mu * v - eta * g / (sqrt(r) + epsilon)),
                Eq(W, B + v + mu * v),
            ),
            {mu: 0.8, rho: 0.5, epsilon: 1e-6},
            LOOK_AHEAD,
            learning_rate=0.05,
        ),
        Method(
            "adam",
            "Adam",
            "The average of gradients is divided by the root of that of squares, both corrected for their start at 0.",
            "D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015)",
            (
                Eq(n, n + 1, evaluate=False),  # SymPy would call it False
                Eq(m, beta_1 * m + (1 - beta_1) * g),
                Eq(r, beta_2 * r + (1 - beta_2) * g**2),
                Eq(m_hat, m / (1 - beta_1**n)),
                Eq(r_hat, r / (1 - beta_2**n)),
                Eq(W, W - eta * m_hat / (sqrt(r_hat) + epsilon)),
            ),
            {beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8},
            learning_rate=0.001,
        ),
    )
}
"""Every method, by name."""

CLIPPING = UpdateRule(
    "clip",
    "Gradient clipping",
    "A gradient longer than a bound is shortened to that length, in its direction; before the update, by any method.",
    "R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks (2013)",
    (Eq(share, bound / Max(bound, norm)), Eq(g, share * g)),
    remark="The norm is the root of the sum of the squares of all entries of all weights. The share is the smaller one "
    "of 1 and bound / norm, written so that nothing is divided by the norm of a gradient of 0. The RProps read only "
    "signs, which clipping leaves as they are.",
    takes=(g, norm, bound),
)
"""What may be done to a gradient before any method."""
