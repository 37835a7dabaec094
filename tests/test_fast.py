"""The fast modules: the numbers of the plain ones, in windows of any length, from every thread."""

from __future__ import annotations

import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sympy import Eq, tanh

from derive import Cell, Dimension, Input, Intermediate, Parameter, State, T, Target, k, logistic, mean, total
from derive.backends.numpy.loading import load_package
from derive.backends.numpy.network_code import print_network
from derive.backends.numpy.network_fast_code import print_network_fast
from derive.language.errors import CertificateError
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import write_derivation
from tests.certifying import check_module, numbers_for

NAMES = (
    "linear",
    "logistic",
    "tanh",
    "vanilla_rnn",
    "binary_adder",
    "gru",
    "gru_reset_before",
    "lstm",
    "lstm_peephole",
    "character_model",
)


def shipped(name):
    return importlib.import_module(f"derive.cells.{name}").cell


def modules(name) -> tuple[ModuleType, ModuleType]:
    return tuple(importlib.import_module(f"generated.{name}.{module}") for module in ("network", "network_fast"))


def numbers(name, N, T, dtype=np.float64):
    """Weights, inputs and targets."""
    plain, _ = modules(name)
    parameters, X, t, _ = numbers_for(shipped(name), plain, N, T, 1)
    if t.dtype.kind == "f":
        t = t.astype(dtype)
    return plain.Parameters(*(np.asarray(weight, dtype)[()] for weight in parameters)), X.astype(dtype), t


def assert_alike(ours, theirs, bound):
    for mine, other in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
        assert np.shape(mine) == np.shape(other)
        assert np.abs(mine - other).max() <= bound * np.abs(other).max()


@pytest.mark.parametrize("name", NAMES)
def test_floats_of_32_bits_stay_so_and_stay_close(name):
    plain, fast = modules(name)
    parameters, X, t = numbers(name, 5, 6, np.float32)
    value, gradient = fast.value_and_gradient(parameters, X, t)
    assert {np.asarray(each).dtype for each in (value, *gradient)} == {np.dtype(np.float32)}
    assert_alike((value, gradient), plain.value_and_gradient(parameters, X, t), 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_alone_is_that_of_the_plain_module(name):
    plain, fast = modules(name)
    data = numbers(name, 4, 9)
    assert fast.loss(*data) == pytest.approx(plain.loss(*data), rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "gru"])
def test_a_result_is_not_overwritten_by_the_next_call_in_the_workspace(name):
    _, fast = modules(name)
    parameters, X, t = numbers(name, 3, 5)
    space = fast.Workspace()
    first = fast.value_and_gradient(parameters, X, t, space)
    kept = [np.copy(each) for each in first[1]]
    fast.value_and_gradient(parameters._make(2 * each for each in parameters), X, t, space)
    assert all(np.array_equal(each, before) for each, before in zip(first[1], kept, strict=True))


@pytest.mark.parametrize("name", ["logistic", "lstm"])
def test_a_workspace_fits_itself_to_every_shape_and_type(name):
    plain, fast = modules(name)
    space = fast.Workspace()
    for N, steps, dtype in [(3, 5, np.float64), (3, 5, np.float32), (7, 2, np.float64), (3, 5, np.float64)]:
        data = numbers(name, N, steps, dtype)
        bound = 1e-12 if dtype == np.float64 else 1e-4
        assert_alike(fast.value_and_gradient(*data, space), plain.value_and_gradient(*data), bound)


def test_threads_without_a_workspace_do_not_disturb_one_another():
    plain, fast = modules("vanilla_rnn")
    data = [numbers("vanilla_rnn", N, 40) for N in range(1, 9)] * 4
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda each: fast.value_and_gradient(*each), data))
    for each, mine in zip(data, found, strict=True):
        assert_alike(mine, plain.value_and_gradient(*each), 1e-12)


def bytes_of(space) -> int:
    """What the arrays of a workspace take."""
    return sum(array.nbytes for array in (*space.arrays, *(array for start in space.starts for array in start)))


@pytest.mark.parametrize("name", ["linear", "gru", "lstm", "binary_adder"])
def test_recomputing_takes_memory_as_the_root_of_the_number_of_steps(name):
    plain, fast = modules(name)
    taken = {}
    for steps in (100, 1600):
        data = numbers(name, 2, steps)
        space = fast.Workspace()
        assert_alike(fast.value_and_gradient(*data, space, recompute=True), plain.value_and_gradient(*data), 1e-11)
        taken[steps] = bytes_of(space)
    # Sixteen times the steps: four times the memory, less what does not depend on them.
    assert taken[1600] <= 4.5 * taken[100]


def test_the_derivative_with_respect_to_the_inputs_is_computed_only_when_asked_for():
    _, fast = modules("gru")
    parameters, X, t = numbers("gru", 3, 4)
    space = fast.Workspace()
    fast.value_and_gradient(parameters, X, t, space)
    (window,) = space.windows
    assert not window.now.delta_x.any()
    slope = np.full_like(X, np.nan)
    fast.value_and_gradient(parameters, X, t, space, input_gradient=slope)
    assert window.now.delta_x.any() and np.isfinite(slope).all()


@pytest.mark.parametrize("make", [lambda X: X[:, 1:].copy(), lambda X: X.astype(int), lambda X: X.tolist()])
def test_an_array_that_cannot_take_the_input_gradient_is_refused_before_the_work(make):
    _, fast = modules("gru")
    parameters, X, t = numbers("gru", 3, 4)
    with pytest.raises(ValueError, match="input_gradient is an array to write to"):
        fast.value_and_gradient(parameters, X, t, input_gradient=make(X))


def test_a_workspace_whose_arrays_found_no_memory_makes_them_again(monkeypatch):
    plain, fast = modules("gru")
    space = fast.Workspace()
    fast.value_and_gradient(*numbers("gru", 3, 4), space)
    longer = numbers("gru", 3, 9)

    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(fast.windows, "Storage", no_memory)
        fast.value_and_gradient(*longer, space)
    assert_alike(fast.value_and_gradient(*longer, space), plain.value_and_gradient(*longer), 1e-12)


def test_input_products_of_different_sources_are_computed_each_by_itself():
    D, H = Dimension("D"), Dimension("H")
    U, V, A, W, W2 = (
        Parameter(name, shape=shape)
        for name, shape in (("U", (D, D)), ("V", (D, H)), ("A", (D, H)), ("W", (H, H)), ("W2", (H, H)))
    )
    x, e, h, t = Input("x", shape=(D,)), Intermediate("e", shape=(D,)), State("h", shape=(H,)), Target("t", shape=(H,))
    z, q, z2, q2 = (Intermediate(name, shape=(H,)) for name in ("z", "q", "z2", "q2"))
    equations = (
        Eq(h[0], 0),
        Eq(e[k], tanh(x[k] @ U)),
        Eq(z[k], h[k - 1] @ W + e[k] @ V),
        Eq(z2[k], h[k - 1] @ W2 + x[k] @ A),
        Eq(q[k], logistic(z[k])),
        Eq(q2[k], tanh(z2[k])),
        Eq(h[k], q[k] * q2[k]),
    )
    quantities = (U, V, A, W, W2, x, e, h, t, z, q, z2, q2)
    cell = Cell("two_sources", "Two sources", quantities, equations, h[T], mean(total((h[T] - t) ** 2)))
    derivation = write_derivation(cell)
    check_fast(derivation, print_network(derivation), print_network_fast(derivation))


@pytest.mark.parametrize(
    "sizes, weight", [(("recompute", "Window"), "A"), (("Spare", "Arrays"), "factor_2"), (("Names", "D"), "last")]
)
def test_names_of_a_cell_never_meet_those_of_the_module(sizes, weight):
    D, H = map(Dimension, sizes)
    A, B, V = Parameter(weight, shape=(D, H)), Parameter("B", shape=(H, D)), Parameter("V", shape=(H, H))
    x, s, t = Input("x", shape=(D,)), State("s", shape=(H,)), Target("t", shape=(H,))
    equations = (Eq(s[0], 0), Eq(s[k], tanh(x[k] @ (A - B.T) + s[k - 1] @ V)))
    cell = Cell("names", "Names", (A, B, V, x, s, t), equations, s[T], mean(total((s[T] - t) ** 2)))
    derivation = write_derivation(cell)
    check_fast(derivation, print_network(derivation), print_network_fast(derivation))


@pytest.mark.parametrize("name", ["linear", "logistic", "lstm", "binary_adder"])
def test_every_staged_equation_has_its_number_in_the_module(name):
    staged = write_derivation(shipped(name)).staged
    text = importlib.import_module(f"generated.{name}.network_fast").__file__
    numbers = {int(number) for number in re.findall(r"\((\d+)\)", Path(text).read_text(encoding="utf-8"))}
    stages = (*staged.hoisted, *staged.run, *staged.outputs, *staged.finish, *staged.hoisted_back, *staged.run_back)
    assert {equation.number for equation in (*stages, *staged.first, *staged.gradients, *staged.inputs)} <= numbers


def check_fast(derivation: Derivation, network: str, fast: str) -> None:
    check_module(derivation, {"network.py": network, "network_fast.py": fast}, "network_fast.py")


@pytest.mark.parametrize("name", ["vanilla_rnn", "gru", "logistic"])
def test_a_wrong_line_of_the_fast_module_is_refused(name):
    cell = shipped(name)
    derivation = write_derivation(cell)
    plain, fast = print_network(derivation), print_network_fast(derivation)
    wrong = {"add(": "subtract(", "subtract(": "add(", "multiply(": "add(", "tanh(": "np.sinh(", " += ": " -= "}
    lines = fast.splitlines()
    tried = 0
    for position, line in enumerate(lines):
        for right, slip in wrong.items():
            if re.match(rf"\s*({re.escape(right)}|totals\.\w+{re.escape(right)})", line):
                changed = [*lines[:position], line.replace(right, slip, 1), *lines[position + 1 :]]
                with pytest.raises(CertificateError), np.errstate(all="ignore"):
                    check_fast(derivation, plain, "\n".join(changed).replace("import add,", "import add, subtract,"))
                tried += 1
    assert tried > 8


def test_modules_that_import_one_another_run_without_files():
    loaded = load_package({"one.py": "x = 1\n", "two.py": "from .one import x\ny = x + 1\n"}, "tried")
    assert loaded["two.py"].y == 2
