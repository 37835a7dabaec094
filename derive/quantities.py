"""The quantities of a recurrent cell, as symbols that SymPy can calculate with.

A `Quantity` is what a user declares: a code name, a LaTeX name and a role. Used bare it is constant over time (`Wx`);
indexed it is its value at one step (`s[k - 1]`). Both are ordinary SymPy expressions, so `s[k - 1] * Wrec` is too.

| role           | who sets it             | varies with the sequence | code                          |
|----------------|-------------------------|--------------------------|-------------------------------|
| `Parameter`    | training                | no                       | a field of `Parameters`       |
| `Input`        | the data                | yes                      | `x[k]`, all sequences at once |
| `Target`       | the data                | yes                      | `t`, or `t[k]`                |
| `State`        | the cell, kept one step | yes                      | `s[k]`                        |
| `Intermediate` | the cell, within a step | yes                      | `z[k]`                        |
| `Adjoint`      | the derivation          | yes                      | `delta[k]`                    |
"""

from __future__ import annotations

from typing import Any, ClassVar

from sympy import Expr, S, Symbol, sympify
from sympy.core.expr import AtomicExpr
from sympy.printing.printer import Printer
from sympy.utilities.iterables import NotIterable

k = Symbol("k", integer=True, positive=True)
"""The step, 1 … T."""
T = Symbol("T", integer=True, positive=True)
"""The number of steps."""
N = Symbol("N", integer=True, positive=True)
"""The number of sequences."""


class Quantity(NotIterable, AtomicExpr):
    """A named scalar of the cell; see the module's table for the roles.

    Args:
        name: Its name in code, a Python identifier.
        latex: Its name on paper; the code name unless given.
        meaning: A few words for the table of quantities.
    """

    __slots__ = ("latex", "meaning", "name")
    role: ClassVar[str] = "quantity"
    per_sequence: ClassVar[bool] = True
    place: ClassVar[int] = 9
    """Where it stands in a printed product: adjoints first, parameters last, as in δ_k x_k and s_{k-1} W_rec."""

    is_commutative = True
    is_real = True
    _diff_wrt = True

    name: str
    latex: str
    meaning: str

    def __new__(cls, name: str, latex: str = "", meaning: str = "") -> Quantity:
        """See the class."""
        self = AtomicExpr.__new__(cls)
        self.name, self.latex, self.meaning = str(name), latex or str(name), meaning
        return self

    def __getnewargs__(self) -> tuple[str, str, str]:
        return self.name, self.latex, self.meaning

    def _hashable_content(self) -> tuple[str, str, str]:
        return self.name, self.latex, self.meaning

    def __getitem__(self, index: Any) -> At:
        return At(self, sympify(index))

    @property
    def free_symbols(self) -> set[Expr]:
        """Itself, so that SymPy may differentiate with respect to it."""
        return {self}

    def _sympystr(self, printer: Printer) -> str:
        return self.name


class Parameter(Quantity):
    """A weight: learnt, the same at every step and for every sequence."""

    role = "parameter"
    per_sequence = False
    place = 6


class Input(Quantity):
    """What a sequence brings at each step, x_k."""

    role = "input"
    place = 4


class Target(Quantity):
    """What the network should say: once a sequence (`t`) or at every step (`t[k]`)."""

    role = "target"
    place = 5


class State(Quantity):
    """What the cell remembers from one step to the next; it has an initial value at k = 0."""

    role = "state"
    place = 2


class Intermediate(Quantity):
    """A named value within a step (a pre-activation, a gate, an output)."""

    role = "intermediate"
    place = 3


class Adjoint(Quantity):
    """The derivative of the loss with respect to a quantity of a step: δ_k := dξ/ds_k.

    Args:
        name: Its name in code.
        latex: Its name on paper.
        of: The quantity that it belongs to.
    """

    __slots__ = ("of",)
    role = "adjoint"
    place = 1
    of: Quantity

    def __new__(cls, name: str, latex: str, of: Quantity) -> Adjoint:
        """See the class."""
        self = super().__new__(cls, name, latex, f"derivative of the loss with respect to {of.name}[k]")
        self.of = of
        return self

    def __getnewargs__(self) -> tuple[str, str, Quantity]:
        return self.name, self.latex, self.of


class LossValue(Quantity):
    """The loss ξ: one number for the whole batch."""

    role = "loss"
    per_sequence = False
    place = 7


class LearningRate(Quantity):
    """The step size η of gradient descent, one a weight.

    Args:
        name: Its name in code.
        latex: Its name on paper.
        of: The weight that it belongs to.
    """

    __slots__ = ("of",)
    role = "learning rate"
    per_sequence = False
    place = 0
    of: Parameter

    def __new__(cls, name: str, latex: str, of: Parameter) -> LearningRate:
        """See the class."""
        self = super().__new__(cls, name, latex, f"learning rate of {of.name}")
        self.of = of
        return self

    def __getnewargs__(self) -> tuple[str, str, Parameter]:
        return self.name, self.latex, self.of

    @classmethod
    def of_weight(cls, weight: Parameter) -> LearningRate:
        """η_W."""
        return cls(f"eta_{weight.name}", rf"\eta_{{{weight.latex}}}", weight)


class At(Expr):
    """A quantity at one step: `s[k - 1]`; on paper s_{k-1}, in code `s[k - 1]`.

    Args:
        quantity: What.
        index: The step, an integer expression in k and T.
    """

    is_commutative = True
    is_real = True
    _diff_wrt = True

    @property
    def quantity(self) -> Quantity:
        """What is indexed."""
        quantity: Quantity = self.args[0]
        return quantity

    @property
    def index(self) -> Expr:
        """The step."""
        return self.args[1]

    @property
    def free_symbols(self) -> set[Expr]:
        """Itself and the symbols of its index: a sum over k must see that s_k depends on k."""
        return {self} | self.index.free_symbols

    def _eval_derivative(self, symbol: Expr) -> Expr:
        return S.One if self == symbol else S.Zero

    def _sympystr(self, printer: Printer) -> str:
        return f"{self.quantity.name}[{printer._print(self.index)}]"


LOSS = LossValue("loss", r"\xi", "the loss")


def quantity_of(atom: Expr) -> Quantity:
    """The quantity behind a bare or an indexed use of it."""
    return atom.quantity if isinstance(atom, At) else atom


def atoms_of(expression: Expr) -> set[Expr]:
    """Every use of a quantity in `expression`, bare (`Wx`) or indexed (`s[k - 1]`)."""
    return indexed_of(expression) | bare_of(expression)


def indexed_of(expression: Expr) -> set[At]:
    """The indexed uses only."""
    found: set[At] = expression.atoms(At)
    return found


def bare_of(expression: Expr) -> set[Quantity]:
    """The bare uses only; an indexed one hides its own quantity."""
    if isinstance(expression, At):
        return set()
    if isinstance(expression, Quantity):
        return {expression}
    return set().union(*(bare_of(argument) for argument in expression.args), set())


def varies_by_sequence(expression: Expr) -> bool:
    """Whether the value differs from one sequence of the batch to the next."""
    return any(quantity_of(atom).per_sequence for atom in atoms_of(expression))
