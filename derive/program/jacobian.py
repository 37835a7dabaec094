"""The program of the residuals and their Jacobian by forward mode, and of the loss and its gradient from them.

| function                 | from                      | to                                             |
|--------------------------|---------------------------|------------------------------------------------|
| `residuals_and_jacobian` | weights, trace, targets   | what is squared in the loss, its derivatives   |
| `residuals_of`           | weights, trace, targets   | the residuals alone                            |
| `loss_of`                | residuals                 | the loss                                       |
| `gradient_of`            | residuals, their Jacobian | the gradients                                  |
"""

from __future__ import annotations

from collections.abc import Iterable

from derive.language.operations import Total
from derive.language.quantities import T
from derive.mathematics.derivation import Derivation
from derive.program.build import Builder
from derive.program.network import Network, network
from derive.program.nodes import Fill, Function, Module, Part, Record, Ref, Statement, Symbol, Type
from derive.program.sizes import Size
from derive.program.verify import Level, verify
from derive.program.walk import equations


def jacobian(derivation: Derivation, fixed: Iterable[str] = ()) -> Network | None:
    """The program of the least-squares form of a derivation; nothing where it has none.

    Args:
        derivation: The equations.
        fixed: Names that the module needs for itself.
    """
    cell, tangents, form = derivation.cell, derivation.tangents, derivation.least_squares
    if tangents is None or form is None:
        return None
    program = network(derivation, fixed)
    scope, build = program.scope, Builder(program.scope, derivation.cell.order)
    residuals = scope.of(form.residual.lhs)
    row = Type((Size.of(len(cell.parameters)),), batch=True)
    columns = scope.local("jacobian", row, meaning="derivatives of the residuals, a column a weight")
    for place, weight in enumerate(cell.parameters):
        scope.put(Total(form.residual.lhs, weight), Part(Ref(columns), 0, Size.of(place)))

    carried = (*tangents.initial, *tangents.step, *tangents.last)
    derivatives = dict.fromkeys(scope.tangent(each.lhs.args[0].quantity, each.lhs.args[1]) for each in carried)
    body: list[Statement] = [*(Fill(Ref(tangent)) for tangent in derivatives), *map(build.let, tangents.initial)]
    body += [build.loop(tangents.step)] if tangents.step else []
    body += (build.at(each, T) if each.over else build.let(each) for each in tangents.last)
    body += (build.let(form.residual), Fill(Ref(columns)), *map(build.let, form.jacobian.values()))
    given: tuple[Symbol | Record, ...] = (program.parameters, program.trace, *map(scope.of, cell.targets))
    gradients = tuple(map(build.let, form.gradients.values()))
    slopes = tuple(scope.of(each.lhs) for each in form.gradients.values())
    functions = (
        Function("residuals_and_jacobian", given, (residuals, columns), tuple(body)),
        Function("residuals_of", given, (residuals,), (build.let(form.residual),)),
        Function("loss_of", (residuals,), (scope.loss(),), (build.let(form.loss),)),
        Function("gradient_of", (residuals, columns), slopes, gradients),
    )
    numbers = frozenset().union(*map(equations, functions))
    module = Module(cell.name, cell.title, functions, numbers)
    verify(module, Level.VALUE)
    return program._replace(module=module)
