"""The figures that the trainer draws."""

import re
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest

SVG = "{http://www.w3.org/2000/svg}"


def words_in(path):
    """All text of a figure, which must be well-formed, small and of the width of a phone."""
    assert path.stat().st_size < 300_000
    root = ElementTree.parse(path).getroot()
    assert float(root.get("viewBox").split()[2]) <= 400
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def draw(net, path, losses, **more):
    plots = net.module("trainer.report.plots")
    losses = np.asarray(losses, dtype=float)
    epochs = np.arange(len(losses), dtype=float)
    plots.plot_training(path, "a title", epochs, losses, **more)
    return words_in(path)


def test_training_draws_the_loss_and_the_path(net, tmp_path):
    path = tmp_path / "run.svg"
    done = net.main("linear", "--epochs", 300, "--plot", path)
    assert done.code == 0
    words = words_in(path)
    assert {"linear, gradient descent", "epoch", "loss", "Wx", "Wrec", "start", "end", "log₁₀ loss"} <= set(words)


def test_a_rerun_draws_the_same_bytes(net, tmp_path):
    for name in ("one", "two"):
        for ending in ("svg", "png", "pdf"):
            assert net.main("linear", "--epochs", 20, "--plot", tmp_path / f"{name}.{ending}").code == 0
    for ending in ("svg", "png", "pdf"):
        one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert b"Matplotlib v" not in one


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_ending_may_be_in_capitals(net, tmp_path, ending):
    figures = [tmp_path / f"run.{ending}", tmp_path / f"run.{ending.upper()}"]
    for figure in figures:
        assert net.main("linear", "--epochs", 20, "--plot", figure).code == 0
    assert figures[1].read_bytes() == figures[0].read_bytes()


def test_drawing_leaves_the_settings_of_matplotlib_alone(net, tmp_path):
    before = dict(mpl.rcParams)
    draw(net, tmp_path / "run.svg", [3, 2, 1])
    assert dict(mpl.rcParams) == before


def test_the_best_epoch_is_marked(net, tmp_path, write):
    rows = "".join(f"{a},{b},{a + b + a * b / 9}\n" for a in range(3) for b in range(4))
    path = tmp_path / "run.svg"
    done = net.main("linear", "--data", write("data.csv", rows), "--validation", 0.3, "--epochs", 200, "--plot", path)
    assert done.code == 0
    epoch = re.search(r"weights of     epoch (\d+)", done.out)[1]
    assert {"training", "validation", f"least, epoch {epoch}"} <= set(words_in(path))


def test_a_best_epoch_of_before_the_run_went_on_is_not_marked(net, tmp_path):
    words = draw(net, tmp_path / "run.svg", [3, 2], validation=np.array([2.0, 3.0]), best=(-5, 1.0))
    assert "validation" in words
    assert not [word for word in words if word.startswith("least")]


@pytest.mark.parametrize(
    "losses",
    [
        [1.0],
        [0.0],
        [2.0] * 50,
        [1e-320, 1e300],
        [1.0, np.inf, np.nan, 2.0],
        [-1.0, -2.0, 1e308],
        [1e308, 1e308],
        [np.nan],
        list(np.geomspace(1e-300, 1e300, 999)),
    ],
    ids=str,
)
def test_any_losses_can_be_drawn(net, tmp_path, losses):
    assert "epoch" in draw(net, tmp_path / "run.svg", losses)


@pytest.mark.parametrize(
    ("points", "loss"),
    [
        ([[1.0], [2.0]], lambda a, b: a * a + b * b),
        ([[0.0, 1.0], [0.0, 1.0]], lambda a, b: 3.0),
        ([[0.0, 1.0], [0.0, 1.0]], lambda a, b: 0.0),
        ([[0.0, 1.0], [0.0, 1.0]], lambda a, b: np.nan),
        ([[0.0, 1.0], [0.0, 1.0]], lambda a, b: a - b),
        ([[0.0, 1.0], [0.0, 1.0]], lambda a, b: np.inf if a > 0.5 else 1 + b * b),
        ([[1.0, 1e250], [1.0, -1e300]], lambda a, b: np.exp(np.float64(a) ** 2)),
        ([[1e-200, 2e-200], [1e200, 2e200]], lambda a, b: a * a + np.float64(b) ** 2),
    ],
    ids=["one point", "constant", "zero", "nothing", "negative", "partly", "diverged", "huge"],
)
def test_any_path_can_be_drawn(net, tmp_path, points, loss):
    path = net.module("trainer.report.plots").WeightPath(("a", "b"), np.array(points), loss, grid=11)
    words = draw(net, tmp_path / "run.svg", [1.0] * len(points[0]), weights=path)
    assert {"a", "b"} <= set(words)
    assert any(word.startswith("start") for word in words)


def test_a_run_that_diverges_is_drawn_as_far_as_it_was_finite(net, tmp_path):
    path = tmp_path / "run.svg"
    assert net.main("linear", "--learning-rate", 0.3, "--plot", path).code == 1
    words = words_in(path)
    assert "end, outside" in words
    assert "start" in words


def test_a_start_that_overflows_leaves_no_figure(net, tmp_path):
    path = tmp_path / "run.svg"
    done = net.main("linear", "--init", "Wx=1e200,Wrec=1e200", "--plot", path)
    assert done.code == 1
    assert not path.exists()


@pytest.mark.parametrize("epochs", [1, 200, 1000, 1001, 54_321])
def test_a_curve_keeps_the_first_the_last_and_evenly_spaced_epochs(net, epochs):
    curve = net.module("trainer.report.plots").Curve()
    for epoch in range(epochs):
        curve.add(epoch, epoch / 2)
    kept, halves = curve.columns()
    assert len(curve) == epochs
    assert list(kept[:200]) == list(range(min(epochs, 200)))
    assert kept[-1] == epochs - 1
    assert list(halves) == list(kept / 2)
    assert len(kept) <= 1001
    if epochs > 1001:
        assert len(kept) > 500
        assert len(set(np.diff(kept[210:-1]))) == 1


def test_of_many_sequences_the_surface_is_of_some(net, savez, tmp_path):
    random = np.random.default_rng(seed=1)
    X = random.integers(0, 2, size=(4000, 20))
    path = tmp_path / "run.svg"
    done = net.main(
        "linear", "--data", savez(X=X, t=X.sum(axis=1)), "--init", "Wx=0.9,Wrec=0.9", "--epochs", 2,
        "--learning-rate", 1e-5, "--plot", path,
    )  # fmt: skip
    assert done.code == 0
    assert "log₁₀ loss on 1500 sequences" in words_in(path)


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("run.gif", "unknown extension '.gif', expected .svg, .png, .pdf"),
        ("run", "unknown extension ''"),
        ("nowhere/run.svg", "create it first"),
    ],
)
def test_a_figure_that_cannot_be_written_is_refused_before_training(net, tmp_path, name, fact):
    assert fact in net.main("linear", "--plot", tmp_path / name).bad_input()


def test_without_matplotlib_the_cure_is_named_before_training(net, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = net.main("linear", "--plot", tmp_path / "run.svg").bad_input()
    assert "run.svg: needs matplotlib: pip install matplotlib, or leave it out" in message


def test_a_disk_that_fills_leaves_the_weights(net, monkeypatch, tmp_path):
    path, weights = tmp_path / "run.svg", tmp_path / "weights.json"
    path.write_text("an older figure")

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(net.module("trainer.report.plots"), "write_whole", full)
    done = net.main("linear", "--epochs", 3, "--plot", path, "--output", weights)
    assert done.code == 1
    assert f"train: error: {path} was not written: No space left on device" in done.err
    assert weights.exists()
    assert path.read_text() == "an older figure"
