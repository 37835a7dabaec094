"""The logistic network that counts zeros: one state between 0 and 1, but for the last step, which has no activation."""

from sympy import Eq

from derive import Cell, Example, Input, Intermediate, Parameter, State, T, Target, k, logistic, mean

W_x = Parameter("Wx", "W_x", "weight of the input")
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weight of the previous state")
x = Input("x", meaning="0 or 1")
z = Intermediate("z", meaning="pre-activation")
s = State("s", meaning="between 0 and 1, but for the last step")
t = Target("t", meaning="how many inputs are 0")

cell = Cell(
    name="logistic",
    title="The logistic network that counts zeros",
    about="A count above 1 cannot come out of the logistic function, so the last state is without it.",
    quantities=(W_x, W_rec, x, z, s, t),
    equations=(
        Eq(s[0], 0),
        Eq(z[k], s[k - 1] * W_rec + x[k] * W_x),
        Eq(s[k], logistic(z[k])),
        Eq(s[T], z[T]),
    ),
    output=s[T],
    loss=mean((s[T] - t) ** 2),
    example=Example(
        title="Three sequences of three steps, from J. D. Seo's tutorial",
        X=((0, 0, 0), (0, 0, 1), (0, 1, 1)),
        t=(3, 2, 1),
        start={"Wx": 0.2, "Wrec": 1.5},
        learning_rates={"Wx": 0.001, "Wrec": 0.001},
        epochs=15_000,
    ),
    references=("J. D. Seo, Only Numpy: Vanilla RNN, back propagation through time, part 2.",),
)
