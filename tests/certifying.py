"""What tests ask of the certificate: generated texts in place of modules, and numbers to run them with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from derive.backends.numpy.adapter import candidates_of, network_candidate
from derive.backends.numpy.loading import load
from derive.certify.candidate import check_candidate, check_descent, samples_for
from derive.certify.certificate import certify
from derive.certify.points import Sample, draw_numbers
from derive.language.cell import Cell
from derive.mathematics.derivation import Derivation


@cache
def samples_of(cell: Cell) -> list[Sample]:
    """The points that code is compared at, found once for each cell."""
    return samples_for(cell)


def check_network(cell: Cell, source: str) -> dict[str, Any]:
    """Checks a text of network.py."""
    return check_candidate(network_candidate(cell, load(source, cell.name)), samples_of(cell))


def check_module(derivation: Derivation, sources: Mapping[str, str], name: str) -> None:
    """Checks one of several texts, network.py first among them."""
    cell = derivation.cell
    candidates, descents = candidates_of(derivation, sources)
    mine = [each for each in candidates if each.name.startswith(name)]
    trained = [each for each in descents if each.name == name]
    assert mine or trained
    for candidate in mine:
        check_candidate(candidate, samples_of(cell))
    for descent in trained:
        check_descent(cell, descent)


def certified(derivation: Derivation, source: str, others: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The certificate of a derivation, a text of network.py, and others."""
    return certify(derivation, *candidates_of(derivation, {"network.py": source, **(others or {})}))


def numbers_for(cell: Cell, network: Any, sequences: int, steps: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Weights, inputs, targets and learning rates to call a module with."""
    numbers = draw_numbers(cell, sequences, steps, seed)
    return network.Parameters(*numbers.weights), numbers.X, numbers.t, network.Parameters(*numbers.rates)
