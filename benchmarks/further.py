"""What is measured besides one value and gradient: python -m benchmarks.further MEASURE ARGUMENT, one line of JSON."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.contest import Contender, Kind, OutOfTimeError, Prepared, hold, time_limit
from benchmarks.ours import module

DERIVING_SECONDS = 60
"""The time limit of one derivation."""
FILE_STEPS = 100
BLOCK_ROWS = 100_000
READ_BYTES = 1 << 24


def training(epochs: int) -> Any:
    """The tutorial's whole training, from its start: everyone ends at the same weights, and only the way is timed."""
    network, example = module("linear", "network"), module("linear", "example")
    X, t, rates = example.X.astype(float), example.t.astype(float), example.LEARNING_RATES

    def descending(value_and_gradient: Callable[..., Any], *data: Any) -> Prepared:
        def run() -> Any:
            p = example.START
            for _ in range(epochs):
                p = network.descend(p, network.Parameters(*value_and_gradient(p, *data)[1]), rates)
            return p

        return Prepared(run, tuple)

    def contenders() -> Iterator[Contender]:
        from benchmarks.peers import with_numpy

        def loop(*arguments: Any) -> Any:
            value, *gradient = with_numpy.linear(*arguments)
            return value, gradient

        yield Contender("ours", "plain", Kind.OURS, lambda: descending(network.value_and_gradient, X, t))
        if closed_form := module("linear", "closed_form"):
            yield Contender("ours", "closed form", Kind.OURS, lambda: descending(closed_form.value_and_gradient, X, t))
        if moments := module("linear", "moments"):
            yield Contender(
                "ours",
                "moments",
                Kind.FOLDED,
                lambda: descending(moments.value_and_gradient, moments.Moments.of(X, t)),
            )
        if descent := module("linear", "descent"):
            folded_in = Prepared(lambda: descent.descend(epochs), tuple)
            yield Contender("ours", "data folded in", Kind.FOLDED, lambda: folded_in)
        yield Contender("tutorial's loop", "loop", Kind.BY_HAND, lambda: descending(loop, X, t))
        if find_spec("jax"):
            yield Contender("JAX", "fori_loop, compiled", Kind.AUTODIFF, in_jax)

    def in_jax() -> Prepared:
        import jax

        from benchmarks.peers import with_jax  # in float64
        from benchmarks.peers.cells import loop, loss

        library = with_jax.LIBRARY._replace(scan=loop)  # three steps are faster written out
        gradient = jax.grad(loss(library, "linear", hoisted=True))

        def epoch(_: Any, p: Any) -> Any:
            slopes = gradient(p, X.T, t)
            return {name: p[name] - getattr(rates, name) * slopes[name] for name in p}

        start = {name: jax.numpy.asarray(each) for name, each in example.START._asdict().items()}
        run = jax.jit(lambda p: jax.lax.fori_loop(0, epochs, epoch, p))
        return Prepared(
            lambda: jax.block_until_ready(run(start)), lambda p: tuple(p[name] for name in example.START._fields)
        )

    reached = descending(network.value_and_gradient, X, t).run()
    return [each._asdict() for each in hold(tuple(contenders()), reached, "float64", seconds=0, settle=0)]


def deriving(steps: int) -> Any:
    """The seconds for the derivation of the linear cell with so many steps written out; or why there are none."""
    from derive.cells.linear import cell
    from derive.mathematics.pipeline import write_derivation

    began = time.perf_counter()
    try:
        with time_limit(DERIVING_SECONDS):
            write_derivation(cell, steps)
    except OutOfTimeError:
        return f"not done in {DERIVING_SECONDS} s"
    except RecursionError:
        return "RecursionError"
    return time.perf_counter() - began


def importing(repeats: int) -> Any:
    """The seconds to import each generated network where NumPy is imported already: medians of fresh processes."""
    cells = sorted(path.parent.name for path in Path("generated").glob("*/network.py"))

    def seconds(cell: str) -> float:
        source = "import time, numpy; began = time.perf_counter(); import generated.{}.network; " + (
            "print(time.perf_counter() - began)"
        )
        done = subprocess.run([sys.executable, "-c", source.format(cell)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    for cell in cells:
        seconds(cell)  # writes the bytecode
    times = [{cell: seconds(cell) for cell in cells} for _ in range(repeats)]
    return {cell: statistics.median(each[cell] for each in times) for cell in cells}


def write_file(folder: Path, gigabytes: float) -> int:
    """Writes X.npy, float64 zeros and ones, FILE_STEPS a row, and t.npy; returns the bytes of X."""
    rows = max(1, int(gigabytes * 1e9) // (8 * FILE_STEPS))
    block = np.random.default_rng(seed=1).integers(0, 2, (min(rows, BLOCK_ROWS), FILE_STEPS)).astype(float)
    X = open_memmap(folder / "X.npy", "w+", float, (rows, FILE_STEPS))
    t = open_memmap(folder / "t.npy", "w+", float, (rows,))
    for first in range(0, rows, len(block)):
        part = block[: rows - first]
        X[first : first + len(part)], t[first : first + len(part)] = part, part.sum(axis=1)
    X.flush()
    return X.nbytes


def forget(folder: str) -> None:
    """Takes X.npy and t.npy out of the memory in which the system keeps what was read or written before."""
    for name in "Xt":
        with open(Path(folder) / f"{name}.npy", "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def reading_disk(folder: str) -> Any:
    """As `reading`, from the disk."""
    forget(folder)
    return reading(folder)


def moments_pass_disk(folder: str) -> Any:
    """As `moments_pass`, from the disk."""
    forget(folder)
    return moments_pass(folder)


def block_products(folder: str) -> Any:
    """The seconds of the products that the moments of X.npy need, all of one block that is in the cache."""
    rows = len(np.load(Path(folder) / "X.npy", mmap_mode="r"))
    block = np.random.default_rng(seed=1).normal(size=(min(rows, BLOCK_ROWS // 100), FILE_STEPS))
    began = time.perf_counter()
    for _ in range(rows // len(block)):
        block.T @ block
    return {"seconds": time.perf_counter() - began, "peak": peak()}


def reading(folder: str) -> Any:
    """The seconds to read X.npy from beginning to end, and the peak of memory in bytes."""
    buffer = bytearray(READ_BYTES)
    began = time.perf_counter()
    with open(Path(folder) / "X.npy", "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return {"seconds": time.perf_counter() - began, "peak": peak()}


def moments_pass(folder: str) -> Any:
    """The seconds to find the moments of X.npy and t.npy, memory-mapped, and the peak of memory in bytes."""
    moments = module("linear", "moments")
    X, t = (np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in "Xt")
    began = time.perf_counter()
    moments.Moments.of(X, t)
    return {"seconds": time.perf_counter() - began, "peak": peak()}


def peak() -> int:
    """The most memory that this process has had, in bytes, mapped pages included (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


OF_FILE = {
    each.__name__: each
    for each in (reading, moments_pass, block_products)
    + ((reading_disk, moments_pass_disk) if hasattr(os, "posix_fadvise") else ())
}
"""What is measured of a file; the argument is its folder."""
MEASURES = {each.__name__: each for each in (training, deriving, importing)}
"""What is measured besides; the argument is a number."""

if __name__ == "__main__":
    name, argument = sys.argv[1:]
    found = OF_FILE[name](argument) if name in OF_FILE else MEASURES[name](json.loads(argument))
    print(json.dumps(found))
