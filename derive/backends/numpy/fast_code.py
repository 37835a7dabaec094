"""Prints network_fast.py: its functions from the staged equations, and the arrays that they need.

What runs over the steps, or over a window's steps in bulk, is printed by `fast_lines`; here it is put into functions
that begin by giving everything its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sympy import Expr

from derive.backends.numpy.fast_calls import Layout
from derive.backends.numpy.fast_gradients import GradientSums, indented
from derive.backends.numpy.fast_lines import Block
from derive.backends.numpy.fast_plan import height, plan
from derive.backends.numpy.numpy_code import OWN_OPERATIONS, classes_of, shape_of_targets
from derive.backends.templating import render
from derive.language.cell import Cell
from derive.language.operations import ELEMENTWISE, BatchMean
from derive.language.quantities import Dimension, N, T, indexed_of, k
from derive.mathematics.derivation import Derivation, Equation


class FastModule:
    """The parts of network_fast.py.

    Args:
        derivation: What to print.
    """

    def __init__(self, derivation: Derivation) -> None:
        self._plan = plan(derivation)
        self._staged, self._cell = derivation.staged, derivation.cell
        self.layout = Layout()
        self.functions = {
            "hoisted": self._bulk_function(self._staged.hoisted),
            "run": self._run(),
            "outputs": self._bulk_function(self._staged.outputs),
            "finish": self._finish(),
            "loss": self._loss(derivation.forward.loss),
            "hoisted_back": self._bulk_function(self._staged.hoisted_back, "window.n + 1"),
            "run_back": self._run_back(),
        }
        self.gradients = GradientSums(self._plan, self.layout)
        self.functions["add_up"] = self._with_header(self.gradients.every, "window.n + 1")
        self.functions["add_ends"] = self._with_header(self.gradients.ends)
        self.functions["inputs"] = self._inputs()
        self.start = self._start(derivation)

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
            block.lines = ["for k in range(1, stop):", *indented(block.lines)]
        return self._with_header(block)

    def _finish(self) -> list[str]:
        block = self._block()
        for equation in self._staged.finish:
            block.say(equation, step=T)
            block.write(equation.rhs.subs(k, T), block.place(equation.lhs.subs(k, T), bulk=False))
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
        in_bulk = {e.lhs.quantity for e in staged.hoisted_back} if not self._cell.has_own_last_step else set()
        block.back_step(e for e in staged.start if e.lhs.quantity not in in_bulk)
        lines = ["if window.is_last:", *indented(block.lines)] if block.lines else []
        if staged.before_last:
            block.lines = []
            block.back_step(staged.before_last)
            lines += ["if window.is_last and n > 1:", *indented(block.lines)]
        skip = 2 if staged.before_last else 1
        block.lines = []
        block.back_step(staged.run_back)
        if block.lines:
            lines += [f"for k in range(n - {skip} if window.is_last else n, 0, -1):", *indented(block.lines)]
        block.lines = []
        block.back_step(staged.first)
        if block.lines:
            lines += ["if window.is_first:", *indented(block.lines)]
        block.lines = lines
        return self._with_header(block)

    def _inputs(self) -> list[str]:
        """The function for the derivative with respect to the inputs; it reads the adjoints in bulk."""
        block = self._block()
        every, *own = self._staged.inputs
        block.say(every)
        name = every.lhs.quantity.name
        self.layout.scratch[name] = height([every.lhs.quantity]) if every.lhs.quantity.dimensions else ""
        block.write(block.with_stacked(every.rhs, bulk=True), f"{name}[: stop - 1]", bulk=True)
        block.arrays.add(name)
        if own:
            ends = self._block()
            ends.say(*own)
            ends.write(own[0].rhs, f"{name}[n - 1]")
            ends.arrays.add(name)
            ends.lines = ["if window.is_last:", *indented(ends.lines)]
            self.functions["inputs_end"] = self._with_header(ends)
        self.input_adjoint = name
        return self._with_header(block)

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
        """Which class an array belongs to, or a part of one."""
        staged, base = self._staged, base_of(self.layout.views.get(name, name))
        blocks = (staged.hoisted_back, staged.run_back, staged.start, staged.before_last, staged.first, staged.inputs)
        names = {equation.lhs.quantity.name for block in blocks for equation in block}
        names |= {self._plan.deltas.array, self._plan.slopes.array} if self._plan.deltas.members else set()
        return "adjoints" if base in names | set(self.layout.scratch) else "window"

    @property
    def carried(self) -> list[str]:
        """What a step reads of the step before."""
        read = {a.quantity for e in self._staged.run for a in indexed_of(e.rhs) if a.index == k - 1}
        return sorted(quantity.name for quantity in read | {*self._cell.states})

    @property
    def ahead(self) -> dict[str, list[str]]:
        """What the way back reads one step ahead, by its owner: it is carried from window to window."""
        stacks = {q: stack.array for stack in (self._plan.deltas, self._plan.slopes) for q in stack.members}
        atoms = {a for e in self._staged.run_back for a in indexed_of(e.rhs) if a.index == k + 1}
        names = sorted({stacks.get(atom.quantity, atom.quantity.name) for atom in atoms})
        return {owner: [name for name in names if self._owner(name) == owner] for owner in ("window", "adjoints")}

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
            if base_of(code) in found:
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
            if base_of(code) in self.layout.spares:
                found[name] = f"self.{code}"
        return list(found.items())

    def scratch(self) -> list[tuple[str, str]]:
        """The arrays of a window's steps for values in between, each with its code."""
        return [
            (
                name,
                f"np.ones(({rows}, m * N), dtype)"
                if name in ("left", "right")
                else f"np.zeros((m, {f'{rows}, ' if rows else ''}N), dtype)",
            )
            for name, rows in self.layout.scratch.items()
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
        "gradients": [module.gradients.place_of(p.name) for p in cell.parameters],
        "totals": [(name, _zeros(code)) for name, code in module.layout.totals.items()],
        "sizes_of": lambda pairs: [str(d) for d in cell.dimensions if any(mentions(c, str(d)) for _, c in pairs)],
        "uses": mentions,
        "code": {name: code_of(lines) for name, lines in module.functions.items()},
        "sizes_of_gradients": [
            str(d)
            for d in cell.dimensions
            if any(mentions(module.gradients.place_of(p.name), str(d)) for p in cell.parameters)
        ],
        "own_last_step": cell.has_own_last_step,
        "X_shape": " × ".join(map(str, ["N", "T", *x.dimensions])),
        "t_shape": " × ".join(map(str, ["N", *(["T"] if cell.target_at_every_step else []), *target.dimensions])),
    }
    return render("backends/numpy/templates/network_fast.py.j2", fields)


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


def base_of(code: str) -> str:
    """The array that some code is a part of: `deltas` of `deltas[:, H:].reshape(…)`."""
    return re.split(r"[\[.]", code)[0]


def code_of(lines: Iterable[str]) -> str:
    """Lines without the comments among them."""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def mentions(code: str, name: str) -> bool:
    """Whether a name stands in code, other than as an attribute or in a string."""
    return re.search(rf"(?<![\w.\"]){name}\b(?!\")", code) is not None
