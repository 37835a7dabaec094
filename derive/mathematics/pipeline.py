"""From a cell to its derivation: the stages, in order.

| stage                     | in → out                | derives                                                     |
|---------------------------|-------------------------|-------------------------------------------------------------|
| `symbols`                 | Cell → table            | the quantities of the cell, and other symbols that occur    |
| `unroll.describe`         | Cell → Forward          | the cell's own equations, for every T                       |
| `unroll.unroll`           | Cell, T → equations     | the same for k = 1 … T where T is a number, and nested      |
| `paths`, `repeating`      | equations → terms       | the chain rule written out, and the terms that repeat       |
| `laws`                    | Cell → table            | the chain rule for rows and matrices, by operation          |
| `recurrence`              | Forward → Backward      | the adjoint recurrence, the contributions, the gradients    |
| `closed_form`             | Affine → equations      | s_T and its gradients without recurrence, by induction      |
| `curvature`               | closed form → equations | the Hessian, and which learning rates are stable            |
| `descent`                 | gradients → equations   | the update                                                  |
| `staging`                 | recurrence → Staged     | the same gradient, with short loops: what need not wait     |
| `one_pass`                | closed form → equations | loss and gradient from sums over the data, read once        |
| `moments`                 | closed form → equations | the loss as a polynomial of the weights                     |
| `forward_mode`            | recurrence → Tangents   | the derivatives of the states, carried along with them      |
| `same_gradient`           | Tangents → equations    | the proof that they give the gradient of backpropagation    |
| `least_squares`           | Tangents → LeastSquares | the residuals, their Jacobian, and the gradient with it     |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sympy import Expr

from derive.language.cell import Cell
from derive.language.errors import UsageError
from derive.language.operations import BatchMean
from derive.language.quantities import LOSS, LearningRate, Parameter, k
from derive.language.report import Report, silent
from derive.mathematics.closed_form import Affine, affine, write_closed_form, write_gradients, write_reach, write_slopes
from derive.mathematics.curvature import write_hessian, write_hessian_at_solution, write_learning_rates
from derive.mathematics.derivation import (
    Backward,
    Derivation,
    Equation,
    Forward,
    LeastSquares,
    Moments,
    OnePass,
    Tangents,
)
from derive.mathematics.descent import write_update
from derive.mathematics.forward_mode import write_tangents
from derive.mathematics.laws import table_of_laws
from derive.mathematics.least_squares import squared, write_least_squares
from derive.mathematics.ledger import Ledger
from derive.mathematics.moments import quadratic, write_moments
from derive.mathematics.one_pass import adds_up, write_one_pass
from derive.mathematics.paths import LocalPartials, find_paths, number_of_paths, write_chain, write_local_partials
from derive.mathematics.recurrence import differentiate, name_adjoints
from derive.mathematics.repeating import (
    count_products,
    find,
    mark,
    operations_named,
    operations_written_out,
    write_occurrences,
    write_terms,
)
from derive.mathematics.same_gradient import write_forward_gradients, write_proof
from derive.mathematics.staging import stage
from derive.mathematics.symbols import table_of_quantities, with_symbols
from derive.mathematics.unroll import LARGEST_NESTED, describe, nested_size, show_nested, unroll, unroll_loss

STEPS = 3
"""How many steps the unrolled display has unless asked otherwise."""
MOST_WEIGHTS = 8
"""The second derivatives by more weights are not written out: there are as many as pairs of weights."""


def write_derivation(cell: Cell, steps: int = STEPS, report: Report = silent) -> Derivation:
    """Derives backpropagation through time for a cell.

    Args:
        cell: The cell.
        steps: For how many steps the equations are also written out one by one.
        report: Told what it is at.

    Raises:
        UsageError: `steps` is less than 1.
        CertificateError: A proof does not go through.
    """
    if steps < 1:
        raise UsageError(f"--steps {steps}: there is no sequence of {steps} steps; give 1 or more")
    ledger = Ledger(report)
    forward = _write_cell(cell, ledger)
    unrolled = _write_unrolled(cell, steps, forward, ledger)
    local, repeats = _write_chain_rule(cell, steps, forward, unrolled, ledger)
    backward = _write_adjoints(cell, forward, local, ledger)
    solved = _write_closed_form(cell, forward, backward, local, ledger)
    ledger.section("Gradient descent")
    update = write_update(learning_rates(cell), backward.gradients, ledger)
    ledger.section("The same gradient, faster")
    ledger.work()
    staged = stage(cell, forward, backward, ledger)
    one_pass, moments = _write_shortcuts(cell, solved, backward, ledger) if solved else (None, None)
    tangents, squares = _write_second_order(cell, forward, backward, local, ledger) if squared(cell) else (None, None)
    sections, by_numbers = with_symbols(ledger.close()), ledger.claims_by_numbers
    return Derivation(
        cell,
        steps,
        sections,
        forward,
        backward,
        update,
        staged,
        repeats,
        one_pass,
        moments,
        tangents,
        squares,
        by_numbers,
    )


def _write_cell(cell: Cell, ledger: Ledger) -> Forward:
    ledger.section("The cell")
    if cell.about:
        ledger.remark(cell.about)
    quantities = table_of_quantities(cell)
    ledger.table(quantities.header, quantities.rows)
    ledger.remark(
        r"""An equation without a sum over $n$ holds for every sequence $n = 1, \dots, N$ of the batch on its own; a
        superscript $(n)$ is written where sequences are summed over."""
        if cell.is_scalar
        else r"""What a step computes is written for the whole batch, one sequence a row. In a formula transposes and
        powers bind tightest, then the matrix product, then $\odot$, then sums $\sum$, then $+$ and $-$."""
    )
    return describe(cell, ledger)


def _write_unrolled(cell: Cell, steps: int, forward: Forward, ledger: Ledger) -> tuple[Equation, ...]:
    ledger.section(f"Unrolled for $T = {steps}$")
    unrolled = unroll(cell, steps, forward, ledger)
    if nested_size(cell, steps) <= LARGEST_NESTED:
        ledger.remark("Put into one another, they give the output as one expression of the inputs and the weights:")
        show_nested(cell, steps, unrolled, ledger)
    return (*unrolled.values(), unroll_loss(cell, steps, forward, ledger))


def _write_chain_rule(
    cell: Cell, steps: int, forward: Forward, unrolled: tuple[Equation, ...], ledger: Ledger
) -> tuple[LocalPartials, Mapping[Expr, int]]:
    """Writes the chain rule out as far as the cell allows, and counts what repeats in it."""
    if cell.is_scalar:
        ledger.section("The chain rule at every state")
        ledger.remark(
            r"""$\partial$ and $d$ are kept apart: $\partial$ looks at one equation only, $d$ follows every path through
            the network."""
        )
        local = write_local_partials(cell, steps, forward, ledger)
    else:
        ledger.section("The chain rule for rows and matrices")
        ledger.remark(
            r"""$\frac{d \xi}{d A}$ holds the derivatives of the loss with respect to the entries of $A$, so it has the
            shape of $A$. $\partial$ and $d$ are kept apart: $\partial$ looks at one equation only, $d$ follows every
            path through the network. Where an equation computes $Q$ from $A$, the chain rule says of every entry that
            $\frac{d \xi}{d A_{ij}} = \sum_{l,m} \frac{d \xi}{d Q_{lm}} \frac{\partial Q_{lm}}{\partial A_{ij}}$, and
            what other equations compute from $A$ is added to that."""
        )
        ledger.remark(
            r"""Such a sum is itself an operation on rows and matrices. For those of this cell it is, with one sequence
            a row in $A$, $B$ and $Q$, weights in the other letters, and $\delta^A = \frac{d \xi}{d A}$:"""
        )
        laws = table_of_laws(cell)
        ledger.table(laws.header, laws.rows)
        local = {}  # ∂(row)/∂(matrix) has three indices, and the adjoints below need none of it
    adjoints = name_adjoints(cell)
    if not cell.is_scalar or number_of_paths(cell, steps) > 1:
        ledger.section("The terms that repeat")
        counts = count_products(cell, steps)
        ledger.remark(
            """By the chain rule the gradient is a sum over all paths from the loss to a use of a weight. Written out
            for {steps} steps it would be {count} products. Many begin alike: with the derivative of the loss with
            respect to something that a step computes, its adjoint. In how many products each adjoint would occur:""",
            steps=str(steps),
            count=str(counts[LOSS]),
        )
        write_occurrences(counts, adjoints, steps, ledger)
        ledger.remark("Each is computed once instead, from those that come after it.")
        return local, counts
    tree = find_paths(cell, steps)
    longest = find(tree)
    written = write_chain(cell, steps, local, tree, lambda path: mark(path, longest, adjoints), unrolled, ledger)
    counts = {LOSS: len(tree.paths)} | {term.at: term.occurrences for term in longest.values()}
    if not longest:
        return local, counts

    ledger.section("The terms that repeat")
    ledger.remark(
        """Two paths that start alike share the product so far. Every product that at least two of the {count} paths
        above begin with gets a name. In each path the longest of them is marked; it contains the shorter ones.""",
        count=str(counts[LOSS]),
    )
    write_terms(longest, adjoints, steps, written, ledger)
    ledger.remark(
        """Evaluated path by path, the products above take {before} additions and multiplications; with the terms named
        and each computed once from the one before, {after}.""",
        before=str(operations_written_out(tree)),
        after=str(operations_named(tree, longest)),
    )
    return local, counts


def _write_adjoints(cell: Cell, forward: Forward, local: LocalPartials, ledger: Ledger) -> Backward:
    ledger.section("Backpropagation through time, for any $T$")
    ledger.remark(
        """The derivatives of the loss with respect to what a step computes obey a recurrence that runs backwards from
        the last step, and all gradients follow from them."""
    )
    return differentiate(cell, forward, local, ledger)


def _write_closed_form(
    cell: Cell,
    forward: Forward,
    backward: Backward,
    local: LocalPartials,
    ledger: Ledger,
) -> ClosedForm | None:
    """Writes what follows where the recurrence is affine, with the same factor at every step; else nothing."""
    recurrence = affine(cell)
    if recurrence is None:
        return None
    data = "{} random sequences of {} steps".format(*cell.landscape.inputs.shape) if cell.landscape else ""
    ledger.section("How far the gradient reaches")
    write_reach(recurrence, local[recurrence.state[k], recurrence.state[k - 1]], backward, ledger)
    if cell.landscape is not None:
        ledger.figure(
            "gradient_sizes",
            f"How large the adjoint is at every step, going back through time, for some weights and {data}.",
        )

    ledger.section("The closed form, proved by induction")
    closed = write_closed_form(recurrence, cell, forward, ledger)
    slopes = write_slopes(recurrence, cell, closed, forward, ledger)
    gradients = write_gradients(cell, slopes, backward, ledger)
    ledger.remark(
        """Differentiating {equation} with respect to a weight gives a recurrence for the derivative of the state. The
        sums above are proved to obey it by the same induction, symbolically, before this page is written. They are
        the gradient that backpropagation through time computes: both are the derivative of the same loss.""",
        equation=forward.step[0],
    )

    solved = ClosedForm(recurrence, closed, slopes)
    if backward.start[0].rhs.has(BatchMean):
        return solved  # the loss is no plain mean: its curvature mixes the sequences
    ledger.section("The curvature of the loss")
    if len(cell.parameters) > MOST_WEIGHTS:
        ledger.remark(
            """The Hessian of {weights} weights has {entries} different entries: they are not written out.""",
            weights=str(len(cell.parameters)),
            entries=str(len(cell.parameters) * (len(cell.parameters) + 1) // 2),
        )
        return solved
    if cell.landscape is not None and len(cell.parameters) == 2:
        ledger.figure(
            "loss_surface",
            f"The loss over the two weights, for {data}, with the points of the figure above.",
        )
    second = write_hessian(recurrence, cell, slopes, backward, ledger)
    if cell.worked_example is None or not cell.worked_example.solution:
        return solved
    at_solution = write_hessian_at_solution(cell, cell.worked_example, gradients, second, ledger)
    if len(cell.parameters) == 2:
        ledger.section("Which learning rates converge")
        write_learning_rates(cell, cell.worked_example, at_solution, learning_rates(cell), ledger)
    return solved


class ClosedForm(NamedTuple):
    """What the closed form of an affine recurrence consists of: s_T, and its derivative for every weight."""

    recurrence: Affine
    closed: Equation
    slopes: Mapping[Parameter, Equation]


def _write_shortcuts(
    cell: Cell, solved: ClosedForm, backward: Backward, ledger: Ledger
) -> tuple[OnePass | None, Moments | None]:
    """Writes how the loss and its gradient are computed without a recurrence, where the inputs allow it."""
    recurrence, closed, slopes = solved
    if not adds_up(recurrence, cell):
        return None, None
    ledger.section("In one pass over the data")
    ledger.remark(
        """In the closed form an input stands only within sums over the steps. They are one product of the data with a
        matrix of powers and of their derivatives: `closed_form.py` reads every input once."""
    )
    one_pass = write_one_pass(recurrence, cell, closed, slopes, backward, ledger)
    form = quadratic(recurrence, cell)
    if form is None:
        return one_pass, None
    ledger.section("The loss as a polynomial of the weights")
    ledger.remark(
        """The loss is a polynomial, and the data stand in its coefficients alone, the moments: $x_i x_j$ occurs with
        the power $m = (T - i) + (T - j)$ of the factor, so $i = 2T - j - m$. One pass over the data gives the moments,
        and those of two data sets add up. After it the loss and its gradient cost $O(T)$, however many sequences there
        are. Near an exact fit the terms cancel, and digits are lost; `moments.py` says how many."""
    )
    used = {equation.lhs.name for equation in one_pass.sums}
    return one_pass, write_moments(recurrence, form, cell, closed, ledger, used)


def _write_second_order(
    cell: Cell, forward: Forward, backward: Backward, local: LocalPartials, ledger: Ledger
) -> tuple[Tangents, LeastSquares]:
    """Writes forward mode, the proof that it gives the same gradient, and the Jacobian that it alone gives."""
    ledger.section("Forward mode: real-time recurrent learning")
    ledger.remark(
        """Backpropagation asks how the loss depends on every step. Forward mode asks how every step depends on the
        weights: the total derivatives by the weights, the tangents, obey a recurrence of their own, which runs along
        with that of the states. It needs the step before and nothing else, so it can learn while a sequence is still
        coming in, and was named real-time recurrent learning for it (R. J. Williams and D. Zipser, 1989). Its price is
        a recurrence for every weight, where backpropagation has one for all."""
    )
    tangents = write_tangents(cell, forward, local, ledger)
    ledger.remark("After the last step the gradient is known, without a way back:")
    gradients = write_forward_gradients(cell, forward, tangents, ledger)

    ledger.section("Why forward mode gives the same gradient")
    ledger.remark(
        r"""By induction along the steps. $Q_m$ pairs the two: for all that a weight does up to step $m$ it takes the
        tangents, for all that it does later the contributions of backpropagation. Moving $m$ by one step changes
        nothing: that is proved for every $m$, symbolically, before this page is written. At $m = 0$ an adjoint of the
        start stands in it, the derivative of $\xi$ with respect to the start; where that is a number, its tangent is
        zero, and their product is gone."""
    )
    write_proof(cell, forward, backward, tangents, gradients, ledger)

    ledger.section("Least squares: the residuals and their Jacobian")
    ledger.remark(
        """The loss is a sum of squares, one a sequence. Backpropagation adds the sequences up on its way; forward mode
        keeps them apart, and so gives what a method of second order needs: the derivative of every residual with
        respect to every weight. They are the entries of the Jacobian, a row a sequence and a column a weight.
        `jacobian.py` computes it, and `methods/levenberg_marquardt.md` says what is done with it."""
    )
    return tangents, write_least_squares(cell, forward, tangents, ledger)


def learning_rates(cell: Cell) -> tuple[LearningRate, ...]:
    """η_W for every weight W."""
    return tuple(LearningRate.of_weight(weight) for weight in cell.parameters)
