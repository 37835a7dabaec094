"""Proves that network_fast.py computes what network.py computes, however its steps are cut into windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from derive.certify.code import CODE_BOUND, ROUNDINGS, SHAPES, alike, complex_step_of_inputs, draw_numbers
from derive.certify.points import LARGEST
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.program.loading import load_package

WINDOWS = (None, 1)
"""How many bytes a window may have: as many as the module allows, and so few that windows are as short as can be."""


def check_fast(cell: Cell, network: str, fast: str) -> dict[str, Any]:
    """Runs both modules for several shapes.

    Args:
        cell: The cell.
        network: The text of network.py, which has been checked.
        fast: The text of network_fast.py.

    Returns:
        The entry of the certificate.

    Raises:
        CertificateError: Two numbers differ by more than `CODE_BOUND` of the largest one of the same weight.
    """
    modules = load_package({"network.py": network, "network_fast.py": fast}, cell.name)
    plain, staged = modules["network.py"], modules["network_fast.py"]
    compared = 0
    for sequences, steps in SHAPES:
        parameters, X, t, _ = draw_numbers(cell, plain, sequences, steps, np.random.default_rng(0))
        with np.errstate(all="ignore"):
            value, gradient = plain.value_and_gradient(parameters, X, t)
        if not abs(value) <= LARGEST:
            continue  # the plain module has been checked, and says so rightly
        compared += 1
        expected = (value, *gradient, *complex_step_of_inputs(plain, parameters, X, t))
        names = ("the loss", *parameters._fields, "X")
        for how, found in ways(staged, parameters, X, t):
            for name, ours, theirs in zip(names, found, expected, strict=True):
                if not alike(ours, theirs, ROUNDINGS * max(1, abs(value))):
                    raise CertificateError(
                        f"cell {cell.name!r}, network_fast.py, {how}: for {name} it gives {np.ravel(ours).tolist()}, "
                        f"and network.py {np.ravel(theirs).tolist()}, at N = {sequences}, T = {steps}"
                    )
    if compared == 0:
        raise CertificateError(f"cell {cell.name!r}, network_fast.py: no loss is finite, so nothing was compared")
    return {
        "statement": "network_fast.py gives the loss and the gradients of network.py, in windows of any length, "
        "kept or recomputed; its input_gradient equals the complex-step derivative",
        "relative bound": CODE_BOUND,
        "shapes N, T": [list(shape) for shape in SHAPES],
    }


def ways(module: Any, parameters: Any, X: np.ndarray, t: np.ndarray) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The loss, every gradient and that of the inputs, for each way of cutting the steps; twice in one workspace."""
    allowed = module.WINDOW_BYTES
    for recompute, window in product((False, True), WINDOWS):
        module.WINDOW_BYTES = window or allowed
        space = module.Workspace()
        for call in ("first", "second"):
            slope = np.full(X.shape, np.nan)
            with np.errstate(all="ignore"):
                value, gradient = module.value_and_gradient(
                    parameters, X, t, space, recompute=recompute, input_gradient=slope
                )
            yield f"{len(space.lengths)} windows, recompute={recompute}, {call} call", (value, *gradient, slope)
    module.WINDOW_BYTES = allowed
