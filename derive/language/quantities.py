"""The quantities of a recurrent cell, as symbols that SymPy can calculate with.

A `Quantity` is what a user declares: a code name, a LaTeX name and a role. Used bare it is constant over time (`Wx`);
indexed it is its value at one step (`s[k - 1]`). Both are ordinary SymPy expressions, so `s[k - 1] * Wrec` is too.

| role           | who sets it             | varies with the sequence | code                          |
|----------------|-------------------------|--------------------------|-------------------------------|
| `Parameter`    | training                | no                       | a field of `Parameters`       |
| `Input`        | the data                | yes                      | `x[k]`, all sequences at once |
| `Target`       | the data                | yes                      | `t`, or `t[k]`                |
| `Label`        | the data, a class       | yes                      | `t`, or `t[k]`                |
| `State`        | the cell, kept one step | yes                      | `s[k]`                        |
| `Intermediate` | the cell, within a step | yes                      | `z[k]`                        |
| `Adjoint`      | the derivation          | yes                      | `delta[k]`                    |
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from sympy import Expr, S, Symbol, sympify
from sympy.core.expr import AtomicExpr
from sympy.printing.printer import Printer
from sympy.utilities.iterables import NotIterable

from derive.language.letters import check_latex, latex_of
from derive.language.written import Operand

k = Symbol("k", integer=True, positive=True)
"""The step, 1 … T."""
T = Symbol("T", integer=True, positive=True)
"""The number of steps."""
N = Symbol("N", integer=True, positive=True)
"""The number of sequences."""


class Dimension(Symbol):
    """How many entries something has: `D = Dimension("D")`, for `shape=(D, H)`."""

    def __new__(cls, name: str) -> Dimension:
        """See the class."""
        dimension: Dimension = Symbol.__new__(cls, name, integer=True, positive=True)
        return dimension

    def _sympystr(self, printer: Printer) -> str:
        # SymPy would look for a unit of physics, by the name of the class.
        return str(self.name)


Shape: TypeAlias = tuple[Dimension | int, ...]
"""What a quantity consists of: () a number, (H,) a row, (D, H) a matrix; the N sequences are not counted."""


class MatrixFactor(Operand):
    """What `@` and `.T` make of a quantity or an operation, and what the operators entry by entry do."""

    def __matmul__(self, other: Any) -> Expr:
        return Product(self, sympify(other))

    def __rmatmul__(self, other: Any) -> Expr:
        return Product(sympify(other), self)

    @property
    def T(self) -> Expr:
        """The transpose, of a matrix."""
        return self.args[0] if isinstance(self, Transpose) else Transpose(self)


class Quantity(MatrixFactor, NotIterable, AtomicExpr):
    """A named number, row or matrix of the cell; see the module's table for the roles.

    As in NumPy, `@` is the matrix product; sums, products (`*`), powers and functions are taken entry by entry.

    Args:
        name: Its name in code, a Python identifier.
        latex: Its name on paper; unless given, that of `latex_of`.
        meaning: A few words for the table of quantities.
        shape: Its shape, for one sequence; () for a number.

    Raises:
        UsageError: The LaTeX is such that no TeX could set it.
    """

    __slots__ = ("dimensions", "latex", "meaning", "name")
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
    dimensions: Shape  # not called shape: SymPy takes what has a shape for a matrix

    def __new__(cls, name: str, latex: str = "", meaning: str = "", shape: Shape = ()) -> Quantity:
        """See the class."""
        self = AtomicExpr.__new__(cls)
        # A shape that is no tuple is kept as it is, for the checks of the cell to name it.
        self.dimensions = tuple(shape) if isinstance(shape, list) else shape
        self.name, self.meaning = str(name), meaning
        self.latex = latex or latex_of(self.name)
        if latex or self.name.isidentifier():  # a name that is none is the cell's to refuse
            check_latex(self.name, self.latex)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.name, self.latex, self.meaning, self.dimensions

    def _hashable_content(self) -> tuple[Any, ...]:
        return self.name, self.latex, self.meaning, self.dimensions

    def __getitem__(self, index: Any) -> At:
        if isinstance(index, str):
            raise TypeError(f"{self}[{index!r}]: a step is k, T or a number, not a text; write {self}[{index}]")
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


class Label(Target):
    """A target that is one of several classes, a whole number 0, 1, …."""

    role = "label"


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
        self = super().__new__(cls, name, latex, f"derivative of the loss with respect to {of.name}[k]", of.dimensions)
        self.of = of
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.name, self.latex, self.of

    def _hashable_content(self) -> tuple[Any, ...]:
        return *super()._hashable_content(), self.of


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

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.name, self.latex, self.of

    def _hashable_content(self) -> tuple[Any, ...]:
        return *super()._hashable_content(), self.of

    @classmethod
    def of_weight(cls, weight: Parameter) -> LearningRate:
        """η_W."""
        return cls(f"eta_{weight.name}", rf"\eta_{{{weight.latex}}}", weight)


class Abbreviation(Quantity):
    """A name for an expression that is computed once, one value a sequence: `u` for a sum over its steps.

    Args:
        name: Its name in code.
        latex: Its name on paper.
        meaning: A few words.
        pieces: What it stands for: expressions, each with the first and the last place for which it holds. One without
            places has the one piece that holds at 0.
        index: The symbol of the place in those expressions.
        shape: Its shape, for one sequence.
    """

    __slots__ = ("index", "pieces")
    role = "abbreviation"
    place = 8
    pieces: tuple[tuple[Expr, Expr, Expr], ...]
    index: Expr

    def __new__(
        cls,
        name: str,
        latex: str,
        meaning: str,
        pieces: tuple[tuple[Expr, Expr, Expr], ...],
        index: Expr = S.Zero,
        shape: Shape = (),
    ) -> Abbreviation:
        """See the class."""
        self = super().__new__(cls, name, latex, meaning, shape)
        self.pieces, self.index = pieces, index
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.name, self.latex, self.meaning, self.pieces, self.index, self.dimensions

    def _hashable_content(self) -> tuple[Any, ...]:
        return *super()._hashable_content(), self.pieces, self.index

    @property
    def free_symbols(self) -> set[Expr]:
        """Itself, and the number of steps where it depends on that."""
        return {self} | ({T} & set().union(*(part.free_symbols for piece in self.pieces for part in piece)))


class Shorthand(Abbreviation):
    """A name for an expression of step k, the same for every step: what the fast code computes beforehand."""

    role = "shorthand"
    place = 3

    @property
    def value(self) -> Expr:
        """What it stands for at step k."""
        return self.pieces[0][0]


class SharedAbbreviation(Abbreviation):
    """A name for an expression that is one number for the whole batch: a polynomial of the weights, a sum over data."""

    role = "number of the batch"
    per_sequence = False


class Moment(SharedAbbreviation):
    """A coefficient of a polynomial of the recurrence's factor, c_m: a sum over the sequences."""

    role = "moment"
    place = 5


class At(MatrixFactor, Expr):
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


class Operation(MatrixFactor, Expr):
    """An operation that stays as it is written."""

    is_commutative = True

    def __new__(cls, *arguments: Any) -> Operation:
        """Holds the arguments, made into SymPy's own objects."""
        operation: Operation = Expr.__new__(cls, *map(sympify, arguments))
        return operation


class Product(Operation):
    """The matrix product a @ b of a row for each sequence, or a matrix, with a matrix."""

    def __new__(cls, left: Any, right: Any) -> Expr:
        """Zero times anything is zero; else it stays as it is written."""
        return S.Zero if S.Zero in (left, right) else super().__new__(cls, left, right)

    def _sympystr(self, printer: Printer) -> str:
        left, right = (printer.parenthesize(factor, 50) for factor in self.args)
        return f"{left} @ {right}"


class Transpose(Operation):
    """The transpose of a matrix of weights."""

    def _sympystr(self, printer: Printer) -> str:
        return f"{printer._print(self.args[0])}.T"


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
