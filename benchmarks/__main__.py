"""python -m benchmarks: measures, and writes the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import further, peers, processes
from benchmarks.ours import module
from benchmarks.problems import SIZES, problems
from benchmarks.report import report

RESULTS = Path("build/benchmarks.json")
OUTPUT = Path("BENCHMARKS.md")
THREADS = (1, 2)
CONTEST_SECONDS = 2.0
LIBRARIES = ("numpy", "sympy", "autograd", "jax", "jaxlib", "numba", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    options = parser().parse_args(arguments)
    if options.render:
        results = json.loads(options.results.read_text(encoding="utf-8"))
    else:
        results = measure(options)
        options.results.parent.mkdir(exist_ok=True)
        options.results.write_text(json.dumps(results, indent=1), encoding="utf-8")
    whole = tuple(results["cells"]) == tuple(SIZES) and not results["quick"]
    output = options.output or (OUTPUT if whole else None)
    if output is None:
        print(report(results))
    else:
        output.write_text(report(results), encoding="utf-8")
        print(f"wrote {output}", file=sys.stderr)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time the generated modules and other programs that compute the same, in turn, and write a table.",
    )
    made.add_argument("--cells", nargs="+", choices=SIZES, default=list(SIZES), help="which cells (default: all)")
    made.add_argument("--threads", nargs="+", type=int, default=list(THREADS), help="numbers of threads (default: 1 2)")
    made.add_argument("--quick", action="store_true", help="the smallest sizes, a few rounds: does everything run?")
    made.add_argument(
        "--moments-gigabytes",
        type=float,
        default=10,
        metavar="GB",
        help="the size of the file that the moments are taken of, in the folder for temporary files (default: 10)",
    )
    made.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FILE", help=f"where the numbers are kept (default: {RESULTS})"
    )
    made.add_argument("--render", action="store_true", help="measure nothing: the table of the numbers that are kept")
    made.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the table goes (default: {OUTPUT}, or the terminal where --cells or --quick leaves something out)",
    )
    return made


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All numbers, as they are kept."""
    quick, chosen = options.quick, list(problems(tuple(options.cells), options.quick))
    available = len(processes.cores())
    results: dict[str, Any] = {
        "cells": options.cells,
        "quick": quick,
        "threads": [threads for threads in options.threads if threads <= available],
        "machine": machine(),
        "contests": [],
    }
    for threads in results["threads"]:
        results["contests"] += processes.run(
            "measure", threads, 0.0 if quick else CONTEST_SECONDS, chosen, threads=threads
        )
    say("import")
    (results["importing"],) = processes.run("further", "importing", 1 if quick else 20)
    if "linear" in options.cells:
        say("the tutorial's training")
        results["epochs"] = 30 if quick else 30_000
        (results["training"],) = processes.run("further", "training", results["epochs"])
        results["deriving"] = {}
        for steps in (1, 10) if quick else (1, 10, 100, 1_000):
            say(f"deriving, {steps} steps written out")
            (results["deriving"][steps],) = processes.run("further", "deriving", steps)
        results["pass"] = pass_over_file(0.001 if quick else options.moments_gigabytes, repeats=1 if quick else 3)
    return json.loads(json.dumps(results))  # as it will be read back


def pass_over_file(gigabytes: float, repeats: int) -> dict[str, Any] | None:
    """The pass over a memory-mapped file and its plain reading, in turn; None where there are no moments."""
    if module("linear", "moments") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        if shutil.disk_usage(folder).free < 1.1e9 * gigabytes:
            return {"absent": f"{folder} has no room for {gigabytes:g} GB"}
        say(f"writing {gigabytes:g} GB")
        size = further.write_file(Path(folder), gigabytes)
        found: dict[str, list[Any]] = {name: [] for name in further.OF_FILE}
        for _ in range(repeats):
            for name, values in found.items():
                say(f"the moments of a file: {name}")
                values += processes.run("further", name, folder)
    medians = {name: statistics.median(each["seconds"] for each in values) for name, values in found.items()}
    return {"bytes": size, **medians, "peak": max(each["peak"] for each in found["moments_pass"])}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "cpu": cpu(),
        "cores": len(processes.cores()),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
        "blas": f"{blas['name']} {blas['version']}",
        "libraries": {name: found for name in LIBRARIES if (found := version_of(name))},
        "missing": peers.missing(),
    }


def cpu() -> str:
    """The model of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def version_of(name: str) -> str | None:
    """The version of an installed library."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def say(what: str) -> None:
    """Progress."""
    print(what, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
