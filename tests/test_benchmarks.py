"""The benchmark: whoever computes something else is refused, verdicts follow from the numbers, and all of it runs."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.contest import BOUNDS, Contender, DisagreementError, Kind, OutOfTimeError, Prepared, hold, time_limit
from benchmarks.ours import expected
from benchmarks.peers.blocks import BLOCKS, fused, taken_apart
from benchmarks.problems import Problem, draw
from benchmarks.report import table_of_contests, verdicts

ROOT = Path(__file__).parents[1]


def contender(outcome: tuple[Any, ...]) -> Contender:
    return Contender("peer", "one", Kind.BY_HAND, lambda: Prepared(lambda: outcome, tuple))


def held(*outcomes: tuple[Any, ...], right: tuple[Any, ...], dtype: str = "float64") -> tuple[Any, ...]:
    return hold([contender(outcome) for outcome in outcomes], right, dtype, seconds=0, settle=0)


@pytest.mark.parametrize("dtype", BOUNDS)
def test_who_computes_something_else_is_not_timed(dtype):
    row = np.array([1e-9, 1.0], dtype)
    (entry,) = held((2.0, row * (1 + BOUNDS[dtype] / 2)), right=(2.0, row), dtype=dtype)
    assert entry.median > 0
    for wrong in ((2.0, row * (1 + 2 * BOUNDS[dtype])), (2.1, row), (2.0, row[:1]), (np.nan, row), (2.0, row * np.nan)):
        with pytest.raises(DisagreementError, match="peer"):
            held(wrong, right=(2.0, row), dtype=dtype)


def test_another_dtype_is_something_else():
    with pytest.raises(DisagreementError, match="float64"):
        held((np.ones(2),), right=(np.ones(2),), dtype="float32")


def test_a_gradient_left_out_is_refused():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        held((1.0,), right=(1.0, 2.0))


def test_who_never_gets_ready_is_named_and_the_others_are_timed():
    def prepare() -> Prepared:
        raise RecursionError

    late = Contender("peer", "too deep", Kind.AUTODIFF, prepare)
    failed, timed = hold([late, contender((1.0,))], (1.0,), "float64", seconds=0, settle=0)
    assert failed.median is None
    assert failed.absent == "RecursionError"
    assert timed.minimum <= timed.median


def test_a_time_limit_ends_what_takes_too_long():
    with pytest.raises(OutOfTimeError), time_limit(0.01):
        threading.Event().wait()


@pytest.mark.parametrize("cell", BLOCKS)
def test_blocks_hold_every_weight(cell):
    case = draw(Problem(cell, (2, 3, 4, 5), "float64"))
    for ours, back in zip(case.parameters, taken_apart(case, fused(case)), strict=True):
        np.testing.assert_array_equal(ours, back)
    assert len(expected(case)) == 1 + len(case.parameters)


def results(ours: float, theirs: tuple[float, float]) -> dict[str, Any]:
    """One contest between ours and PyTorch, whose median and minimum are given."""
    entries = [
        {"name": name, "variant": "", "kind": kind, "median": median, "minimum": minimum, "work": 0}
        for name, kind, median, minimum in (
            ("ours", Kind.OURS, ours, ours),
            ("PyTorch", Kind.AUTODIFF, *theirs),
            ("products alone", Kind.FLOOR, 0.5, 0.5),
            ("calls alone", Kind.FLOOR, 0.4, 0.4),
        )
    ]
    contest = {"cell": "gru", "sizes": [1, 2, 3, 4], "dtype": "float64", "threads": 1, "entries": entries}
    return {"contests": [contest], "importing": {"gru": 0.02}}


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        ((2.0, 2.0), "**reached**; nearest to the bound: 0.50 times its time"),
        ((0.8, 0.8), "**missed**: 1.25 times its time, off by 25 %"),
        ((9.0, 0.8), "**missed**: 1.25 times its time, off by 25 %"),  # slow in a busy moment only
    ],
)
def test_a_verdict_follows_from_the_numbers(theirs, verdict):
    written = "\n".join(verdicts(results(1.0, theirs)))
    assert f"{verdict} (gru 1, 2, 3, 4, float64, 1 thread)" in written
    assert "| ahead of JAX everywhere | not measured |" in written
    both = "In 0 of the 1 cases NumPy's products alone take longer than all of PyTorch, in 0 its calls alone, in 1 both"
    assert (both in written) == (theirs == (0.8, 0.8))
    assert "**missed**: 20 ms, off by a factor of 4 (gru)" in written


def test_a_peer_stands_in_its_own_column_whatever_its_variant():
    contest = results(1.0, (0.5, 0.5))["contests"][0]
    row = table_of_contests([contest]).splitlines()[-1]
    assert row == "| 1, 2, 3, 4 | float64 | 1 s | 500 ms · 0.5 | 500 ms | 400 ms |"


def test_a_quick_run_makes_the_table(tmp_path, require_module):
    for needed in peers.PEERS.values():
        require_module(needed, "bench")
    table = tmp_path / "table.md"
    command = ["benchmarks", "--quick", "--cells", "linear", "vanilla_rnn", "--threads", "1", "--results"]
    command = [sys.executable, "-m", *command, str(tmp_path / "results.json"), "--output", str(table)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    written = table.read_text(encoding="utf-8")
    for peer in ("tutorial's loop", "textbook NumPy", "numba", "SymPy", "autograd", "PyTorch", "JAX"):
        assert f"| {peer} |" in written
    assert "nan" not in written
    for line in written.splitlines():
        if line.startswith("| 3, 3 |"):
            assert line.count(" · ") == 6
