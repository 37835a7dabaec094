"""Every function that a cell may use: derivative, number and code agree, and none overflows that need not."""

import math

import mpmath
import numpy as np
import pytest
from sympy import Eq, Function, erf
from sympy.core.function import ArgumentIndexError

from derive import (
    Cell,
    CellError,
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
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.language.functions import FUNCTIONS
from derive.mathematics.pipeline import write_derivation
from derive.program.interpret import ENTRYWISE
from tests.certifying import certified

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


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_a_cell_that_uses_the_function_is_certified(function):
    derivation = write_derivation(cell_of(function))
    certificate = certified(derivation, print_network(derivation))
    assert len(certificate["equations"]) == len(derivation.equations)


class Unfinished(Function):
    """A function whose author forgot `fdiff`."""

    def fdiff(self, argindex=1):
        raise ArgumentIndexError(self, argindex)


def test_a_function_without_a_derivative_is_refused(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, Unfinished, "unfinished")
    with pytest.raises(CellError, match="there is no rule for the derivative of Unfinished"):
        cell_of(Unfinished)


def test_a_function_is_added_as_contributing_says(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, erf, "erf")
    monkeypatch.setitem(ENTRYWISE, "erf", np.vectorize(math.erf, otypes=[float]))
    derivation = write_derivation(cell_of(erf))
    source = print_network(derivation)
    # NumPy has no erf: the module gets one, for complex numbers too, by its Taylor series about the real part.
    own = """

def erf(z):
    real = np.vectorize(math.erf)(np.real(z))
    return real + 1j * np.imag(z) * 2 / np.sqrt(np.pi) * np.exp(-np.real(z) ** 2) if np.iscomplexobj(z) else real
"""
    assert certified(derivation, source.replace("import numpy as np\n", "import math\n\nimport numpy as np\n") + own)


@pytest.mark.parametrize("function", [logistic, softplus, logistic_cross_entropy], ids=str)
def test_the_own_functions_are_right_and_finite_far_out(function):
    network = load(print_network(write_derivation(cell_of(function))), "tried")
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
