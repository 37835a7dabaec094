"""What a user writes: the description of a recurrent cell, checked before anything is derived from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sympy import Expr, sympify

from derive.language.checks.structure import check
from derive.language.description import Description
from derive.language.exact import with_fractions
from derive.language.order import Order


@dataclass(frozen=True, eq=False)
class Cell(Description):
    """A recurrent cell: its quantities, the equations of one step, its output and its loss.

    An equation is `Eq(left, right)` where the left-hand side is a state or an intermediate:

    | left     | holds                                                                              |
    |----------|------------------------------------------------------------------------------------|
    | `s[0]`   | before the first step: a number, or a parameter (a learnt initial state)           |
    | `s[k]`   | at every step k = 1 … T, from values at k and states at k - 1                      |
    | `s[T]`   | at the last step only; it replaces `s[k]` there, or adds an output that is read once |

    The loss is a mean over the sequences, of values at T (`mean((s[T] - t) ** 2)`), or at every step
    (`mean((y[k] - t[k]) ** 2)`, then summed over k).

    Attributes:
        name: The cell's code name, an identifier.
        title: Its name for readers.
        quantities: Every quantity that the equations use.
        equations: As above, in any order.
        output: What `predict` returns, `s[T]` or `y[k]`.
        loss: As above.
        about: A sentence or two for the top of the derivation.
        references: Where the cell comes from.
        example: Data, or a task that makes them, and settings to try it with.
        landscape: What to draw, for a cell with two weights.
        order: The order in which its author wrote terms and factors; it is read off the equations and the loss.

    Raises:
        CellError: The description has a mistake; the message names the equation and the cure.
    """

    order: Order = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given_loss = self.loss
        if isinstance(self.loss, Expr):
            object.__setattr__(self, "loss", with_fractions(self.loss))
        check(self)
        rights = (sympify(equation.rhs) for equation in self.equations)
        object.__setattr__(self, "order", Order((*rights, given_loss)))
