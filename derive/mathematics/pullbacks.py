"""How an adjoint flows back through one equation: one pullback an operation, its law in the docstring.

For q = f(p, …) and the adjoint δ_q = dξ/dq, the pullback is the term that this use of p adds to dξ/dp. With one
sequence a row, and G for what has flowed back as far as an operation:

| operation                              | law                                 | function                |
|----------------------------------------|-------------------------------------|-------------------------|
| f, entry by entry                      | G f'                                | `partial`               |
| a weight used by every sequence        | Σ_n G                               | `reduced`               |
| a number used by every entry of a row  | the sum of the entries of G         | `reduced`               |
| Z = A W, towards A                     | G Wᵀ                                | `through_product`       |
| Z = A W, towards W                     | Aᵀ G                                | `through_product`       |
| Wᵀ                                     | Gᵀ                                  | `through_transpose`     |
| the sum of the entries of a row        | G, to every entry                   | `through_entry_sum`     |
| the mean over the sequences            | G/N, to every sequence              | `through_mean`          |
| the cross-entropy of softmax(y) and t  | G (softmax(y) - onehot(t))          | `through_cross_entropy` |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sympy import Add, Dummy, Expr, Mul, S, factor_terms

from derive.language.calculus import derivative
from derive.language.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.language.quantities import N, Operation, Product, Transpose
from derive.language.shapes import Form, form_of


@lru_cache(maxsize=1 << 14)
def partial(rhs: Expr, wrt: Expr) -> Expr:
    """∂f/∂p entry by entry, by SymPy's `diff`, with common factors taken out: 2/N (s - t), not (2s - 2t)/N.

    The operations of `THROUGH` in `rhs` count as names; `pullback` sees to what is inside them.
    """
    hidden = {part: Dummy(real=True) for part in outermost(rhs)}
    shown = {name: part for part, name in hidden.items()}
    return factor_terms(derivative(rhs.xreplace(hidden), hidden.get(wrt, wrt))).xreplace(shown)


def outermost(expression: Expr) -> list[Expr]:
    """The operations of `THROUGH` in an expression that lie in no other one, in a fixed order."""
    if isinstance(expression, tuple(THROUGH)):
        return [expression]
    found = dict.fromkeys(part for argument in expression.args for part in outermost(argument))
    return sorted(found, key=str)


def partial_of_loss(loss: Expr, wrt: Expr) -> Expr:
    """∂ξ/∂p, what flows back from the loss itself: dξ/dξ is 1.

    For a quantity of one sequence n, ∂/∂p_n of 1/N Σ_m ℓ_m is 1/N ∂ℓ_n/∂p_n: only its own term of the sum sees it. So
    it is with the entries of a row in a sum of entries. For a parameter, the mean of the derivative is the derivative
    of the mean.
    """
    return pullback(loss, wrt, S.One)


def pullback(rhs: Expr, wrt: Expr, adjoint: Expr) -> Expr:
    """The term that flows back to `wrt` from an equation q = `rhs` with the adjoint of q, by the module's table.

    Returns:
        Zero where `rhs` does not use `wrt`.
    """
    if not rhs.has(wrt):
        return S.Zero
    mine, back = form_of(rhs), form_of(adjoint)
    of = Form(mine.per_sequence or back.per_sequence, mine.shape or back.shape)  # q may repeat what `rhs` gives
    direct = partial(rhs, wrt)
    flows = [reduced(adjoint * direct, of, wrt)] if direct != S.Zero else []
    for part in outermost(rhs):
        if part.has(wrt):
            flow = reduced(adjoint * partial(rhs, part), of, part)
            flows.append(THROUGH[type(part)](part, wrt, flow))
    return Add(*flows)


def reduced(flow: Expr, of: Form, wrt: Expr) -> Expr:
    """Sums a flow over what `wrt` was repeated for: sequences that share a weight, entries that share a number.

    Args:
        flow: What flows back to each sequence and each entry; it may be the same for all.
        of: The form of what it flows back from.
        wrt: What it flows to.
    """
    ours, theirs = form_of(flow), form_of(wrt)
    if of.shape and not theirs.shape:
        flow = EntrySum(flow) if ours.shape else Mul(flow, *of.shape)
    if not of.per_sequence or theirs.per_sequence:
        return flow
    if not ours.per_sequence:
        return N * flow
    # 1/N Σ of a number is written as the mean that it is.
    return BatchMean(N * flow) if 1 / N in Mul.make_args(flow) and not form_of(flow).shape else BatchSum(flow)


def through_product(product: Expr, wrt: Expr, flow: Expr) -> Expr:
    """Z = A W: towards A flows G Wᵀ, towards W flows Aᵀ G."""
    left, right = product.args
    terms = []
    if left.has(wrt):
        terms.append(pullback(left, wrt, Product(flow, _transposed(right))))
    if right.has(wrt):
        towards = BatchOuter(left, flow) if form_of(left).per_sequence else Product(_transposed(left), flow)
        terms.append(pullback(right, wrt, towards))
    return Add(*terms)


def through_transpose(transpose: Expr, wrt: Expr, flow: Expr) -> Expr:
    """Wᵀ: towards W flows Gᵀ."""
    back = BatchOuter(*reversed(flow.args)) if isinstance(flow, BatchOuter) else _transposed(flow)
    return pullback(transpose.args[0], wrt, back)


def through_entry_sum(total: Expr, wrt: Expr, flow: Expr) -> Expr:
    """Σ_i z_i: towards every entry flows G."""
    return pullback(total.args[0], wrt, flow)


def through_mean(average: Expr, wrt: Expr, flow: Expr) -> Expr:
    """1/N Σ_n ℓ_n: towards ℓ_n flows G/N; the mean of what is the same for every sequence is that itself."""
    (inner,) = average.args
    return pullback(inner, wrt, flow / N if form_of(inner).per_sequence else flow)


def through_cross_entropy(entropy: Expr, wrt: Expr, flow: Expr) -> Expr:
    """-log softmax(y)_t = log Σ_j exp(y_j) - y_t: towards y flows G (softmax(y) - onehot(t))."""
    y, t = entropy.args
    return pullback(y, wrt, flow * (Softmax(y) - OneHot(t, y)))


def _transposed(matrix: Expr) -> Expr:
    return matrix.args[0] if isinstance(matrix, Transpose) else Transpose(matrix)


THROUGH: dict[type[Operation], Callable[[Expr, Expr, Expr], Expr]] = {
    Product: through_product,
    Transpose: through_transpose,
    EntrySum: through_entry_sum,
    BatchMean: through_mean,
    SoftmaxCrossEntropy: through_cross_entropy,
}
"""The law of each operation that is no function of single entries. To add one: a class, a function, a line here."""
