"""The trainer's shortcuts, with the modules of the linear cell."""

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import weakref

import numpy as np
import pytest
from conftest import make_package


@pytest.fixture(scope="module")
def package(derived_linear, tmp_path_factory):
    """A package with the real trainer and the real linear cell."""
    root = tmp_path_factory.mktemp("shortcuts")
    folder = root / "fast_net"
    make_package(folder)
    shutil.copytree(derived_linear, folder / "linear")
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))


@pytest.fixture(scope="module")
def modules(package):
    names = ("trainer.run.shortcuts", "linear.network", "linear.closed_form", "linear.moments", "linear.example")
    return {name: importlib.import_module(f"fast_net.{name}") for name in names}


@pytest.fixture
def shortcut(modules):
    network, closed_form, moments, example = (
        modules[f"linear.{name}"] for name in ("network", "closed_form", "moments", "example")
    )
    data = [(example.X, moments.Moments.of(example.X, example.t))]
    return modules["trainer.run.shortcuts"].Shortcut(network, closed_form, moments, data)


def test_moments_are_used_until_they_are_not_precise(modules, shortcut, monkeypatch):
    network, example = modules["linear.network"], modules["linear.example"]
    asked = []
    plain = modules["linear.closed_form"].value_and_gradient
    monkeypatch.setattr(
        modules["linear.closed_form"], "value_and_gradient", lambda p, X, t: asked.append(p) or plain(p, X, t)
    )
    parameters = by_network = example.START
    switched = None
    for epoch in range(30_000):
        loss, gradient = shortcut.value_and_gradient(parameters, example.X, example.t)
        if asked and switched is None:
            switched = epoch
        if epoch % 1000 == 0:
            assert loss == pytest.approx(network.loss(parameters, example.X, example.t), rel=1e-8)
        parameters = network.descend(parameters, gradient, example.LEARNING_RATES)
        by_network = network.descend(
            by_network, network.gradients(by_network, example.X, example.t), example.LEARNING_RATES
        )
    assert 0 < switched < 30_000
    assert len(asked) == 30_000 - switched
    np.testing.assert_allclose(parameters, by_network, rtol=1e-12)


def test_a_batch_is_no_case_for_moments(modules, shortcut):
    network, example = modules["linear.network"], modules["linear.example"]
    X, t = example.X[:2], example.t[:2]
    loss, gradient = shortcut.value_and_gradient(example.START, X, t)
    theirs = network.value_and_gradient(example.START, X, t)
    np.testing.assert_allclose([loss, *gradient], [theirs[0], *theirs[1]], rtol=1e-13)


def test_where_a_power_overflows_the_network_is_asked(modules, shortcut):
    network = modules["linear.network"]
    X, t = np.zeros((1, 200)), np.ones(1)
    X[0, -1] = 1
    parameters = network.Parameters(2.0, 1e4)
    with np.errstate(all="ignore"):
        loss, gradient = shortcut.value_and_gradient(parameters, X, t)
        theirs = network.value_and_gradient(parameters, X, t)
    assert loss == 1
    np.testing.assert_array_equal([loss, *gradient], [theirs[0], *theirs[1]])


@pytest.mark.parametrize("rate", [2, 5, 50, 1e6, 1e100, 1e200])
def test_a_run_that_overflows_ends_with_one_line(package, rate):
    """Python's own numbers raise an error at some powers where those of NumPy become infinite."""
    ended = subprocess.run(
        [sys.executable, "-m", "fast_net.train", "linear", "--learning-rate", str(rate), "--quiet"],
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("train: diverged at epoch ")
    assert ended.stderr.count("\n") == 1


def test_moments_of_weights_that_overflow_are_infinite(modules):
    moments, example, Parameters = (
        modules["linear.moments"],
        modules["linear.example"],
        modules["linear.network"].Parameters,
    )
    loss, gradient = moments.value_and_gradient(Parameters(1e160, 1.0), moments.Moments.of(example.X, example.t))
    assert loss == np.inf
    assert np.isinf(gradient.Wrec)


def test_few_workspaces_are_kept(modules):
    """Two batch sizes take turns with a workspace each; batches of many sizes and lengths do not fill the memory."""
    alive, made = weakref.WeakSet(), []

    class Module:
        class Workspace:
            def __init__(self):
                alive.add(self)
                made.append(id(self))

        @staticmethod
        def value_and_gradient(parameters, X, t, space):
            assert space in alive
            return X.shape, None

    fast = modules["trainer.run.shortcuts"].Fast(modules["linear.network"], Module)
    for N in (4, 3, 4, 3):
        fast.value_and_gradient(None, np.zeros((N, 5)), None)
    assert len(made) == 2
    for shape in itertools.product(range(1, 9), range(1, 9)):
        assert fast.value_and_gradient(None, np.zeros(shape), None)[0] == shape
    assert len(alive) == modules["trainer.run.shortcuts"].SPACES


def run(package, *arguments, redirection=""):
    """Run moments_of in a shell that redirects its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "fast_net.moments_of", *arguments],
        cwd=package,
        capture_output=True,
        text=True,
    )


def test_moments_of_files(package, modules, tmp_path):
    draw = np.random.default_rng(0)
    X, t = draw.integers(0, 2, (300, 5)).astype(np.uint8), draw.normal(size=300).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "t.npy", t)
    ended = run(package, "linear", f"{tmp_path}/X.npy", f"{tmp_path}/t.npy", "--output", f"{tmp_path}/moments.npz")
    assert (ended.returncode, ended.stderr) == (0, "300 of 300 sequences\n")
    moments = modules["linear.moments"].Moments
    found, whole = moments.load(tmp_path / "moments.npz"), moments.of(X, t)
    np.testing.assert_array_equal(found.table, whole.table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("line", "X.npy", "t.npy", "--output", "m.npz"), "no cell 'line' with a moments.py; there are linear"),
        (("linear", "X.npy", "t.npy", "--output", "m.npz"), "X.npy: no such file"),
        (("linear", "text.npy", "t.npy", "--output", "m.npz"), "text.npy is no .npy file of numbers"),
        (("linear", "t.npy", "t.npy", "--output", "m.npz"), "t.npy, t.npy: X holds N sequences of T steps"),
        (("linear", "t.npy", "t.npy"), "the following arguments are required: --output"),
    ],
)
def test_bad_input_is_one_line(package, tmp_path, arguments, message):
    np.save(tmp_path / "t.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("no array\n", encoding="utf-8")
    there = [f"{tmp_path}/{word}" if word.endswith((".npy", ".npz")) else word for word in arguments]
    ended = run(package, *there)
    assert ended.returncode == 2
    assert ended.stderr.startswith("moments_of: error: ")
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr.replace(f"{tmp_path}/", "")


def test_names_that_no_file_can_have_are_one_line(package, tmp_path):
    there, circle = tmp_path / "there.npy", tmp_path / "circle.npy"
    np.save(there, np.ones((2, 2)))
    circle.symlink_to(circle)
    for odd, why in [(circle, "Too many levels of symbolic links"), (tmp_path / (300 * "a"), "File name too long")]:
        for names in [(odd, there, "m.npz"), (there, odd, "m.npz"), (there, there, odd)]:
            ended = run(package, "linear", str(names[0]), str(names[1]), "--output", str(tmp_path / names[2]))
            assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
            assert f"{odd} cannot be " in ended.stderr
            assert why in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle.npy", "there.npy"]


@pytest.fixture
def words(tmp_path):
    """Arguments with which moments are made."""
    np.save(tmp_path / "X.npy", np.ones((2, 3)))
    np.save(tmp_path / "t.npy", np.ones(2))
    return ["linear", *(str(tmp_path / f"{name}.npy") for name in ("X", "t")), "--output", str(tmp_path / "m.npz")]


@pytest.mark.parametrize("name", ["X.npy", "t.npy", "link.npz"])
def test_moments_never_replace_the_data(package, tmp_path, words, name):
    (tmp_path / "link.npz").symlink_to(tmp_path / "t.npy")
    before = (tmp_path / name).read_bytes()
    ended = run(package, *words[:-1], str(tmp_path / name))
    assert ended.returncode == 2
    assert ended.stderr == f"moments_of: error: --output {tmp_path / name} is the data: name another file\n"
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_result_that_cannot_be_printed_loses_no_moments(package, modules, tmp_path, words):
    ended = run(package, *words, redirection=">/dev/full")
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "2 of 2 sequences",
        "moments_of: error: the result was not printed: No space left on device",
    ]
    assert modules["linear.moments"].Moments.load(tmp_path / "m.npz").N == 2


def test_moments_are_made_without_standard_error(package, tmp_path, words):
    ended = run(package, *words, redirection="2>&-")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path}/m.npz: the moments of 2 sequences of 3 steps\n"


def test_moments_of_a_part_of_a_file_are_added_block_by_block(modules, tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    X, t = draw.integers(0, 2, (300, 5)).astype(float), draw.normal(size=300)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "t.npy", t)
    np.savez(tmp_path / "data.npz", X=X, t=t)
    moments, read = modules["linear.moments"].Moments, []
    plain = moments.of
    monkeypatch.setattr(moments, "of", lambda X, t: read.append(X.shape) or plain(X, t))
    monkeypatch.setattr(importlib.import_module("fast_net.trainer.data.sequences"), "BLOCK_BYTES", 4000)
    train, weights = importlib.import_module("fast_net.trainer.commands.train"), []
    for files in (["data.npz"], ["X.npy", "t.npy"]):
        paths = [str(tmp_path / file) for file in files]
        words = ["--validation", "0.1", "--epochs", "30", "--quiet", "--output", str(tmp_path / "weights.json")]
        assert train.main(["linear", "--data", *paths, *words]) == 0
        weights.append([*json.loads((tmp_path / "weights.json").read_text()).values()])
    assert read == [(270, 5), (100, 5), (100, 5), (70, 5)]
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-13)


def test_sequences_so_long_that_moments_would_not_fit_are_trained_without(modules, tmp_path, monkeypatch):
    np.savez(tmp_path / "data.npz", X=np.ones((1, 10**5)), t=np.ones(1))
    monkeypatch.setattr(modules["linear.moments"].Moments, "of", lambda X, t: pytest.fail("there is no need of them"))
    words = ["linear", "--data", str(tmp_path / "data.npz"), "--epochs", "1000000"]
    network = modules["trainer.run.shortcuts"].fastest(
        importlib.import_module("fast_net.trainer.commands.parsing").read_settings(words)
    )
    assert network.Parameters is modules["linear.network"].Parameters
