"""The linear network that counts ones: one state, two weights."""

import numpy as np
from sympy import Eq

from derive import Cell, Example, Input, Landscape, Parameter, State, T, Target, k, mean

W_x = Parameter("Wx", "W_x", "weight of the input")
W_rec = Parameter("Wrec", r"W_{\mathrm{rec}}", "weight of the previous state")
x = Input("x", meaning="0 or 1")
s = State("s", meaning="the count so far")
t = Target("t", meaning="how many inputs are 1")

random_ones = np.random.default_rng(seed=1).integers(0, 2, size=(20, 10))

cell = Cell(
    name="linear",
    title="The linear network that counts ones",
    about="A sequence of $T$ binary inputs goes in, one a step; the last state should be how many of them are 1.",
    quantities=(W_x, W_rec, x, s, t),
    equations=(
        Eq(s[0], 0),
        Eq(s[k], s[k - 1] * W_rec + x[k] * W_x),
    ),
    output=s[T],
    loss=mean((s[T] - t) ** 2),
    example=Example(
        title="Three sequences of three steps, from J. D. Seo's tutorial",
        X=((1, 0, 0), (1, 1, 0), (1, 1, 1)),
        t=(1, 2, 3),
        start={"Wx": 0.2, "Wrec": 1.5},
        learning_rates={"Wx": 0.02, "Wrec": 0.0006},
        epochs=30_000,
        solution={"Wx": 1, "Wrec": 1},
    ),
    landscape=Landscape(
        inputs=random_ones,
        targets=random_ones.sum(axis=1),
        points=((2, 1), (1, 2), (1, -2), (1, 0), (1, 0.5), (1, -0.5)),
        windows=((-3, 3), (0, 2)),
    ),
    references=(
        "J. D. Seo, Only Numpy: Vanilla RNN, back propagation through time, part 1.",
        "P. Roelants, How to implement a recurrent neural network, part 1.",
        "P. J. Werbos, Backpropagation through time: what it does and how to do it, Proc. IEEE 78 (1990).",
    ),
)
