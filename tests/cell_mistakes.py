"""Descriptions of a cell with one mistake each, by what the mistake is, and words of the message in their order."""

from __future__ import annotations

from sympy import Eq, EulerGamma, I, Max, Symbol, oo, tanh

from derive import Input, Label, N, Parameter, T, Target, k, mean
from tests.tiny_cell import (
    U,
    W,
    also,
    c,
    called,
    equations,
    example,
    inner,
    outer,
    s,
    square,
    start,
    t,
    unknown,
    v_k,
    without,
    x,
    z,
)

MISTAKES = {
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
    # words
    "the title is a number": ({"title": 5}, "title: 5 is no text; title="),
    "there is nothing about it": ({"about": None}, "about: None is no text; about="),
    "the references are one text": ({"references": "Me"}, "references: 'Me' is no tuple; references= comma"),
    "a reference is a number": ({"references": (2026,)}, "references: (2026,) is no tuple of texts; references="),
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
} | {
    f"{latex} is LaTeX of the derivation": (called("W", latex), f"quantity 'W': {latex} itself; another latex=")
    for latex in ("k", "n", "N", "T", "j", "m", r"\xi", r"\delta", r"\eta")
}
