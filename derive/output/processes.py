"""Derives cells: of several as many at a time as there are processors, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from derive.language.cell import Cell
from derive.language.errors import DeriveError
from derive.mathematics.pipeline import write_derivation
from derive.output.cell_files import find_cells
from derive.output.files import files_of_cell
from derive.output.progress import Progress


class Derived(NamedTuple):
    """The outcome for a cell: a line about it, and the content of its files by their paths."""

    line: str
    files: dict[str, bytes]


def derive_cells(names: Sequence[str], cells: Sequence[Cell], steps: int) -> Iterator[Derived]:
    """Derives cells, as many at a time as there are processors.

    Args:
        names: What `find_cells` finds them by; a process that helps has to find its cell by itself.
        cells: The cells.
        steps: How many steps the unrolled equations have.

    Yields:
        What came of each, in their order.

    Raises:
        DeriveError: One of them fails; what is still being derived is given up.
    """
    workers = min(os.cpu_count() or 1, len(cells))
    if workers == 1:
        yield from (derive_cell(cell, steps) for cell in cells)
        return
    # A new process knows nothing of this one's threads and files. It is this one that hears of Ctrl-C, and ends them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            tasks = [pool.submit(derive_named, name, steps) for name in names]
        finally:
            signal.signal(signal.SIGINT, heard)
        try:
            yield from (task.result() for task in tasks)
        except BrokenProcessPool:
            raise DeriveError(
                "a process was killed while it derived; is there too little memory? Name fewer cells"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()


def derive_named(name: str, steps: int) -> Derived:
    """Derives a cell, in a process that knows but its name; what its file prints was printed where it was found."""
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        (cell,) = find_cells([name])
    return derive_cell(cell, steps)


def derive_cell(cell: Cell, steps: int) -> Derived:
    """Derives and checks a cell, and says on standard error what it is at if that takes long."""
    began = time.perf_counter()
    with Progress(cell.name, sys.stderr) as progress:
        derivation = write_derivation(cell, steps, progress)
        files = files_of_cell(derivation, progress)
    seconds = time.perf_counter() - began
    return Derived(f"{cell.name}: {len(derivation.equations)} equations derived and checked ({seconds:.1f} s)", files)


def end_with_parent() -> None:
    """Sees to it that this process ends when the one that began it is killed, and no longer waits for it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a process of the pool

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
