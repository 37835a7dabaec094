"""Prints the functions of network_fast.py that add up the gradients: one matrix product for all that share factors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sympy import Add, Expr, S, Sum
from sympy.core.numbers import One

from derive.backends.numpy.fast_calls import Layout
from derive.backends.numpy.fast_lines import Block
from derive.backends.numpy.fast_plan import Plan, Stack, height, runs_of
from derive.backends.numpy.fast_texts import Itself
from derive.language.operations import BatchMean, BatchOuter, BatchSum
from derive.language.quantities import At, Quantity, T, indexed_of, k
from derive.mathematics.derivation import Equation


class Stacked(NamedTuple):
    """A gradient Σ_k Lᵀ δ_k, or Σ_k δ_k with 1 for L.

    Attributes:
        equation: Its equation.
        left: L, a quantity at a step; or 1.
        delta: The adjoint, a member of the stack of adjoints.
    """

    equation: Equation
    left: Expr
    delta: Quantity


class GradientSums:
    """The functions that add up the gradients, window by window.

    Args:
        plan: The layout of the cell.
        layout: What the module must provide; added to.

    Attributes:
        every: The function for what every step adds.
        ends: The function for what the first and the last step add.
    """

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self._plan, self._layout = plan, layout
        self.every, self.ends = Block(plan, layout), Block(plan, layout)
        self._places: dict[str, str] = {}
        self._write()

    def place_of(self, weight: str) -> str:
        """Where the gradient with respect to a weight is when all windows are done."""
        return self._places.get(weight, f"totals.gradient_{weight}")

    def _write(self) -> None:
        """What every step adds, then what the first and the last one add."""
        stacked, others = self._sort()
        self._write_stacked(stacked)
        once: dict[str, list[str]] = {"is_first": [], "is_last": []}
        for equation, term in others:
            name, number = equation.lhs.args[1].name, f"# ({equation.number})"
            total = f"totals.gradient_{name}"
            self._layout.totals[f"gradient_{name}"] = name
            inside = term.function if isinstance(term, Sum) else term
            atoms = indexed_of(inside)
            if not atoms and not inside.has(BatchSum, BatchMean):
                times = "T * " if isinstance(term, Sum) else ""
                once["is_last"] += [number, f"{total} += {times}({self._of_weights(inside)})"]
            elif not isinstance(term, Sum):
                when = "is_first" if S.Zero in {atom.index for atom in atoms} else "is_last"
                once[when] += [number, f"{total} += {self.ends.text(inside, bulk=False)}"]
            elif term.limits[0][2] == T:
                self.every.lines += [number, f"{total} += {self.every.text(inside, bulk=True)}"]
            else:  # the last step has a term of its own
                self.ends.lines += [number, "for k in range(1, n if window.is_last else n + 1):"]
                self.ends.lines += [f"    {total} += {self.ends.text(inside, bulk=False)}"]
        for condition, body in once.items():
            if body:
                self.ends.lines += [f"if window.{condition}:", *indented(body)]

    def _sort(self) -> tuple[list[Stacked], list[tuple[Equation, Expr]]]:
        """The gradients that are such a sum and nothing else, and the terms of all others."""
        stacked, others = [], []
        for equation in self._plan.staged.gradients:
            sum_of_a_stack = self._as_stacked(equation)
            if sum_of_a_stack is None:
                others += [(equation, term) for term in Add.make_args(equation.rhs)]
            else:
                stacked.append(sum_of_a_stack)
        return stacked, others

    def _as_stacked(self, equation: Equation) -> Stacked | None:
        """Σ_k Lᵀ δ_k or Σ_k δ_k up to T, with an adjoint that is stacked; None for another right-hand side."""
        right = equation.rhs
        if not isinstance(right, Sum) or right.limits[0][2] != T:
            return None
        if not isinstance(right.function, BatchOuter | BatchSum):
            return None
        *lefts, delta = right.function.args
        left = lefts[0] if lefts else S.One
        plain = isinstance(delta, At) and delta.index == k and delta.quantity in self._plan.deltas.members
        return Stacked(equation, left, delta.quantity) if plain and isinstance(left, At | One) else None

    def _write_stacked(self, stacked: list[Stacked]) -> None:
        """One matrix product for all gradients that share their factors.

        The left factors stand on one another in the array `left`, and a row of ones below them makes the sums of the
        adjoints part of the product. Those that take part in no product are summed up by themselves.
        """
        block, deltas = self.every, self._plan.deltas
        lefts_of: dict[tuple[Quantity, ...], list[At]] = {}
        for left in dict.fromkeys(each.left for each in stacked if each.left != S.One):
            for run in runs_of((each.delta for each in stacked if each.left == left), deltas):
                lefts_of.setdefault(run, []).append(left)
        if not lefts_of:
            self._write_sums(stacked)
            return
        bare = {each.delta for each in stacked if each.left == S.One}
        with_ones = max(lefts_of, key=lambda run: len(bare & set(run)))
        runs = sorted(lefts_of, key=lambda run: run == with_ones)
        above = [left for run in runs for left in lefts_of[run]]
        self._layout.scratch |= {"left": f"{height_of(above)} + 1", "right": height(deltas.members)}
        block.arrays |= {"left", "right"}
        block.lines.append(f"columns({block.slice(block.array_of(deltas), k, bulk=True)}, right)")
        for position, left in enumerate(above):
            block.lines.append(f"columns({block.place(left, bulk=True)}, left[{rows_of(above, position, position)}])")
        first = 0
        for number, run in enumerate(runs):
            mine, one = lefts_of[run], " + 1" if run == with_ones else ""
            name = "products" if len(runs) == 1 else f"products_{number + 1}"
            self._layout.totals[name] = f"({height_of(mine)}{one}, {height(run)})"
            factors = {*mine, S.One} if one else {*mine}
            members = [each for each in stacked if each.delta in run and each.left in factors]
            stacked = [each for each in stacked if each not in members]
            for equation, left, delta in members:
                rows = height_of(mine) if left == S.One else rows_of(mine, mine.index(left), mine.index(left))
                columns = Stack("", run).rows(delta, delta)
                self._places[equation.lhs.args[1].name] = f"totals.{name}[{rows}, {columns}].copy()"
            numbers = ", ".join(f"({each.equation.number})" for each in members)
            rows = f"{rows_of(above, first, first + len(mine) - 1)}{one}"
            product = f"left[{rows}, : n * N].dot(right[{deltas.rows(run[0], run[-1])}, : n * N].T)"
            block.lines += [f"# {numbers}", f"totals.{name} += {product}"]
            first += len(mine)
        self._write_sums(stacked)

    def _write_sums(self, terms: Iterable[Stacked]) -> None:
        """Gradients by themselves."""
        for equation, left, delta in terms:
            weight = equation.lhs.args[1].name
            self._layout.totals[f"gradient_{weight}"] = weight
            inside = BatchSum(delta[k]) if left == S.One else BatchOuter(left, delta[k])
            text = self.every.text(inside, bulk=True)
            self.every.lines += [f"# ({equation.number})", f"totals.gradient_{weight} += {text}"]

    def _of_weights(self, expression: Expr) -> str:
        """An expression of weights, each in its own shape."""
        for parameter in self._plan.cell.parameters:
            if expression.has(parameter):
                self._layout.weights[f"{parameter.name}_itself"] = parameter.name
        return str(Itself().doprint(expression))


def rows_of(lefts: Sequence[At], first: int, last: int) -> str:
    """The rows from one of some stacked factors to another, as code."""
    return f"{height_of(lefts[:first])}:{height_of(lefts[: last + 1])}"


def height_of(lefts: Iterable[At]) -> str:
    """How many rows factors take together, as code."""
    return height(left.quantity for left in lefts)


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    """Lines within a block."""
    return [" " * by + line for line in lines]
