"""Processes of their own: for a number of threads, a peak of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

ONE_XLA_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def run(module: str, *arguments: Any, threads: int = 1) -> Iterator[Any]:
    """Runs a module of this package and yields the lines of JSON that it prints, as they come.

    Args:
        module: Its name.
        arguments: Handed over as JSON, a string as it is.
        threads: How many cores it sees, and how many threads every library may have.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    command += [each if isinstance(each, str) else json.dumps(each) for each in arguments]
    number = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    xla = {"XLA_FLAGS": ONE_XLA_THREAD} if threads == 1 else {}

    def bind() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores()[:threads])

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | number | xla, preexec_fn=bind
    ) as child:
        yield from map(json.loads, child.stdout or ())
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
