"""The dialect for any library of the array API standard, against network.py: with NumPy's arrays and with JAX's."""

import numpy as np
import pytest

from derive.backends.array_api.network_code import print_network_array_api
from derive.backends.array_api.printer import ArrayApiPrinter
from derive.backends.numpy.loading import load_package
from derive.backends.numpy.network_code import print_network
from derive.cells import character_model, linear, lstm
from derive.mathematics.pipeline import write_derivation
from derive.program.nodes import Add, Call, Let, Literal, Ref, Role, Symbol, Type
from derive.program.sizes import Size

CELLS = {module.cell.name: module.cell for module in (linear, lstm, character_model)}
"""One of numbers, one of rows, and one of labels with a target at every step."""


@pytest.fixture(scope="module", params=CELLS)
def modules(request):
    cell = CELLS[request.param]
    derivation = write_derivation(cell)
    sources = {
        "network.py": print_network(derivation),
        "network_array_api.py": print_network_array_api(derivation),
    }
    loaded = load_package(sources, cell.name)
    return cell, loaded["network.py"], loaded["network_array_api.py"]


def some_data(cell, network):
    """Random weights and data, all sizes different."""
    random, sizes = np.random.default_rng(seed=1), {"N": 5, "T": 4, "D": 3, "H": 2, "M": 6}

    def shape(names):
        return tuple(sizes.setdefault(name, 6) if isinstance(name, str) else name for name in names)

    weights = network.Parameters(*(random.normal(size=shape(each))[()] for each in network.SHAPES.values()))
    X, size = random.normal(size=shape(network.DATA_SHAPES["X"])), shape(network.DATA_SHAPES["t"])
    t = random.integers(0, 2, size) if cell.targets[0].role == "label" else random.normal(size=size)
    return weights, X, t


def check(found, expected):
    value, gradient = found
    assert float(value) == pytest.approx(expected[0], rel=1e-13)
    for ours, theirs in zip(gradient, expected[1], strict=True):
        assert np.asarray(ours) == pytest.approx(theirs, rel=1e-11, abs=1e-13)


def test_numpy_gives_what_network_py_gives(modules):
    cell, network, module = modules
    data = some_data(cell, network)
    check(module.value_and_gradient(*data), network.value_and_gradient(*data))


def test_jax_compiles_it_and_gives_the_same(modules, require_module):
    """Its arrays cannot change, so nothing in the module assigns to an entry of one."""
    jax = require_module("jax", "witnesses")
    cell, network, module = modules
    weights, X, t = some_data(cell, network)
    with jax.enable_x64(True):
        arrays = network.Parameters(*map(jax.numpy.asarray, weights))
        found = jax.jit(module.value_and_gradient)(arrays, jax.numpy.asarray(X), jax.numpy.asarray(t))
        check(found, network.value_and_gradient(weights, X, t))


def test_single_precision_stays_single(modules):
    cell, network, module = modules
    weights, X, t = some_data(cell, network)
    single = network.Parameters(*(np.float32(weight) for weight in weights))
    value, gradient = module.value_and_gradient(single, np.float32(X), t if t.dtype.kind == "i" else np.float32(t))
    assert {np.asarray(each).dtype for each in (value, *gradient)} == {np.dtype(np.float32)}


def test_rows_are_not_shared():
    """A list of steps starts with one array of zeros in each place: adding to a step makes a new one."""
    k, s = Size.of("k"), Symbol("s", Type((Size.of("H"),), True), Role.STATE, Size.of("T") + 1)
    b = Symbol("b", Type((Size.of("H"),)), Role.PARAMETER)
    lines = ArrayApiPrinter().lines([Add(Ref(s, k), Ref(s, k - 1), (3,)), Let(Ref(s, Size()), Ref(b), (1,))])
    assert lines == ["s[k] = s[k] + s[k - 1]  # (3)", "s[0] = zeros((N, H)) + b  # (1)"]
    constant = Call("exp", (Literal.of(2),))
    assert ArrayApiPrinter().text(constant) == "xp.exp(zeros(()) + 2)"
