"""The LSTM with peepholes: its gates also see the memory, one weight an entry. Built from the LSTM."""

from dataclasses import replace

from sympy import Eq

from derive import Parameter, k
from derive.cells.lstm import GATES, H, c
from derive.cells.lstm import cell as lstm

# The input and the forget gate see the memory of the step before, the output gate that of the step itself.
SEES = {"i": c[k - 1], "f": c[k - 1], "o": c[k]}
peepholes = {
    letter: Parameter(f"p{letter}", f"p_{letter}", f"peephole, {GATES[letter][-1].meaning}", shape=(H,))
    for letter in SEES
}
pre_activation = {GATES[letter][3][k]: peepholes[letter] * memory for letter, memory in SEES.items()}

cell = replace(
    lstm,
    name="lstm_peephole",
    title="The LSTM with peepholes",
    about="The LSTM, and a term in the pre-activation of each gate.",
    quantities=(*peepholes.values(), *lstm.quantities),
    equations=tuple(Eq(each.lhs, each.rhs + pre_activation.get(each.lhs, 0)) for each in lstm.equations),
    references=("F. A. Gers and J. Schmidhuber, Recurrent nets that time and count, IJCNN (2000).",),
)
