"""The analytic gradient against the numeric one, from the command line."""

import json

import numpy as np
import pytest
from conftest import NETWORK

from derive.backends.numpy.jacobian_code import print_jacobian
from derive.backends.numpy.moments_code import print_moments
from derive.backends.numpy.network_code import print_network
from derive.cells import linear, vanilla_rnn
from derive.mathematics.pipeline import write_derivation


@pytest.fixture(scope="module")
def sources():
    """The generated network.py of two cells, and the modules beside it, by their paths."""
    found = {}
    for cell in (linear.cell, vanilla_rnn.cell):
        derivation = write_derivation(cell)
        found[f"{cell.name}/network.py"] = print_network(derivation)
        found[f"{cell.name}/moments.py"] = print_moments(derivation)
        found[f"{cell.name}/jacobian.py"] = print_jacobian(derivation)
    return found


@pytest.fixture
def real(net, sources):
    """A package with the generated linear cell and its example, and a cell with matrices and none."""
    net.add_cell("vanilla_rnn", example=None)
    for path, source in sources.items():
        if path.endswith("network.py"):
            (net.folder / path).write_text(source, encoding="utf-8")
    return net


@pytest.fixture
def whole(real, sources):
    """The same, with what stands beside network.py in the linear cell."""
    for name in ("moments.py", "jacobian.py"):
        (real.folder / "linear" / name).write_text(sources[f"linear/{name}"], encoding="utf-8")
    return real


def spoil(package, cell, line, wrong, module="network"):
    """Replace what is one line of a module."""
    path = package.folder / cell / f"{module}.py"
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
    for name in [
        name for name in real.module("trainer.commands.check").sys.modules if name.startswith("net.vanilla_rnn")
    ]:
        del real.module("trainer.commands.check").sys.modules[name]
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
    del real.module("trainer.commands.check").sys.modules["net.linear.network_fast"]
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


RESULTS = {
    "moments": "    return value, Parameters(gradient_Wx, gradient_Wrec)",
    "jacobian": "    return Parameters(gradient_Wx, gradient_Wrec)",
}
"""The line with which a module hands its gradient back."""


def test_moments_and_the_jacobian_are_checked_too(whole):
    for weights in ("Wx=0.2,Wrec=1.5", "Wx=1,Wrec=1", "Wx=0.99999999,Wrec=1.00000001", "Wx=-40,Wrec=3e7"):
        code, found = check(whole, "linear", "--init", weights)
        assert code == 0
        assert list(found["modules"]) == ["moments.py", "jacobian.py"]
        assert {(each["disagree"], each["own_rounding_error"]) for each in found["modules"].values()} == {(0, None)}


@pytest.mark.parametrize("factor", ["1.000001", "-1", "0", "np.nan"])
@pytest.mark.parametrize("module", RESULTS)
def test_moments_or_a_jacobian_gone_wrong_are_seen(whole, module, factor):
    wrong = RESULTS[module].replace("gradient_Wrec)", f"gradient_Wrec * {factor})")
    spoil(whole, "linear", RESULTS[module], wrong, module)
    done = whole.main("linear", command="check")
    assert done.code == 1
    assert f"{module}.py: 1 of 2 entries DISAGREE with network.py, largest difference" in done.out
    assert done.out.count("DISAGREE") == 1


@pytest.fixture
def cancelling(whole, savez):
    """Words for a place where the terms of the moments are large and cancel: ones, and a factor close to -1."""
    X = np.ones((200, 100))
    network = whole.module("linear.network")
    t = network.predict(network.Parameters(100.0, -1.0), X)
    return "linear", "--data", savez(X=X, t=t), "--init", "Wx=100.1,Wrec=-0.99999999"


def test_moments_may_be_off_by_what_they_reckon_with_themselves(whole, cancelling):
    code, found = check(whole, *cancelling)
    assert code == 0
    moments = found["modules"]["moments.py"]
    assert 2 * found["entries"][0]["bound"] < moments["largest_difference"] < moments["own_rounding_error"]
    out = whole.main(*cancelling, command="check").out
    assert "moments.py: all 2 entries agree with network.py within the rounding error of " in out
    assert " that it estimates itself, largest difference " in out


def test_and_by_no_more(whole, cancelling):
    line = "    return precision * terms_of_value, precision * terms_of_gradient"
    spoil(whole, "linear", line, line + " / 1e7", "moments")
    code, found = check(whole, *cancelling)
    assert code == 1
    assert found["modules"]["moments.py"]["disagree"] > 0
    assert found["modules"]["jacobian.py"]["disagree"] == 0


def test_of_so_long_sequences_that_training_does_not_try_them_no_moments_are_made(whole, savez):
    X = np.random.default_rng(0).normal(size=(3, 1000))
    words = ("linear", "--data", savez(X=X, t=np.ones(3)), "--init", "Wx=0.5,Wrec=0.5")
    code, found = check(whole, *words)
    assert code == 0
    assert list(found["modules"]) == ["jacobian.py"]


def test_moments_of_several_lengths_are_taken_together(whole, write):
    data = write("data.csv", "1,0,1,2\n1,1,,2\n0,1,,1\n")
    code, found = check(whole, "linear", "--data", data, "--init", "Wx=0.7,Wrec=0.8")
    assert code == 0
    assert found["sequences"] == {"2": 2, "3": 1}
    assert found["modules"]["moments.py"]["largest_difference"] <= 1e-14


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
        net.module("trainer.commands.check").main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "python -m net.check linear" in text
    assert "1    an entry disagrees" in text
