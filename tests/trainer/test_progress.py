"""The progress display: one rewritten line on a terminal, a few plain lines elsewhere."""

import errno
import io
import os
import pty
import subprocess

import pytest


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(net, *words):
    """Run the command line with standard error on a terminal; return what came out there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        net.command(*words),
        cwd=net.folder.parent,
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError as error:  # how Linux reports the end of a terminal
            assert error.errno == errno.EIO
        out = process.stdout.read().decode()
    os.close(ours)
    return process.returncode, out, shown.decode()


def test_a_terminal_shows_one_line_that_is_rewritten_and_erased(net):
    code, out, shown = on_terminal(net, "linear", "--epochs", 10_000)
    assert code == 0
    assert "weights " in out
    assert "\r" not in out
    assert "\n" not in shown
    frames = shown.split("\r")
    assert frames[0] == ""
    assert frames[1].startswith("epoch 0 of 10000, loss ")
    assert frames[-2].strip() == frames[-1] == ""
    assert len({len(frame) for frame in frames[1:-1]}) == 1  # each covers the one before
    assert len(frames[1]) < 80


def test_a_message_on_a_terminal_starts_on_a_clean_line(net):
    code, _, shown = on_terminal(net, "linear", "--learning-rate", 100)
    assert code == 1
    assert " \rtrain: diverged" in shown


def test_a_pipe_shows_a_few_plain_lines(net):
    done = net.run("linear", "--epochs", 3000)
    assert done.code == 0
    assert "\r" not in done.err
    shown = [int(line.split()[1]) for line in done.err.splitlines()]
    assert shown == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000]
    assert "epoch" not in done.out.splitlines()[1]


@pytest.mark.parametrize(("epochs", "shown"), [(0, [0]), (1, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 1, 2, 5, 7])])
def test_the_last_epoch_is_shown_once(net, epochs, shown):
    stream = io.StringIO()
    with net.module("trainer.report.progress").Progress(epochs, stream) as progress:
        for epoch in range(epochs + 1):
            progress(epoch, 0.5)
    assert stream.getvalue() == "".join(f"epoch {e} of {epochs}, loss 0.5\n" for e in shown)


def test_the_terminal_is_rewritten_ten_times_a_second_at_most(net, monkeypatch):
    module = net.module("trainer.report.progress")
    clock = iter(0.01 * tick for tick in range(1, 101))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    progress = module.Progress(100, stream)
    for epoch in range(100):
        progress(epoch, 1.0)
    assert 9 <= stream.getvalue().count("\r") <= 11


def test_the_line_never_wraps(net, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    with net.module("trainer.report.progress").Progress(10**9, stream) as progress:
        progress(123456789, 1e-300)
    assert all(len(frame) <= 19 for frame in stream.getvalue().split("\r"))


def test_round_numbers(net):
    following = net.module("trainer.report.progress").next_round_number
    numbers = [0]
    while numbers[-1] < 10**4:
        numbers.append(following(numbers[-1]))
    assert numbers == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
    assert [following(n) for n in (3, 7, 9, 11, 99, 123)] == [5, 10, 10, 20, 100, 200]


def test_a_broken_stream_ends_the_display_and_not_the_training(net):
    class Full(io.StringIO):
        writes = 0

        def write(self, text):
            self.writes += 1
            raise OSError(errno.ENOSPC, "full")

    stream = Full()
    with net.module("trainer.report.progress").Progress(3, stream) as progress:
        for epoch in range(4):
            progress(epoch, 1.0)
    assert stream.writes == 1


def test_something_else_than_epochs_is_described_by_who_counts_it(net):
    stream = io.StringIO()
    with net.module("trainer.report.progress").Progress(
        4, stream, lambda done, of: f"{done} of {of} entries"
    ) as progress:
        for done in range(1, 5):
            progress(done, 4)
    assert stream.getvalue() == "1 of 4 entries\n2 of 4 entries\n4 of 4 entries\n"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_is_closed_or_none_shows_nothing(net, kind):
    closed = kind()
    closed.close()
    for stream in (None, closed):
        with net.module("trainer.report.progress").Progress(3, stream) as progress:
            progress(1, 1.0)


def test_a_stream_that_is_closed_meanwhile_ends_the_display(net):
    stream = Terminal()
    with net.module("trainer.report.progress").Progress(3, stream) as progress:
        stream.close()
        progress(1, 1.0)
