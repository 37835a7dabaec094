"""The curvature of the loss of an affine cell, and what it says about the learning rates of gradient descent.

Near a minimum the gradient is H e, where e is the distance from it and H the Hessian. One update makes e into
(I - diag(η) H) e. Training converges where every eigenvalue of that matrix lies between -1 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement

import mpmath
from sympy import Add, Expr, Matrix, Rational, S, Sum, Tuple, diag, expand, eye, floor, solve, sqrt

from derive.language.arithmetic import FRACTIONS, FixedPoint
from derive.language.cell import Cell
from derive.language.errors import CellError, CertificateError
from derive.language.exact import exact
from derive.language.example import Example
from derive.language.operations import Determinant, Eigenvalue, Hessian, Rounded, SpectralRadius, Total, UpdateJacobian
from derive.language.points import example_point
from derive.language.quantities import LOSS, LearningRate, Parameter, T, k
from derive.mathematics.closed_form import Affine, batch_sum, j, pull_out
from derive.mathematics.derivation import Backward, Equation
from derive.mathematics.ledger import Ledger
from derive.mathematics.pullbacks import partial
from derive.mathematics.rules import AT_EXAMPLE, BORDER, EIGENVALUES, LINEARISE, SECOND_DERIVATIVE, STABILITY


def second_slope(recurrence: Affine, first: Parameter, second: Parameter) -> Expr:
    """d²s_T / dW dV of the closed form Σ_j a^{T-j} b_j + a^T s_0, by the product rule.

    The terms in which a power's derivative vanishes are left out by the upper limit of the sum.
    """
    a, b, start = recurrence.factor, recurrence.drive.subs(k, j), recurrence.start
    a_p, a_q, a_pq = a.diff(first), a.diff(second), a.diff(first, second)
    sums = (
        Sum(a ** (T - j) * b.diff(first, second), (j, S.One, T)),
        Sum((T - j) * a ** (T - 1 - j) * (a_q * b.diff(first) + a_p * b.diff(second) + a_pq * b), (j, S.One, T - 1)),
        Sum((T - j) * (T - 1 - j) * a ** (T - 2 - j) * a_p * a_q * b, (j, S.One, T - 2)),
    )
    by_start = (
        a**T * start.diff(first, second)
        + T * a ** (T - 1) * (a_q * start.diff(first) + a_p * start.diff(second) + a_pq * start)
        + T * (T - 1) * a ** (T - 2) * a_p * a_q * start
    )
    return Add(*(pull_out(total) for total in sums if total.function != S.Zero)) + by_start


def write_hessian(
    recurrence: Affine, cell: Cell, slopes: Mapping[Parameter, Equation], backward: Backward, ledger: Ledger
) -> dict[tuple[Parameter, Parameter], tuple[Equation, Expr]]:
    """Writes the second derivatives of s_T and of the loss for every pair of weights.

    Returns:
        For each pair its equation, and its right-hand side with all derivatives of s_T put in.
    """
    last = recurrence.state[T]
    start = backward.start[0]
    bend = partial(start.rhs, last)
    pairs = list(combinations_with_replacement(cell.parameters, 2))
    bent = {
        (p, q): ledger.equation(
            Total(last, p, q), second_slope(recurrence, p, q), SECOND_DERIVATIVE, (slopes[p], slopes[q])
        )
        for p, q in pairs
    }
    known = {equation.lhs: equation.rhs for equation in (*slopes.values(), *bent.values())}
    written = {}
    for p, q in pairs:
        curved = S.Zero if bent[p, q].rhs == S.Zero else start.rhs * Total(last, p, q)
        right = batch_sum(bend * Total(last, p) * Total(last, q) + curved)
        used = (start, slopes[p], slopes[q], bent[p, q])
        equation = ledger.equation(Total(LOSS, p, q), right, SECOND_DERIVATIVE, used)
        written[p, q] = equation, right.xreplace(known)
    return written


def write_hessian_at_solution(
    cell: Cell,
    example: Example,
    gradients: Mapping[Parameter, Equation],
    second: Mapping[tuple[Parameter, Parameter], tuple[Equation, Expr]],
    ledger: Ledger,
) -> Equation:
    """Writes the Hessian for the example's data at its solution, in fractions.

    Raises:
        CellError: The gradient is not zero there, so it is no solution.
    """
    point = example_point(cell, example, FRACTIONS)
    nudged = example_point(cell, example, FixedPoint())
    for weight, equation in gradients.items():
        # Asked of the loss itself: a mistake of the derivation is not to be taken for one of the example.
        slope = nudged.number(Total(LOSS, weight))
        if abs(slope) > mpmath.mpf(10) ** -30:
            problem = f"the derivative with respect to {weight} is {mpmath.nstr(slope, 6)} there, not 0"
            raise CellError(cell.name, "example, solution", problem, "give weights at which the loss is smallest")
        if (derived := point.number(equation.rhs)) != 0:
            raise CertificateError(
                f"cell {cell.name!r}, equation ({equation.number}): it is {derived} at the example's solution, not 0"
            )
    ledger.remark("The numbers below are for the data of the example:")
    x, t = cell.inputs[0], cell.targets[0]
    header = (*(x[step] for step in range(1, len(example.X[0]) + 1)), t)
    ledger.table(
        header, tuple((*map(exact, row), exact(target)) for row, target in zip(example.X, example.t, strict=True))
    )
    ledger.remark(
        """The second derivatives together are the Hessian matrix {H}. At the solution {solution} it
        is:""",
        H=Hessian(*cell.parameters),
        solution=", ".join(f"${weight.latex} = {example.solution[weight.name]:g}$" for weight in cell.parameters),
    )
    entries = {pair: point.number(formula) for pair, (_, formula) in second.items()}
    size = range(len(cell.parameters))
    pairs = [[tuple(sorted((p, q))) for q in size] for p in size]
    matrix = Matrix([[entries[cell.parameters[p], cell.parameters[q]] for p, q in row] for row in pairs])
    if not matrix.is_positive_definite:
        problem = f"the Hessian {matrix.tolist()} is not positive definite there"
        raise CellError(cell.name, "example, solution", problem, "give weights at which the loss has a minimum")
    used = tuple(equation for equation, _ in second.values())
    return ledger.equation(Hessian(*cell.parameters), matrix.as_immutable(), AT_EXAMPLE, used, at_example=True)


def spectral_radius(hessian: Matrix, rates: tuple[Expr, ...]) -> Expr:
    """The largest absolute eigenvalue of I - diag(η) H, exactly, for two weights."""
    scaled = diag(*rates) * hessian
    half, product = scaled.trace() / 2, scaled.det()
    spread = sqrt(half**2 - product)
    return max((abs(1 - half - spread), abs(1 - half + spread)), key=lambda root: root.evalf(30))


def updates_per_digit(factor: Expr) -> int | None:
    """How many updates make an error ten times smaller that keeps `factor` of itself at each; None where it grows."""
    if factor >= 1:
        return None
    return math.ceil(math.log(10) / -math.log(factor.evalf(30))) if factor > 0 else 1


def write_learning_rates(
    cell: Cell, example: Example, at_solution: Equation, rates: tuple[LearningRate, ...], ledger: Ledger
) -> None:
    """Writes which learning rates are stable near the solution, and how fast the error shrinks, for two weights."""
    hessian, weights = at_solution.rhs, cell.parameters
    smallest, largest = sorted(hessian.eigenvals(multiple=True), key=lambda root: root.evalf(30))
    for i, root in enumerate((smallest, largest), start=1):
        ledger.equation(Eigenvalue(i, at_solution.lhs), root, EIGENVALUES, (at_solution,), at_example=True)
    ledger.remark(
        """About {smallest} and {largest}: both positive, so the solution is a minimum. In the direction of the larger
        one the loss rises {ratio} times as steeply.""",
        smallest=Rounded(smallest, 4),
        largest=Rounded(largest, 4),
        ratio=Rounded(largest / smallest, 2),
    )
    update = UpdateJacobian(*(Tuple(weight, rate) for weight, rate in zip(weights, rates, strict=True)))
    ledger.remark(
        """Let {J} be the derivative of the weights after an update with respect to the weights before it. What an
        update leaves of a small error is {J} times the error.""",
        J=update,
    )
    left_over = (eye(2) - diag(*rates) * hessian).as_immutable()
    linear = ledger.equation(update, left_over, LINEARISE, (at_solution,), at_example=True)
    border = expand((2 * eye(2) - diag(*rates) * hessian).det())
    boundary = ledger.equation(Determinant(eye(2), update), border, BORDER, (linear,), at_example=True)
    ledger.remark(
        r"""For positive learning rates $\mathrm{diag}(\eta) H$ has the eigenvalues of the symmetric, positive definite
        matrix $\sqrt{\eta_i} H_{ij} \sqrt{\eta_j}$. So those of {J} are real and below 1, and the only way to lose
        stability is through $-1$. Training is stable where {equation} is positive and {trace} is less than 4. With one
        rate for both weights that is $0 < \eta <$ {bound}.""",
        J=update,
        equation=boundary,
        trace=(diag(*rates) * hessian).trace(),
        bound=Rounded(Rational(floor(2 / largest * 10**4), 10**4), 4),
    )
    chosen = tuple(exact(example.learning_rates[weight.name]) for weight in weights)
    one = 2 / (smallest + largest)
    settings = (
        ("the example's", chosen),
        ("the best single rate", (one, one)),
        ("the best pair of rates", tuple(1 / hessian[i, i] for i in range(2))),
    )
    rows = []
    for words, values in settings:
        shown = tuple(Rounded(value, 4) for value in values)
        there = UpdateJacobian(*(Tuple(weight, value) for weight, value in zip(weights, shown, strict=True)))
        factor = spectral_radius(hessian, values)
        equation = ledger.equation(SpectralRadius(there), Rounded(factor, 6), STABILITY, (linear,), at_example=True)
        rows.append((words, *shown, Rounded(factor, 6), str(updates_per_digit(factor) or "it diverges"), equation))
    header = (
        "learning rates",
        *(f"${rate.latex}$" for rate in rates),
        "error kept",
        "updates a digit",
        "",
    )
    ledger.table(header, tuple(rows))
    _say_what_it_means(example, border, rates, chosen, boundary, spectral_radius(hessian, chosen), ledger)
    _say_why_none_is_faster(ledger)
    ledger.figure(
        "learning_rates",
        "How many updates one more digit costs, by the two learning rates. Beyond the red border training diverges.",
    )


def _say_what_it_means(
    example: Example,
    border: Expr,
    rates: tuple[LearningRate, ...],
    chosen: tuple[Expr, ...],
    boundary: Equation,
    factor: Expr,
    ledger: Ledger,
) -> None:
    """Reads the example's own learning rates against the border of stability."""
    at_chosen = dict(zip(rates, chosen, strict=True))
    alone = [
        solve(border.subs({other: value for other, value in at_chosen.items() if other != rate}), rate)[0]
        for rate in rates
    ]
    value = {"equation": boundary, "value": Rounded(border.subs(at_chosen), 3)}
    if factor >= 1:
        ledger.remark("With the example's rates {equation} is {value}: near the solution training diverges.", **value)
        return
    ledger.remark(
        """With the example's rates {equation} is {value}: training is stable. With the other one kept, {first} could be
        raised to {first_bound} and {second} to {second_bound}. In its slowest direction an update leaves {factor} of
        a small error, and {epochs} updates leave {left} of it.""",
        **value,
        first=rates[0],
        first_bound=Rounded(alone[0], 3),
        second=rates[1],
        second_bound=Rounded(alone[1], 3),
        factor=Rounded(factor, 6),
        epochs=f"{example.epochs:,}",
        left=Rounded(factor**example.epochs, 2),
    )


def _say_why_none_is_faster(ledger: Ledger) -> None:
    ledger.remark(
        r"""No pair is faster than the best one. Scaling both weights by their own rate turns $H$ into a matrix with the
        entries $\eta_i H_{ii}$ on the diagonal. Whatever the rates, (trace)$^2$ / determinant of it is at least
        $4 / (1 - c^2)$ with $c = H_{12} / \sqrt{H_{11} H_{22}}$, and equal to it only where both diagonal entries are
        alike; and the smaller that ratio, the closer the two eigenvalues. The best pair leaves $|c|$ of the error.""",
    )
