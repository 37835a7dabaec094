"""Learning from the Jacobian of the residuals, for cells that have a jacobian.py: an epoch is one step on all data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..cells import find_cells, method_module, module_of
from ..data.sequences import Sequences
from ..data.shapes import Array
from ..errors import InputError
from .loop import Epoch
from .updates import Memory, all_finite, largest_entry

LEVENBERG_MARQUARDT = "levenberg_marquardt"
"""The method that is no update rule of a single weight."""
ITERATIONS = 100
"""How many epochs it has unless told: an example's number is meant for updates of first order."""


def check_second_order(cell: str) -> None:
    """Make sure that a cell has what the method needs.

    Raises:
        InputError: It has no jacobian.py.
    """
    cells = find_cells("jacobian")
    if cell not in cells:
        there_are = ", ".join(cells) or "none"
        raise InputError(
            f"--method {LEVENBERG_MARQUARDT}: {cell} has no jacobian.py, which a cell of numbers has whose loss is a "
            f"mean of squares at the last step; cells that have one: {there_are}; choose another method"
        )


def levenberg_marquardt(cell: str) -> LevenbergMarquardt:
    """Return the learner of a cell.

    Raises:
        InputError: The cell has no jacobian.py.
    """
    check_second_order(cell)
    return LevenbergMarquardt(module_of(cell, "jacobian"), method_module(LEVENBERG_MARQUARDT))


class LevenbergMarquardt:
    """Moves the weights to where the squares of the residuals would be least if these were linear, and no further."""

    def __init__(self, cell: Any, method: Any) -> None:
        """Set it up with a cell's jacobian.py and with levenberg_marquardt.py."""
        self._cell, self._method = cell, method
        self._fitted: tuple[Any, Any] = (None, None)
        self._last_fit: tuple[Array, Array]

    def start(self, parameters: Any) -> Memory:
        """Return the damping of the first step."""
        return ((self._method.START,),)

    def epoch(
        self, parameters: Any, memory: Memory, data: Sequences, random: np.random.Generator, update: bool
    ) -> Epoch:
        """Take one step, of the length at which the loss falls; converged where it falls at no length."""
        ((damping,),) = memory
        residuals, jacobian = self._fit(parameters, data)
        loss, gradient = self._cell.loss_of(residuals), self._cell.gradient_of(residuals, jacobian)
        if not all_finite(loss, *gradient):
            return Epoch(math.nan, math.nan, parameters, memory)
        found = Epoch(float(loss), largest_entry(gradient), parameters, memory)
        if not update:
            return found
        while found.slope > 0 and damping <= self._method.MOST:
            step = self._method.step(residuals, jacobian, damping)
            trial = parameters._make(weight + float(change) for weight, change in zip(parameters, step, strict=True))
            if self._is_lower(trial, data, found.loss):
                return found._replace(parameters=trial, memory=((self._method.lowered(damping),),))
            damping = self._method.raised(damping)
        return found._replace(converged=True)

    def _is_lower(self, trial: Any, data: Sequences, loss: float) -> bool:
        """Tell whether weights have a lower loss, and a gradient that is finite; most tries end before the Jacobian."""
        residuals = np.concatenate([self._cell.residuals_of(trial, *group) for group in data.groups])
        if not self._cell.loss_of(residuals) < loss:  # NaN is not
            return False
        return all_finite(*self._cell.gradient_of(*self._fit(trial, data)))

    def _fit(self, parameters: Any, data: Sequences) -> tuple[Array, Array]:
        """Return the residuals of all sequences and their Jacobian: the loss is the mean over all of them.

        The last ones are kept, for the next epoch begins where the step that was taken led.
        """
        of_parameters, of_data = self._fitted
        if parameters is not of_parameters or data is not of_data:
            fits = [self._cell.residuals_and_jacobian(parameters, *group) for group in data.groups]
            residuals, jacobians = zip(*fits, strict=True)
            self._fitted, self._last_fit = (parameters, data), (np.concatenate(residuals), np.concatenate(jacobians))
        return self._last_fit
