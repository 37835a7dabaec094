"""How an adjoint flows back through one equation: one pullback an operation, its law in the docstring.

For q = f(p, …) and the adjoint δ_q = dξ/dq, the pullback is the term that this use of p adds to dξ/dp.
"""

from __future__ import annotations

from sympy import Dummy, Expr, S, factor_terms

from derive.operations import BatchMean, BatchSum
from derive.quantities import N, varies_by_sequence


def partial(rhs: Expr, wrt: Expr) -> Expr:
    """∂f/∂p of a scalar expression, by SymPy's `diff`, with common factors taken out: 2/N (s - t), not (2s - 2t)/N."""
    return factor_terms(rhs.diff(wrt))


def partial_of_loss(loss: Expr, wrt: Expr) -> Expr:
    """∂ξ/∂p of a loss that contains means over the batch.

    For a quantity of one sequence n, ∂/∂p_n of 1/N Σ_m ℓ_m is 1/N ∂ℓ_n/∂p_n: only its own term of the sum sees it.
    For a parameter, the mean of the derivative is the derivative of the mean.
    """
    means = sorted(loss.atoms(BatchMean), key=str)
    names = {average: Dummy() for average in means}
    outer = loss.xreplace(names)
    result = outer.diff(wrt)
    for average, name in names.items():
        weight = outer.diff(name).xreplace({value: key for key, value in names.items()})
        inner = average.args[0]
        if varies_by_sequence(wrt):
            result += weight * partial(inner / N, wrt)
        elif inner.diff(wrt) != S.Zero:
            result += weight * BatchMean(partial(inner, wrt))
    return result.xreplace({value: key for key, value in names.items()})


def pullback(rhs: Expr, wrt: Expr, adjoint: Expr) -> Expr:
    """The term that flows back to `wrt` from an equation q = `rhs` with the adjoint of q.

    | `wrt`                            | law                  |
    |----------------------------------|----------------------|
    | differs from sequence to sequence | δ_q ∂f/∂p           |
    | the same for all (a weight)      | Σ_n δ_q ∂f/∂p        |

    Returns:
        Zero where `rhs` does not use `wrt`.
    """
    slope = partial(rhs, wrt)
    if slope == S.Zero:
        return S.Zero
    return adjoint * slope if varies_by_sequence(wrt) else BatchSum(adjoint * slope)
