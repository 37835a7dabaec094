"""Every function that a cell may use: derivative, number and code agree, and none overflows that need not."""

import mpmath
import numpy as np
import pytest
from sympy import Eq

from derive import (
    Cell,
    Input,
    Intermediate,
    Parameter,
    State,
    T,
    Target,
    k,
    logistic,
    logistic_cross_entropy,
    mean,
    softplus,
)
from derive.certify import certify
from derive.lower import lower
from derive.modules import load, print_network
from derive.operations import ELEMENTWISE
from derive.pipeline import write_derivation

W, x, z, s, t = Parameter("W"), Input("x"), Intermediate("z"), State("s"), Target("t")


def cell_of(function) -> Cell:
    """A cell whose state is the function of its pre-activation, and of the input where it takes two arguments."""
    call = function(z[k], x[k]) if function is logistic_cross_entropy else function(z[k] + 2)
    return Cell(
        name="tried",
        title="A cell",
        quantities=(W, x, z, s, t),
        equations=(Eq(s[0], 0), Eq(z[k], s[k - 1] * W / 9 + x[k] ** 2), Eq(s[k], call)),
        output=s[T],
        loss=mean((s[T] - t) ** 2),
    )


@pytest.mark.parametrize("function", ELEMENTWISE, ids=str)
def test_a_cell_that_uses_the_function_is_certified(function):
    derivation = write_derivation(cell_of(function))
    certificate = certify(derivation, print_network(lower(derivation)))
    assert len(certificate["equations"]) == len(derivation.equations)


@pytest.mark.parametrize("function", [logistic, softplus, logistic_cross_entropy], ids=str)
def test_the_own_functions_are_right_and_finite_far_out(function):
    network = load(print_network(lower(write_derivation(cell_of(function)))), "tried")
    values = np.array([-1000.0, -30.0, 0.0, 30.0, 1000.0])
    exact = {
        logistic: lambda y: 1 / (1 + mpmath.exp(-y)),
        softplus: lambda y: mpmath.log(1 + mpmath.exp(y)),
        logistic_cross_entropy: lambda y: mpmath.log(1 + mpmath.exp(y)) - y,
    }[function]
    with mpmath.workdps(500):
        expected = [float(exact(mpmath.mpf(value))) for value in values]
    arguments = (values, np.ones(5)) if function is logistic_cross_entropy else (values,)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        computed = getattr(network, str(function))(*arguments)
    np.testing.assert_allclose(computed, expected, rtol=1e-12, atol=1e-16)
