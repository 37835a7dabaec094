"""Gradient descent, written as the last equations of a derivation."""

from __future__ import annotations

from collections.abc import Mapping

from derive.language.operations import Total
from derive.language.quantities import LOSS, LearningRate, Parameter
from derive.mathematics.derivation import Equation
from derive.mathematics.ledger import Ledger
from derive.mathematics.rules import GRADIENT_DESCENT


def write_update(
    rates: tuple[LearningRate, ...], gradients: Mapping[Parameter, Equation], ledger: Ledger
) -> tuple[Equation, ...]:
    """Writes W ← W - η dξ/dW for every weight."""
    return tuple(
        ledger.equation(rate.of, rate.of - rate * Total(LOSS, rate.of), GRADIENT_DESCENT, (gradients[rate.of],))
        for rate in rates
    )
