"""The passes of the fast code, one after another: after each, the program computes what it computed before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from sympy import Eq, log, sin

from derive import CellError, Input, Intermediate, Parameter, State, T, Target, k, mean
from derive.cells import character_model, linear, logistic, lstm
from derive.certify.points import Sample, draw_numbers, sample_of, trouble_with
from derive.language.cell import Cell
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import write_derivation
from derive.program.build import Scope
from derive.program.fast import passes_of, places, with_parameters
from derive.program.interpret import Inputs, Interpreter, first_wrong_pass
from derive.program.names import Namer
from derive.program.nodes import (
    Buffer,
    Call,
    Fill,
    Function,
    Let,
    Life,
    Literal,
    Map,
    Module,
    Part,
    Ref,
    Role,
    Statement,
    Symbol,
    Type,
    View,
)
from derive.program.passes.fuse import fused
from derive.program.passes.windows import FIRST, LAST, N_STEPS
from derive.program.sizes import Size
from derive.program.staged import build_staged
from derive.program.walk import every, rebuild
from tests.test_random_cells import FOUND, REFUSED, cells, numbers

w, x, z, y = Parameter("w"), Input("x"), Intermediate("z"), Intermediate("y")
s, t = State("s"), Target("t")
IN_BULK = Cell(
    "in_bulk",
    "What is computed in bulk from what has a last step of its own, and is not defined at 0",
    (w, x, z, y, s, t),
    (Eq(z[k], w**2 + x[k] ** 2), Eq(z[T], 1 + w**2), Eq(y[k], log(z[k])), Eq(s[0], w), Eq(s[k], w * s[k - 1] + y[k])),
    s[T],
    mean((s[T] - t) ** 2),
)
BEFORE_LAST = Cell(
    "before_last",
    "A last step of its own, for which the adjoints of the step before it have equations of their own",
    (w, x, z, s, t),
    (Eq(z[k], sin(s[k - 1])), Eq(z[T], w * s[T - 1]), Eq(s[0], 1), Eq(s[k], s[k - 1] * z[k] + x[k])),
    s[T],
    mean((s[T] - t) ** 2),
)
SHIPPED = (linear.cell, logistic.cell, lstm.cell, character_model.cell)
CELLS = {each.name: each for each in (*SHIPPED, IN_BULK, BEFORE_LAST)} | FOUND


class Whole:
    """The program of a derivation with a function that runs all stages, the whole sequence in one window."""

    def __init__(self, derivation: Derivation) -> None:
        scope = Scope(namer := Namer())
        self._stages = build_staged(derivation, scope)
        self._derivation, self._scope, self._name = derivation, scope, namer.name
        cell = derivation.cell
        self._data = {
            scope.of(each): Symbol(namer.name("given"), scope.of(each).type, Role.LOCAL, scope.of(each).steps)
            for each in (*cell.inputs, *cell.targets)
        }
        self._weights = tuple(map(scope.of, cell.parameters))
        slope = scope.of(derivation.staged.inputs[0].lhs.quantity)
        self._slope = slope, Symbol(namer.name("slope"), Type((Size.of("T"), *slope.type.axes), True), Role.LOCAL)
        self._gradients = tuple(scope.gradient(weight) for weight in cell.parameters)
        self.module = self.completed(self._stages)

    def completed(self, module: Module) -> Module:
        """The program with the function `whole`, in place of an earlier one."""
        stages = with_parameters(_without_whole(module)).functions
        known = {place.name: place for stage in stages for place in _all_places(stage)}
        body: list[Statement] = [Fill(Ref(each)) for each in (self._scope.loss(), *self._gradients)]
        for place in known.values():
            is_computed = isinstance(place, Symbol) and place.role not in (Role.INPUT, Role.TARGET)
            if (is_computed and place.steps is not None) or (isinstance(place, Buffer) and place.life is Life.TOTAL):
                body.append(Fill(Ref(place)))
            elif isinstance(place, Buffer) and place.life is Life.BESIDE:
                body.append(Let(Ref(place), Literal.of(1)))
        body += (Let(Ref(known[symbol.name]), Ref(passed)) for symbol, passed in self._data.items())
        body += (statement for stage in stages for statement in stage.body)
        slope, result = self._slope
        body.append(Let(Ref(result), Part(Ref(known[slope.name]), 0, Size.of(1), Size.of("T"))))
        parameters, results = (*self._weights, *self._data.values()), (self._scope.loss(), *self._gradients, result)
        return replace(module, functions=(*stages, Function("whole", parameters, results, tuple(body))))

    def passes(self) -> Iterator[tuple[object, Callable[[Module], Module]]]:
        """The passes of the fast code, each over the stages alone."""

        def over_stages(each: Callable[[Module], Module]) -> Callable[[Module], Module]:
            return wraps(each)(lambda module: self.completed(each(with_parameters(_without_whole(module)))))

        return ((level, over_stages(each)) for level, each in passes_of(self._derivation, self._name))

    def inputs(self, sample: Sample) -> Inputs:
        """What `whole` is run on."""
        drawn = sample.numbers
        dimensions = {self._scope.size(each).names[0]: size for each, size in sample.point.sizes.items()}
        N, T = drawn.X.shape[:2]
        sizes = {**dimensions, "N": N, "T": T, N_STEPS: T, LAST: 1, FIRST: 1}
        values = dict(zip((weight.name for weight in self._weights), drawn.weights, strict=True))
        for (symbol, passed), data in zip(self._data.items(), (drawn.X, drawn.t), strict=True):
            if symbol.steps is not None:  # row 0 belongs to no step
                data = np.concatenate((np.zeros_like(data[:, :1]), data), axis=1).swapaxes(0, 1)
            values[passed.name] = data
        return Inputs("whole", sizes, values)


def _without_whole(module: Module) -> Module:
    return replace(module, functions=tuple(each for each in module.functions if each.name != "whole"))


def _all_places(stage: Function) -> Iterator[Symbol | Buffer | View]:
    yield from places(stage)
    yield from (each.symbol for each in every(stage) if isinstance(each, Ref) and isinstance(each.symbol, Symbol))


def check(whole: Whole, sample: Sample) -> None:
    """The stages compute what the interpreted cell does, and go on doing so."""
    inputs = whole.inputs(sample)
    found = Interpreter(whole.module, inputs.sizes).run("whole", inputs.values)
    value, *gradient, slope = found.values()
    directions = sample.numbers.directions
    along = [np.sum(each * direction) for each, direction in zip(gradient, directions[:-1], strict=True)]
    along.append(np.sum(slope * directions[-1]))
    expected = np.array([sample.loss, *sample.slopes], dtype=np.float64)
    assert np.array([value, *along]) == pytest.approx(expected, rel=1e-9, abs=1e-11)
    assert first_wrong_pass(whole.module, whole.passes(), inputs, tolerance=1e-11) is None


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_no_pass_changes_what_a_cell_computes(cell: Cell, steps: int) -> None:
    check(Whole(write_derivation(cell)), sample_of(cell, draw_numbers(cell, 3, steps, 1)))


@settings(
    max_examples=8, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(cells(), st.data())
def test_no_pass_changes_what_a_random_cell_computes(cell: Cell, data: st.DataObject) -> None:
    sample = sample_of(cell, data.draw(numbers(cell)))
    assume(trouble_with(sample) is None and abs(sample.loss) < 50)
    try:
        derivation = write_derivation(cell)
    except CellError as error:
        assume(REFUSED not in str(error))
        raise
    check(Whole(derivation), sample)


def test_a_slip_in_the_fast_program_is_found() -> None:
    whole = Whole(write_derivation(lstm.cell))
    inputs = whole.inputs(sample_of(lstm.cell, draw_numbers(lstm.cell, 3, 4, 1)))

    def slip(module: Module) -> Module:
        def change(node: object) -> object:
            return replace(node, function="subtract") if isinstance(node, Call) and node.function == "add" else node

        return rebuild(module, change)

    *before, (level, last) = whole.passes()
    passes = [*before, (level, lambda module: slip(last(module)))]
    assert first_wrong_pass(whole.module, passes[:-1], inputs) is None
    assert "was" in first_wrong_pass(whole.module, passes, inputs)


def test_the_entrywise_work_of_a_step_is_one_pass_over_memory():
    whole = Whole(write_derivation(lstm.cell))
    module = whole.module
    for _, each in whole.passes():
        module = each(module)
        if each.__wrapped__ is fused:
            break
    (recurrence,) = (function for function in module.functions if function.name == "run")
    (gates,) = (each for each in every(recurrence) if isinstance(each, Map))
    assert len(gates.stores) == 7  # four gates, the memory, its tanh, and the state
