"""A small package with the real trainer and a hand-written network, as derive would make one."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from derive.output.package import entry_points, methods, trainer

NETWORK = '''
"""s_k = s_{k-1} Wrec + x_k Wx, s_0 = 0; the loss is the mean of (s_T - t)^2."""

from typing import NamedTuple

import numpy as np


class Parameters(NamedTuple):
    Wx: float
    Wrec: float


SHAPES = {"Wx": (), "Wrec": ()}
DATA_SHAPES = {"X": ("N", "T"), "t": ("N",)}
LOSS_IS_MEAN = True


def forward(parameters, X):
    X = np.asarray(X)
    S = np.zeros((X.shape[1] + 1, len(X)))  # T + 1, N
    for k in range(1, len(S)):
        S[k] = S[k - 1] * parameters.Wrec + X[:, k - 1] * parameters.Wx
    return S


def predict(parameters, X):
    return forward(parameters, X)[-1]


def loss(parameters, X, t):
    return np.mean((predict(parameters, X) - np.asarray(t)) ** 2)


def gradients(parameters, X, t):
    return value_and_gradient(parameters, X, t)[1]


def value_and_gradient(parameters, X, t):
    X, t = np.asarray(X), np.asarray(t)
    S = forward(parameters, X)
    delta = 2 / len(t) * (S[-1] - t)
    gradient_Wx = gradient_Wrec = 0.0
    for k in range(len(S) - 1, 0, -1):
        gradient_Wx += np.sum(delta * X[:, k - 1])
        gradient_Wrec += np.sum(delta * S[k - 1])
        delta = delta * parameters.Wrec
    return np.mean((S[-1] - t) ** 2), Parameters(gradient_Wx, gradient_Wrec)


def descend(parameters, gradient, learning_rates):
    return Parameters(*(w - r * g for w, g, r in zip(parameters, gradient, learning_rates)))
'''

EXAMPLE = '''
"""Counting the ones among three inputs."""

import numpy as np

from .network import Parameters

X = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
t = np.array([1, 2, 3])
START = Parameters(Wx=0.2, Wrec=1.5)
LEARNING_RATES = Parameters(Wx=0.02, Wrec=0.0006)
EPOCHS = 30000
'''

LEARNING = ("--init", "Wx=0.9,Wrec=1.1", "--learning-rate", "0.001")
"""A start and a rate with which the linear network learns to count ones."""


class Finished(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def bad_input(self, command: str = "train") -> str:
        """The message, after the checks that every refusal must stand."""
        assert self.code == 2
        assert self.out == ""
        assert self.err.startswith(f"{command}: error: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        return self.err


@dataclass
class Package:
    """A generated package on disk, importable under a name of its own."""

    name: str
    folder: Path
    capsys: Any

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.name}.{name}")

    def main(self, *words: object, command: str = "train") -> Finished:
        """Run the command line in this process."""
        self.capsys.readouterr()
        code = self.module(command).main([str(word) for word in words])
        captured = self.capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", f"{self.name}.train", *map(str, words)]

    def run(self, *words: object, **options: Any) -> Finished:
        """Run the command line in a process of its own, with both streams piped."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            **options,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def train(
        self,
        X: Any,
        t: Any,
        start: Any,
        learning_rates: Any,
        epochs: int,
        *,
        network: Any = None,
        method: Any = None,
        batch: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Any:
        """Train the linear cell, or a network given, by the trainer's loop."""
        loop, sequences = self.module("trainer.run.loop"), self.module("trainer.data.sequences")
        network = network or self.module("linear.network")
        learner = self.module("trainer.run.first_order").FirstOrder(network, method, learning_rates, batch, bound=None)
        data = sequences.Sequences(sequences.Group(X, t))
        return loop.train(learner, data, loop.first_snapshot(learner, start, seed), epochs, **options)

    def add_cell(self, cell: str, example: str | None = EXAMPLE) -> None:
        folder = self.folder / cell
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "network.py").write_text(NETWORK, encoding="utf-8")
        if example is not None:
            (folder / "example.py").write_text(example, encoding="utf-8")


@cache
def without_cells() -> dict[str, bytes]:
    """What a package holds beside its cells, by path."""
    texts = {"__init__.py": "", **entry_points("net"), **methods()}
    return trainer() | {path: text.encode() for path, text in texts.items()}


def make_package(folder: Path) -> None:
    """Write a package with the trainer and no cell."""
    for path, content in without_cells().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@pytest.fixture
def bare_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Package]:
    """A package with the trainer and no cell."""
    name = "net"
    folder = tmp_path / name
    make_package(folder)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert name not in sys.modules
    yield Package(name, folder, capsys)
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]


@pytest.fixture
def net(bare_net: Package) -> Package:
    """A package with one cell, linear, and its example."""
    bare_net.add_cell("linear")
    return bare_net


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file and return its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def savez(tmp_path: Path) -> Callable[..., Path]:
    """Write an NPZ file and return its path."""

    def savez(**arrays: Any) -> Path:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return savez


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Write an .npy file and return its path."""

    def save(name: str, array: Any) -> Path:
        path = tmp_path / name
        np.save(path, array)
        return path

    return save


@pytest.fixture
def data(savez: Callable[..., Path]) -> Path:
    """Twelve sequences of four steps, that the linear network learns from LEARNING."""
    random = np.random.default_rng(3)
    X = random.integers(0, 2, size=(12, 4))
    return savez(X=X, t=X.sum(axis=1))


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], tuple[list[Any], dict[str, Path]]]:
    """Where a run writes its weights, its checkpoint and its log."""

    def files(name: str) -> tuple[list[Any], dict[str, Path]]:
        paths = {option: tmp_path / f"{name}.{ending}" for option, ending in ENDINGS.items()}
        return [word for option, path in paths.items() for word in (option, path)], paths

    return files


ENDINGS = {"--output": "json", "--checkpoint": "npz", "--log": "csv"}
"""What a run writes, by the option that asks for it."""


def interrupt_after(net: Package, monkeypatch: pytest.MonkeyPatch, calls: int, number: int = signal.SIGINT) -> None:
    """Let a signal come while the gradient is computed for the n-th time."""
    network = net.module("linear.network")
    value_and_gradient, made = network.value_and_gradient, []

    def interrupted(*arguments: Any) -> Any:
        made.append(arguments)
        if len(made) == calls:
            signal.raise_signal(number)
        return value_and_gradient(*arguments)

    monkeypatch.setattr(network, "value_and_gradient", interrupted)


def epoch_of(path: Path) -> int:
    """Return the epoch that a checkpoint goes on from."""
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["content"]))["epoch"]


@pytest.fixture
def as_owner_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deny write access to existing files, which the superuser always has."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
