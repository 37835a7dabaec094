"""Who is faster: everyone must agree first; then all run in turn, round after round, so that a busy moment hits all."""

from __future__ import annotations

import gc
import math
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

BOUNDS = {"float64": 1e-8, "float32": 1e-3}
"""How far a contender may be from the generated module in float64, relative to the largest entry of each gradient."""
SETUP_SECONDS = 10
"""How long a contender may prepare itself, its first call included."""
SAMPLE_SECONDS = 1e-3
"""A call shorter than this is repeated until it takes as long: the clock is no part of it."""
FEWEST_ROUNDS, MOST_ROUNDS = 5, 25
MOST_SECONDS = 20
"""No further round begins after so long: two pools of threads on a busy core can take a hundred times as long."""
SETTLE_SECONDS = 0.03
"""The pause before every sample where there are threads: a pool spins for a while after its last product, on the core
that another library's pool would need."""

Outcome: TypeAlias = Sequence[Any]
"""What all must agree on: the value, then the gradient of each weight in the order of the generated `Parameters`."""

NEVER_READY = (RecursionError, SyntaxError, MemoryError)
"""What becomes of source and expressions that are too deep or too long."""


class Kind(StrEnum):
    """What a contender is."""

    OURS = "ours"  # generated, works on the data at every call
    FOLDED = "folded"  # generated, has folded the data into numbers beforehand
    AUTODIFF = "autodiff"  # another program that differentiates
    SYMBOLIC = "symbolic"  # differentiates expressions, not programs
    BY_HAND = "by hand"
    FLOOR = "floor"  # no contender, but a part of the work that nobody can do without


class Prepared(NamedTuple):
    """A contender that is ready.

    Attributes:
        run: Computes all of it; returns when all is computed.
        read: From what `run` returns to the outcome, not timed; None for a floor.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Outcome] | None


class Contender(NamedTuple):
    """A way to compute a problem.

    Attributes:
        name: Whose way.
        variant: Which of several; the best counts.
        kind: What it is.
        prepare: Makes it ready: compiles, converts the data.
        work: Floating-point operations or bytes, for a floor.
    """

    name: str
    variant: str
    kind: Kind
    prepare: Callable[[], Prepared]
    work: int = 0


class Entry(NamedTuple):
    """A contender in the results, times in seconds.

    Attributes:
        median: Over the rounds; None where it never got ready.
        minimum: Likewise.
        setup: How long it prepared itself, its first call included.
        rounds: How many.
        absent: Why it never got ready.
    """

    name: str
    variant: str
    kind: str
    median: float | None = None
    minimum: float | None = None
    setup: float | None = None
    rounds: int = 0
    work: int = 0
    absent: str = ""


class DisagreementError(Exception):
    """A contender computes something else."""


class OutOfTimeError(BaseException):
    """The time limit. No Exception, so that nobody's `except Exception` swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTimeError when the block takes longer, unless 0. What runs outside of Python is not interrupted."""

    def out_of_time(_signal: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    previous = signal.signal(signal.SIGALRM, out_of_time)
    # Again every second: one that comes while a destructor or a callback of the garbage collector runs is lost.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def hold(
    contenders: Sequence[Contender], expected: Outcome, dtype: str, seconds: float, settle: float
) -> tuple[Entry, ...]:
    """Times contenders against each other.

    Args:
        contenders: Who takes part.
        expected: What they must agree on.
        dtype: What an array of a contender must be.
        seconds: About how long all rounds may take; FEWEST_ROUNDS are run anyway, unless they take MOST_SECONDS. With
            0 the only question is whether all of it runs, and getting ready has no limit.
        settle: The pause before every sample.

    Raises:
        DisagreementError: A contender computes something else.
    """
    entries: dict[Contender, Entry] = {}
    ready: dict[Contender, tuple[Prepared, float]] = {}
    for contender in contenders:
        entry = Entry(contender.name, contender.variant, contender.kind, work=contender.work)
        try:
            began = time.perf_counter()
            with time_limit(SETUP_SECONDS if seconds else 0):
                prepared = contender.prepare()
                result = prepared.run()
            setup = time.perf_counter() - began
        except OutOfTimeError:
            entries[contender] = entry._replace(absent=f"not ready after {SETUP_SECONDS} s")
            continue
        except NEVER_READY as failure:
            entries[contender] = entry._replace(absent=type(failure).__name__)
            continue
        if prepared.read is not None:
            require_agreement(contender, prepared.read(result), expected, dtype)
        ready[contender] = prepared, sample(prepared.run, 1)
        entries[contender] = entry._replace(setup=setup)
    for contender, times in rounds(ready, seconds, settle).items():
        entries[contender] = entries[contender]._replace(
            median=statistics.median(times), minimum=min(times), rounds=len(times)
        )
    return tuple(entries.values())


def rounds(
    ready: dict[Contender, tuple[Prepared, float]], seconds: float, settle: float
) -> dict[Contender, list[float]]:
    """The seconds of a call, once a round; each round begins with another contender."""
    order = list(ready)
    repeats = {each: math.ceil(SAMPLE_SECONDS / ready[each][1]) for each in order}
    one_round = sum(repeats[each] * ready[each][1] + settle for each in order)
    number = min(max(int(seconds / one_round), FEWEST_ROUNDS), MOST_ROUNDS)
    times: dict[Contender, list[float]] = {each: [] for each in order}
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        began = time.perf_counter()
        for turn in range(number):
            if turn and time.perf_counter() - began > MOST_SECONDS:
                break
            first = turn % len(order)
            for each in order[first:] + order[:first]:
                time.sleep(settle)
                if repeats[each] > 1:
                    ready[each][0].run()  # wakes its threads and fills the caches, which others have emptied
                times[each].append(sample(ready[each][0].run, repeats[each]))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return times


def sample(run: Callable[[], Any], repeats: int) -> float:
    """The seconds of a call, over `repeats` calls."""
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - began) / repeats


def require_agreement(contender: Contender, outcome: Outcome, expected: Outcome, dtype: str) -> None:
    """Nobody is timed on something else.

    Raises:
        DisagreementError: A result differs, or an array has another dtype.
    """
    for number, pair in enumerate(zip(outcome, expected, strict=True)):
        found, right = map(np.asarray, pair)
        who = f"{contender.name} ({contender.variant}), result {number}"
        if found.shape != right.shape or (found.ndim and found.dtype != dtype):
            raise DisagreementError(f"{who}: {found.dtype} {found.shape} for {dtype} {right.shape}")
        error, scale = np.abs(found - right).max(), np.abs(right).max()
        if not error <= BOUNDS[dtype] * scale:
            raise DisagreementError(f"{who}: off by {error:.3g}, the largest entry being {scale:.3g}")
