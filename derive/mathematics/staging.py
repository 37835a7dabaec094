"""The equations of the fast code: the same as before, with everything taken out of the loops that need not wait.

The derivation states which lines depend on which, so the passes are equations too, numbered and checked like the rest:

| pass             | in → out                                                                                          |
|------------------|---------------------------------------------------------------------------------------------------|
| `keep_functions` | a function of a step needed again in the backward pass gets a name                                |
| `hoist`          | the part of a step that depends on the inputs alone is computed before the loop, for all steps    |
| `short_cut`      | an adjoint used by one other adjoint, and by nothing else, is substituted into it                 |
| `in_bulk`        | what multiplies an adjoint and is known after the forward pass is computed for many steps at once |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sympy import Add, Expr, Function, Mul, S, Sum, tanh

from derive.language.cell import Cell
from derive.language.operations import Total, logistic
from derive.language.quantities import LOSS, Adjoint, At, Product, Quantity, Shorthand, State, T, indexed_of, k
from derive.language.shapes import form_of
from derive.mathematics.derivation import Backward, Equation, Forward, Range, Staged
from derive.mathematics.ledger import Ledger
from derive.mathematics.recurrence import flows_into
from derive.mathematics.rules import ADJOINT, ADJOINT_STEP, AGAIN, HOIST, IN_BULK, LOGISTIC_AS_TANH, STAGED


def stage(cell: Cell, forward: Forward, backward: Backward, ledger: Ledger) -> Staged:
    """Writes the passes into a derivation.

    Args:
        cell: The cell.
        forward: Its equations.
        backward: The adjoint recurrence and the gradients.
        ledger: Where to write.
    """
    passes = _Passes(cell, forward, backward, ledger)
    return passes.run()


class _Passes:
    """One run of all passes; holds what they share."""

    def __init__(self, cell: Cell, forward: Forward, backward: Backward, ledger: Ledger) -> None:
        self._cell, self._forward, self._backward, self._ledger = cell, forward, backward, ledger
        own = cell.has_own_last_step
        self._last = T - 1 if own else T  # the last step has equations of its own
        self._everywhere = (Range(k, S.One, self._last),)
        self._named: dict[Expr, Shorthand] = {}
        self._put_in: dict[int, tuple[Equation, ...]] = {}  # the equations of the adjoints that are put into another
        self._known: set[Quantity] = set()  # the adjoints that need none of a later step
        self._taken = {q.name for q in (*cell.quantities, *backward.adjoints.values())}
        self._taken |= {size.name for size in cell.dimensions}

    def run(self) -> Staged:
        self._ledger.remark(
            """The recurrence forces an order on few of these operations: the state of a step must wait for the one
            before, an adjoint for the one after. Everything else is computed for all steps at once: a step is left with
            fewer operations, and one large matrix product is faster than many small ones. Weights that multiply the
            same factor stand side by side, so that their products are one. These are the equations of `network_fast.py`
            that differ from those above."""
        )
        hoisted, run, outputs = self._hoist(self._keep_functions())
        back, start, before_last = self._short_cut()
        hoisted_back, run_back = self._in_bulk(back, {e.lhs.quantity: right for e, right in start})
        cell = self._cell
        own = {equation.lhs.quantity: equation for equation in self._forward.last}
        every = own if not cell.has_own_last_step else {e.lhs.quantity: e for e in self._forward.step} | own
        finish = tuple(every[q] for q in cell.last_step if q in every)
        at_T = tuple(self._restate(e, self._with_names(right, T)) for e, right in start)
        at_T_less_1 = tuple(self._restate(e, self._with_names(right, T - 1)) for e, right in before_last)
        first = tuple(self._restate(e, self._again(e.rhs)) for e in self._backward.first)
        gradients = tuple(self._restate(e, self._again(e.rhs)) for e in self._backward.gradients.values())
        if self._named:
            self._ledger.remark("The names that are new, and what the code calls them:")
            rows = tuple((q, q.name, q.meaning) for q in self._named.values())
            self._ledger.table(("symbol", "in code", "meaning"), rows)
        self._ledger.remark(
            """The derivative with respect to the inputs is no part of the gradient; it is computed for who asks for it,
            by `input_gradient=`."""
        )
        inputs = self._inputs()
        forwards = (*self._forward.initial, *hoisted, *run, *outputs, *finish)
        backwards = (*hoisted_back, *run_back, *at_T, *at_T_less_1, *first, *gradients, *inputs)
        identity = self._logistic_as_tanh((*forwards, *backwards))
        return Staged(
            hoisted,
            run,
            outputs,
            finish,
            hoisted_back,
            at_T,
            at_T_less_1,
            run_back,
            first,
            gradients,
            inputs,
            identity,
        )

    def _logistic_as_tanh(self, staged: Iterable[Equation]) -> Equation | None:
        """The identity by which every σ is computed, written for the first one; None where there is none."""
        for equation in staged:
            for call in sorted(equation.rhs.atoms(logistic), key=str):
                sums = [each.limits[0] for each in equation.rhs.atoms(Sum) if call in each.function.atoms(logistic)]
                over = equation.over or tuple(Range(*limits) for limits in sums[:1])
                self._ledger.remark("Every logistic function is computed by one identity, written here for the first:")
                right = S.Half + tanh(call.args[0] / 2) / 2
                return self._ledger.equation(call, right, LOGISTIC_AS_TANH, over=over)
        return None

    def _restate(
        self, equation: Equation, right: Expr, uses: tuple[Equation, ...] = (), over: tuple[Range, ...] | None = None
    ) -> Equation:
        """The equation itself where its right-hand side is still the same, else a new one, over `over` if given."""
        if right == equation.rhs:
            return equation
        uses = (equation, *self._put_in.get(equation.number, ()), *uses)
        return self._ledger.equation(equation.lhs, right, STAGED, uses, equation.over if over is None else over)

    def _inputs(self) -> tuple[Equation, ...]:
        """The derivative with respect to the input of a step, at k and, where it differs, at T."""
        cell, adjoints = self._cell, self._backward.adjoints
        x = cell.inputs[0]
        adjoint = Adjoint(self._free_name(f"delta_{x.name}"), rf"\delta^{{{x.latex}}}", x)
        definition = self._ledger.equation(adjoint[k], Total(LOSS, x[k]), ADJOINT, over=(Range(k, S.One, T),))

        def flow(place: Expr, rights: Mapping[Quantity, Expr]) -> Expr:
            flows = flows_into(x[place], {q[place]: right for q, right in rights.items()}, adjoints)
            return Add(*flows.values())

        uses = (definition, *(e for e in self._forward.step if x[k] in indexed_of(e.rhs)))
        at_k, at_T = flow(k, cell.step), flow(T, cell.last_step)
        alike = at_T == at_k.subs(k, T) and not cell.has_own_last_step
        over = (Range(k, S.One, T if alike else T - 1),)
        every = self._ledger.equation(adjoint[k], self._again(at_k), ADJOINT_STEP, uses, over)
        if alike:
            return (every,)
        return every, self._ledger.equation(adjoint[T], at_T, ADJOINT_STEP, uses)

    # --- names ---

    def _free_name(self, stem: str) -> str:
        """A name in code that nothing has yet."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def _name(self, stem: str, latex: str, value: Expr, meaning: str, last: Expr) -> Shorthand:
        """A new name for `value`, an expression at step k = 1 … last."""
        name = self._free_name(stem)
        count = name.removeprefix(stem).removeprefix("_")
        if count:
            latex = f"{latex[:-1]},{count}}}" if latex.endswith("}") else f"{latex}^{{({count})}}"
        shorthand = Shorthand(name, latex, meaning, ((value, S.One, last),), k, form_of(value).shape)
        self._named[value] = shorthand
        return shorthand

    # --- forwards ---

    def _keep_functions(self) -> list[tuple[Equation, Expr]]:
        """Names functions within a step's equations that the adjoints or the gradients use again.

        Returns:
            The equations of a step in order, each with its right-hand side in the new names.
        """
        wanted = set().union(*(e.rhs.atoms(Function) for e in self._all_back()))
        if self._cell.has_own_last_step:
            wanted = set()  # the last step would not have it
        equations: list[tuple[Equation, Expr]] = []
        for equation in self._forward.step:
            inner = equation.rhs.atoms(Function) - {equation.rhs}
            for call in sorted(inner & wanted, key=str):
                if (
                    call not in self._named
                    and indexed_of(call)
                    and {atom.index for atom in indexed_of(call)} <= {k, k - 1}
                ):
                    of = min(indexed_of(call), key=str).quantity
                    meaning = f"{type(call).__name__} that is used again backwards"
                    q = self._name(
                        f"{type(call).__name__}_{of.name}", rf"\phi^{{{of.latex}}}", call, meaning, self._last
                    )
                    named = self._ledger.equation(q[k], call, AGAIN, (equation,), self._everywhere)
                    equations.append((named, call))
            equations.append((equation, self._again(equation.rhs)))
        return equations

    def _again(self, expression: Expr) -> Expr:
        """An expression with the named functions in it by their names, at k and at k + 1."""
        if self._cell.has_own_last_step:
            return expression  # what is computed for all steps but the last has no name that holds for all
        named = {call: q for call, q in self._named.items() if isinstance(call, Function)}
        here = {call: q[k] for call, q in named.items()}
        ahead = {call.subs(k, k + 1): q[k + 1] for call, q in named.items()}
        return expression.xreplace({**here, **ahead})

    def _all_back(self) -> tuple[Equation, ...]:
        back = self._backward
        return (*back.step, *back.first, *back.gradients.values())

    def _hoist(
        self, equations: Iterable[tuple[Equation, Expr]]
    ) -> tuple[tuple[Equation, ...], tuple[Equation, ...], tuple[Equation, ...]]:
        """Splits the equations of a step into those before the loop, in it and after it."""
        equations = list(equations)
        rights = {equation.lhs.quantity: right for equation, right in equations}
        free = self._need_no_state(rights)
        recurrent = self._needed_by_a_later_step(rights)
        hoisted, run, outputs = [], [], []
        for equation, right in equations:
            q = equation.lhs.quantity
            if q in free:
                hoisted.append(self._restate(equation, right))
                continue
            if q not in recurrent and not self._cell.has_own_last_step:
                outputs.append(self._restate(equation, right))
                continue
            mine, rest = self._input_part(right, free)
            if mine == S.Zero:
                run.append(self._restate(equation, right))
                continue
            meaning = f"what the input adds to ${q.latex}$"
            part = self._name(f"{q.name}_input", self._tilde(q), mine, meaning, self._last)
            hoisted.append(self._ledger.equation(part[k], mine, HOIST, (equation,), self._everywhere))
            run.append(self._restate(equation, part[k] + rest, (hoisted[-1],), self._everywhere))
        return tuple(hoisted), tuple(run), tuple(outputs)

    def _tilde(self, q: Quantity) -> str:
        """On paper, what the input adds to q."""
        return rf"\tilde{{{self._cell.inputs[0].latex}}}^{{{q.latex}}}"

    def _need_no_state(self, rights: Mapping[Quantity, Expr]) -> set[Quantity]:
        """The quantities of a step that only inputs and weights decide."""
        free: set[Quantity] = set()
        for q, right in rights.items():
            used = {atom.quantity for atom in indexed_of(right)}
            if used <= {*self._cell.inputs, *free} and not isinstance(q, State):
                free.add(q)
        return free

    def _needed_by_a_later_step(self, rights: Mapping[Quantity, Expr]) -> set[Quantity]:
        """The states that a step looks back at, and all that they are computed from."""
        found: set[Quantity] = set()
        left = {atom.quantity for right in rights.values() for atom in indexed_of(right) if atom.index == k - 1}
        while left:
            q = left.pop()
            found.add(q)
            left |= {atom.quantity for atom in indexed_of(rights.get(q, S.Zero))} - found
        return found

    def _input_part(self, right: Expr, free: Collection[Quantity]) -> tuple[Expr, Expr]:
        """The terms that no state takes part in, and the others; the first only if an operation is saved by it."""
        known = {*self._cell.inputs, *free}
        mine: list[Expr] = []
        rest: list[Expr] = []
        for term in Add.make_args(right):
            (mine if {atom.quantity for atom in indexed_of(term)} <= known else rest).append(term)
        with_input = [term for term in mine if indexed_of(term)]
        if not rest or not with_input or (len(mine) == 1 and isinstance(mine[0], At)):
            return S.Zero, right
        return Add(*mine), Add(*rest)

    # --- backwards ---

    def _short_cut(self) -> tuple[list[tuple[Equation, Expr]], ...]:
        """Puts adjoints that are used once into the adjoint that uses them.

        Returns:
            The equations of a step, at T and at T - 1, each with its new right-hand side.
        """
        back = self._backward
        blocks = [
            {e.lhs.quantity: (e, self._again(e.rhs)) for e in equations}
            for equations in (back.step, back.start, back.before_last)
        ]
        x = self._cell.inputs[0]
        elsewhere = {a.quantity for e in (*back.gradients.values(), *back.first) for a in indexed_of(e.rhs)}
        # What the derivative with respect to the input will read stays, too.
        elsewhere |= {back.adjoints[q] for q, right in self._cell.step.items() if x[k] in indexed_of(right)}
        elsewhere |= {back.adjoints[q] for q, right in self._cell.last_step.items() if x[T] in indexed_of(right)}
        elsewhere |= {
            a.quantity
            for block in blocks
            for e, right in block.values()
            for a in indexed_of(right)
            if a.index != e.lhs.index
        }
        for adjoint in reversed(list(blocks[0])):
            users = [[q for q, (e, r) in block.items() if adjoint[e.lhs.index] in indexed_of(r)] for block in blocks]
            if adjoint in elsewhere or any(len(mine) > 1 for mine in users) or not any(users):
                continue
            for block, mine in zip(blocks, users, strict=True):
                gone = block.pop(adjoint, None)
                for user in mine:
                    assert gone is not None
                    equation, right = block[user]
                    block[user] = equation, right.xreplace({gone[0].lhs: gone[1]})
                    self._put_in[equation.number] = (gone[0], *self._put_in.get(equation.number, ()))
                    self._put_in[equation.number] += self._put_in.get(gone[0].number, ())
        return tuple(list(block.values()) for block in blocks)

    def _in_bulk(
        self, back: list[tuple[Equation, Expr]], at_T: Mapping[Quantity, Expr]
    ) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
        """Takes out of the loop back what does not depend on the adjoints of a later step.

        Args:
            back: The equations of a step, each with its right-hand side.
            at_T: The right-hand sides at the last step.

        Returns:
            The equations before the loop, and those in it.
        """
        bulk: list[Equation] = []
        loop: list[tuple[Equation, Expr]] = []
        for equation, right in back:
            q = equation.lhs.quantity
            alike = q not in at_T or at_T[q] == right.subs(k, T)
            if self._is_known(right) and (alike or self._cell.has_own_last_step):
                self._known.add(equation.lhs.quantity)
                bulk.append(self._restate(equation, right))
            else:
                loop.append((equation, right))
        staged = []
        for equation, right in loop:
            count = len(bulk)
            right = self._extract(right, equation, bulk)
            staged.append(self._restate(equation, right, tuple(bulk[count:])))
        return tuple(bulk), tuple(staged)

    def _is_known(self, expression: Expr) -> bool:
        """Whether an expression can be computed before the loop back."""
        atoms = {a for a in indexed_of(expression) if isinstance(a.quantity, Adjoint)}
        return all(a.quantity in self._known and a.index == k for a in atoms)

    def _extract(self, right: Expr, owner: Equation, bulk: list[Equation]) -> Expr:
        """The right-hand side with the parts known beforehand by their names."""
        if self._is_known(right):
            return self._known_part(right, owner, bulk)
        match right:
            case Mul():
                known = [factor for factor in right.args if self._is_known(factor)]
                others = [self._extract(factor, owner, bulk) for factor in right.args if not self._is_known(factor)]
                # What belongs to step k + 1 and what belongs to step k are known in different rows.
                ahead = [factor for factor in known if any(atom.index == k + 1 for atom in indexed_of(factor))]
                here = [factor for factor in known if factor not in ahead]
                parts = [self._known_part(Mul(*group), owner, bulk) for group in (ahead, here) if group]
                return Mul(*others, *parts)
            case Add():
                known = [term for term in right.args if self._is_known(term)]
                others = [self._extract(term, owner, bulk) for term in right.args if not self._is_known(term)]
                return Add(*others, *([self._known_part(Add(*known), owner, bulk)] if known else []))
            case Product():
                return Product(self._extract(right.args[0], owner, bulk), right.args[1])
        return right

    def _known_part(self, part: Expr, owner: Equation, bulk: list[Equation]) -> Expr:
        """The name of a part; atoms, numbers and weights are as good as a name."""
        if isinstance(part, At) or not indexed_of(part):
            return part
        ahead = any(atom.index == k + 1 for atom in indexed_of(part))
        value = part.subs(k, k - 1) if ahead else part
        if value not in self._named:
            of = owner.lhs.quantity.of
            latex = rf"\lambda^{{{of.latex}}}" if len(self._backward.adjoints) > 1 else r"\lambda"
            q = self._name(f"slope_{of.name}", latex, value, f"a factor in the adjoint of ${of.latex}$", T)
            bulk.append(self._ledger.equation(q[k], value, IN_BULK, (owner,), (Range(k, S.One, T),)))
        return self._named[value][k + 1 if ahead else k]

    def _with_names(self, right: Expr, place: Expr) -> Expr:
        """A right-hand side at T or T - 1 with the parts that have names by those."""
        if self._cell.has_own_last_step:
            return right
        named = {value.subs(k, place): q[place] for value, q in self._named.items()}
        right = right.xreplace(named)
        if isinstance(right, Mul):
            for value, name in named.items():
                factors = set(Mul.make_args(value))
                if len(factors) > 1 and factors <= set(right.args):
                    return self._with_names(Mul(name, *(f for f in right.args if f not in factors)), place)
        if isinstance(right, Add | Mul | Product):
            return right.func(*(self._with_names(part, place) for part in right.args))
        return right
