"""How much work a step is, as a derivation states it: a remark and a table, counted in the program."""

from __future__ import annotations

from derive.language.letters import latex_of
from derive.mathematics.derivation import Entry, Remark, Table
from derive.program.cost import Cost, loops, per_step
from derive.program.nodes import Function, Module
from derive.program.polynomials import Polynomial


def work_of(module: Module) -> tuple[Entry, ...]:
    """The work of one step of each function of a program that has a loop over the steps."""
    rows = [
        (f"`{function.name}`", *map(_formula, (cost.operations, cost.functions, cost.bytes)))
        for function in module.functions
        if (cost := _per_step(function)) != Cost()
    ]
    return (
        Remark(
            """Line by line, the equations above take this much work per step, for all $N$ sequences. An operation is
            an addition, a multiplication, a division or a power of two numbers, and a matrix product that sums $n$
            terms takes $n$ multiplications and $n - 1$ additions for each entry. What a line reads and writes is moved,
            8 bytes for each number."""
        ),
        Table(("function", "operations", "values of functions", "bytes moved"), tuple(rows)),
    )


def _per_step(function: Function) -> Cost:
    """The work of one step of all loops of a function."""
    total = Cost()
    for loop in loops(function):
        total += per_step(loop)
    return total


def _formula(amount: Polynomial) -> str:
    return f"${amount.written(latex_of, '{}^{{{}}}')}$"
