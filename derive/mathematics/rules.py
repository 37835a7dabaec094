"""The rules by which one equation of a derivation follows from others, each with the sentence that states it.

A sentence may contain LaTeX between dollar signs. It is shown once, where the derivation first uses the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Relation(Enum):
    """What stands between the two sides."""

    EQUALS = "="
    DEFINES = ":="
    BECOMES = "←"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: Its name in the field, as it is printed beside an equation.
        law: What it says.
        relation: What it puts between the two sides.
    """

    name: str
    law: str
    relation: Relation = Relation.EQUALS


GIVEN = Rule("given", "The description of the cell says so.")
UNROLL = Rule("unrolled", "The equation of a step, with $k$ replaced by a number.")
SUBSTITUTE = Rule("substitution", "Each state is replaced by the right-hand side of its own equation.")
LOCAL_PARTIAL = Rule(
    "local partial derivative",
    r"""A partial derivative $\partial$ is taken of the one equation that computes the quantity; everything else in that
    equation is held fixed.""",
)
SUM_OF_PATHS = Rule(
    "chain rule, all paths",
    """A total derivative $d$ is the sum, over every path from the weight to the loss, of the product of the partial
    derivatives on it; every use of the weight begins a path, at every step and in every sequence.""",
)
CHAIN = Rule("chain rule, one path", "The partial derivatives on one path are multiplied, from the loss backwards.")
NAME_TERM = Rule(
    "naming a repeating term",
    "A product that occurs more than once gets a name, and is computed once.",
    Relation.DEFINES,
)
ADJOINT = Rule(
    "definition of the adjoint",
    """The adjoint of a quantity is the total derivative of the loss with respect to it: through every path that leads
    from it to the loss.""",
    Relation.DEFINES,
)
ADJOINT_START = Rule(
    "derivative of the loss",
    "The loss itself uses the quantity: its partial derivative is the adjoint, or a part of it.",
)
LOGISTIC_CROSS_ENTROPY = Rule(
    "derivative of the cross-entropy of a logistic output",
    r"""With $\sigma' = \sigma (1 - \sigma)$ the derivative of $-t \log \sigma(y) - (1 - t) \log (1 - \sigma(y))$ is
    $-t (1 - \sigma(y)) + (1 - t) \sigma(y) = \sigma(y) - t$: what the network says, less the target.""",
)
SOFTMAX_CROSS_ENTROPY = Rule(
    "derivative of the cross-entropy of a softmax output",
    r"""$-\log \mathrm{softmax}(y)_t = \log \sum_j e^{y_j} - y_t$. The derivative of the first term is
    $\mathrm{softmax}(y)$, that of $y_t$ is 1 at the place of the label and 0 elsewhere.""",
)
ADJOINT_STEP = Rule(
    "adjoint recurrence",
    """A quantity passes its adjoint on to what it was computed from: multiplied by the partial derivative, and added up
    over all uses.""",
)
CONTRIBUTION = Rule(
    "contribution of a step", "The adjoint of what the weight helped to compute, times the local partial derivative."
)
SUM_OVER_TIME = Rule(
    "sum of all contributions",
    """A weight acts on every sequence, and at every step of an equation that uses it; its gradient is the sum of what
    all these uses contribute.""",
)
ITERATE = Rule("chain rule, m steps", "The same factor, once a step.")
HYPOTHESIS = Rule("induction hypothesis", "The claim, assumed to hold at step $k$ and still to be proved.")
BASE_CASE = Rule("induction, base case", "The claim at the smallest $k$: an empty sum is zero.")
INDUCTION_STEP = Rule(
    "induction step",
    """The hypothesis is put into the recurrence, and the new term is taken into the sum: the claim holds at the next
    step.""",
)
CLOSED_FORM = Rule("closed form", "Proved by induction, so it holds for every number of steps.")
DIFFERENTIATE_CLOSED_FORM = Rule("derivative of the closed form", "The closed form is differentiated term by term.")
CHAIN_CLOSED_FORM = Rule("chain rule on the closed form", "The loss sees the weights only through the last state.")
SECOND_DERIVATIVE = Rule(
    "second derivative of the closed form", "The first derivative is differentiated once more, by the product rule."
)
AT_EXAMPLE = Rule("numbers put in", "The formula is evaluated exactly, in fractions, for the example's data.")
EIGENVALUES = Rule("eigenvalues", "The roots of the characteristic polynomial.")
LINEARISE = Rule(
    "linearised update",
    """Close to the minimum the gradient is the Hessian times the distance from it, so one update multiplies the error
    by a matrix.""",
)
BORDER = Rule(
    "characteristic polynomial at -1",
    "Where it is zero, $-1$ is an eigenvalue: an error keeps its size and alternates.",
)
STABILITY = Rule(
    "stability",
    """The error shrinks when every eigenvalue of that matrix lies strictly between $-1$ and $1$; the largest one sets
    the pace.""",
)
NAME_SUM = Rule(
    "naming a sum over the data",
    "What depends on the data alone, or on one weight, is computed once.",
    Relation.DEFINES,
)
WITH_NAMES = Rule("naming sums", "The sums are replaced by their names.")
MULTIPLY_OUT = Rule(
    "multiplying out",
    """The closed form is put into the loss, the square multiplied out, and what has the same power of the factor
    collected.""",
)
DIFFERENTIATE_POLYNOMIAL = Rule(
    "derivative of a polynomial", "The power of each term comes down in front of it, and is one less."
)
GRADIENT_DESCENT = Rule(
    "gradient descent", "Each weight moves against its own derivative, by its own learning rate.", Relation.BECOMES
)
AGAIN = Rule(
    "kept for the way back",
    "The adjoints use the same function of the same number again: it gets a name, and is computed once.",
    Relation.DEFINES,
)
HOIST = Rule(
    "moved out of the loop",
    "No state takes part in it, so it is computed for all steps at once, before the first is taken.",
    Relation.DEFINES,
)
STAGED = Rule(
    "staged",
    "The same equation: what has a name stands by its name, and an adjoint that only one equation uses is put into it.",
)
IN_BULK = Rule(
    "computed in bulk",
    "It needs only what the forward pass has computed, so it is known for all steps before the way back begins.",
    Relation.DEFINES,
)
LOGISTIC_AS_TANH = Rule(
    "the logistic function as a hyperbolic tangent",
    r"""$\sigma(z) = \frac{1}{2} + \frac{1}{2} \tanh \frac{z}{2}$ for every $z$, as one sees by multiplying both
    sides with $1 + e^{-z}$. One function serves gates of both kinds, it overflows nowhere, and the $\frac{1}{2}$ within
    it is a factor of the weights.""",
)
TANGENT_START = Rule("derivative of the start", "The start is differentiated; a number does not change with a weight.")
TANGENT_STEP = Rule(
    "tangent recurrence",
    """The total derivative by a weight: what the equation itself owes to the weight, and what it takes over from
    everything that it reads, each times its partial derivative.""",
)
FORWARD_GRADIENT = Rule(
    "chain rule at the last step",
    "The loss reads what the last step computes; whatever a weight does to the loss, it does through that.",
)
PAIRING = Rule(
    "definition of the pairing",
    """Up to step $m$ the weight acts forwards, through the tangents; after it backwards, through the contributions. The
    adjoints join the two.""",
    Relation.DEFINES,
)
PAIRED_STEP = Rule(
    "tangent recurrence times adjoint",
    """The recurrence of the tangents is multiplied by the adjoints. What stands before the tangents of the step before
    is what the adjoint recurrence gives that step.""",
)
PAIRED_ALIKE = Rule("induction, one step back", "What the tangents lose is what the contributions gain.")
PAIRED_LAST = Rule(
    "induction, at the end",
    "Nothing comes after the last step: what is left is the gradient of forward mode.",
)
PAIRED_END = Rule(
    "induction, at the start",
    "Of the tangents only those of the start are left, and all contributions are there.",
)
RESIDUAL = Rule("definition of the residual", "What is squared in the loss, one number a sequence.", Relation.DEFINES)
SUM_OF_SQUARES = Rule("naming the residual", "The loss is the sum of the squares of the residuals, times a constant.")
JACOBIAN = Rule(
    "row of the Jacobian",
    "The residual is differentiated by the chain rule; the tangents of the last step say all about earlier ones.",
)
GRADIENT_OF_SQUARES = Rule("derivative of the squares", "The square of each residual is differentiated.")
