"""The GRU with the reset gate after the product: the form of PyTorch, cuDNN and, unless told otherwise, Keras."""

from sympy import Eq, tanh

from derive import (
    Cell,
    Dimension,
    Input,
    Intermediate,
    Parameter,
    State,
    T,
    Target,
    TaskExample,
    k,
    logistic,
    mean,
    total,
)

D, H, M = Dimension("D"), Dimension("H"), Dimension("M")

W_xr = Parameter("Wxr", "W_{xr}", "weights of the input, reset gate", shape=(D, H))
W_hr = Parameter("Whr", "W_{hr}", "weights of the previous state, reset gate", shape=(H, H))
b_r = Parameter("br", "b_r", "bias, reset gate", shape=(H,))
W_xu = Parameter("Wxu", "W_{xu}", "weights of the input, update gate", shape=(D, H))
W_hu = Parameter("Whu", "W_{hu}", "weights of the previous state, update gate", shape=(H, H))
b_u = Parameter("bu", "b_u", "bias, update gate", shape=(H,))
W_xc = Parameter("Wxc", "W_{xc}", "weights of the input, candidate", shape=(D, H))
W_hc = Parameter("Whc", "W_{hc}", "weights of the previous state, candidate", shape=(H, H))
b_xc = Parameter("bxc", "b_{xc}", "bias, candidate", shape=(H,))
b_hc = Parameter("bhc", "b_{hc}", "second bias, candidate, behind the reset gate", shape=(H,))
W_y = Parameter("Wy", "W_y", "weights of the output", shape=(H, M))
b_y = Parameter("by", "b_y", "bias of the output", shape=(M,))
x = Input("x", "X", "input", shape=(D,))
z_r = Intermediate("zr", "Z_r", "pre-activation, reset gate", shape=(H,))
z_u = Intermediate("zu", "Z_u", "pre-activation, update gate", shape=(H,))
z_c = Intermediate("zc", "Z_c", "pre-activation, candidate", shape=(H,))
r = Intermediate("r", "R", "reset gate: how much of the past the candidate sees", shape=(H,))
u = Intermediate("u", "U", "update gate: how much of the past stays", shape=(H,))
p = Intermediate("p", "P", "what the candidate may see of the past", shape=(H,))
c = Intermediate("c", "C", "candidate for the new state", shape=(H,))
h = State("h", "H", "state", shape=(H,))
y = Intermediate("y", "Y", "output", shape=(M,))
t = Target("t", r"\hat{Y}", "target", shape=(M,))

gates = (
    Eq(h[0], 0),
    Eq(z_r[k], h[k - 1] @ W_hr + x[k] @ W_xr + b_r),
    Eq(r[k], logistic(z_r[k])),
    Eq(z_u[k], h[k - 1] @ W_hu + x[k] @ W_xu + b_u),
    Eq(u[k], logistic(z_u[k])),
)
new_state = (
    Eq(c[k], tanh(z_c[k])),
    Eq(h[k], u[k] * h[k - 1] + (1 - u[k]) * c[k]),
    Eq(y[T], h[T] @ W_y + b_y),
)
weights = (W_xr, W_hr, b_r, W_xu, W_hu, b_u, W_xc, W_hc, b_xc, b_hc, W_y, b_y)

cell = Cell(
    name="gru",
    title="The GRU, reset after the product",
    about="""The form of PyTorch, of cuDNN and of Keras unless told otherwise (reset_after=True). It differs from the
    form of Cho et al. (2014), `gru_reset_before`, in the candidate alone, which has two biases.""",
    quantities=(*weights, x, z_r, z_u, z_c, r, u, p, c, h, y, t),
    equations=(
        *gates,
        Eq(p[k], h[k - 1] @ W_hc + b_hc),
        Eq(z_c[k], r[k] * p[k] + x[k] @ W_xc + b_xc),
        *new_state,
    ),
    output=y[T],
    loss=mean(total((y[T] - t) ** 2)),
    example=TaskExample(
        title="The adding problem: two numbers of a hundred, marked, are to be remembered and added",
        task="adding_problem",
        arguments={"examples": 5_000, "steps": 100, "seed": 1},
        sizes={"H": 16},
        start={"bu": 3},  # a state that stays is learnt faster than one that fades
        method="adam",
        learning_rate=0.01,
        batch=50,
        epochs=12,
    ),
    references=("K. Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP (2014).",),
)
