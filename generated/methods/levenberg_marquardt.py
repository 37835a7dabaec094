"""Levenberg–Marquardt: how the weights move when the residuals and their Jacobian are known.

Written by `make derive` from the equations in derive/methods/levenberg_marquardt.py, which levenberg_marquardt.md shows
on paper: a line is an equation. Lengths are taken by np.hypot, which does not overflow before its result does.

K. Levenberg, A method for the solution of certain non-linear problems in least squares (1944); with every weight
measured by its column: D. W. Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

START = 0.001
"""The damping of the first step."""
MOST = 1e16
"""The most damping that is tried: for each weight the loss then falls by a part of 2e-16 at most, lost in rounding."""


def step(residuals: Array, jacobian: Array, damping: float) -> Array:
    """The step.

    The step that makes the sum of squares least, if the residuals were linear in the weights, and damped.

    Args:
        residuals: The residuals: what is squared in the loss, one number a sequence.
        jacobian: The Jacobian: the derivatives of the residuals, a row a sequence and a column a weight.
        damping: The damping, more than 0.

    Returns:
        What is added to each weight.
    """
    weights = jacobian.shape[1]
    length = np.hypot.reduce(jacobian, axis=0)
    scale = np.where(length > 0, length, 1)
    A = jacobian / scale
    e = np.linalg.solve(A.T @ A + damping * np.eye(weights), -(A.T @ residuals))
    d = e / scale
    return d


def lowered(damping: float, *, shrink: float = 10, least: float = 1e-12) -> float:
    """The damping after a step.

    A step that lowered the loss is taken, and the next one is damped less.

    Args:
        damping: The damping, more than 0.
        shrink: What the damping is divided by after a step that lowered the loss.
        least: The least damping: more than 0, so that the step is always defined.

    Returns:
        The new damping.
    """
    damping = max(damping / shrink, least)
    return damping


def raised(damping: float, *, grow: float = 3) -> float:
    """The damping for another try.

    A step that would not lower the loss is not taken, and the next try is damped more.

    Args:
        damping: The damping, more than 0.
        grow: What the damping is multiplied by where a step would not lower it.

    Returns:
        The new damping.
    """
    damping = grow * damping
    return damping
