"""All contests at one number of threads: python -m benchmarks.measure THREADS SECONDS PROBLEMS, problems as JSON.

`processes` starts it with that number of cores. Every contest is a line of JSON on standard output.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks import ours, peers
from benchmarks.contest import SETTLE_SECONDS, hold
from benchmarks.problems import Problem, draw


def main(threads: int, seconds: float, problems: list[Problem]) -> None:
    """Holds the contests.

    Args:
        threads: How many this process has.
        seconds: About how long the rounds of one may take.
        problems: What is computed in each.
    """
    for problem in problems:
        began = time.perf_counter()
        case = draw(problem)
        contenders = [*ours.contenders(case), *peers.contenders(case), *ours.floors(case)]
        entries = hold(contenders, ours.expected(case), problem.dtype, seconds, SETTLE_SECONDS if threads > 1 else 0)
        print(json.dumps({"threads": threads, **problem._asdict(), "entries": [each._asdict() for each in entries]}))
        sys.stdout.flush()
        took = time.perf_counter() - began
        print(f"{threads} thread(s): {problem}, {entries[0].rounds} rounds, {took:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    threads, seconds, problems = map(json.loads, sys.argv[1:])
    main(threads, seconds, [Problem(cell, tuple(sizes), dtype) for cell, sizes, dtype in problems])
