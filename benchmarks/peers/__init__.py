"""The peers: a module each, with `contenders(case)`. A peer that is not installed is left out."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.contest import Contender
from benchmarks.problems import Case

PEERS = {
    "with_numpy": "numpy",
    "with_numba": "numba",
    "with_sympy": "sympy",
    "with_autograd": "autograd",
    "with_torch": "torch",
    "with_jax": "jax",
}
"""The modules of this package, and what each needs."""


def contenders(case: Case) -> Iterator[Contender]:
    """All that is installed and knows the cell."""
    for name, needed in PEERS.items():
        if find_spec(needed):
            yield from importlib.import_module(f"{__name__}.{name}").contenders(case)


def missing() -> tuple[str, ...]:
    """What is not installed."""
    return tuple(needed for needed in PEERS.values() if not find_spec(needed))
