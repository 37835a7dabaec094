"""Hands the generated NumPy modules to the certificate: what each is called with, and what else it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from derive.backends.numpy.lambdified import Lambdified
from derive.backends.numpy.loading import load_package
from derive.certify.candidate import Candidate, Claim, Descent, output_of
from derive.language.cell import Cell
from derive.language.operations import Total
from derive.mathematics.derivation import Derivation

NETWORK, FAST, MOMENTS, JACOBIAN, DESCENT, EXAMPLE = (
    f"{name}.py" for name in ("network", "network_fast", "moments", "jacobian", "descent", "example")
)
WINDOWS = (None, 1)
"""How many bytes a window may have: as many as it has unless told, and so few that windows are as short as can be."""


def candidates_of(
    derivation: Derivation, sources: Mapping[str, str]
) -> tuple[tuple[Candidate, ...], tuple[Descent, ...]]:
    """The generated modules of a cell, run from their texts, and the functions in memory.

    Args:
        derivation: What they were printed from.
        sources: Their texts by file name, network.py first, each after those that it imports.
    """
    # The example of a task names the trainer, which is in no cell's folder; nothing here needs it.
    needed = {name: text for name, text in sources.items() if name != EXAMPLE or derivation.cell.worked_example}
    modules = load_package(needed, derivation.cell.name)
    network = modules[NETWORK]
    candidates: list[Candidate] = []
    descents = []
    for name, module in modules.items():
        if name == NETWORK:
            candidates.append(network_candidate(derivation.cell, module))
        elif name == FAST:
            candidates += fast_candidates(network, module)
        elif name == MOMENTS:
            candidates.append(moments_candidate(network, module))
        elif name == JACOBIAN:
            candidates.append(jacobian_candidate(derivation, network, module))
        elif name == DESCENT:
            descents.append(Descent(name, modules[EXAMPLE].START, module.descend))
        elif hasattr(module, "value_and_gradient"):
            candidates.append(plain_candidate(name, network, module))
    candidates.append(network_candidate(derivation.cell, Lambdified(derivation, network), "lambdify"))
    return tuple(candidates), tuple(descents)


def network_candidate(cell: Cell, network: Any, name: str = NETWORK) -> Candidate:
    """network.py, or what has its functions."""

    def descend(weights: Sequence[Any], gradient: Sequence[Any], rates: Sequence[float]) -> Sequence[Any]:
        updated: Sequence[Any] = network.descend(*map(network.Parameters._make, (weights, gradient, rates)))
        return updated

    return Candidate(
        name,
        with_parameters(network, network.value_and_gradient),
        with_parameters(network, network.loss),
        descend,
        (output_of(cell, with_parameters(network, network.predict)),),
    )


def plain_candidate(name: str, network: Any, module: Any) -> Candidate:
    """A module with `value_and_gradient`, and perhaps with `loss`."""
    both = with_parameters(network, module.value_and_gradient)
    loss = with_parameters(network, module.loss) if hasattr(module, "loss") else lambda *data: both(*data)[0]
    return Candidate(name, both, loss)


def moments_candidate(network: Any, module: Any) -> Candidate:
    """moments.py, which takes the moments of the data in place of the data, and says how many digits that costs."""

    def of_data(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda weights, X, t: function(network.Parameters(*weights), module.Moments.of(X, t))

    both, loss, estimate = map(of_data, (module.value_and_gradient, module.loss, module.relative_errors))
    return Candidate(MOMENTS, both, loss, estimate=estimate)


def jacobian_candidate(derivation: Derivation, network: Any, module: Any) -> Candidate:
    """jacobian.py: the loss and its gradient, the residuals, and every column of their Jacobian."""
    squares = derivation.least_squares
    if squares is None:
        raise ValueError(f"cell {derivation.cell.name!r} has no residuals")
    residual = squares.residual.lhs
    both = with_parameters(network, module.residuals_and_jacobian)

    def column(place: int) -> Callable[..., Any]:
        return lambda weights, X, t: both(weights, X, t)[1][:, place]

    def gradient(weights: Sequence[Any], X: Any, t: Any) -> tuple[Any, Sequence[Any]]:
        residuals, jacobian = both(weights, X, t)
        return module.loss_of(residuals), module.gradient_of(residuals, jacobian)

    claims = (
        Claim("residuals_of", residual, with_parameters(network, module.residuals_of)),
        Claim("the residuals", residual, lambda weights, X, t: both(weights, X, t)[0]),
        *(
            Claim(f"the column of {weight}", Total(residual, weight), column(place))
            for place, weight in enumerate(derivation.cell.parameters)
        ),
    )
    return Candidate(JACOBIAN, gradient, with_parameters(network, module.loss), claims=claims)


def fast_candidates(network: Any, module: Any) -> Iterator[Candidate]:
    """network_fast.py for each way of cutting the steps into windows, in a new workspace and in a used one."""
    for recompute, window, used in product((False, True), WINDOWS, (False, True)):
        how = f"windows {'as short as can be' if window else 'as they are'}, recompute={recompute}"
        if used:
            how += ", the second call in a workspace"
        yield Candidate(
            f"{FAST}, {how}",
            _in_windows(network, module, window, recompute=recompute, used=used),
            with_parameters(network, module.loss),
        )


def _in_windows(network: Any, module: Any, window: int | None, *, recompute: bool, used: bool) -> Callable[..., Any]:
    def value_and_gradient(weights: Sequence[Any], X: Any, t: Any) -> tuple[Any, Sequence[Any]]:
        space = module.Workspace(window)
        for factor in (-1, 1) if used else (1,):  # what other weights leave in the workspace must not be seen
            parameters = network.Parameters(*(factor * weight for weight in weights))
            slope = np.full(X.shape, np.nan)
            value, gradient = module.value_and_gradient(
                parameters, X, t, space, recompute=recompute, input_gradient=slope
            )
        return value, (*gradient, slope)

    return value_and_gradient


def with_parameters(network: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes the weights as a sequence."""
    return lambda weights, *data: function(network.Parameters(*weights), *data)
