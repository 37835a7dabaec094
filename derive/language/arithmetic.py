"""The kinds of numbers that a point is evaluated in: fractions, many digits at a fixed point, or floats.

| class        | a number is                     | what it is for                                                     |
|--------------|---------------------------------|--------------------------------------------------------------------|
| `Fractions`  | one of SymPy's                  | exact results: the Hessian at an example's solution                |
| `FixedPoint` | a Python int, times 2^-`BITS`   | the certificate: numerical derivatives, good to more than 30 digits |
| `Floats`     | a complex128                    | whether a point suits code that computes in floats                 |

Values are NumPy arrays of such numbers. Sums are the same in all three; a product of fixed-point numbers must be
shifted back, which is why products, quotients, powers and functions are asked of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

import mpmath
import numpy as np
import sympy
from mpmath.libmp import from_man_exp, to_fixed
from sympy import Expr, Rational
from sympy.core.numbers import NumberSymbol

from derive.language import operations

Value: TypeAlias = Any
"""An array of numbers."""

BITS = 320
"""How many binary places a fixed-point number has: 96 decimal ones."""
LARGEST_BITS = 1 << 17
"""A number with more bits before the point is not computed: it would soon fill the memory."""

LARGEST_ARGUMENT = 1e15
"""Far beyond this mpmath would fill the memory: with the exponent of exp(z), or the digits of z - 2πn for sin(z)."""
OF_ANY_SIZE = ("atan", "log", "tanh")
"""The functions that this does not concern."""

OWN_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "logistic_cross_entropy": lambda y, t: (
        -t * mpmath.log(1 / (1 + mpmath.exp(-y))) - (1 - t) * mpmath.log(1 - 1 / (1 + mpmath.exp(-y)))
    ),
}
"""The functions that mpmath does not have, by their definition."""


class NoRealNumberError(ArithmeticError):
    """A root, a power or a logarithm of a negative number."""


class NotFiniteError(ArithmeticError):
    """The logarithm of zero, and what is like it."""


class Arithmetic:
    """What differs from one kind of numbers to another; as it stands here, nothing does."""

    dtype: ClassVar[type] = object

    def number(self, exact: Any) -> Any:
        """A number of this kind."""
        return exact

    def array(self, exact: Any) -> Value:
        """An array of them."""
        return np.vectorize(self.number, otypes=[self.dtype])(exact)

    def exactly(self, number: Any) -> Any:
        """A number of this kind as one that others understand."""
        return number

    def times(self, left: Value, right: Value) -> Value:
        """The product, entry by entry."""
        return left * right

    def matmul(self, left: Value, right: Value) -> Value:
        """The matrix product over the last two axes."""
        return np.matmul(left, right)

    def over(self, left: Value, right: Value) -> Value:
        """The quotient, entry by entry.

        Raises:
            ZeroDivisionError: An entry on the right is zero.
        """
        return left / right

    def power(self, base: Value, exponent: int) -> Value:
        """The power of every entry."""
        return base**exponent

    def function(self, name: str, *arguments: Value) -> Value:
        """A function of single entries, by the name of its class in a cell; `power` for one that is not whole."""
        raise NotImplementedError(name)


class Fractions(Arithmetic):
    """SymPy's numbers; exact."""

    def number(self, exact: Any) -> Expr:
        """See `Arithmetic`."""
        return sympy.sympify(exact)

    def function(self, name: str, *arguments: Value) -> Value:
        """See `Arithmetic`."""
        function = sympy.Pow if name == "power" else getattr(operations, name, None) or getattr(sympy, name)
        return np.frompyfunc(function, len(arguments), 1)(*arguments)


class Floats(Arithmetic):
    """Double precision, as generated code has it, for the complex step; what cannot be computed is nan or infinite."""

    dtype = complex
    FUNCTIONS: ClassVar[dict[str, Callable[..., Value]]] = {
        "atan": np.arctan,
        "power": np.power,
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
        "softplus": lambda z: np.log(1 + np.exp(z)),
        "logistic_cross_entropy": lambda y, t: np.log(1 + np.exp(y)) - t * y,
    }

    def number(self, exact: Any) -> complex:
        """See `Arithmetic`."""
        return complex(exact)

    def over(self, left: Value, right: Value) -> Value:
        """See `Arithmetic`."""
        return np.divide(left, right)

    def power(self, base: Value, exponent: int) -> Value:
        """See `Arithmetic`."""
        return np.power(base, exponent)

    def function(self, name: str, *arguments: Value) -> Value:
        """See `Arithmetic`."""
        function = self.FUNCTIONS.get(name) or getattr(np, name, None)
        if function is None:
            function = np.vectorize(lambda *numbers: complex(getattr(mpmath, name)(*numbers)), otypes=[complex])
        with mpmath.workprec(BITS):  # the imaginary part of a complex step is small beside the other
            return function(*arguments)


class FixedPoint(Arithmetic):
    """Integers that count units of 2^-`BITS`.

    Sums and products are Python's own, several times as fast as mpmath's; a function is evaluated once for
    each argument, so that where a perturbation does not reach costs nothing.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], int] = {}

    def number(self, exact: Any) -> int:
        """See `Arithmetic`; rounded where it is no multiple of a unit."""
        if isinstance(exact, mpmath.mpf):
            return self._fixed("a number", exact)
        if isinstance(exact, NumberSymbol):  # π is no fraction: mpmath takes its digits only
            return self._fixed(str(exact), mpmath.mpmathify(exact.evalf(BITS // 3)))
        if isinstance(exact, Rational):
            return (int(exact.p) << BITS) // int(exact.q)
        fraction = Fraction(exact) if not isinstance(exact, np.integer) else Fraction(int(exact))
        return (fraction.numerator << BITS) // fraction.denominator

    def exactly(self, number: int) -> Any:
        """See `Arithmetic`; one of mpmath's."""
        return mpmath.mp.make_mpf(from_man_exp(int(number), -BITS))

    def times(self, left: Value, right: Value) -> Value:
        """See `Arithmetic`."""
        return (left * right) >> BITS

    def matmul(self, left: Value, right: Value) -> Value:
        """See `Arithmetic`."""
        return np.matmul(left, right) >> BITS

    def over(self, left: Value, right: Value) -> Value:
        """See `Arithmetic`."""
        return (left << BITS) // right

    def power(self, base: Value, exponent: int) -> Value:
        """See `Arithmetic`.

        Raises:
            OverflowError: The result is huge.
        """
        if exponent < 0:
            return self.power(self.over(self.array(np.ones(np.shape(base), dtype=int)), base), -exponent)
        bits = max((int(abs(each)).bit_length() - BITS for each in np.ravel(base)), default=0)
        if bits * exponent > LARGEST_BITS:
            raise OverflowError(f"a number to the power {exponent}")
        result = self.array(np.ones(np.shape(base), dtype=int))
        for digit in bin(exponent)[2:]:
            result = self.times(result, result)
            if digit == "1":
                result = self.times(result, base)
        return result

    def function(self, name: str, *arguments: Value) -> Value:
        """See `Arithmetic`.

        Raises:
            OverflowError: An argument or the result is huge.
            NoRealNumberError: The result is complex.
            NotFiniteError: There is no result, or it is infinite.
        """
        known, compute = self._known, self._compute

        def look_up(*numbers: int) -> int:
            key = (name, *numbers)
            if key not in known:
                known[key] = compute(name, numbers)
            return known[key]

        return np.frompyfunc(look_up, len(arguments), 1)(*arguments)

    def _compute(self, name: str, numbers: tuple[int, ...]) -> int:
        if name not in OF_ANY_SIZE and any(abs(number) >> BITS > LARGEST_ARGUMENT for number in numbers):
            raise OverflowError(f"{name} of a number beyond {LARGEST_ARGUMENT:g}")
        with mpmath.workprec(BITS + 10):
            function = OWN_FUNCTIONS.get(name) or getattr(mpmath, name)
            return self._fixed(name, function(*map(self.exactly, numbers)))

    def _fixed(self, what: str, number: Any) -> int:
        if isinstance(number, mpmath.mpc):
            raise NoRealNumberError(f"{what} is no real number there")
        if not mpmath.isfinite(number):
            raise NotFiniteError(f"{what} is not finite there")
        _, _, exponent, bits = number._mpf_
        if exponent + bits > LARGEST_BITS:
            raise OverflowError(f"{what} is huge there")
        fixed: int = to_fixed(number._mpf_, BITS)
        return fixed


FRACTIONS, FLOATS = Fractions(), Floats()
