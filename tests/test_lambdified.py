"""The functions in memory, against those of the generated module."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

from derive import cells
from derive.backends.numpy.lambdified import Lambdified
from derive.backends.numpy.loading import load
from derive.backends.numpy.network_code import print_network
from derive.mathematics.pipeline import write_derivation
from tests.certifying import numbers_for

NAMES = [module.name for module in pkgutil.iter_modules(cells.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_in_memory_is_what_the_module_does(name):
    cell = importlib.import_module(f"derive.cells.{name}").cell
    derivation = write_derivation(cell)
    network, functions = load(print_network(derivation), name), Lambdified(derivation)
    parameters, X, t, rates = numbers_for(cell, network, 3, 4)
    trace = network.forward(parameters, X)
    value, gradient = network.value_and_gradient(parameters, X, t)
    our_value, our_gradient = functions.value_and_gradient(functions.Parameters(*parameters), X, t)
    for ours, theirs in (
        (functions.forward(parameters, X), trace),
        (functions.backward(parameters, trace, t), network.backward(parameters, trace, t)),
        ((our_value, functions.loss(parameters, X, t)), (value, value)),
        (our_gradient, gradient),
        (functions.gradients(parameters, X, t), gradient),
        ((functions.predict(parameters, X),), (network.predict(parameters, X),)),
        (functions.descend(parameters, our_gradient, rates), network.descend(parameters, gradient, rates)),
    ):
        for our, their in zip(ours, theirs, strict=True):
            assert np.shape(our) == np.shape(their)
            np.testing.assert_allclose(our, their, rtol=1e-12, atol=1e-14)


def test_it_says_what_the_module_says_of_wrong_targets():
    derivation = write_derivation(importlib.import_module("derive.cells.lstm").cell)
    functions = Lambdified(derivation)
    parameters, X, _, _ = numbers_for(derivation.cell, functions, 3, 4)
    with pytest.raises(ValueError, match=r"one row a sequence, \(3, 4\); its shape is \(3,\)"):
        functions.loss(parameters, X, np.zeros(3))
