"""The vanilla recurrent network: a row of tanh units, and a linear output at the last step."""

from sympy import Eq, tanh

from derive import Cell, Dimension, Input, Intermediate, Parameter, State, T, Target, TaskExample, k, mean, total

D, H, M = Dimension("D"), Dimension("H"), Dimension("M")

W_x = Parameter("Wx", "W_x", "weights of the input", shape=(D, H))
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weights of the previous state", shape=(H, H))
b = Parameter("b", meaning="bias of the state", shape=(H,))
W_y = Parameter("Wy", "W_y", "weights of the output", shape=(H, M))
b_y = Parameter("by", "b_y", "bias of the output", shape=(M,))
x = Input("x", "X", "input", shape=(D,))
z = Intermediate("z", "Z", "pre-activation", shape=(H,))
h = State("h", "H", "state", shape=(H,))
y = Intermediate("y", "Y", "output", shape=(M,))
t = Target("t", r"\hat{Y}", "target", shape=(M,))

cell = Cell(
    name="vanilla_rnn",
    title="The vanilla recurrent network",
    about="All of it is written for a batch, one sequence a row, as the code runs.",
    quantities=(W_x, W_rec, b, W_y, b_y, x, z, h, y, t),
    equations=(
        Eq(h[0], 0),
        Eq(z[k], h[k - 1] @ W_rec + x[k] @ W_x + b),
        Eq(h[k], tanh(z[k])),
        Eq(y[T], h[T] @ W_y + b_y),
    ),
    output=y[T],
    loss=mean(total((y[T] - t) ** 2)),
    example=TaskExample(
        title="The adding problem: two numbers of ten, marked, are to be remembered and added",
        task="adding_problem",
        arguments={"examples": 5_000, "steps": 10, "seed": 1},
        sizes={"H": 16},
        method="adam",
        learning_rate=0.005,
        batch=50,
        epochs=30,
    ),
    references=("J. L. Elman, Finding structure in time, Cognitive Science 14 (1990).",),
)
