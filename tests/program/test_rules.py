"""The programs of update rules: the interpreter, and the printed functions, give the same numbers."""

import numpy as np
import pytest
from programs import SIZES

from derive.backends.numpy.loading import load
from derive.backends.numpy.methods import print_levenberg_marquardt, print_update_rules
from derive.methods.levenberg_marquardt import RULES
from derive.methods.update_rules import CLIPPING, METHODS, Method
from derive.program.interpret import Interpreter
from derive.program.rules import rules_program

SOME = {**SIZES, "entries": 6, "weights": 3}


@pytest.fixture(scope="module")
def updates():
    return load(print_update_rules(), "update_rules")


def some_values(rule):
    """Random numbers for what a rule is given: an array for each but constants and averages of squares."""
    random, values = np.random.default_rng(seed=1), {}
    for quantity in rule.arguments:
        is_number = quantity in rule.defaults or quantity.name in {"learning_rate", "norm", "bound"}
        value = rule.defaults.get(quantity, 0.3) if is_number else random.normal(size=SOME["entries"])
        values[quantity.name] = np.abs(value) if quantity.name in {"r", "n", "Delta"} else value
    return values


@pytest.mark.parametrize("rule", [*METHODS.values(), CLIPPING], ids=lambda rule: rule.name)
def test_a_printed_rule_gives_what_its_program_gives(updates, rule):
    module = rules_program("tried", [rule])
    values = some_values(rule)
    expected = Interpreter(module, SOME).run(rule.name, values)
    printed = getattr(updates, rule.name)(**values)
    for quantity, found in zip(rule.results, printed if isinstance(rule, Method) else [printed], strict=True):
        assert found == pytest.approx(expected[quantity.name], rel=1e-14), quantity


def test_a_rule_of_numbers_gives_numbers(updates):
    """What weights that are numbers are moved by is a number, of the type that they have."""
    for method in METHODS.values():
        values = {quantity.name: 0.5 for quantity in (*method.arguments,) if quantity not in method.defaults}
        assert all(isinstance(each, float) for each in getattr(updates, method.name)(**values))
    assert type(updates.clip(2.0, 3.0, 1.5)) is float
    assert updates.clip(np.float32([3, 4]), 5.0, 1.0).dtype == np.float32


def test_the_step_of_levenberg_and_marquardt_is_that_of_its_program():
    """A weight that no residual depends on stays where it is."""
    random = np.random.default_rng(seed=1)
    jacobian, residuals = random.normal(size=(5, 3)), random.normal(size=5)
    jacobian[:, 1] = 0
    module, printed = rules_program("tried", RULES), load(print_levenberg_marquardt(), "levenberg_marquardt")
    given = {"residuals": residuals, "jacobian": jacobian, "damping": 0.1}
    step = Interpreter(module, SOME).run("step", given)["d"]
    assert printed.step(**given) == pytest.approx(step, rel=1e-12)
    assert step[1] == 0
    scale = np.linalg.norm(jacobian, axis=0)
    scale[1] = 1
    normal = jacobian.T @ jacobian + 0.1 * np.diag(scale**2)
    assert step == pytest.approx(np.linalg.solve(normal, -jacobian.T @ residuals), rel=1e-10)
    lowered = Interpreter(module, SOME).run("lowered", {"damping": 1.0, "shrink": 10, "least": 0.2})["damping"]
    assert printed.lowered(1.0, least=0.2) == lowered == 0.2
    assert printed.raised(1.0) == 3
