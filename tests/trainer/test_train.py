"""The training loop, its report, and the command line around it."""

import json
import math
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest


def weights(path):
    return json.loads(path.read_text(encoding="utf-8"))


def plain_loop(X, t, Wx, Wrec, rate_Wx, rate_Wrec, epochs):
    """Gradient descent over the three states, one sequence and one number after the other."""
    for _ in range(epochs):
        gradient_Wx = gradient_Wrec = 0.0
        for (x1, x2, x3), target in zip(X, t, strict=True):
            s1 = x1 * Wx
            s2 = s1 * Wrec + x2 * Wx
            s3 = s2 * Wrec + x3 * Wx
            delta3 = 2 / len(t) * (s3 - target)
            delta2 = delta3 * Wrec
            delta1 = delta2 * Wrec
            gradient_Wx += delta1 * x1 + delta2 * x2 + delta3 * x3
            gradient_Wrec += delta2 * s1 + delta3 * s2
        Wx -= rate_Wx * gradient_Wx
        Wrec -= rate_Wrec * gradient_Wrec
    return Wx, Wrec


COUNTING = ([[1, 0, 0], [1, 1, 0], [1, 1, 1]], [1, 2, 3])


def test_the_example_agrees_with_a_plain_loop(net, tmp_path):
    output = tmp_path / "weights.json"
    done = net.run("linear", "--output", output)
    assert done.code == 0

    Wx, Wrec = plain_loop(*COUNTING, 0.2, 1.5, 0.02, 0.0006, 30_000)
    assert abs(weights(output)["Wx"] - Wx) <= 1e-12
    assert abs(weights(output)["Wrec"] - Wrec) <= 1e-12
    assert Wx == pytest.approx(0.99999965, abs=1e-8)
    assert Wrec == pytest.approx(1.00000029, abs=1e-8)

    lines = done.out.splitlines()
    assert lines[0] == "linear: 3 sequences of 3 steps, 30000 epochs, done"
    assert f"Wx={weights(output)['Wx']!r},Wrec={weights(output)['Wrec']!r}" in lines[3]
    assert float(lines[4].split()[1]) < 1e-11
    assert [line.split()[::3] for line in lines[7:10]] == [["1", "1"], ["2", "2"], ["3", "3"]]
    assert lines[10] == "3 of 3 rounded predictions match their targets"
    assert len({len(line) for line in lines[6:10]}) == 1  # aligned


@pytest.mark.parametrize("epochs", [0, 1, 2, 5])
def test_n_epochs_are_n_updates(net, epochs):
    result = run_train(net, epochs=epochs)
    assert result.state.epoch == epochs
    assert result.reason.name == "EPOCHS"
    expected = plain_loop(*COUNTING, 0.2, 1.5, 0.02, 0.0006, epochs)
    assert result.state.parameters == pytest.approx(expected, rel=1e-14)
    network, example = net.module("linear.network"), net.module("linear.example")
    assert result.loss == network.loss(result.state.parameters, example.X, example.t)


def run_train(net, epochs=20, **options):
    example = net.module("linear.example")
    return net.train(example.X, example.t, example.START, example.LEARNING_RATES, epochs, **options)


def test_progress_hears_of_every_epoch(net):
    heard = []
    result = run_train(net, epochs=3, observe=lambda result: heard.append((result.state.epoch, result.loss)))
    assert [epoch for epoch, _ in heard] == [0, 1, 2, 3]
    assert heard[-1][1] == result.loss


def test_tolerance_stops_at_the_first_small_gradient(net):
    result = run_train(net, epochs=10**6, tolerance=0.01)
    assert result.reason.name == "TOLERANCE"

    def largest(parameters):
        network, example = net.module("linear.network"), net.module("linear.example")
        return max(map(abs, network.gradients(parameters, example.X, example.t)))

    assert largest(result.state.parameters) <= 0.01
    assert largest(run_train(net, epochs=result.state.epoch - 1).state.parameters) > 0.01

    done = net.main("linear", "--tolerance", 0.01)
    assert done.code == 0
    assert f"{result.state.epoch} epochs, done, the gradient is within the tolerance" in done.out


def test_the_largest_entry_may_be_negative_or_in_an_array(net):
    Parameters = net.module("linear.network").Parameters
    assert net.module("trainer.run.updates").largest_entry(Parameters(np.array([[1, -5], [0, 2]]), 3.0)) == 5


@pytest.mark.parametrize("gradient", [(1.0, math.nan), (math.nan, 1.0), (np.array([2.0, math.nan]), np.ones(3))])
def test_of_entries_that_are_no_number_the_largest_is_none(net, gradient):
    assert math.isnan(
        net.module("trainer.run.updates").largest_entry(net.module("linear.network").Parameters(*gradient))
    )


@pytest.mark.parametrize("dtype", ["int8", "float32", "bool"])
def test_the_dtype_of_the_data_changes_nothing(net, savez, tmp_path, dtype):
    path = savez(X=np.array(COUNTING[0], dtype=dtype), t=np.array(COUNTING[1], dtype="int8"))
    for name, words in [("npz", ("--data", path)), ("example", ())]:
        output = tmp_path / f"{name}.json"
        assert net.main("linear", "--epochs", 50, *words, "--output", output).code == 0
    rounding = 1e-6 if dtype == "float32" else 0
    assert weights(tmp_path / "npz.json") == pytest.approx(weights(tmp_path / "example.json"), rel=rounding, abs=0)


def test_csv_with_and_without_header_train_alike(net, write, tmp_path):
    table = "1,0,0,1\n1,1,0,2\n1,1,1,3\n"
    for name, content in [("bare", table), ("headed", "a,b,c,t\n" + table)]:
        data = write(f"{name}.csv", content)
        output = tmp_path / f"{name}.json"
        assert net.main("linear", "--epochs", 5, "--data", data, "--output", output).code == 0
    assert weights(tmp_path / "bare.json") == weights(tmp_path / "headed.json")


def test_only_the_first_ten_of_many_predictions_are_shown(net, write):
    table = "".join(f"{n},{n}\n" for n in range(25))
    done = net.main("linear", "--data", write("data.csv", table), "--epochs", 0, "--init", "Wx=1")
    lines = done.out.splitlines()
    assert lines[0].startswith("linear: 25 sequences of 1 step,")
    assert [line.split()[0] for line in lines[7:17]] == [str(n) for n in range(1, 11)]
    assert lines[17] == "... and 15 more"
    assert lines[18] == "25 of 25 rounded predictions match their targets"


def test_rounding_is_only_for_whole_targets(net, write):
    done = net.main("linear", "--data", write("data.csv", "1,0.5\n0,1\n"), "--epochs", 1)
    assert "target" in done.out
    assert "rounded" not in done.out


def test_a_prediction_never_rounds_to_minus_zero(net, write):
    data = write("data.csv", "1,0\n")
    done = net.main("linear", "--data", data, "--epochs", 0, "--init", "Wx=-0.1")
    assert done.out.splitlines()[-2].split() == ["1", "0", "-0.1", "0"]
    assert done.out.splitlines()[-1] == "1 of 1 rounded predictions match their targets"


def test_divergence_keeps_the_last_finite_weights(net, tmp_path):
    output = tmp_path / "weights.json"
    done = net.run("linear", "--learning-rate", "Wrec=5", "--output", output)
    assert done.code == 1
    message = done.err.splitlines()[-1]
    assert "Warning" not in done.err
    assert done.err.count("train:") == 1
    epoch = int(re.match(r"train: diverged at epoch (\d+): ", message)[1])
    assert "lower the learning rate of" in message
    assert "Wrec" in message
    assert "now Wx=0.02,Wrec=5.0" in message
    assert "--init" in message

    kept = weights(output)
    assert f"last finite weights are Wx={kept['Wx']!r},Wrec={kept['Wrec']!r}:" in message
    assert np.all(np.isfinite(list(kept.values())))
    before = plain_loop(*COUNTING, 0.2, 1.5, 0.02, 5.0, epoch - 1)
    assert list(kept.values()) == pytest.approx(before, rel=1e-9)
    assert f"{epoch - 1} epochs, diverged" in done.out


@pytest.mark.parametrize(
    ("rates", "blamed"),
    [("Wx=9", "Wx"), ("Wrec=9", "Wrec"), ("9", "Wx and Wrec")],
)
def test_divergence_blames_the_rate_that_began_it(net, rates, blamed):
    done = net.main("linear", "--learning-rate", rates)
    assert done.code == 1
    assert f"lower the learning rate of {blamed} (now" in done.err


def test_divergence_that_begins_late_blames_the_last_update(net):
    """From this start the first update is small; the loss grows over many."""
    done = net.main("linear", "--init", "Wx=1.01,Wrec=1.01", "--learning-rate", "0.2")
    assert done.code == 1
    epoch = int(re.search(r"diverged at epoch (\d+): ", done.err)[1])
    assert epoch > 5
    assert re.search(r"lower the learning rate of (Wx|Wrec|Wx and Wrec) \(now", done.err)


def test_a_start_that_overflows_is_named(net, write):
    output = write("weights.json", "old")
    done = net.run("linear", "--init", "Wx=1e200,Wrec=1e200", "--output", output)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "diverged at epoch 0" in done.err
    assert "start Wx=1e+200,Wrec=1e+200" in done.err
    assert "--init" in done.err
    assert weights(output) == {"Wx": 1e200, "Wrec": 1e200}


@pytest.mark.parametrize("spoiled", ["loss", "gradient", "parameters"])
def test_whatever_is_not_finite_ends_the_training(net, spoiled):
    network, example = net.module("linear.network"), net.module("linear.example")

    class Spoiled:
        Parameters = network.Parameters
        updates = 0

        def value_and_gradient(self, parameters, X, t):
            late = self.updates == 3
            nan = np.nan if late and spoiled == "gradient" else 1.0
            loss = np.inf if late and spoiled == "loss" else 1.0
            return loss, network.Parameters(1.0, nan)

        def descend(self, parameters, gradient, learning_rates):
            self.updates += 1
            late = self.updates == 3 and spoiled == "parameters"
            return network.Parameters(-np.inf if late else float(self.updates), 0.0)

    result = run_train(net, network=Spoiled())
    assert result.reason.name == "DIVERGED"
    assert result.state.epoch == 2
    assert result.state.parameters == (2.0, 0.0)
    assert example.START == (0.2, 1.5)


def test_ctrl_c_keeps_the_weights_reached(net, tmp_path, monkeypatch):
    network = net.module("linear.network")
    value_and_gradient = network.value_and_gradient
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return value_and_gradient(*arguments)

    monkeypatch.setattr(network, "value_and_gradient", interrupted)
    output = tmp_path / "weights.json"
    done = net.main("linear", "--output", output)
    assert done.code == 130
    assert "4 epochs, interrupted" in done.out
    expected = plain_loop(*COUNTING, 0.2, 1.5, 0.02, 0.0006, 4)
    assert list(weights(output).values()) == pytest.approx(expected, rel=1e-14)


def test_ctrl_c_stops_a_running_process(net, tmp_path):
    output = tmp_path / "weights.json"
    # A test run in the background ignores Ctrl-C, and its children would too.
    script = (
        "import runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "runpy.run_module('net.train', run_name='__main__')\n"
    )
    words = ["linear", "--epochs", str(10**9), "--output", str(output)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=net.folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while not process.stderr.readline().startswith("epoch 500 "):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 130
    assert "epochs, interrupted" in out
    assert "Traceback" not in err
    assert set(weights(output)) == {"Wx", "Wrec"}


def test_ctrl_c_before_training_is_neat(net, monkeypatch):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(net.module("trainer.commands.train"), "read_settings", interrupted)
    assert net.main("linear") == (130, "", "train: interrupted\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_report_that_cannot_be_printed_loses_no_weights(net, tmp_path):
    output = tmp_path / "weights.json"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            net.command("linear", "--epochs", 0, "--output", output),
            cwd=net.folder.parent,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["train: error: the report was not printed: No space left on device"]
    assert weights(output) == {"Wx": 0.2, "Wrec": 1.5}


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (("--epochs", "-1"), ["--epochs", "'-1' is not a whole number, 0 or more"]),
        (("--epochs", "1e4"), ["--epochs", "'1e4' is not a whole number"]),
        (("--epochs", "2.5"), ["--epochs", "'2.5' is not a whole number"]),
        (("--seed", "-1"), ["--seed", "'-1' is not a whole number, 0 or more"]),
        (("--seed", "x"), ["--seed", "'x' is not a whole number"]),
        (("--tolerance", "-0.5"), ["--tolerance", "'-0.5' is not a finite number, 0 or more"]),
        (("--tolerance", "nan"), ["--tolerance", "'nan' is not a finite number"]),
        (("--tolerance", "inf"), ["--tolerance", "'inf' is not a finite number"]),
        (("--tolerance", "small"), ["--tolerance", "'small' is not a finite number"]),
        (("--tolerance", "1_0"), ["--tolerance", "'1_0' is not a finite number"]),
        (("--clip", "1_0"), ["--clip", "'1_0' is not a finite number above 0"]),
        (("--validation", "0.1_0"), ["--validation", "'0.1_0' is not a number between 0 and 1"]),
        (("--epochs", "1_0"), ["--epochs", "'1_0' is not a whole number, 0 or more"]),
        (("--batch", "1_0"), ["--batch", "'1_0' is not a whole number, 1 or more"]),
        (("--size", "H=1_0"), ["--size", "'H=1_0' is not NAME=N"]),
        (("--epochs", 5000 * "9"), ["--epochs", "'999999", "0 or more and of at most 50 digits"]),
        (("--seed", 5000 * "9"), ["--seed", "0 or more and of at most 50 digits"]),
        (("--batch", 5000 * "9"), ["--batch", "1 or more and of at most 50 digits"]),
        (("--patience", 5000 * "9"), ["--patience", "1 or more and of at most 50 digits"]),
        (("--size", "H=" + 5000 * "9"), ["--size", "'H=999", "1 or more and of at most 50 digits, as in H=16"]),
        (("--tolerance",), ["--tolerance", "expected one argument"]),
        (("--epoch", "5"), ["unrecognized arguments: --epoch 5", "--help"]),
        (("logistic",), ["unrecognized arguments: logistic"]),
    ],
)
def test_unusable_options_are_refused(net, words, facts):
    message = net.main("linear", *words).bad_input()
    assert len(message) < 200
    for fact in facts:
        assert fact in message


def test_unusable_options_are_refused_in_a_process_of_their_own(net):
    assert "no such file" in net.run("linear", "--data", "nowhere.csv").bad_input()


def test_the_only_cell_needs_no_name(net):
    done = net.main("--epochs", 0)
    assert done.code == 0
    assert done.out.startswith("linear: ")


def test_of_several_cells_one_must_be_named(net):
    net.add_cell("logistic")
    assert "which cell? there are linear, logistic" in net.main().bad_input()
    assert net.main("logistic", "--epochs", 0).out.startswith("logistic: ")


def test_an_unknown_cell_is_answered_with_those_there_are(net):
    message = net.main("liner").bad_input()
    assert "no cell 'liner', did you mean linear? there is linear" in message
    net.add_cell("logistic")
    message = net.main("logstic").bad_input()
    assert "did you mean logistic? there are linear, logistic" in message
    message = net.main("gru").bad_input()
    assert "no cell 'gru': there are linear, logistic" in message


def test_a_folder_without_a_network_is_no_cell(net):
    (net.folder / "figures").mkdir()
    assert "there is linear" in net.main("figures").bad_input()


def test_a_package_without_cells_says_so(bare_net):
    assert "holds no cell" in bare_net.main("linear").bad_input()
    assert "holds no cell" in bare_net.main().bad_input()


def test_a_cell_without_example_needs_data_and_has_defaults(bare_net, write, tmp_path):
    bare_net.add_cell("own", example=None)
    message = bare_net.main("own").bad_input()
    assert "own has no example" in message
    assert "--data FILE" in message

    data = write("data.csv", "1,0,1\n1,1,2\n")
    outputs = [tmp_path / "unseeded.json", tmp_path / "seeded.json"]
    unseeded = bare_net.main("own", "--data", data, "--output", outputs[0])
    seeded = bare_net.main("own", "--data", data, "--output", outputs[1], "--seed", 0)
    assert unseeded.code == seeded.code == 0
    assert "1000 epochs" in unseeded.out
    assert "learning rate  Wx=0.01,Wrec=0.01\n" in unseeded.out
    assert weights(outputs[0]) == weights(outputs[1])


def test_help_names_the_program_the_cells_and_the_exit_codes(net, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit:
        net.module("trainer.commands.train").main(["--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: python -m net.train ")
    assert text.isascii()
    assert "one of: linear" in text
    for word in ["--data", "--epochs", "--learning-rate", "--init", "--tolerance", "--seed"]:
        assert word in text
    assert "at the weights of the cell's example" in text
    for code in ["0    done", "1    the loss", "2    bad input", "130  interrupted"]:
        assert code in text


def test_the_trainer_imports_only_numpy_and_the_standard_library(net):
    """A fresh interpreter that may import nothing else gets through a whole run."""
    script = (
        "import sys\n"
        "class Guard:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in sys.stdlib_module_names | {'numpy', 'net'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        "from net.train import main\n"
        "sys.exit(main(['linear', '--epochs', '2']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=net.folder.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
