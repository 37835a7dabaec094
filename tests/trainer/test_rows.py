"""Cells whose weights are rows and matrices: their sizes, their start, their data and what is reported."""

import json

import numpy as np
import pytest

from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder, character_model, vanilla_rnn
from derive.mathematics.pipeline import write_derivation

CELLS = {each.cell.name: each.cell for each in (binary_adder, character_model, vanilla_rnn)}


@pytest.fixture(scope="module")
def sources():
    """The generated network.py of each cell."""
    return {name: print_network(write_derivation(cell)) for name, cell in CELLS.items()}


@pytest.fixture
def rows(bare_net, sources):
    """A package with the three cells, none of which has an example."""
    for name, source in sources.items():
        bare_net.add_cell(name, example=None)
        (bare_net.folder / name / "network.py").write_text(source, encoding="utf-8")
    return bare_net


random = np.random.default_rng(seed=1)
X, BITS, ROW = random.normal(size=(5, 4, 2)), random.integers(0, 2, size=(5, 4, 1)), random.normal(size=(5, 3))
ONE_HOT, LABELS = np.eye(3)[random.integers(0, 3, size=(5, 4))], random.integers(0, 3, size=(5, 4))
DATA = {"binary_adder": (X, BITS), "character_model": (ONE_HOT, LABELS), "vanilla_rnn": (X, ROW)}


@pytest.mark.parametrize("cell", DATA)
def test_a_network_says_the_shapes_that_its_gradient_has(rows, cell):
    network, shapes = rows.module(f"{cell}.network"), rows.module("trainer.data.shapes")
    X, t = DATA[cell]
    sizes = shapes.measure(network.DATA_SHAPES, {"X": X, "t": t})
    parameters = network.Parameters(
        **{name: np.zeros(shape) for name, shape in shapes.size_of_all(network.SHAPES, sizes | {"H": 4}).items()}
    )
    _, gradient = network.value_and_gradient(parameters, X, t)
    assert [leaf.shape for leaf in gradient] == [leaf.shape for leaf in parameters]


@pytest.mark.parametrize("cell", DATA)
def test_training_lowers_the_loss_and_goes_on_from_its_weights(rows, savez, tmp_path, cell):
    X, t = DATA[cell]
    words = (cell, "--data", savez(X=X, t=t), "--size", "H=4", "--learning-rate", 0.05)
    first, second, whole = tmp_path / "first.json", tmp_path / "second.json", tmp_path / "whole.json"
    begun = rows.main(*words, "--epochs", 30, "--output", first)
    assert begun.code == 0
    ended = rows.main(*words, "--epochs", 30, "--init", first, "--output", second)
    assert rows.main(*words, "--epochs", 60, "--output", whole).code == 0
    assert json.loads(second.read_text()) == json.loads(whole.read_text())
    losses = [float(done.out.splitlines()[4].split()[1]) for done in (begun, ended)]
    assert losses[1] < losses[0]
    assert "Wx " in begun.out.splitlines()[3]


def test_a_few_sequences_are_shown(rows, savez):
    done = rows.main("binary_adder", "--data", savez(X=X, t=BITS), "--size", "H=4", "--epochs", 0)
    lines = done.out.splitlines()[6:]
    assert [line.split()[0] for line in lines] == 3 * ["sequence", "target", "prediction"]
    assert lines[1].split(None, 1)[1] == str(BITS[0].squeeze())
    labels = rows.main("character_model", "--data", savez(X=ONE_HOT, t=LABELS), "--size", "H=4", "--epochs", 0)
    assert labels.out.splitlines()[7].split(None, 1)[1] == str(LABELS[0])


def test_the_start_is_drawn_as_usual(rows):
    draw = rows.module("trainer.run.weights").draw
    random = np.random.default_rng(seed=1)
    matrix = draw((400, 50), random)
    assert matrix.mean() == pytest.approx(0, abs=1e-3)
    assert matrix.std() == pytest.approx(1 / 20, rel=0.02)
    assert not draw((5,), random).any()
    assert -1 <= draw((), random) < 1


@pytest.mark.parametrize(
    ("cell", "arrays", "words", "facts"),
    [
        ("vanilla_rnn", {"X": X, "t": ROW}, (), ["the size of H is not known", "Wx is D x H", "--size H=16"]),
        ("vanilla_rnn", {"X": X, "t": ROW}, ("--size", "D=3"), ["D=3", "the data say that D is 2"]),
        ("vanilla_rnn", {"X": X, "t": ROW}, ("--size", "K=3"), ["no weight has that dimension, expected H"]),
        ("vanilla_rnn", {"X": X, "t": ROW}, ("--size", "H=0"), ["'H=0' is not NAME=N", "as in H=16"]),
        ("vanilla_rnn", {"X": X, "t": ROW}, ("--size", "16"), ["'16' is not NAME=N", "as in H=16"]),
        ("vanilla_rnn", {"X": X[..., 0], "t": ROW}, (), ["X has shape (5, 4)", "X as N x T x D", "t as N x M"]),
        ("vanilla_rnn", {"X": X, "t": ROW[:4]}, (), ["t has shape (4, 3)", "t as N x M"]),
        ("binary_adder", {"X": X, "t": BITS[:, :3]}, (), ["t has shape (5, 3, 1)", "t as N x T x M"]),
        ("character_model", {"X": ONE_HOT, "t": LABELS + 1.5}, ("--size", "H=4"), ["t holds whole numbers"]),
        ("character_model", {"X": ONE_HOT, "t": LABELS + 1}, ("--size", "H=4"), ["labels from 0 to 2", "to 3"]),
    ],
)
def test_unfit_data_and_sizes_are_refused(rows, savez, cell, arrays, words, facts):
    message = rows.main(cell, "--data", savez(**arrays), *words).bad_input()
    for fact in facts:
        assert fact in message


def test_a_csv_file_is_refused_where_a_step_brings_a_row(rows, write):
    message = rows.main("vanilla_rnn", "--data", write("data.csv", "1,0,1\n"), "--size", "H=4").bad_input()
    assert "takes X as N x T x D and t as N x M" in message
    assert "np.savez" in message


@pytest.mark.parametrize("command", ["train", "check", "gradients"])
@pytest.mark.parametrize("digits", [8, 20, 49])
def test_weights_that_do_not_fit_into_memory_are_refused(rows, savez, command, digits):
    H = 10**digits
    words = ("vanilla_rnn", "--data", savez(X=X, t=ROW), "--size", f"H={H}")
    message = rows.main(*words, command=command).bad_input(command)
    assert f"weights with H={H}, D=2, M=3 do not fit into memory: give smaller sizes with --size" in message


LENGTHS = {"binary_adder": None, "character_model": None, "vanilla_rnn": np.array([2, 4, 4, 3, 2])}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", DATA)
def test_a_checkpoint_keeps_rows_and_matrices_to_the_bit(rows, savez, tmp_path, cell, dtype):
    """With what Adam keeps of them; in single precision, and where there are sequences of several lengths."""
    X, t = DATA[cell]
    arrays = {"X": X.astype(dtype), "t": t}
    if LENGTHS[cell] is not None:
        arrays["lengths"] = LENGTHS[cell]
    words = (cell, "--data", savez(**arrays), "--size", "H=4", "--method", "adam", "--batch", 2, "--validation", 0.2)
    whole, parts, checkpoint = tmp_path / "whole.json", tmp_path / "parts.json", tmp_path / "run.npz"
    assert rows.main(*words, "--epochs", 12, "--output", whole).code == 0
    for epochs in (5, 12):
        run = (*words, "--epochs", epochs, "--output", parts, "--checkpoint", checkpoint, "--resume")
        assert rows.main(*run).code == 0
    assert parts.read_text() == whole.read_text()
