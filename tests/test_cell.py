"""Every mistake in the description of a cell is a CellError: one line, which says where, what and the cure."""

from __future__ import annotations

import ast

import pytest
from sympy import Eq, EulerGamma, Function, I, Max, Symbol, oo, tanh

from derive import Cell, CellError, Example, Input, Intermediate, Label, N, Parameter, State, T, Target, k, mean
from derive.lower import lower
from derive.modules import print_network

W, U = Parameter("W"), Parameter("U")
x, z, s, t = Input("x"), Intermediate("z"), State("s"), Target("t")
v, c, v_k = Target("v"), State("c"), Intermediate("v")
start, inner, outer = Eq(s[0], 0), Eq(z[k], s[k - 1] * W + x[k] * U), Eq(s[k], tanh(z[k]))
square = (s[T] - t) ** 2
unknown = Function("f")


def described(**changes) -> Cell:
    """A small cell without a mistake, but for what is changed."""
    fields = {
        "name": "tiny",
        "title": "A tiny cell",
        "quantities": (W, U, x, z, s, t),
        "equations": (start, inner, outer),
        "output": s[T],
        "loss": mean(square),
    }
    return Cell(**{**fields, **changes})


def also(quantity) -> dict:
    """The small cell with one more quantity."""
    return {"quantities": (W, U, x, z, s, t, quantity)}


def called(name: str, latex: str = "") -> dict:
    """The small cell with its first weight called otherwise."""
    weight = Parameter(name, latex)
    return {"quantities": (weight, U, x, z, s, t), "equations": (start, inner.subs(W, weight), outer)}


def without(quantity) -> dict:
    """The small cell with a quantity not declared."""
    return {"quantities": tuple(each for each in (W, U, x, z, s, t) if each != quantity)}


def equations(*written) -> dict:
    return {"equations": written}


def example(**changes) -> dict:
    fields = {
        "title": "an example",
        "X": ((1, 0), (0, 1)),
        "t": (1, 2),
        "start": {"W": 1, "U": 1},
        "learning_rates": {"W": 0.1, "U": 0.1},
        "epochs": 2,
    }
    return {"example": Example(**{**fields, **changes})}


# What to change, and words of the message in their order.
MISTAKES = (
    {
        # names
        "the cell has no name": ({"name": None}, "cell None, its name: None is no Python identifier; letters"),
        "the cell's name is no identifier": (
            {"name": "my-cell"},
            "cell 'my-cell', its name: no Python identifier; latex=",
        ),
        "the cell's name is a keyword": ({"name": "class"}, "its name: 'class' is a Python keyword; choose another"),
        "a name is no identifier": (called("W-x"), "quantity 'W-x': no Python identifier; latex="),
        "a name is empty": (called(""), "quantity '': no Python identifier; letters"),
        "a name is a keyword": (called("lambda"), "quantity 'lambda': Python keyword; latex="),
        "a name is a soft keyword": (called("match"), "quantity 'match': Python keyword; latex="),
        "a name is private": (called("_W"), "quantity '_W': begins with _; letter"),
        "a name is an underscore": (called("_"), "quantity '_': begins with _; letter"),
        "a weight is called like the targets": (
            {
                **called("t"),
                "quantities": (Parameter("t"), U, x, z, s, v),
                "loss": mean((s[T] - v) ** 2),
            },
            "quantity 't': the generated code calls the targets t; call it t1",
        ),
        "a state is called like the targets": (
            {
                "quantities": (W, x, State("t"), v),
                **equations(Eq(State("t")[0], 0), Eq(State("t")[k], State("t")[k - 1] * W + x[k])),
                "output": State("t")[T],
                "loss": mean((State("t")[T] - v) ** 2),
            },
            "quantity 't': the generated code calls the targets t; call it t1",
        ),
        # words
        "the title is a number": ({"title": 5}, "title: 5 is no text; title="),
        "there is nothing about it": ({"about": None}, "about: None is no text; about="),
        "the references are one text": ({"references": "Me"}, "references: 'Me' is no tuple; references= comma"),
        "a reference is a number": ({"references": (2026,)}, "references: (2026,) is no tuple of texts; references="),
        "a name is that of an adjoint": (called("delta_s"), "quantity 'delta_s': the generated code; call it"),
        "two quantities have one name": (also(Input("W", "q")), "quantity 'W': two quantities; its own"),
        "two quantities have one LaTeX": (also(Input("q", "W")), "quantity 'q': 'W' same LaTeX; its own"),
        # declarations
        "a state is not declared": (without(z), "equation z[k] = : z is used and not declared; quantities="),
        "a weight is not declared": (without(U), "equation z[k] = : U is used and not declared; quantities="),
        "a target is not declared": (without(t), "loss: t is used and not declared; quantities="),
        "a symbol is no quantity": (
            equations(start, inner, Eq(s[k], tanh(z[k]) * Symbol("q"))),
            "equation s[k] = q*tanh(z[k]): q is used and not declared; Parameter quantities=",
        ),
        "a symbol is nearly a quantity": (
            {
                **equations(start, Eq(z[k], s[k - 1] * Symbol("Wre") + x[k] * U), outer),
                "quantities": (Parameter("Wrec"), U, x, z, s, t),
            },
            "equation z[k] = : Wre is used and not declared; did you mean Wrec?",
        ),
        "a quantity is never used": (
            also(Parameter("b")),
            "quantity 'b': declared and never used; equation quantities=",
        ),
        "there is no weight": (
            {"quantities": (x, s, t), **equations(start, Eq(s[k], s[k - 1] + x[k]))},
            "quantities: there is no parameter; declare one",
        ),
        "there is no input": (
            {"quantities": (W, s, t), **equations(start, Eq(s[k], s[k - 1] * W))},
            "quantities: there is no input; declare one",
        ),
        "there are two inputs": (
            {**also(Input("q")), **equations(start, Eq(z[k], s[k - 1] * W + x[k] * U + Input("q")[k]), outer)},
            "quantities: there are several inputs; a row with shape= use one",
        ),
        "there are two targets": (
            {**also(Target("q")), "loss": mean((s[T] - t - Target("q")) ** 2)},
            "quantities: there are several targets; a row with shape= use one",
        ),
        "there is no target": (
            {"quantities": (W, U, x, z, s), "loss": mean(s[T] ** 2)},
            "quantities: there is no target; declare one",
        ),
        "there is no state": (
            {
                "quantities": (W, x, z, t),
                **equations(Eq(z[k], x[k] * W)),
                "output": z[T],
                "loss": mean((z[T] - t) ** 2),
            },
            "quantities: there is no state; declare one",
        ),
        "a symbol is declared": (also(Symbol("q")), "quantities: q is no quantity; Parameter"),
        "a quantity at a step is declared": (also(x[k]), "quantities: x[k] is no quantity; Parameter"),
        "the quantities are one quantity": ({"quantities": s}, "quantities: s is no tuple; quantities=(…,)"),
        "the equations are one equation": ({"equations": inner}, "equations: Eq(z[k], no tuple; equations=(…,)"),
        # left-hand sides
        "there are no equations": (equations(), "equations: there are none; Eq("),
        "a state has two equations": (
            equations(start, inner, outer, Eq(s[k], z[k])),
            "s[k] has two equations; keep one",
        ),
        "a state starts twice": (equations(start, Eq(s[0], 1), inner, outer), "s[0] has two equations; keep one"),
        "an equation collapsed to True": (
            equations(start, inner, Eq(s[k], s[k])),
            "equation 3: True; two different sides",
        ),
        "an equation collapsed to False": (
            equations(start, inner, outer, Eq(1, 2)),
            "equation 4: False; different sides",
        ),
        "an equation is an inequality": (equations(start, inner, s[k] < z[k]), "equation 3: s[k] < z[k]; Eq("),
        "an equation is a pair": (equations(start, inner, (s[k], z[k])), "equations: (s[k], z[k]) is no ;"),
        "an input is on the left": (equations(start, inner, Eq(x[k], z[k])), "x[k] is not a state; s[k]"),
        "a weight is on the left": (equations(start, inner, Eq(W, z[k])), "equation W = z[k]: not a state; s[k]"),
        "a state on the left has no step": (equations(start, inner, Eq(s, z[k])), "equation s = z[k]: is not; s[k]"),
        "the sides are swapped": (equations(start, inner, Eq(tanh(z[k]), s[k])), "tanh(z[k]) is not a state; s[k]"),
        "the left is one step ahead": (
            equations(start, inner, Eq(s[k + 1], z[k])),
            "equation s[k + 1]: step k + 1; s[k]",
        ),
        "the left is at step 1": (equations(start, inner, outer, Eq(s[1], 0)), "equation s[1] = 0: step 1; s[0]"),
        "a state is never updated": (
            {**equations(start, inner), "output": z[T], "loss": mean((z[T] - t) ** 2)},
            "state 's': never updated; add Eq(s[k], …)",
        ),
        "a state has no initial value": (equations(inner, outer), "state 's': no initial value; add Eq(s[0], 0)"),
        "an intermediate has no equation": (
            equations(start, outer),
            "quantity 'z': no equation computes it; Eq(z[k], …)",
        ),
        # right-hand sides
        "an initial value has a step": (equations(Eq(s[0], x[1]), inner, outer), "equation s[0] = x[1]: step; number"),
        "an initial value is an input": (equations(Eq(s[0], x), inner, outer), "equation s[0] = x: step; number"),
        "an intermediate has an initial value": (equations(start, Eq(z[0], 0), inner, outer), "z is no state; State"),
        "an intermediate is looked at a step back": (
            equations(start, inner, Eq(s[k], tanh(z[k - 1]))),
            "equation s[k] = tanh(z[k - 1]): z[k - 1] one step back; State initial value",
        ),
        "an input is looked at a step back": (
            equations(start, Eq(z[k], s[k - 1] * W + x[k - 1] * U), outer),
            "equation z[k] = : x[k - 1] one step back; State initial value",
        ),
        "a state is looked at two steps back": (
            equations(start, Eq(z[k], s[k - 2] * W + x[k] * U), outer),
            "equation z[k] = : s[k - 2] neither at this step; s[k - 1]",
        ),
        "a state is looked at one step ahead": (
            equations(start, Eq(z[k], s[k + 1] * W + x[k] * U), outer),
            "equation z[k] = : s[k + 1] neither at this step; s[k - 1]",
        ),
        "a step other than T at T": (
            equations(start, inner, outer, Eq(s[T], z[k])),
            "equation s[T] = z[k]: z[k] neither at this step; z[T]",
        ),
        "a weight has a step": (
            equations(start, Eq(z[k], s[k - 1] * W[k] + x[k] * U), outer),
            "equation z[k] = : parameter W[k] in a step; a parameter has no step",
        ),
        "a target is in a step": (
            equations(start, Eq(z[k], s[k - 1] * W + x[k] * U + t[k]), outer),
            "equation z[k] = : target t[k] in a step; belongs into the loss",
        ),
        "a state has no step": (
            equations(start, Eq(z[k], s * W + x[k] * U), outer),
            "equation z[k] = : state s without a step; s[k - 1]",
        ),
        "an intermediate has no step": (
            equations(start, inner, Eq(s[k], tanh(z))),
            "intermediate z without a step; z[k]",
        ),
        "two equations need each other": (
            equations(start, Eq(z[k], s[k] * W + x[k] * U), outer),
            "equations of z → s: each needs the other within one step; one step back",
        ),
        "an equation needs itself": (
            equations(start, inner, Eq(s[k], s[k] + z[k])),
            "equations of s: it needs itself within one step; one step back",
        ),
        "an initial value is the step": (equations(Eq(s[0], k), inner, outer), "equation s[0] = k: step; number"),
        "an initial value is the size of the batch": (
            equations(Eq(s[0], N), inner, outer),
            "equation s[0] = N: ; number",
        ),
        "an input has no step": (
            equations(start, Eq(z[k], s[k - 1] * W + x * U), outer),
            "equation z[k] = : input x without a step; x[k]",
        ),
        "a mean is in a step": (
            equations(start, Eq(z[k], s[k - 1] * W + x[k] * U - mean(s[k - 1])), outer),
            "equation z[k] = : mean over the sequences; loss",
        ),
        "a function has no rule": (
            equations(start, inner, Eq(s[k], unknown(z[k]))),
            "equation s[k] = f(z[k]): f; tanh",
        ),
        "a function has a kink": (
            equations(start, inner, Eq(s[k], Max(0, z[k]))),
            "equation s[k] = Max(0, z[k]): no rule for Max; + - * / tanh kink softplus CONTRIBUTING.md",
        ),
        "a number is not finite": (
            equations(start, Eq(z[k], s[k - 1] * W + oo * x[k]), outer),
            "equation z[k] = : oo is no number; finite",
        ),
        "a constant has no name in code": (
            equations(start, Eq(z[k], s[k - 1] * W * EulerGamma + x[k] * U), outer),
            "equation z[k] = : no rule for EulerGamma; tanh",
        ),
        "a number is imaginary": (
            equations(start, Eq(z[k], s[k - 1] * W * I + x[k] * U), outer),
            "equation z[k] = : no rule for ImaginaryUnit,",
        ),
        # what is read where nothing computes it
        "an equation reads at every step what is computed at the last": (
            equations(start, Eq(z[T], s[T - 1] * W), Eq(s[k], s[k - 1] * U + x[k] + tanh(z[k]))),
            "equation s[k] = : z[k] is read at every step, and z has an equation for the last; write Eq(z[k], z[T]",
        ),
        "a loss reads at every step what is computed at the last": (
            {
                **equations(start, Eq(s[k], s[k - 1] * W + x[k] * U), Eq(z[T], tanh(s[T]))),
                "output": z[T],
                "loss": mean((z[k] - t[k]) ** 2),
            },
            "loss mean : z[k] is read at every step, and z has an equation for the last; write Eq(z[k], z[T]",
        ),
        "the output reads at every step what is computed at the last": (
            {
                **equations(start, Eq(s[k], s[k - 1] * W + x[k] * U), Eq(z[T], tanh(s[T]))),
                "output": z[k],
                "loss": mean((z[T] - t) ** 2),
            },
            "output: z[k] is read at every step, and z has an equation for the last; write Eq(z[k], z[T]",
        ),
        # what leads nowhere
        "a state leads nowhere": (
            {**also(c), **equations(start, inner, outer, Eq(c[0], 0), Eq(c[k], c[k - 1] + s[k]))},
            "state 'c': the loss does not depend on it; leads take it",
        ),
        "an intermediate leads nowhere": (
            {**also(v_k), **equations(start, inner, outer, Eq(v_k[k], s[k] * W))},
            "intermediate 'v': the loss does not depend on it; leads take it",
        ),
        # loss and output
        "there is no loss": ({"loss": None}, "loss: there is no loss; loss=mean("),
        "the loss is no mean": ({"loss": square}, "loss: (-t + s[T])**2 is no mean; loss=mean("),
        "the loss is a number": ({"loss": 1.0}, "loss: 1.0 is no mean; loss=mean("),
        "the loss differs by sequence outside the mean": (
            {"loss": mean(square) * s[T]},
            "loss : sequence; inside mean(",
        ),
        "the loss mixes steps": ({"loss": mean((s[T] - t[k]) ** 2)}, "loss : s[T] another step; [k]"),
        "the loss has a target at the last step": (
            {"loss": mean((s[T] - t[T]) ** 2)},
            "loss : a target at the last step, t[T]; write t, one a sequence",
        ),
        "the loss looks at an early step": ({"loss": mean((s[1] - t) ** 2)}, "loss : s[1] another step; [T]"),
        "the loss has a state without a step": ({"loss": mean((s - t) ** 2)}, "loss : s without a step; s[T]"),
        "the loss depends on no state": ({"loss": mean(t**2)}, "loss : depend on any state; computes"),
        "the output is an input": ({"output": x[T]}, "output: x[T] is not a computed quantity; output=s[T]"),
        "the output is initial": ({"output": s[0]}, "output: s[0] is not a computed quantity; output=s[T]"),
        "the output has no step": ({"output": s}, "output: s is not a computed quantity; output=s[T]"),
        "there is no output": ({"output": None}, "output: None is not a computed quantity; output=s[T]"),
        "the loss has an input without a step": ({"loss": mean((s[T] - t - x) ** 2)}, "loss : x without a step; x[T]"),
        "the loss has a weight at a step": (
            {"loss": mean((s[T] - t * W[T]) ** 2)},
            "loss : parameter W[T] step; write W",
        ),
        "the loss calculates with a label": (
            {"quantities": (W, U, x, z, s, Label("t")), "loss": mean((s[T] - Label("t")) ** 2)},
            "loss : a calculation with the label t; softmax_cross_entropy Target",
        ),
        "the loss is a mean of a mean": ({"loss": mean(mean(square))}, "loss : a mean within a mean; once"),
        # example
        "the example's sequences differ in length": (
            example(X=((1, 0), (1,))),
            "example, X: lengths [1, 2]; one length",
        ),
        "the example has no sequence": (example(X=(), t=()), "example, X: lengths []; one or more"),
        "the example's sequences are empty": (example(X=((), ())), "example, X: lengths [0]; one or more"),
        "the example trains backwards": (example(epochs=-1), "example, epochs: -1; 0 or more"),
        "the example starts at no number": (
            example(start={"W": "a", "U": 1}),
            "example, start: W is 'a'; finite number",
        ),
        "the example starts at nan": (example(start={"W": float("nan"), "U": 1}), "example, start: W is nan; finite"),
        "the example starts without a weight": (
            example(start={"W": 1}),
            "example, start: U is missing; give each of U, W",
        ),
        "the example's rate is misnamed": (
            example(learning_rates={"W": 1, "V": 1}),
            "example, learning_rates: V is unknown, U is missing; give each of U, W",
        ),
        "the example's solution lacks a weight": (
            example(solution={"U": 1}),
            "example, solution: W is missing; give each of U, W",
        ),
        "the example's input is a text": (example(X=(("a", 2), (0, 1))), "example, X: 'a'; finite"),
        "the example's targets are rows": (example(t=((1,), (2,))), "example, t: (1,); finite"),
        "the example has one target and the cell one a step": (
            {
                **example(),
                **equations(start, inner, outer),
                "loss": mean((s[k] - t[k]) ** 2),
            },
            "example: one target a sequence, the cell has one target a step; TaskExample",
        ),
        "the example's data do not match": (
            example(t=(1, 2, 3)),
            "example: 2 sequences 3 targets; one target a sequence",
        ),
    }
    | {
        f"{name} is a name of the generated code": (called(name), f"quantity {name!r}: generated code uses; call it")
        for name in ("np", "T", "N", "k", "X", "forward", "loss", "predict", "Parameters", "delta", "print", "float")
    }
    | {
        f"{latex} is LaTeX of the derivation": (called("W", latex), f"quantity 'W': {latex} itself; another latex=")
        for latex in ("k", "n", "N", "T", "j", "m", r"\xi", r"\delta", r"\eta")
    }
)


def refused(changes: dict) -> CellError:
    with pytest.raises(CellError) as caught:
        described(**changes)
    return caught.value


def test_a_description_without_a_mistake_is_accepted():
    assert described().step == {z: inner.rhs, s: outer.rhs}


@pytest.mark.parametrize(("changes", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_with_where_what_and_cure(changes, words):
    message = str(refused(changes))
    rest = message
    for word in words.replace(": ", " ").replace("; ", " ; ").split():
        assert word in rest, f"{word!r} is missing, or comes too early, in: {message}"
        rest = rest.partition(word)[2]


@pytest.mark.parametrize("changes", [changes for changes, _ in MISTAKES.values()], ids=MISTAKES)
def test_a_message_is_one_line_that_names_the_cell(changes):
    error = refused(changes)
    assert str(error) == f"cell {changes.get('name', 'tiny')!r}, {error.where}: {error.problem}; {error.cure}"
    assert "\n" not in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        (equations(outer, inner, start), [z, s]),
        ({"quantities": (t, s, z, x, U, W)}, [z, s]),
        (equations(start, Eq(z[k], x[k] * U + W), Eq(s[k], s[k - 1] + z[k])), [z, s]),
        (equations(start, Eq(s[k], s[k - 1] * W + x[k]), Eq(z[k], s[k] * U)) | {"output": z[T]}, [s, z]),
    ],
)
def test_equations_are_put_into_computing_order(changes, order):
    assert list(described(**changes).step) == order


y, c, b, start_value = Intermediate("y"), State("c"), Parameter("b"), Parameter("start")
DESCRIPTIONS = {
    "two states": {
        "quantities": (W, U, x, s, c, t),
        "equations": (start, Eq(c[0], 1), Eq(s[k], s[k - 1] * W + c[k - 1]), Eq(c[k], c[k - 1] * U + x[k] * s[k])),
    },
    "a last step of its own": equations(start, inner, outer, Eq(s[T], z[T])),
    "an output map": {
        "quantities": (W, U, b, x, z, s, y, t),
        "equations": (start, inner, outer, Eq(y[T], s[T] * b)),
        "output": y[T],
        "loss": mean((y[T] - t) ** 2),
    },
    "a loss at every step": {
        "quantities": (W, U, b, x, z, s, y, t),
        "equations": (start, inner, outer, Eq(y[k], s[k] * b)),
        "output": y[k],
        "loss": mean((y[k] - t[k]) ** 2),
    },
    "a learnt initial state": {
        "quantities": (W, U, start_value, x, z, s, t),
        "equations": (Eq(s[0], start_value), inner, outer),
    },
    "a penalty on the weights": {"loss": mean(square) + W**2 / 10},
}


@pytest.mark.parametrize("changes", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_the_language_can_say(changes):
    assert described(**changes).last_step


def test_an_equation_for_T_replaces_that_for_k():
    cell = described(**DESCRIPTIONS["a last step of its own"])
    assert cell.has_own_last_step
    assert cell.last_step == {z: inner.rhs.subs(k, T), s: z[T]}


DATA_AND_NAMES = {
    "the example's input is nan": example(X=((1, 0), (float("nan"), 1))),
    "the example's target is infinite": example(t=(1, float("inf"))),
    "the cell is called like the trainer": {"name": "train"},
    "the cell is called like a module of the trainer": {"name": "weights"},
}


@pytest.mark.parametrize("changes", DATA_AND_NAMES.values(), ids=DATA_AND_NAMES)
def test_a_mistake_is_not_missed(changes):
    refused(changes)


def test_a_step_that_is_a_text_is_refused():
    with pytest.raises(TypeError, match=r"s\['k'\]: a step is k, T or a number, not a text; write s\[k\]"):
        s["k"]


def names_in_generated_code(derivation) -> set[str]:
    """All but those in functions where no name of the cell stands, as in `time_first`: nothing hides them there."""
    cell = derivation.cell
    own = {quantity.name for quantity in (*cell.parameters, *cell.computed)}
    parts = ast.parse(print_network(lower(derivation))).body
    within = {part: {node.id for node in ast.walk(part) if isinstance(node, ast.Name)} for part in parts}
    reached = [part for part in parts if not isinstance(part, ast.FunctionDef) or within[part] & own]
    nodes = [node for part in reached for node in ast.walk(part)]
    names = set().union(*(within[part] for part in reached))
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return (names | arguments) - {quantity.name for quantity in cell.quantities}


def test_every_name_of_the_generated_code_is_reserved(linear):
    accepted = set()
    for name in names_in_generated_code(linear):
        try:
            described(**called(name))
        except CellError:
            continue
        accepted.add(name)
    assert not accepted
