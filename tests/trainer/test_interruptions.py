"""Runs that are interrupted or killed at any moment: nothing is lost, and a resume always works."""

import json
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
from conftest import LEARNING, epoch_of, interrupt_after

KILLED_100_TIMES = """
import json, os, random, signal, sys, time
import numpy as np
from net.train import main

words = sys.argv[1:]
draw = random.Random(1)


def identity():
    return os.stat("run.npz").st_ino if os.path.exists("run.npz") else None


# The trainer is imported once; each run is a process of its own all the same.
for kill in range(100):
    before, child = identity(), os.fork()
    if child == 0:
        os._exit(main(words))
    if kill % 2:  # every other run may write a checkpoint first
        while identity() == before and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.04))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the run ended by itself with exit code {os.waitstatus_to_exitcode(status)}"
    with open("log.csv", "rb") if os.path.exists("log.csv") else open(os.devnull, "rb") as log:
        logged = max(0, len(log.read().splitlines()) - 2)
    checkpointed = 0
    if os.path.exists("run.npz"):
        with np.load("run.npz", allow_pickle=False) as archive:
            checkpointed = json.loads(str(archive["content"]))["epoch"]
    print(logged, checkpointed, flush=True)
"""


@pytest.mark.parametrize("every", [1, 7])
def test_killed_100_times_a_resume_always_works(net, data, tmp_path, every):
    """At most the epochs since the last checkpoint are lost, and the end is that of a run that nobody killed."""
    folder = net.folder.parent
    run = ("linear", "--data", data, *LEARNING, "--batch", 5, "--quiet")
    files = ("--checkpoint", "run.npz", "--checkpoint-every", every, "--log", "log.csv", "--resume")
    script = folder / "killer.py"
    script.write_text(KILLED_100_TIMES, encoding="utf-8")
    words = [str(word) for word in (*run, "--epochs", 10**9, *files)]
    checkpoints = []
    with subprocess.Popen(
        [sys.executable, script, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as killer:
        for line in killer.stdout:
            checkpoints.append(tuple(map(int, line.split())))
        errors = killer.stderr.read()
    assert killer.returncode == 0, errors
    assert errors == ""  # no resume was refused
    assert len(checkpoints) == 100

    assert all(logged - checkpointed <= every for logged, checkpointed in checkpoints)
    reached = [checkpointed for _, checkpointed in checkpoints]
    assert all(later >= earlier for earlier, later in pairwise(reached))
    assert reached[-1] > 50 * every  # every other run got further

    end = ("--epochs", reached[-1] + 20)
    assert net.run(*run, *end, *files, "--output", "resumed.json").code == 0
    assert net.run(*run, *end, "--log", "whole.csv", "--output", "whole.json").code == 0
    assert (folder / "resumed.json").read_text() == (folder / "whole.json").read_text()
    assert (folder / "log.csv").read_text() == (folder / "whole.csv").read_text()
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "function"),
    [("commands.train", "write_weights"), ("run.checkpoints", "save"), ("commands.train", "show")],
)
def test_a_signal_while_the_end_is_written_loses_nothing(net, data, files, monkeypatch, number, module, function):
    words, paths = files("run")
    undisturbed = getattr(net.module(f"trainer.{module}"), function)

    def disturbed(*arguments):
        signal.raise_signal(number)
        signal.raise_signal(number)
        return undisturbed(*arguments)

    monkeypatch.setattr(net.module(f"trainer.{module}"), function, disturbed)
    done = net.main("linear", "--data", data, *LEARNING, "--epochs", 7, *words)
    assert epoch_of(paths["--checkpoint"]) >= 0
    assert set(json.loads(paths["--output"].read_text())) == {"Wx", "Wrec"}
    assert "weights        Wx=" in done.out
    # A signal while a checkpoint is written ends the training behind it.
    assert done.code == (EXIT_CODES[number] if module == "run.checkpoints" else 0)
    assert "Traceback" not in done.err


def test_a_signal_to_a_run_that_ignores_it_is_ignored(net, data, monkeypatch):
    """As under nohup, or in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt_after(net, monkeypatch, 5)
        done = net.main("linear", "--data", data, *LEARNING, "--epochs", 7)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 0
    assert "7 epochs, done" in done.out


def test_sigterm_to_a_process_leaves_a_checkpoint(net, tmp_path):
    path, output = tmp_path / "run.npz", tmp_path / "weights.json"
    words = ("linear", "--epochs", 10**9, "--checkpoint", path, "--checkpoint-every", 10**8, "--output", output)
    with subprocess.Popen(
        net.command(*words), cwd=net.folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not process.stderr.readline().startswith("epoch 500 "):
                assert process.poll() is None
            process.terminate()
            out, err = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 143
    assert "epochs, interrupted by SIGTERM" in out
    assert "Traceback" not in err
    epoch = epoch_of(path)
    assert f" {epoch} epochs, " in out
    assert epoch >= 500
    assert set(json.loads(output.read_text())) == {"Wx", "Wrec"}
