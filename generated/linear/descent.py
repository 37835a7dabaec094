"""The linear network that counts ones: gradient descent on the data of the example, which are folded in.

Written by `make derive` from the description of the cell `linear`.
The gradient is the derivative of the polynomial in the derivation beside this file (75), for these data and times the
learning rates of `example.py`: fractions that Python works out before it runs a line. It needs no array.
"""

from __future__ import annotations

from .example import EPOCHS, START
from .network import Parameters


def descend(epochs: int = EPOCHS, start: Parameters = START) -> Parameters:
    """The weights after so many epochs of gradient descent.

    Args:
        epochs: How many updates.
        start: The weights to begin with.
    """
    Wx, Wrec = start
    for _ in range(epochs):
        step_Wx = (
            Wrec * (-1 / 15 - 2 / 25 * Wrec)
            + Wx * (1 / 75 + Wrec * (2 / 75 + Wrec * (4 / 75 + Wrec * (4 / 75 + 1 / 25 * Wrec))))
            - 1 / 25
        )  # (76)
        step_Wrec = Wx * (
            Wx * (1 / 2500 + Wrec * (1 / 625 + Wrec * (3 / 1250 + 3 / 1250 * Wrec))) - 1 / 500 - 3 / 625 * Wrec
        )  # (77)
        Wx = Wx - step_Wx  # (56)
        Wrec = Wrec - step_Wrec  # (57)
    return Parameters(Wx, Wrec)
