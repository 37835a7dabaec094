"""The size of the gradient on its way back through time, from the command line."""

import json

import numpy as np
import pytest

from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder, linear
from derive.mathematics.pipeline import write_derivation


@pytest.fixture(scope="module")
def sources():
    """The generated network.py of two cells."""
    return {cell.name: print_network(write_derivation(cell)) for cell in (linear.cell, binary_adder.cell)}


@pytest.fixture
def real(net, sources):
    """A package with the generated linear cell and its example, and a cell with a learnt start and none."""
    net.add_cell("binary_adder", example=None)
    for cell, source in sources.items():
        (net.folder / cell / "network.py").write_text(source, encoding="utf-8")
    return net


def test_a_network_names_its_states(real):
    assert real.module("linear.network").STATES == {"s": "delta"}
    assert real.module("binary_adder.network").STATES == {"h": "delta_h"}


def gradients(package, *words):
    done = package.main(*words, "--json", command="gradients")
    assert done.code == 0
    return json.loads(done.out)


@pytest.mark.parametrize("Wrec", [0.5, 1.0, -2.0])
def test_of_the_linear_network_every_step_multiplies_by_the_weight(real, Wrec):
    found = gradients(real, "linear", "--init", f"Wx=0.3,Wrec={Wrec}")
    sizes = found["sizes"]["delta"]
    # δ_3 = 2/3 (s_3 - t) for the three sequences of the example.
    s_3 = 0.3 * np.array([Wrec**2, Wrec**2 + Wrec, Wrec**2 + Wrec + 1])
    assert sizes[0] == pytest.approx(np.sqrt(np.mean((2 / 3 * (s_3 - [1, 2, 3])) ** 2)), rel=1e-14)
    assert sizes == pytest.approx([sizes[0] * abs(Wrec) ** back for back in range(3)], rel=1e-14)
    assert found["steps_back"] == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("sequences", [4, 20])
def test_data_that_stay_on_the_disk_are_looked_at_as_those_in_memory(real, save, savez, dtype, cut, sequences):
    random = np.random.default_rng(seed=1)
    arrays = {"X": random.integers(0, 3, (10, 4)).astype(dtype), "t": np.arange(10).astype(dtype)}
    arrays |= {"lengths": random.integers(2, 5, 10)} if cut else {}
    words = ("linear", "--sequences", sequences, "--data")
    found = gradients(real, *words, *(save(f"{name}.npy", array) for name, array in arrays.items()))
    assert sum(found["sequences"].values()) == min(sequences, 10)
    assert found == gradients(real, *words, savez(**arrays))


def test_of_a_table_of_several_lengths_the_sizes_are_those_of_its_sequences(real, write):
    words = ("linear", "--init", "Wx=0.5,Wrec=2")
    found = gradients(real, *words, "--data", write("data.csv", "1,0,,1\n1,1,0,2\n0,1,,3\n"))
    assert found["sequences"] == {"2": 2, "3": 1}
    # δ_T = 2/3 (s_T - t): the last states are 1, 3 and 0.5, the targets 1, 2 and 3.
    deltas = 2 / 3 * np.array([0, 1, -2.5])
    assert found["sizes"]["delta"] == pytest.approx(
        [np.sqrt(np.mean(deltas**2)), 2 * np.sqrt(np.mean(deltas**2)), 4 * abs(deltas[1])]
    )


def long_sequences(savez, steps):
    return savez(X=np.ones((2, steps)), t=np.zeros(2))


@pytest.mark.parametrize(
    ("Wrec", "verdict"),
    [
        (0.5, "delta shrinks by a factor 0.5 a step, to 1.6e-30 times its size after 99 steps back"),
        (-2, "delta grows by a factor 2 a step, to 6.3e+29 times its size after 99 steps back"),
        (
            0.995,
            "delta keeps about its size: it changes by a factor 0.995 a step, to 0.61 times its size",
        ),
        (0, "delta is there at one step alone, so there is nothing to compare; it is exactly 0 before step 100"),
        (1e5, "delta overflows"),
    ],
)
def test_the_verdict_is_in_words(real, savez, Wrec, verdict):
    done = real.main("linear", "--data", long_sequences(savez, 100), "--init", f"Wx=1,Wrec={Wrec}", command="gradients")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith(verdict)


def test_a_change_beyond_what_a_float_holds_is_said_all_the_same(real):
    verdict = real.module("trainer.commands.gradients").verdict
    assert verdict(np.array([1e300, 1.0, 1e-300])) == (
        "shrinks by a factor 1e-300 a step, to 1e-600 times its size after 2 steps back"
    )
    assert verdict(np.array([1.0, np.inf])) == "overflows, 1 steps back from the last: the weights are too large"
    assert verdict(np.zeros(3)) == "is 0 at every step: a change of the state does not change the loss"


def test_sizes_neither_overflow_nor_underflow(real):
    size = real.module("trainer.commands.gradients")._root_mean_square
    assert size([np.array([3e200, 4e200])]) == pytest.approx(np.sqrt(12.5) * 1e200)
    assert size([np.array([3e-200]), np.array([[4e-200]])]) == pytest.approx(np.sqrt(12.5) * 1e-200)
    assert size([np.zeros(3)]) == 0
    assert size([np.array([1, np.nan])]) == np.inf


def test_the_table_goes_back_through_time(real):
    lines = real.main("linear", command="gradients").out.splitlines()
    assert lines[:2] == ["linear: 3 sequences of 3 steps", "weights  Wx=0.2,Wrec=1.5"]
    assert lines[3].split() == ["k", "delta", "factor"]
    assert [line.split()[0] for line in lines[4:7]] == ["3", "2", "1"]
    assert [line.split()[2] for line in lines[4:7]] == ["-", "1.5", "1.5"]
    bars = [line.count("#") for line in lines[4:7]]
    assert bars == sorted(bars)
    assert bars[0] > 0


def test_of_many_steps_some_are_shown(real, savez):
    words = ("linear", "--data", long_sequences(savez, 100), "--init", "Wx=1,Wrec=0.9")
    shown = real.main(*words, command="gradients").out.splitlines()
    assert "20 of 100 steps are shown; --all shows each" in shown
    numbers = [int(line.split()[0]) for line in shown[4:24]]
    assert (numbers[0], numbers[-1]) == (100, 1)
    assert numbers == sorted(set(numbers), reverse=True)
    every = real.main(*words, "--all", command="gradients").out.splitlines()
    assert [int(line.split()[0]) for line in every[4:104]] == list(range(100, 0, -1))


def test_a_learnt_start_has_an_adjoint_too(real, savez):
    random = np.random.default_rng(seed=1)
    path = savez(X=random.normal(size=(5, 4, 2)), t=random.integers(0, 2, size=(5, 4, 1)))
    words = ("binary_adder", "--data", path, "--size", "H=3")
    found = gradients(real, *words)
    assert found["steps_back"] == [0, 1, 2, 3, 4]
    assert real.main(*words, command="gradients").out.splitlines()[8].split()[0] == "0"
    # The gradient of the start is the sum of its adjoint over the sequences: the sizes are those of the network.
    at = real.module("trainer.commands.at_weights").choose(
        real.module("trainer.commands.at_weights")
        .parser("gradients", "", "", 200)
        .parse_args([str(word) for word in words])
    )
    network, (X, t) = at.network, at.data.groups[0]
    adjoint = network.backward(at.weights, network.forward(at.weights, X), t).delta_h
    assert found["sizes"]["delta_h"] == pytest.approx([np.sqrt(np.mean(row**2)) for row in adjoint[::-1]])


def test_a_network_that_does_not_name_its_states_is_refused(net):
    message = net.main("linear", command="gradients").bad_input("gradients")
    assert "linear/network.py does not name its states in STATES: derive the cell again" in message


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("linear", "--plot", "sizes.gif"), "unknown extension '.gif'"),
        (("linear", "--init", "Wy=1"), "unknown weight 'Wy'"),
        (("nothing",), "no cell 'nothing'"),
        (("binary_adder",), "binary_adder has no example"),
    ],
)
def test_bad_input_is_one_line(real, words, fact):
    assert fact in real.main(*words, command="gradients").bad_input("gradients")


def test_the_figure_is_drawn_beside_the_table(real, tmp_path):
    path = tmp_path / "sizes.svg"
    assert real.main("linear", "--plot", path, command="gradients").code == 0
    text = path.read_text(encoding="utf-8")
    assert "going back through time" in text
    assert ">delta<" in text


def test_a_figure_of_an_overflow_is_drawn_as_far_as_it_goes(real, savez, tmp_path):
    words = ("linear", "--data", long_sequences(savez, 400), "--init", "Wx=1,Wrec=10", "--plot", tmp_path / "sizes.svg")
    assert real.main(*words, command="gradients").code == 0
    assert (tmp_path / "sizes.svg").exists()
