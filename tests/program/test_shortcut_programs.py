"""The programs of the modules beside network.py compute, straight from their nodes, what the printed modules do."""

from __future__ import annotations

import numpy as np
import pytest

from derive.backends.numpy.closed_form_code import closed_form_of, print_closed_form
from derive.backends.numpy.descent_code import descent_of, print_descent
from derive.backends.numpy.examples import print_example
from derive.backends.numpy.jacobian_code import jacobian_of, print_jacobian
from derive.backends.numpy.loading import load_package
from derive.backends.numpy.moments_code import moments_of, print_moments
from derive.backends.numpy.network_code import print_network
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells
from derive.program.interpret import Interpreter
from tests.test_shortcuts import biased, one_weight

N, T = 5, 6


def drawn(network):
    """Weights, inputs and targets."""
    draw = np.random.default_rng(3)
    parameters = network.Parameters(*(draw.normal(0, 0.7) for _ in network.Parameters._fields))
    return parameters, draw.normal(size=(N, T)), draw.normal(size=N)


@pytest.mark.parametrize("cell", find_cells(["linear", "tanh"]), ids=lambda cell: cell.name)
def test_jacobian(cell):
    derivation = write_derivation(cell)
    modules = load_package({"network.py": print_network(derivation), "jacobian.py": print_jacobian(derivation)}, "net")
    network, module = modules["network.py"], modules["jacobian.py"]
    parameters, X, t = drawn(network)
    program = jacobian_of(derivation)
    interpreter = Interpreter(program.module, {"N": N, "T": T})
    trace = network.forward(parameters, X)._asdict()
    (target,) = (program.scope.of(target).name for target in cell.targets)
    found = interpreter.run("residuals_and_jacobian", parameters._asdict() | trace | {target: t})
    residuals, columns = module.residuals_and_jacobian(parameters, X, t)
    np.testing.assert_allclose(found["residuals"], residuals, rtol=1e-14)
    np.testing.assert_allclose(found["jacobian"], columns, rtol=1e-14)
    alone = interpreter.run("residuals_of", parameters._asdict() | trace | {target: t})
    np.testing.assert_allclose(alone["residuals"], residuals, rtol=1e-14)
    value, gradient = module.value_and_gradient(parameters, X, t)
    assert interpreter.run("loss_of", found)["value"] == pytest.approx(value, rel=1e-14)
    slopes = interpreter.run("gradient_of", found)
    assert list(slopes.values()) == pytest.approx(list(gradient), rel=1e-12)


@pytest.mark.parametrize("cell", [*find_cells(["linear"]), biased()], ids=lambda cell: cell.name)
def test_closed_form(cell):
    derivation = write_derivation(cell)
    texts = {"network.py": print_network(derivation), "closed_form.py": print_closed_form(derivation)}
    modules = load_package(texts, "net")
    parameters, X, t = drawn(modules["network.py"])
    program = closed_form_of(derivation)
    x, target = (program.scope.of(quantity).name for quantity in (cell.inputs[0], cell.targets[0]))
    given = parameters._asdict() | {x: np.vstack([np.zeros(N), X.T]), target: t}
    found = Interpreter(program.module, {"N": N, "T": T}).run("value_and_gradient", given)
    value, gradient = modules["closed_form.py"].value_and_gradient(parameters, X, t)
    assert list(found.values()) == pytest.approx([value, *gradient], rel=1e-12)


@pytest.mark.parametrize("cell", [*find_cells(["linear"]), one_weight()], ids=lambda cell: cell.name)
def test_moments(cell):
    derivation = write_derivation(cell)
    texts = {"network.py": print_network(derivation), "moments.py": print_moments(derivation)}
    modules = load_package(texts, "net")
    module = modules["moments.py"]
    parameters, X, t = drawn(modules["network.py"])
    program = moments_of(derivation)
    interpreter = Interpreter(program.module, {"N": N, "T": T})
    totals = {"products": np.zeros((T, T)), "with_targets": np.zeros(T), "tau": 0.0}
    totals = interpreter.run("sums_over_sequences", {program.inputs.name: X, program.target.name: t} | totals)
    found = interpreter.run("moments_of", totals)
    moments = module.Moments.of(X, t)
    np.testing.assert_allclose(found["c"], moments.c, rtol=1e-12)
    np.testing.assert_allclose(found["b"], moments.b, rtol=1e-12)
    assert totals["tau"] == pytest.approx(moments.tau, rel=1e-14)
    table = interpreter.run("table_of", found)["table"]
    np.testing.assert_allclose(table, moments.table, rtol=1e-12)
    given = parameters._asdict() | totals
    results = interpreter.run("value_and_gradient", given | {"table": table})
    value, gradient = module.value_and_gradient(parameters, moments)
    assert list(results.values()) == pytest.approx([value, *gradient], rel=1e-12)
    terms = interpreter.run("rounding_errors", given | {"magnitudes": np.abs(table)})
    printed = module.rounding_errors(parameters, moments)
    assert terms["terms_of_gradient"] / terms["terms_of_value"] == pytest.approx(printed[1] / printed[0], rel=1e-12)
    assert terms["terms_of_value"] >= abs(value)
    assert terms["terms_of_gradient"] >= max(map(abs, gradient))


def test_descent():
    (cell,) = find_cells(["linear"])
    derivation = write_derivation(cell)
    texts = {
        "network.py": print_network(derivation),
        "example.py": print_example(cell, cell.example),
        "descent.py": print_descent(derivation),
    }
    modules = load_package(texts, "net")
    start = modules["network.py"].Parameters(0.3, -0.8)
    found = Interpreter(descent_of(derivation).module, {}).run("descend", start._asdict())
    assert list(found.values()) == pytest.approx(list(modules["descent.py"].descend(1, start)), rel=1e-14)
