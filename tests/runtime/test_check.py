"""The analytic gradient against the numeric one, from the command line."""

import json

import numpy as np
import pytest
from conftest import NETWORK

from derive.cells import linear, vanilla_rnn
from derive.lower import lower
from derive.modules import print_network
from derive.pipeline import write_derivation


@pytest.fixture(scope="module")
def sources():
    """The generated network.py of two cells."""
    return {cell.name: print_network(lower(write_derivation(cell))) for cell in (linear.cell, vanilla_rnn.cell)}


@pytest.fixture
def real(net, sources):
    """A package with the generated linear cell and its example, and a cell with matrices and none."""
    net.add_cell("vanilla_rnn", example=None)
    for cell, source in sources.items():
        (net.folder / cell / "network.py").write_text(source, encoding="utf-8")
    return net


def spoil(package, cell, line, wrong):
    """Replace what is one line of a network."""
    path = package.folder / cell / "network.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(line) == 1
    path.write_text(source.replace(line, wrong), encoding="utf-8")


def check(package, *words):
    done = package.main(*words, "--json", command="check")
    return done.code, json.loads(done.out)


@pytest.mark.parametrize(
    "weights", ["Wx=0.2,Wrec=1.5", "Wx=1,Wrec=1", "Wx=0,Wrec=0", "Wx=-40,Wrec=3e7", "Wx=0.99999999,Wrec=1.00000001"]
)
def test_every_entry_agrees(real, weights):
    code, found = check(real, "linear", "--init", weights)
    assert code == found["exit_code"] == 0
    assert [entry["entry"] for entry in found["entries"]] == ["Wx", "Wrec"]
    for entry in found["entries"]:
        assert entry["agrees"]
        assert abs(entry["analytic"] - entry["complex_step"]) == entry["difference"] <= entry["bound"]
        assert entry["bound"] <= 1e-11 * max(1, abs(entry["analytic"]))
        assert entry["central"] == pytest.approx(entry["analytic"], rel=1e-6, abs=1e-8)


def test_the_numbers_are_those_of_a_hand_computation(real):
    # One sequence 1, 1 with target 0: the loss is (Wx Wrec + Wx)², at Wx = 2 and Wrec = 3.
    data = real.folder.parent / "data.csv"
    data.write_text("1,1,0\n")
    _, found = check(real, "linear", "--data", data, "--init", "Wx=2,Wrec=3")
    assert [entry["analytic"] for entry in found["entries"]] == [2 * 8 * 4, 2 * 8 * 2]
    assert [entry["complex_step"] for entry in found["entries"]] == pytest.approx([64, 32], rel=1e-15)


def test_the_table_shows_every_entry_of_a_small_cell(real):
    done = real.main("linear", command="check")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "linear: 3 sequences of 3 steps"
    assert lines[1] == "weights  Wx=0.2,Wrec=1.5"
    assert lines[3].split() == ["entry", "analytic", "complex", "step", "central", "difference", "relative", "bound"]
    assert [line.split()[0] for line in lines[4:6]] == ["Wx", "Wrec"]
    assert lines[7].startswith("network.py: all 2 entries agree with the complex step, largest difference ")


def test_what_saturation_loses_is_no_mistake(real, savez):
    # tanh of ±50 rounds to ±1, so the analytic slope there is 0; the complex step tells it from 0.
    random = np.random.default_rng(seed=1)
    X = random.choice([-50.0, 50.0], size=(6, 4, 1))
    code, found = check(real, "vanilla_rnn", "--data", savez(X=X, t=np.ones((6, 1))), "--size", "H=2", "--seed", 3)
    assert code == 0
    assert any(entry["relative"] > 1e-6 for entry in found["entries"])


@pytest.mark.parametrize("factor", ["1.000001", "-1", "0", "np.nan"])
def test_a_wrong_gradient_is_seen(real, factor):
    spoil(real, "linear", "gradient_Wrec += delta[k] @ s[k - 1]", f"gradient_Wrec += {factor} * delta[k] @ s[k - 1]")
    done = real.main("linear", command="check")
    assert done.code == 1
    assert done.out.count("DISAGREE") == 2
    assert "1 of 2 entries DISAGREE with the complex step" in done.out
    row = next(line for line in done.out.splitlines() if line.startswith("Wrec"))
    assert row.endswith("DISAGREES")


def test_a_single_wrong_entry_of_a_matrix_is_named(real, savez):
    random = np.random.default_rng(seed=1)
    words = ("--data", savez(X=random.normal(size=(6, 4, 2)), t=random.normal(size=(6, 3))), "--size", "H=5")
    code, found = check(real, "vanilla_rnn", *words, "--all")
    assert code == 0
    assert len(found["entries"]) == 2 * 5 + 5 * 5 + 5 + 5 * 3 + 3
    spoil(
        real,
        "vanilla_rnn",
        "    return Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_Wy, gradient_by)",
        "    gradient_Wrec[2, 3] *= 1.00001\n"
        "    return Parameters(gradient_Wx, gradient_Wrec, gradient_b, gradient_Wy, gradient_by)",
    )
    for name in [name for name in real.module("check").sys.modules if name.startswith("net.vanilla_rnn")]:
        del real.module("check").sys.modules[name]
    code, found = check(real, "vanilla_rnn", *words, "--all")
    assert code == 1
    assert [entry["entry"] for entry in found["entries"] if not entry["agrees"]] == ["Wrec[2, 3]"]


def test_of_a_large_weight_some_entries_are_drawn_and_the_worst_shown(real, savez):
    random = np.random.default_rng(seed=1)
    words = ("--data", savez(X=random.normal(size=(50, 4, 2)), t=random.normal(size=(50, 3))), "--size", "H=16")
    done = real.main("vanilla_rnn", *words, command="check")
    assert done.code == 0
    assert "20 sequences of 4 steps drawn from 50 with seed 0" in done.out
    assert "43 of 355 entries were checked, 10 of a larger weight, drawn with seed 0" in done.out
    rows = [line.split("[")[0] for line in done.out.splitlines() if "[" in line]
    assert rows == ["Wx", "Wrec", "b", "Wy", "by"]
    assert done == real.main("vanilla_rnn", *words, command="check")
    code, found = check(real, "vanilla_rnn", *words, "--sequences", 50)
    assert code == 0
    assert found["sequences"] == {"4": 50}


def test_a_network_without_complex_weights_is_checked_by_central_differences(net):
    assert "np.zeros" in NETWORK  # into which NumPy puts real parts only
    code, found = check(net, "linear")
    assert code == 0
    assert [entry["complex_step"] for entry in found["entries"]] == [None, None]
    for entry in found["entries"]:
        assert entry["bound"] <= 1e-6 * abs(entry["analytic"])
    done = net.main("linear", command="check")
    assert "the network takes no complex weights: central differences decide" in done.out
    assert "agree with the central difference" in done.out


def test_without_complex_weights_a_wrong_gradient_is_seen_too(net):
    spoil(net, "linear", "gradient_Wx += np.sum", "gradient_Wx += 1.00001 * np.sum")
    code, found = check(net, "linear")
    assert code == 1
    assert [entry["agrees"] for entry in found["entries"]] == [False, True]


def test_the_faster_module_is_checked_too(real):
    fast = real.folder / "linear" / "network_fast.py"
    fast.write_text("from .network import value_and_gradient\n")
    done = real.main("linear", command="check")
    assert done.code == 0
    assert "network_fast.py: all 2 entries agree with network.py, largest difference 0.0e+00" in done.out
    fast.write_text(
        "from . import network\n\n\n"
        "def value_and_gradient(parameters, X, t):\n"
        "    value, gradient = network.value_and_gradient(parameters, X, t)\n"
        "    return value, gradient._replace(Wx=gradient.Wx * 1.000001)\n"
    )
    del real.module("check").sys.modules["net.linear.network_fast"]
    done = real.main("linear", command="check")
    assert done.code == 1
    assert "network_fast.py: 1 of 2 entries DISAGREE with network.py" in done.out


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("sequences", [4, 20])
def test_data_that_stay_on_the_disk_are_checked_as_those_in_memory(real, save, savez, dtype, cut, sequences):
    random = np.random.default_rng(seed=1)
    arrays = {"X": random.integers(0, 3, (10, 4)).astype(dtype), "t": np.arange(10).astype(dtype)}
    arrays |= {"lengths": random.integers(2, 5, 10)} if cut else {}
    words = ("linear", "--sequences", sequences, "--data")
    code, found = check(real, *words, *(save(f"{name}.npy", array) for name, array in arrays.items()))
    assert code == 0
    assert sum(found["sequences"].values()) == min(sequences, 10)
    assert (len(found["sequences"]) > 1) == cut
    assert (code, found) == check(real, *words, savez(**arrays))


def test_a_table_of_several_lengths_is_checked(real, write):
    code, found = check(real, "linear", "--data", write("data.csv", "1,0,,1\n1,1,0,2\n1,,,1\n0,1,,3\n"))
    assert code == 0
    assert found["sequences"] == {"1": 1, "2": 2, "3": 1}
    assert [entry["agrees"] for entry in found["entries"]] == [True, True]


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("linaer",), "did you mean linear?"),
        (("linear", "--data", "nowhere.csv"), "nowhere.csv: no such file"),
        (("linear", "--init", "Wx=1e200,Wrec=1e200"), "the loss overflows at these weights"),
        (("linear", "--sequences", "0"), "'0' is not a whole number, 1 or more"),
        (("linear", "--epochs", "3"), "unrecognized arguments: --epochs 3"),
    ],
)
def test_bad_input_is_one_line(real, words, fact):
    assert fact in real.main(*words, command="check").bad_input("check")


def test_help_explains_the_exit_codes(net, capsys):
    with pytest.raises(SystemExit) as ended:
        net.module("check").main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "python -m net.check linear" in text
    assert "1    an entry disagrees" in text
