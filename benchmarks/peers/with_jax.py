"""JAX: `jit` around `value_and_grad` of a `scan`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax

from benchmarks.contest import Contender, Kind, Prepared
from benchmarks.peers.blocks import fused, taken_apart
from benchmarks.peers.cells import Library, States, loss
from benchmarks.problems import Case

jax.config.update("jax_enable_x64", True)


def contenders(case: Case) -> Iterator[Contender]:
    """Every cell, input products hoisted and a step at a time: which is faster depends on the sizes."""
    for hoisted in (True, False):
        yield Contender(
            "JAX",
            "hoisted" if hoisted else "per step",
            Kind.AUTODIFF,
            lambda hoisted=hoisted: prepare(case, hoisted),
        )


def prepare(case: Case, hoisted: bool) -> Prepared:
    """Compiles at the first call."""
    function = jax.jit(jax.value_and_grad(loss(LIBRARY, case.problem.cell, hoisted)))
    weights = fused(case) if case.has_rows else case.parameters._asdict()
    arguments = jax.tree.map(lambda each: jax.numpy.asarray(each, case.problem.dtype), (weights, case.steps, case.t))

    def read(found: Any) -> Any:
        value, gradient = found
        return value, *(taken_apart(case, gradient) if case.has_rows else (gradient[name] for name in weights))

    return Prepared(lambda: jax.block_until_ready(function(*arguments)), read)


def scan(step: Callable[[States, Any], States], states: States, inputs: Any) -> States:
    """`jax.lax.scan` that keeps the last states only."""
    return jax.lax.scan(lambda held, each: (step(held, each), None), states, inputs)[0]


LIBRARY = Library(jax.numpy, jax.nn.sigmoid, scan)
