"""The closed form of a cell whose recurrence is affine: s_k = a s_{k-1} + b_k, where a is the same at every step.

Then s_k = a^k s_0 + Σ_j a^{k-j} b_j. Both it and the gradients that follow are proved by induction, symbolically: the
difference of the two sides of the induction step must simplify to zero, or the derivation stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Add, Dummy, Expr, Function, Integer, Mul, Pow, Rational, S, Sum, Symbol, cancel, expand, factor_terms

from derive.language.calculus import DIGITS, derivative, expanded_size, vanishes
from derive.language.cell import Cell
from derive.language.errors import CertificateError
from derive.language.operations import BatchSum, Partial, Rounded, Total
from derive.language.quantities import (
    LOSS,
    Adjoint,
    At,
    Parameter,
    State,
    T,
    bare_of,
    indexed_of,
    k,
    varies_by_sequence,
)
from derive.mathematics.derivation import Backward, Equation, Forward, Range
from derive.mathematics.ledger import Ledger
from derive.mathematics.pullbacks import partial_of_loss
from derive.mathematics.rules import (
    BASE_CASE,
    CHAIN_CLOSED_FORM,
    CLOSED_FORM,
    DIFFERENTIATE_CLOSED_FORM,
    HYPOTHESIS,
    INDUCTION_STEP,
    ITERATE,
    SUBSTITUTE,
)

j = Symbol("j", integer=True, positive=True)
m = Symbol("m", integer=True, nonnegative=True)

LARGEST_PROVED = 10_000
"""Two sides whose difference has more terms, once it is multiplied out, are not simplified; they are evaluated."""

FATES = (
    (Rational(3, 2), "it explodes"),
    (Integer(1), "it keeps its size"),
    (Rational(1, 2), "it vanishes"),
    (Integer(0), "it is gone after one step"),
    (Rational(-1, 2), "it vanishes, and its sign alternates"),
    (Integer(-1), "its sign alternates"),
    (Rational(-3, 2), "it explodes, and its sign alternates"),
)
"""What repeated multiplication does to an adjoint, by the factor."""


@dataclass(frozen=True)
class Affine:
    """A recurrence s_k = factor · s_{k-1} + drive_k with a known start.

    Attributes:
        state: s.
        factor: a, an expression of parameters only.
        drive: b_k, an expression of inputs at k and parameters.
        start: s_0, an expression of parameters only.
    """

    state: State
    factor: Expr
    drive: Expr
    start: Expr


def affine(cell: Cell) -> Affine | None:
    """The recurrence of `cell` in affine form; None where it has none, or where more than one quantity takes part."""
    if not cell.is_scalar or len(cell.computed) != 1 or cell.has_own_last_step or cell.loss_at_every_step:
        return None
    if any(partial_of_loss(cell.loss, weight) != S.Zero for weight in cell.parameters):
        return None
    state = cell.states[0]
    right = cell.step[state]
    factor = derivative(right, state[k - 1])
    if factor == S.Zero or factor.free_symbols - set(cell.parameters):
        return None
    return Affine(state, factor, right.xreplace({state[k - 1]: S.Zero}), cell.initial[state])


def pull_out(total: Sum) -> Expr:
    """Σ_j c f_j = c Σ_j f_j, for the factors that do not depend on j."""
    index = total.limits[0][0]
    outside, inside = total.function.as_independent(index, as_Add=False)
    return outside * Sum(inside, *total.limits) if inside != S.One else total


def geometric(recurrence: Affine, last: Expr) -> Expr:
    """The closed form of s at step `last`."""
    weighted = pull_out(Sum(recurrence.factor ** (last - j) * recurrence.drive.subs(k, j), (j, S.One, last)))
    return recurrence.factor**last * recurrence.start + weighted


def slope(recurrence: Affine, wrt: Parameter, last: Expr) -> Expr:
    """The derivative of the closed form with respect to a weight.

    The term j = `last` of the power's derivative is zero and is left out: written like the others it is 0 · a^{-1}.
    """
    a, b, start = recurrence.factor, recurrence.drive.subs(k, j), recurrence.start
    by_drive = Sum(a ** (last - j) * b.diff(wrt), (j, S.One, last))
    by_power = Sum((last - j) * a ** (last - 1 - j) * a.diff(wrt) * b, (j, S.One, last - 1))
    by_start = a**last * start.diff(wrt) + last * a ** (last - 1) * a.diff(wrt) * start
    return Add(*(pull_out(term) for term in (by_drive, by_power) if term.function != S.Zero)) + by_start


def name_coefficients(expression: Expr) -> Expr:
    """The expression with a name in place of every sum that multiplies adjoints, tangents or sums over the steps.

    Equal sums have one name, so that what is proved of the names holds of the sums. Multiplied out, n of them in a
    product would have 2^n terms or more.
    """
    carried: tuple[type[Expr] | Symbol, ...] = (Sum, Total, Partial, Adjoint)
    if expression.has(Sum):  # there a coefficient is the same at every step
        carried += (At, j, k, T)
    names: dict[Expr, Dummy] = {}

    def named(part: Expr) -> Expr:
        match part:
            case Add() if not part.has(*carried):
                return names.setdefault(part, Dummy(real=True))
            case Pow():
                return named(part.base) ** part.exp
            case Sum():
                return Sum(named(part.function), *part.limits)
            case Add() | Mul() | BatchSum():
                return part.func(*map(named, part.args))
        return part

    return named(expression)


def simplified(difference: Expr) -> Expr:
    """A difference simplified as far as sums with shifted powers and one more term need; zero proves two sides equal.

    Every sum is brought to the smallest upper limit that occurs, a^{n+1} to a · a^n, and constant factors to the front.
    """
    whole = expand(difference)
    limits = {total.limits[0][2] for total in whole.atoms(Sum)}
    if limits:
        lowest = min(limits, key=lambda limit: limit.subs(T, 100).subs(k, 100))
        whole = whole.replace(lambda part: isinstance(part, Sum), lambda total: _lower(total, lowest))
    return _gather(expand(whole))


def _lower(total: Sum, lowest: Expr) -> Expr:
    index, first, last = total.limits[0]
    extra = int(last - lowest)
    tail = Add(*(total.function.subs(index, lowest + more) for more in range(1, extra + 1)))
    return Sum(total.function, (index, first, lowest)) + tail


def _gather(whole: Expr) -> Expr:
    """Writes all sums over the same range as one, and drops it where the summand is zero."""
    by_limits: dict[tuple[Expr, ...], Expr] = {}
    rest = S.Zero
    for term in Add.make_args(whole):
        sums = [part for part in Mul.make_args(term) if isinstance(part, Sum)]
        if len(sums) == 1:
            outside = term / sums[0]
            key = sums[0].limits[0]
            by_limits[key] = by_limits.get(key, S.Zero) + outside * sums[0].function
        else:
            rest += term
    summands = {limits: _cancelled(function) for limits, function in by_limits.items()}
    return _cancelled(rest) + Add(*(Sum(summand, limits) for limits, summand in summands.items() if summand != S.Zero))


def _cancelled(expression: Expr) -> Expr:
    """A rational function of everything in it, in lowest terms; a^{n+1} counts as a · a^n, and a^n as a name."""
    split = expression.replace(
        lambda part: isinstance(part, Pow) and part.exp.free_symbols,
        lambda power: power.base ** power.exp.as_coeff_Add()[0] * _power(power.base, power.exp.as_coeff_Add()[1]),
    )
    names = {part: Dummy() for part in (*split.atoms(_power), *indexed_of(split))}
    return cancel(split.xreplace(names)).xreplace({name: part for part, name in names.items()})


_power = Function("power")
"""A power with a symbolic exponent, kept from SymPy's hands while a fraction is cancelled."""


def prove(cell: Cell, claim: str, left: Expr, right: Expr, ledger: Ledger) -> None:
    """Stops the derivation where two sides are not equal, symbolically or, where they are too large, in numbers.

    Coefficients are multiplied out only where the two sides are not equal whatever these are.

    Raises:
        CertificateError: With what is left of the difference.
    """
    whole = left - right
    rest = whole
    for form in (name_coefficients(whole), whole):
        if expanded_size(form) <= LARGEST_PROVED:
            rest = simplified(form)
            if rest == S.Zero:
                return
    if expanded_size(whole) <= LARGEST_PROVED or not vanishes(whole):
        raise CertificateError(f"cell {cell.name!r}: {claim} is not proved: {left} - ({right}) leaves {rest}")
    ledger.by_numbers(claim)
    ledger.remark(
        """Too large to be proved symbolically: {claim}. Both sides agree at random points, to {digits} digits.""",
        claim=claim,
        digits=str(DIGITS),
    )


def write_reach(recurrence: Affine, local: Equation, backward: Backward, ledger: Ledger) -> Equation:
    """Writes d s_k / d s_{k-m} = a^m and what it does to the adjoint."""
    state, a = recurrence.state, recurrence.factor
    reach = ledger.equation(
        Total(state[k], state[k - m]), a**m, ITERATE, (local,), (Range(k, S.One, T), Range(m, S.Zero, k))
    )
    delta = backward.adjoints[state]
    faded = ledger.equation(delta[T - m], delta[T] * a**m, ITERATE, (*backward.step, reach), (Range(m, S.Zero, T - 1),))
    if not bare_of(a):
        return reach
    ledger.remark("So everything depends on the powers of {a}. By {equation}, ten steps back:", a=a, equation=faded)
    rows = tuple((value, Rounded(value**10, 3), words) for value, words in FATES)
    ledger.table((a, "times, after ten steps", "the adjoint"), rows)
    return reach


def write_closed_form(recurrence: Affine, cell: Cell, forward: Forward, ledger: Ledger) -> Equation:
    """Writes the closed form of the state with its proof by induction on k."""
    state = recurrence.state
    hypothesis = geometric(recurrence, k)
    claim = ledger.equation(state[k], hypothesis, HYPOTHESIS, over=(Range(k, S.Zero, T),))
    base = geometric(recurrence, S.Zero)
    prove(cell, "the base case of the closed form", base.doit(), recurrence.start, ledger)
    at_zero = ledger.equation(state[0], base, BASE_CASE, forward.initial)
    inserted = recurrence.factor * hypothesis + recurrence.drive.subs(k, k + 1)
    over = (Range(k, S.Zero, T - 1),)
    substituted = ledger.equation(state[k + 1], inserted, SUBSTITUTE, (claim, *forward.step), over)
    following = geometric(recurrence, k + 1)
    prove(cell, "the induction step of the closed form", following, inserted, ledger)
    step = ledger.equation(state[k + 1], following, INDUCTION_STEP, (substituted,), over)
    return ledger.equation(state[T], geometric(recurrence, T), CLOSED_FORM, (at_zero, step))


def write_slopes(
    recurrence: Affine, cell: Cell, closed: Equation, forward: Forward, ledger: Ledger
) -> dict[Parameter, Equation]:
    """Writes ds_T/dW for every weight, and proves each by induction against the derivative of the recurrence.

    Differentiating s_{k+1} = a s_k + b_{k+1} gives ds_{k+1}/dW = a ds_k/dW + a' s_k + b'_{k+1}, which it must obey.
    """
    state, a = recurrence.state, recurrence.factor
    written = {}
    for weight in cell.parameters:
        here = slope(recurrence, weight, k)
        by_recurrence = (
            a * here + a.diff(weight) * geometric(recurrence, k) + recurrence.drive.subs(k, k + 1).diff(weight)
        )
        base, following = slope(recurrence, weight, S.Zero).doit(), slope(recurrence, weight, k + 1)
        prove(cell, f"the base case of ds/d{weight}", base, recurrence.start.diff(weight), ledger)
        prove(cell, f"the induction step of ds/d{weight}", following, by_recurrence, ledger)
        written[weight] = ledger.equation(
            Total(state[T], weight), slope(recurrence, weight, T), DIFFERENTIATE_CLOSED_FORM, (closed, *forward.step)
        )
    return written


def write_gradients(
    cell: Cell, slopes: Mapping[Parameter, Equation], backward: Backward, ledger: Ledger
) -> dict[Parameter, Equation]:
    """Writes the gradients in closed form: the derivative of the loss with respect to s_T, times ds_T/dW."""
    start = backward.start[0]
    return {
        weight: ledger.equation(
            Total(LOSS, weight), batch_sum(start.rhs, slopes[weight].rhs), CHAIN_CLOSED_FORM, (start, slopes[weight])
        )
        for weight in cell.parameters
    }


def batch_sum(*factors: Expr) -> Expr:
    """Σ_n of a product, the factors that are the same for all sequences in front."""
    product = Mul.make_args(factor_terms(Mul(*factors)))
    outside = [factor for factor in product if not varies_by_sequence(factor)]
    inside = [factor for factor in product if varies_by_sequence(factor)]
    return Mul(*outside) * BatchSum(Mul(*inside))
