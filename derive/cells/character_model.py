"""The character model: a vanilla network that says at every step which character comes next."""

from sympy import Eq, tanh

from derive import (
    Cell,
    Dimension,
    Input,
    Intermediate,
    Label,
    Parameter,
    State,
    TaskExample,
    k,
    mean,
    softmax_cross_entropy,
)

V, H = Dimension("V"), Dimension("H")

W_x = Parameter("Wx", "W_x", "weights of the input", shape=(V, H))
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weights of the previous state", shape=(H, H))
b = Parameter("b", meaning="bias of the state", shape=(H,))
W_y = Parameter("Wy", "W_y", "weights of the output", shape=(H, V))
b_y = Parameter("by", "b_y", "bias of the output", shape=(V,))
x = Input("x", "X", "the character, 1 in its own place and 0 elsewhere", shape=(V,))
z = Intermediate("z", "Z", "pre-activation", shape=(H,))
h = State("h", "H", "state", shape=(H,))
y = Intermediate("y", "Y", "output, before the softmax", shape=(V,))
t = Label("t", "t", "the next character, a number below V")

cell = Cell(
    name="character_model",
    title="The character model",
    about="The output of every step is a score for each character; softmax makes probabilities of the scores.",
    quantities=(W_x, W_rec, b, W_y, b_y, x, z, h, y, t),
    equations=(
        Eq(h[0], 0),
        Eq(z[k], h[k - 1] @ W_rec + x[k] @ W_x + b),
        Eq(h[k], tanh(z[k])),
        Eq(y[k], h[k] @ W_y + b_y),
    ),
    output=y[k],
    loss=mean(softmax_cross_entropy(y[k], t[k])),
    example=TaskExample(
        title="A nursery rhyme, or any text of yours",
        task="next_character",
        arguments={"steps": 25, "seed": 1},
        sizes={"H": 64},
        method="adam",
        learning_rate=0.005,
        batch=20,
        epochs=30,
    ),
    references=("T. Mikolov et al., Recurrent neural network based language model, Interspeech (2010).",),
)
