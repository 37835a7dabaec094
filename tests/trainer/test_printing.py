"""Standard output and standard error that are closed, or full: no traceback, and the exit code is that of --help."""

import io
import os
import subprocess
import sys

import pytest

full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")


def run(net, command, redirection, *words):
    """Run a command in a shell that redirects its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", f"net.{command}", *words],
        cwd=net.folder.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", ["train", "check"])
@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=full)])
def test_without_standard_error_the_result_is_the_same(net, command, redirection):
    words = ("linear", *(("--epochs", "3") if command == "train" else ()))
    done = run(net, command, redirection, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == net.main(*words, command=command).out != ""


@pytest.mark.parametrize("command", ["check", "gradients"])
@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=full)])
def test_without_standard_error_a_complaint_goes_nowhere(net, command, redirection):
    done = run(net, command, redirection, "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", "Bad file descriptor"), pytest.param(">/dev/full", "No space left on device", marks=full)],
)
def test_a_result_that_cannot_be_printed_is_a_failure(net, redirection, why):
    done = run(net, "check", redirection, "linear")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"check: error: the result was not printed: {why}\n"


def test_a_character_that_the_encoding_lacks_is_a_failure(net, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "can't encode character" in net.module("trainer.report.printing").show("δ").strerror


def test_streams_that_are_closed_or_broken_raise_nothing(net, monkeypatch):
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    closed = io.StringIO()
    closed.close()
    printing = net.module("trainer.report.printing")
    for stream, why in [(Broken(), "Broken pipe"), (closed, "I/O operation on closed file"), (None, "Bad file desc")]:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        assert why in printing.show("a text").strerror
        printing.say("a line")
    # Python would print on standard output what is to go to a standard error that is None.
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    printing.say("a line")
    assert sys.stdout.getvalue() == ""


def test_a_line_is_said_on_standard_error(net, capsys):
    net.module("trainer.report.printing").say("train: a line")
    assert capsys.readouterr() == ("", "train: a line\n")
