"""The tanh network with an output weight: one state between -1 and 1, scaled to the target."""

from sympy import Eq, tanh

from derive import Cell, Example, Input, Intermediate, Parameter, State, T, Target, k, mean

W_x = Parameter("Wx", "W_x", "weight of the input")
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weight of the previous state")
W_y = Parameter("Wy", "W_y", "weight of the output")
x = Input("x", meaning="0 or 1")
z = Intermediate("z", meaning="pre-activation")
s = State("s", meaning="between -1 and 1")
y = Intermediate("y", meaning="output")
t = Target("t", meaning="how many inputs are 1")

cell = Cell(
    name="tanh",
    title="The tanh network with an output weight",
    about="The state stays between -1 and 1; the output weight makes a count of it.",
    quantities=(W_x, W_rec, W_y, x, z, s, y, t),
    equations=(
        Eq(s[0], 0),
        Eq(z[k], s[k - 1] * W_rec + x[k] * W_x),
        Eq(s[k], tanh(z[k])),
        Eq(y[T], s[T] * W_y),
    ),
    output=y[T],
    loss=mean((y[T] - t) ** 2),
    example=Example(
        title="The sequences of the linear network",
        X=((1, 0, 0), (1, 1, 0), (1, 1, 1)),
        t=(1, 2, 3),
        start={"Wx": 0.2, "Wrec": 1, "Wy": 5},
        learning_rates={"Wx": 0.001, "Wrec": 0.001, "Wy": 0.001},
        epochs=30_000,
    ),
)
