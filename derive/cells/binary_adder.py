"""The network that adds binary numbers: two bits in and one bit out at every step, and a learnt initial state."""

from sympy import Eq, tanh

from derive import (
    Cell,
    Dimension,
    Input,
    Intermediate,
    Parameter,
    State,
    Target,
    TaskExample,
    k,
    logistic_cross_entropy,
    mean,
    total,
)

D, H, M = Dimension("D"), Dimension("H"), Dimension("M")

W_x = Parameter("Wx", "W_x", "weights of the input", shape=(D, H))
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weights of the previous state", shape=(H, H))
b = Parameter("b", meaning="bias of the state", shape=(H,))
h_0 = Parameter("start", "a", "initial state", shape=(H,))
W_y = Parameter("Wy", "W_y", "weights of the output", shape=(H, M))
b_y = Parameter("by", "b_y", "bias of the output", shape=(M,))
x = Input("x", "X", "the bits of both numbers, least significant first", shape=(D,))
z = Intermediate("z", "Z", "pre-activation", shape=(H,))
h = State("h", "H", "state", shape=(H,))
y = Intermediate("y", "Y", "output, before the logistic function", shape=(M,))
t = Target("t", r"\hat{Y}", "the bit of the sum", shape=(M,))

cell = Cell(
    name="binary_adder",
    title="The network that adds binary numbers",
    about="The output of every step is compared with the bit of the sum; the loss is the cross-entropy of all of them.",
    quantities=(W_x, W_rec, b, h_0, W_y, b_y, x, z, h, y, t),
    equations=(
        Eq(h[0], h_0),
        Eq(z[k], h[k - 1] @ W_rec + x[k] @ W_x + b),
        Eq(h[k], tanh(z[k])),
        Eq(y[k], h[k] @ W_y + b_y),
    ),
    output=y[k],
    loss=mean(total(logistic_cross_entropy(y[k], t[k]))),
    example=TaskExample(
        title="Adding two numbers below 64, after P. Roelants",
        task="binary_addition",
        arguments={"examples": 2_000, "bits": 7, "seed": 1},
        sizes={"H": 6},
        method="adam",
        learning_rate=0.02,
        batch=100,
        epochs=50,
    ),
    references=("P. Roelants, How to implement a recurrent neural network, part 2.",),
)
