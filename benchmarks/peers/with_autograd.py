"""HIPS autograd: NumPy, traced at every call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import autograd.numpy as anp
from autograd import value_and_grad

from benchmarks.contest import Contender, Kind, Prepared
from benchmarks.peers.blocks import fused, taken_apart
from benchmarks.peers.cells import Library, loop, loss
from benchmarks.problems import Case


def contenders(case: Case) -> Iterator[Contender]:
    """Every cell, input products hoisted and a step at a time."""
    for hoisted in (True, False):
        yield Contender(
            "autograd",
            "hoisted" if hoisted else "per step",
            Kind.AUTODIFF,
            lambda hoisted=hoisted: prepare(case, hoisted),
        )


def prepare(case: Case, hoisted: bool) -> Prepared:
    """The derivative with respect to the dictionary of the weights."""
    weights, steps = fused(case) if case.has_rows else case.parameters._asdict(), case.steps
    function = value_and_grad(loss(Library(anp, sigmoid, loop), case.problem.cell, hoisted))

    def read(found: Any) -> Any:
        value, gradient = found
        return value, *(taken_apart(case, gradient) if case.has_rows else gradient.values())

    return Prepared(lambda: function(weights, steps, case.t), read)


def sigmoid(z: Any) -> Any:
    """By way of tanh, the fastest form in NumPy."""
    return 0.5 * (anp.tanh(0.5 * z) + 1)
