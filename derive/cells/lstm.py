"""The LSTM with a forget gate: gates decide what a memory keeps, takes in and shows."""

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

x = Input("x", "X", "input", shape=(D,))
c = State("c", "C", "memory", shape=(H,))
h = State("h", "H", "state", shape=(H,))
y = Intermediate("y", "Y", "output", shape=(M,))
t = Target("t", r"\hat{Y}", "target", shape=(M,))
W_y = Parameter("Wy", "W_y", "weights of the output", shape=(H, M))
b_y = Parameter("by", "b_y", "bias of the output", shape=(M,))


def gate(letter: str, meaning: str) -> tuple[Parameter, Parameter, Parameter, Intermediate, Intermediate]:
    """The weights of a gate, its pre-activation and its value."""
    return (
        Parameter(f"Wx{letter}", f"W_{{x{letter}}}", f"weights of the input, {meaning}", shape=(D, H)),
        Parameter(f"Wh{letter}", f"W_{{h{letter}}}", f"weights of the previous state, {meaning}", shape=(H, H)),
        Parameter(f"b{letter}", f"b_{letter}", f"bias, {meaning}", shape=(H,)),
        Intermediate(f"z{letter}", f"Z_{letter}", f"pre-activation, {meaning}", shape=(H,)),
        Intermediate(letter, letter.upper(), meaning, shape=(H,)),
    )


GATES = {
    "i": gate("i", "input gate"),
    "f": gate("f", "forget gate"),
    "g": gate("g", "candidate"),
    "o": gate("o", "output gate"),
}
i, f, g, o = (value for *_, value in GATES.values())

pre_activations = {letter: h[k - 1] @ W_h + x[k] @ W_x + b for letter, (W_x, W_h, b, _z, _value) in GATES.items()}
activations = {letter: tanh if letter == "g" else logistic for letter in GATES}

cell = Cell(
    name="lstm",
    title="The LSTM",
    about="With one sequence a row. PyTorch's LSTM is this one, with its two biases added up.",
    quantities=(*(q for each in GATES.values() for q in each), W_y, b_y, x, c, h, y, t),
    equations=(
        Eq(c[0], 0),
        Eq(h[0], 0),
        *(Eq(GATES[letter][3][k], right) for letter, right in pre_activations.items()),
        *(Eq(GATES[letter][4][k], activations[letter](GATES[letter][3][k])) for letter in GATES),
        Eq(c[k], f[k] * c[k - 1] + i[k] * g[k]),
        Eq(h[k], o[k] * tanh(c[k])),
        Eq(y[T], h[T] @ W_y + b_y),
    ),
    output=y[T],
    loss=mean(total((y[T] - t) ** 2)),
    example=TaskExample(
        title="The adding problem: two numbers of a hundred, marked, are to be remembered and added",
        task="adding_problem",
        arguments={"examples": 5_000, "steps": 100, "seed": 1},
        sizes={"H": 16},
        start={"bf": 3},  # a memory that keeps is learnt faster than one that forgets
        method="adam",
        learning_rate=0.01,
        batch=50,
        epochs=20,
    ),
    references=(
        "S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997).",
        "F. A. Gers, J. Schmidhuber and F. Cummins, Learning to forget, Neural Computation 12 (2000).",
    ),
)
