"""How an adjoint flows back through one equation: one pullback an operation, its law in the docstring.

For q = f(p, …) and the adjoint δ_q = dξ/dq, the pullback is the term that this use of p adds to dξ/dp. With one
sequence a row, and G for what has flowed back as far as an operation:

| operation                            | law                                             | function           |
|--------------------------------------|-------------------------------------------------|--------------------|
| f, entry by entry                    | G f'                                            | `partial`          |
| a weight used by every sequence      | Σ_n G                                           | `reduced`          |
| a number used by every entry of a row | the sum of the entries of G                     | `reduced`          |
| Z = A W, towards A                   | G Wᵀ                                            | `through_product`  |
| Z = A W, towards W                   | Aᵀ G                                            | `through_product`  |
| Wᵀ                                   | Gᵀ                                              | `through_transpose` |
| the mean of a sum of entries         | 1/N of the derivative of the summand            | `partial_of_loss`  |
| the cross-entropy of softmax(y), t   | softmax(y) - onehot(t)                          | `CrossEntropyOf`   |
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Add, Dummy, Expr, Function, S, factor_terms

from derive.operations import BatchMean, BatchOuter, BatchSum, EntrySum, OneHot, Softmax, SoftmaxCrossEntropy
from derive.quantities import N, Operation, Product, Transpose, varies_by_sequence
from derive.shapes import Form, form_of


def partial(rhs: Expr, wrt: Expr) -> Expr:
    """∂f/∂p entry by entry, by SymPy's `diff`, with common factors taken out: 2/N (s - t), not (2s - 2t)/N.

    Matrix products in `rhs` count as names; `pullback` sees to what is inside them.
    """
    hidden = {part: Dummy() for part in outermost(rhs)}
    shown = {name: part for part, name in hidden.items()}
    return factor_terms(rhs.xreplace(hidden).diff(hidden.get(wrt, wrt))).xreplace(shown)


def outermost(expression: Expr) -> list[Expr]:
    """The matrix products and transposes of an expression that lie in no other one, in a fixed order."""
    if isinstance(expression, Product | Transpose):
        return [expression]
    found = dict.fromkeys(part for argument in expression.args for part in outermost(argument))
    return sorted(found, key=str)


def partial_of_loss(loss: Expr, wrt: Expr) -> Expr:
    """∂ξ/∂p of a loss that contains means over the batch.

    For a quantity of one sequence n, ∂/∂p_n of 1/N Σ_m ℓ_m is 1/N ∂ℓ_n/∂p_n: only its own term of the sum sees it. So
    it is with the entries of a row in a sum of entries. For a parameter, the mean of the derivative is the derivative
    of the mean.
    """
    sums = {part for part in loss.atoms(EntrySum) if not varies_by_sequence(part)}  # of weights: a penalty
    names = {part: Dummy() for part in sorted(loss.atoms(BatchMean) | sums, key=str)}
    shown = {name: part for part, name in names.items()}
    outer = loss.xreplace(names)
    result = outer.diff(wrt)
    for part, name in names.items():
        weight, inner = outer.diff(name).xreplace(shown), part.args[0]
        if isinstance(part, EntrySum):
            result += weight * partial(inner, wrt)
        elif varies_by_sequence(wrt):
            entry = _one_entry(inner).replace(SoftmaxCrossEntropy, CrossEntropyOf)
            result += weight * partial(entry / N, wrt)
        elif (slope := partial(inner, wrt)) != S.Zero:
            result += weight * BatchMean(slope)
    return result.xreplace(shown)


def _one_entry(expression: Expr) -> Expr:
    """Sums of entries as their summand: what one entry of a row adds."""
    return expression.replace(EntrySum, lambda inside: inside)


class CrossEntropyOf(Function):
    """A softmax cross-entropy while it is differentiated: SymPy needs a function of y and t with a derivative."""

    def fdiff(self, argindex: int = 1) -> Expr:
        """softmax(y) - onehot(t): the y in -y_t gives the second, log Σ exp(y) the first."""
        y, t = self.args
        return Softmax(y) - OneHot(t, y)


def pullback(rhs: Expr, wrt: Expr, adjoint: Expr) -> Expr:
    """The term that flows back to `wrt` from an equation q = `rhs` with the adjoint of q, by the module's table.

    Returns:
        Zero where `rhs` does not use `wrt`.
    """
    direct = partial(rhs, wrt)
    flows = [reduced(adjoint * direct, wrt)] if direct != S.Zero else []
    for part in outermost(rhs):
        if part.has(wrt):
            flow = reduced(adjoint * partial(rhs, part), part)
            flows.append(THROUGH[type(part)](part, wrt, flow))
    return Add(*flows)


def reduced(flow: Expr, wrt: Expr) -> Expr:
    """Sums a flow over what `wrt` was repeated for: sequences that share a weight, entries that share a number."""
    ours, theirs = form_of(flow), form_of(wrt)
    if ours.shape and not theirs.shape:
        flow, ours = EntrySum(flow), Form(ours.per_sequence, ())
    return BatchSum(flow) if ours.per_sequence and not theirs.per_sequence else flow


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


def _transposed(matrix: Expr) -> Expr:
    return matrix.args[0] if isinstance(matrix, Transpose) else Transpose(matrix)


THROUGH: dict[type[Operation], Callable[[Expr, Expr, Expr], Expr]] = {
    Product: through_product,
    Transpose: through_transpose,
}
"""The law of each operation that is no function of single entries. To add one: a class, a function, a line here."""
