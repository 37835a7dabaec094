"""Prints network_fast.py: its functions from the staged equations, and the arrays that they need.

What runs over the steps, or over a window's steps in bulk, is printed by `derive.fast_lines`; here it is put into
functions that begin by giving everything its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sympy import Add, Expr, S, Sum

from derive.cell import Cell
from derive.derivation import Derivation, Equation
from derive.fast_lines import Block, Itself, Layout
from derive.fast_plan import Stack, height, plan, runs_of
from derive.modules import classes_of, shape_of_targets
from derive.numpy_code import OWN_OPERATIONS
from derive.operations import ELEMENTWISE, BatchMean, BatchOuter, BatchSum
from derive.quantities import At, Dimension, N, Quantity, T, indexed_of, k
from derive.templating import render


class FastModule:
    """The parts of network_fast.py.

    Args:
        derivation: What to print.
    """

    def __init__(self, derivation: Derivation) -> None:
        self._plan = plan(derivation)
        self._staged, self._cell = derivation.staged, derivation.cell
        self.layout = Layout()
        self._gradients: dict[str, str] = {}
        self.functions = {
            "hoisted": self._bulk_function(self._staged.before),
            "run": self._run(),
            "outputs": self._bulk_function(self._staged.after),
            "finish": self._finish(),
            "loss": self._loss(derivation.forward.loss),
            "hoisted_back": self._bulk_function(self._staged.bulk, "window.n + 1"),
            "run_back": self._run_back(),
        }
        self.functions |= self._add_up()
        self.functions["inputs"] = self._inputs()
        self.start = self._start(derivation)
        self._find_ahead()

    # --- the functions ---

    def _block(self) -> Block:
        return Block(self._plan, self.layout)

    def _bulk_function(self, equations: tuple[Equation, ...], stop: str = "window.stop") -> list[str]:
        if not equations:
            return []
        block = self._block()
        block.bulk(equations)
        return self._with_header(block, stop)

    def _run(self) -> list[str]:
        block = self._block()
        block.forward_step()
        if block.lines:
            block.lines = ["for k in range(1, stop):", *_indented(block.lines)]
        return self._with_header(block)

    def _finish(self) -> list[str]:
        block = self._block()
        for equation in self._staged.last:
            block.say(equation)
            block.write(equation.rhs, block.place(equation.lhs, bulk=False))
        return self._with_header(block) if block.lines else []

    def _start(self, derivation: Derivation) -> list[str]:
        block = self._block()
        for equation in derivation.forward.initial:
            block.say(equation)
            where = block.place(equation.lhs, bulk=False)
            block.lines.append(f"{where}[...] = {block.text(equation.rhs, bulk=False)}")
        return self._with_header(block)

    def _loss(self, equation: Equation) -> list[str]:
        block = self._block()
        block.say(equation)
        if not self._cell.loss_at_every_step:
            block.lines.append(f"return {block.text(equation.rhs, bulk=False)}")
            return ["if not window.is_last:", "    return 0", *self._with_header(block)]
        inside = equation.rhs.function
        if isinstance(inside, BatchMean):
            block.lines.append(f"return {block.text(inside, bulk=True)}")
        else:
            block.lines.append(f"return sum({block.text(inside, bulk=False)} for k in range(1, n + 1))")
        return self._with_header(block, "window.n + 1")

    def _run_back(self) -> list[str]:
        staged, block = self._staged, self._block()
        in_bulk = {e.lhs.quantity for e in staged.bulk} if not self._cell.has_own_last_step else set()
        block.back_step(e for e in staged.start if e.lhs.quantity not in in_bulk)
        lines = ["if window.is_last:", *_indented(block.lines)] if block.lines else []
        if staged.before_last:
            block.lines = []
            block.back_step(staged.before_last)
            lines += ["if window.is_last and n > 1:", *_indented(block.lines)]
        skip = 2 if staged.before_last else 1
        block.lines = []
        block.back_step(staged.back)
        if block.lines:
            lines += [f"for k in range(n - {skip} if window.is_last else n, 0, -1):", *_indented(block.lines)]
        block.lines = []
        block.back_step(staged.first)
        if block.lines:
            lines += ["if window.is_first:", *_indented(block.lines)]
        block.lines = lines
        return self._with_header(block)

    def _inputs(self) -> list[str]:
        """The function for the derivative with respect to the inputs; it reads the adjoints in bulk."""
        block = self._block()
        every, *own = self._staged.inputs
        block.say(every)
        name = every.lhs.quantity.name
        self.layout.bulks[name] = height([every.lhs.quantity]) if every.lhs.quantity.dimensions else ""
        block.write(block.with_stacked(every.rhs, bulk=True), f"{name}[: stop - 1]", bulk=True)
        block.arrays.add(name)
        if own:
            ends = self._block()
            ends.say(*own)
            ends.write(own[0].rhs, f"{name}[n - 1]")
            ends.arrays.add(name)
            ends.lines = ["if window.is_last:", *_indented(ends.lines)]
            self.functions["inputs_end"] = self._with_header(ends)
        self.input_adjoint = name
        return self._with_header(block)

    # --- the gradients ---

    def _add_up(self) -> dict[str, list[str]]:
        """The function for what every step adds, and that for what the first and the last one add."""
        block, ends = self._block(), self._block()
        stacked, others = self._sort_gradients()
        self._stacked_gradients(block, stacked)
        once: dict[str, list[str]] = {"is_first": [], "is_last": []}
        for equation, term in others:
            name = equation.lhs.args[1].name
            total = f"totals.gradient_{name}"
            self.layout.totals[f"gradient_{name}"] = name
            inside = term.function if isinstance(term, Sum) else term
            times = "T * " if isinstance(term, Sum) else ""
            atoms = indexed_of(inside)
            if not atoms and not inside.has(BatchSum, BatchMean):
                once["is_last"] += [f"# ({equation.number})", f"{total} += {times}({self._raw(inside)})"]
            elif not isinstance(term, Sum):
                text = f"{total} += {ends.text(inside, bulk=False)}"
                once["is_first" if S.Zero in {a.index for a in atoms} else "is_last"] += [
                    f"# ({equation.number})",
                    text,
                ]
            elif term.limits[0][2] == T:
                block.lines += [f"# ({equation.number})", f"{total} += {block.text(inside, bulk=True)}"]
            else:
                # The last step has a term of its own.
                ends.lines += [f"# ({equation.number})", "for k in range(1, n if window.is_last else n + 1):"]
                ends.lines += [f"    {total} += {ends.text(inside, bulk=False)}"]
        for condition, body in once.items():
            if body:
                ends.lines += [f"if window.{condition}:", *_indented(body)]
        return {"add_up": self._with_header(block, "window.n + 1"), "add_ends": self._with_header(ends)}

    def _raw(self, expression: Expr) -> str:
        """An expression of weights, each in its own shape."""
        for parameter in self._cell.parameters:
            if expression.has(parameter):
                self.layout.weights[f"{parameter.name}_itself"] = parameter.name
        return Itself().doprint(expression)

    def _sort_gradients(self) -> tuple[list[tuple[Equation, Expr, Quantity]], list[tuple[Equation, Expr]]]:
        """The terms Σ_k Lᵀ δ_k and Σ_k δ_k of stacked adjoints, as (equation, L or 1, δ), and all others."""
        stacked, others = [], []
        for equation in self._staged.gradients:
            terms = Add.make_args(equation.rhs)
            for term in terms:
                inside = term.function if isinstance(term, Sum) and term.limits[0][2] == T else None
                delta = None
                if len(terms) == 1 and isinstance(inside, BatchOuter | BatchSum):
                    left, right = (S.One, inside.args[0]) if isinstance(inside, BatchSum) else inside.args
                    plain = isinstance(right, At) and right.index == k and right.quantity in self._plan.deltas.members
                    delta = right.quantity if plain and (left == 1 or isinstance(left, At)) else None
                if delta is None:
                    others.append((equation, term))
                else:
                    stacked.append((equation, left, delta))
        return stacked, others

    def _stacked_gradients(self, block: Block, stacked: list[tuple[Equation, Expr, Quantity]]) -> None:
        """One matrix product for all gradients that share their factors.

        The left factors stand on one another in the array `left`, and a row of ones below them makes the sums of the
        adjoints part of the product. Those that take part in no product are summed up by themselves.
        """
        deltas = self._plan.deltas
        lefts_of: dict[tuple[Quantity, ...], list[At]] = {}
        for left in dict.fromkeys(left for _, left, _ in stacked if left != 1):
            for run in runs_of((delta for _, other, delta in stacked if other == left), deltas):
                lefts_of.setdefault(run, []).append(left)
        if not lefts_of:
            self._sums(block, stacked)
            return
        bare = {delta for _, left, delta in stacked if left == 1}
        with_ones = max(lefts_of, key=lambda run: len(bare & set(run)))
        runs = sorted(lefts_of, key=lambda run: run == with_ones)
        above = [left for run in runs for left in lefts_of[run]]
        self.layout.bulks |= {
            "left": f"{height([left.quantity for left in above])} + 1",
            "right": height(deltas.members),
        }
        block.arrays |= {"left", "right"}
        block.lines.append(f"columns({block.slice(block.array_of(deltas), k, bulk=True)}, right)")
        for position, left in enumerate(above):
            block.lines.append(f"columns({block.place(left, bulk=True)}, left[{_rows(above, position, position)}])")
        left_out = list(stacked)
        first = 0
        for number, run in enumerate(runs):
            mine, ones = lefts_of[run], run == with_ones
            name = "products" if len(runs) == 1 else f"products_{number + 1}"
            one = " + 1" if ones else ""
            self.layout.totals[name] = f"({height([left.quantity for left in mine])}{one}, {height(run)})"
            members = [each for each in left_out if each[2] in run and (each[1] in mine or (ones and each[1] == 1))]
            left_out = [each for each in left_out if each not in members]
            for equation, left, delta in members:
                last = height([each.quantity for each in mine])
                rows = last if left == 1 else _rows(mine, mine.index(left), mine.index(left))
                place = f"totals.{name}[{rows}, {Stack('', run).rows(delta, delta)}].copy()"
                self._gradients[equation.lhs.args[1].name] = place
            numbers = ", ".join(f"({equation.number})" for equation, _, _ in members)
            rows = f"{_rows(above, first, first + len(mine) - 1)}{one}"
            factors = f"left[{rows}, : n * N].dot(right[{deltas.rows(run[0], run[-1])}, : n * N].T)"
            block.lines += [f"# {numbers}", f"totals.{name} += {factors}"]
            first += len(mine)
        self._sums(block, left_out)

    def _sums(self, block: Block, terms: list[tuple[Equation, Expr, Quantity]]) -> None:
        """Gradients by themselves."""
        for equation, left, delta in terms:
            weight = equation.lhs.args[1].name
            self.layout.totals[f"gradient_{weight}"] = weight
            inside = BatchSum(delta[k]) if left == 1 else BatchOuter(left, delta[k])
            block.lines += [f"# ({equation.number})", f"totals.gradient_{weight} += {block.text(inside, bulk=True)}"]

    def gradient_of(self, weight: str) -> str:
        """Where the gradient with respect to a weight is when all windows are done."""
        return self._gradients.get(weight, f"totals.gradient_{weight}")

    # --- what the functions need ---

    def _with_header(self, block: Block, stop: str = "window.stop") -> list[str]:
        """The lines that give everything its own name, and the block."""
        header = []
        text = code_of(block.lines)
        for names, source in (
            (block.used_weights, "weights.{}"),
            (block.rows, '{owner}.rows["{}"]'),
            (block.arrays, "{owner}.{}"),
            (block.spares, "spare.{}"),
        ):
            by_owner: dict[str, list[str]] = {}
            for name in sorted(names):
                by_owner.setdefault(self._owner(name), []).append(name)
            for owner, mine in by_owner.items():
                header.append(f"{', '.join(mine)} = {', '.join(source.format(name, owner=owner) for name in mine)}")
        sizes = {"n": "window.n", "stop": stop, "N": "space.N", "T": "space.T", "t": "space.t"}
        sizes |= {str(size): f'space.sizes["{size}"]' for size in self._cell.dimensions}
        used = [name for name in sizes if mentions(text, name)]
        if "t" in used and self._cell.target_at_every_step:
            used.remove("t")
        if used:
            header.append(f"{', '.join(used)} = {', '.join(sizes[name] for name in used)}")
        for owner in ("spare", "adjoints"):
            if any(f"{owner}." in line for line in header):
                header.insert(0, f"{owner} = space.{owner}")
        return [*header, *block.lines]

    def _owner(self, name: str) -> str:
        """Which class an array belongs to."""
        return "adjoints" if name in self._back_names() else "window"

    def _back_names(self) -> set[str]:
        """The arrays of the way back."""
        staged = self._staged
        blocks = (staged.bulk, staged.back, staged.start, staged.before_last, staged.first, staged.inputs)
        names = {equation.lhs.quantity.name for block in blocks for equation in block}
        names |= {"deltas", "slopes", "left", "right", *self.layout.bulks}
        return names | {view for view in self.layout.views if view.startswith(("deltas_", "slopes_"))}

    def _find_ahead(self) -> None:
        """The quantities that the way back reads one step ahead: what must be carried from window to window."""
        atoms = {a for e in self._staged.back for a in indexed_of(e.rhs) if a.index == k + 1}
        stacks = {q: stack.array for stack in (self._plan.deltas, self._plan.slopes) for q in stack.members}
        names = {a.quantity: stacks.get(a.quantity, a.quantity.name) for a in atoms}
        self.ahead = sorted({name for q, name in names.items() if name not in self._back_names()})
        self.ahead_back = sorted({name for q, name in names.items() if name in self._back_names()})
        self.carried = sorted(
            {a.quantity.name for e in self._staged.step for a in indexed_of(e.rhs) if a.index == k - 1}
            | {s.name for s in self._cell.states}
        )

    def arrays(self, owner: str) -> list[tuple[str, str]]:
        """The arrays of the window or of the adjoints, each with its code: stacks, their members as views, others."""
        found: dict[str, str] = {}
        stacks = [self._plan.inputs, self._plan.deltas, self._plan.slopes]
        stacks += [group.values for product in self._plan.products for group in product.groups]
        stacked = set()
        for stack in stacks:
            if len(stack.members) > 1 and self._owner(stack.members[0].name) == owner:
                found[stack.array] = f"np.zeros((m + 2, {height(stack.members)}, N), dtype)"
                for q in stack.members:
                    found[q.name] = f"self.{stack.array}[:, {stack.rows(q, q)}]"
                stacked |= {q.name for q in stack.members}
        for name, rows in self.layout.arrays.items():
            if name not in stacked and self._owner(name) == owner:
                dtype = "np.intp" if self._is_label(name) else "dtype"
                found[name] = f"np.zeros((m + 2, {f'{rows}, ' if rows else ''}N), {dtype})"
        for name, code in self.layout.views.items():
            array = code.split("[")[0].split(".")[0]
            if array in found and self._owner(name) == owner:
                found[name] = f"self.{code}"
        return list(found.items())

    def _is_label(self, name: str) -> bool:
        """Whether an array holds the labels of every step."""
        return (
            self._cell.target_at_every_step
            and name == self._cell.targets[0].name
            and self._cell.targets[0].role == "label"
        )

    def spares(self) -> list[tuple[str, str]]:
        """The arrays of one step, each with its code."""
        found = {
            name: f"np.zeros({f'({rows}, N)' if rows else 'N'}, dtype)" for name, rows in self.layout.spares.items()
        }
        for name, code in self.layout.views.items():
            if code.split("[")[0] in self.layout.spares:
                found[name] = f"self.{code}"
        return list(found.items())

    def bulks(self) -> list[tuple[str, str]]:
        """The arrays for values in between, each with its code."""
        return [
            (
                name,
                f"np.ones(({rows}, m * N), dtype)"
                if name in ("left", "right")
                else f"np.zeros((m, {f'{rows}, ' if rows else ''}N), dtype)",
            )
            for name, rows in self.layout.bulks.items()
        ]


def print_network_fast(derivation: Derivation) -> str:
    """The fast module of a cell.

    Returns:
        Its source, not yet formatted.
    """
    cell, module = derivation.cell, FastModule(derivation)
    x, target = cell.inputs[0], cell.targets[0]
    code = code_of(line for lines in (*module.functions.values(), module.start) for line in lines)
    functions = {name for name in (*OWN_OPERATIONS.values(), *ELEMENTWISE.values()) if not name.startswith("np.")}
    made = module.layout.weights.values()
    fields = {
        "cell": cell,
        "title": cell.title,
        "module": module,
        "functions": module.functions,
        "numpy_functions": sorted(module.layout.functions),
        "own": sorted(name for name in functions if mentions(code, name)),
        "input": x.name,
        "input_axes": "(1, 2, 0)" if x.dimensions else "(1, 0)",
        "target": target.name,
        "target_at_every_step": cell.target_at_every_step,
        "target_dimensions": target.dimensions,
        "target_shape": ", ".join(_in_space(shape_of_targets(cell))),
        "target_kind": _last_argument(cell),
        "sizes": [(str(d), _size(cell, d)) for d in cell.dimensions],
        "weights_used": [p.name for p in cell.parameters if any(mentions(each, p.name) for each in made)],
        "sizes_used_by_weights": [str(d) for d in cell.dimensions if any(mentions(each, str(d)) for each in made)],
        "gradients": [module.gradient_of(p.name) for p in cell.parameters],
        "totals": [(name, _zeros(code)) for name, code in module.layout.totals.items()],
        "sizes_of": lambda pairs: [str(d) for d in cell.dimensions if any(mentions(c, str(d)) for _, c in pairs)],
        "uses": mentions,
        "code": {name: code_of(lines) for name, lines in module.functions.items()},
        "sizes_of_gradients": [
            str(d)
            for d in cell.dimensions
            if any(mentions(module.gradient_of(p.name), str(d)) for p in cell.parameters)
        ],
        "own_last_step": cell.has_own_last_step,
        "X_shape": " × ".join(map(str, ["N", "T", *x.dimensions])),
        "t_shape": " × ".join(map(str, ["N", *(["T"] if cell.target_at_every_step else []), *target.dimensions])),
    }
    return render("network_fast.py.j2", fields)


def _zeros(total: str) -> str:
    """An array for a sum, as code: of a shape, or of the shape of a weight; a number for a number."""
    if total.startswith("("):
        return f"np.zeros({total}, dtype)"
    return f"np.zeros(np.shape(parameters.{total}), dtype)[()]"


def _in_space(sizes: Iterable[Expr | int]) -> list[str]:
    """Sizes as code, read off the workspace; a fixed one is its number."""
    return [f"space.{d}" if d in (N, T) else str(d) if isinstance(d, int) else f'space.sizes["{d}"]' for d in sizes]


def _last_argument(cell: Cell) -> str:
    """What `as_targets` must know besides the shape, as code: the number of classes of labels, or the type."""
    classes = _in_space(classes_of(cell))
    return (f"min({', '.join(classes)})" if len(classes) > 1 else classes[0]) if classes else "dtype"


def _size(cell: Cell, dimension: Dimension) -> str:
    """Where the size of a dimension is read off, as code."""
    for weight in cell.parameters:
        if dimension in weight.dimensions:
            return f"parameters.{weight.name}.shape[{weight.dimensions.index(dimension)}]"
    return f"X.shape[{2 + cell.inputs[0].dimensions.index(dimension)}]"


def _rows(lefts: Sequence[At], first: int, last: int) -> str:
    """The rows from one of some stacked factors to another, as code."""
    heights = [left.quantity for left in lefts]
    return f"{height(heights[:first])}:{height(heights[: last + 1])}"


def code_of(lines: Iterable[str]) -> str:
    """Lines without the comments among them."""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def mentions(code: str, name: str) -> bool:
    """Whether a name stands in code, other than as an attribute or in a string."""
    return re.search(rf"(?<![\w.\"]){name}\b(?!\")", code) is not None


def _indented(lines: Iterable[str], by: int = 4) -> list[str]:
    """Lines within a block."""
    return [" " * by + line for line in lines]
