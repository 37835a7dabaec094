"""How much work a step is, as a derivation states it: a remark and a table, counted in the program."""

from __future__ import annotations

from fractions import Fraction

from derive.language.letters import latex_of
from derive.mathematics.derivation import Entry, Remark, Table
from derive.program.cost import BYTES, Cost, loops, per_step
from derive.program.nodes import Function, Module
from derive.program.polynomials import Polynomial


def work_of(module: Module) -> tuple[Entry, ...]:
    """The work of one step of each function of a program that has a loop over the steps."""
    rows: list[tuple[str, ...]] = []
    for function in module.functions:
        if (cost := _per_step(function)) != Cost():
            rows.append((f"`{function.name}`", "operations", _formula(cost.operations)))
            rows.append(("", "values of functions", _formula(cost.functions)))
            rows.append(("", "bytes moved", _bytes(cost)))
    return (
        Remark(
            """Line by line, `network.py` takes this much work per step, for all $N$ sequences. An operation is an
            addition, a multiplication, a division or a power of two numbers; an entry of a matrix product that sums $n$
            terms takes $n$ multiplications and $n - 1$ additions. The bytes moved are those that each line reads and
            writes, 8 for each number."""
        ),
        Table(("per step of", "", "how many"), tuple(rows)),
    )


def _per_step(function: Function) -> Cost:
    """The work of one step of all loops of a function."""
    total = Cost()
    for loop in loops(function):
        total += per_step(loop)
    return total


def _bytes(cost: Cost) -> str:
    """As so many bytes times what is moved."""
    return rf"${BYTES}\, ({_text(cost.bytes * Fraction(1, BYTES))})$"


def _formula(amount: Polynomial) -> str:
    return f"${_text(amount)}$"


def _text(amount: Polynomial) -> str:
    return amount.written(latex_of, "{}^{{{}}}")
