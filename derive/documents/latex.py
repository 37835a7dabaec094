"""Prints expressions and equations as LaTeX.

How a formula is read, the tightest first; whatever else is meant stands in brackets:

1. powers and transposes, of the letter or the bracket that they stand at;
2. what stands side by side: matrix products, and numbers times anything;
3. the product entry by entry, ⊙;
4. sums Σ, up to the next + or -;
5. + and -.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sympy import Add, Expr, Function, Mul, Pow, Rational, S, Sum, Symbol, exp, fraction
from sympy.matrices import MatrixBase
from sympy.printing.latex import LatexPrinter

from derive.language.operations import (
    BatchMean,
    BatchOuter,
    BatchSum,
    Chain,
    Determinant,
    Eigenvalue,
    EntrySum,
    Hessian,
    Marked,
    OneHot,
    Partial,
    Rounded,
    Softmax,
    SoftmaxCrossEntropy,
    SpectralRadius,
    Total,
    UpdateJacobian,
    logistic_cross_entropy,
)
from derive.language.order import BY_ROLE, Order, is_negative
from derive.language.quantities import Adjoint, At, N, Product, Quantity, Transpose, indexed_of
from derive.language.shapes import form_of
from derive.mathematics.derivation import Equation, Range
from derive.mathematics.rules import Relation

DEEPEST = 4
"""A nested expression is written down to this many brackets; what lies deeper is dots."""

LONGEST_CHAIN = 4
"""What a longer product of derivatives equals is written on a line of its own."""

LONGEST_PRODUCT = 24
"""A product of more factors is written from the last step back to the first, with dots between."""

FUNCTIONS = {"logistic": r"\sigma", "softplus": r"\mathrm{softplus}", "atan": r"\arctan"}
"""The functions whose names on paper are not those in SymPy."""

RELATIONS = {Relation.EQUALS: "=", Relation.DEFINES: ":=", Relation.BECOMES: r"\leftarrow"}


class Formulas(LatexPrinter):
    r"""One method a node; no mathematics.

    Args:
        marked: LaTeX of a marked term, with `{}` for its formula; how a repeating term is coloured.
        operator: LaTeX of a named operator, with `{}` for its name; GitHub knows no `\\operatorname`.
        order: The order of terms and factors.
    """

    def __init__(
        self,
        marked: str = r"{{\color{{teal}}{}}}",
        operator: str = r"\operatorname{{{}}}",
        order: Order = BY_ROLE,
    ) -> None:
        super().__init__({"mat_str": "pmatrix", "mat_delim": ""})
        self._marked, self._operator, self.ordering = marked, operator, order
        self._per_sequence = False  # inside a sum over the batch, where every quantity carries its (n)
        self._inside_mark = False
        self._depth = 0

    def equation(self, equation: Equation) -> str:
        """Both sides."""
        left, relation = self.doprint(equation.lhs), self.relation(equation)
        terms = self.ordering.terms(equation.rhs) if equation.rhs.has(Chain, BatchMean) else []
        if len(terms) > 1:
            return self._one_term_a_line(f"{left} {relation}", terms)
        right = self.doprint(equation.rhs)
        if isinstance(equation.lhs, Chain) and len(equation.lhs.args) > LONGEST_CHAIN:
            return rf"\begin{{aligned}} &{left} \\ &\qquad {relation} {right} \end{{aligned}}"
        return f"{left} {relation} {right}"

    def ranges(self, equation: Equation) -> str:
        """For which indices or learning rates it holds; empty for an equation without a condition."""
        if isinstance(equation.lhs, SpectralRadius):
            pairs = equation.lhs.args[0].args
            return r",\; ".join(rf"\eta_{{{self._print(weight)}}} = {self._print(rate)}" for weight, rate in pairs)
        return r",\; ".join(self.range(each) for each in equation.over)

    def _one_term_a_line(self, left: str, terms: list[Expr]) -> str:
        """A long sum, one path of the chain rule or one step a line, dots between where there are many."""

        def length_and_step(term: Expr) -> tuple[int, int]:
            return len(term.atoms(Partial, Total)), latest_step(term)

        lines = [self.doprint(term) for term in sorted(terms, key=length_and_step)]
        if len(lines) > 2 * DEEPEST:
            lines = [*lines[:2], r"\cdots", lines[-1]]
        return rf"\begin{{aligned}} {left} &\; " + r" \\ &+ ".join(lines) + r" \end{aligned}"

    def relation(self, equation: Equation) -> str:
        """=, := or ←; and ≈ before digits."""
        return r"\approx" if isinstance(equation.rhs, Rounded) else RELATIONS[equation.rule.relation]

    def range(self, over: Range) -> str:
        """K = 1, …, T."""
        index, first, last = map(self.doprint, (over.index, over.first, over.last))
        return rf"{index} = {first}, \dots, {last}"

    def _print_Quantity(self, quantity: Quantity) -> str:
        return self._with_sequence(quantity.latex, quantity)

    _print_Adjoint = _print_Quantity  # SymPy has one of its own, for another kind of adjoint

    def _print_At(self, atom: At) -> str:
        base, subscript, superscript = scripts(atom.quantity.latex)
        index = self._print(atom.index)
        below = f"{subscript},{index}" if subscript else index
        name = f"{base}_{below}" if len(below) == 1 else f"{base}_{{{below}}}"
        name += f"^{{{superscript}}}" if superscript else ""
        text = self._with_sequence(name, atom.quantity)
        return self._mark(text) if isinstance(atom.quantity, Adjoint) else text

    def _mark(self, text: str) -> str:
        """In the colour of what repeats; once is enough."""
        if self._inside_mark:
            return text
        return self._marked.format(text)

    def _with_sequence(self, name: str, quantity: Quantity) -> str:
        if not (self._per_sequence and quantity.per_sequence):
            return name
        return f"{{{name}}}^{{(n)}}" if "^" in name else f"{name}^{{(n)}}"

    def _print_Marked(self, marked: Marked) -> str:
        if marked.expression == marked.name:
            return str(self._print(marked.name))
        self._inside_mark = True
        text = rf"\underbrace{{{self._print(marked.expression)}}}_{{{self._print(marked.name)}}}"
        self._inside_mark = False
        return self._mark(text)

    def _print_Chain(self, chain: Chain) -> str:
        shown: list[Any] = list(chain.args)
        if len(shown) > 2 * DEEPEST:
            shown = [*shown[:2], None, *shown[-2:]]
        return r"\,".join(r"\cdots" if factor is None else self._print(factor) for factor in shown)

    def _print_Partial(self, partial: Partial) -> str:
        above, below = map(self._print, partial.args)
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"

    def _print_Total(self, total: Total) -> str:
        of, *wrt = total.args
        if len(wrt) == 1:
            return rf"\frac{{d {self._print(of)}}}{{d {self._print(wrt[0])}}}"
        if wrt[0] == wrt[1]:
            below = self._print(wrt[0])
            below = rf"\left( {below} \right)^2" if "^" in below else f"{below}^2"
            return rf"\frac{{d^2 {self._print(of)}}}{{d {below}}}"
        below = r"\, ".join(f"d {self._print(each)}" for each in wrt)
        return rf"\frac{{d^2 {self._print(of)}}}{{{below}}}"

    def _print_Product(self, product: Product) -> str:
        return " ".join(map(self._beside, product.args))

    def _print_Transpose(self, transpose: Transpose) -> str:
        return self._raised(transpose.args[0], r"\top")

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        """Aᵀ B, with one sequence a row."""
        left, right = outer.args
        return " ".join([self._raised(left, r"\top"), self._beside(right)])

    def _print_EntrySum(self, total: EntrySum) -> str:
        entry = "i,j" if len(form_of(total.args[0]).shape) == 2 else "j"
        return rf"\sum_{{{entry}}} \left[ {self._print(total.args[0])} \right]_{{{entry}}}"

    def _print_Function(self, call: Expr, exponent: str = "") -> str:
        """tanh(z), and tanh²(z) for its square."""
        name = FUNCTIONS.get(call.func.__name__, rf"\{call.func.__name__}")
        power = f"^{{{exponent}}}" if exponent else ""
        return rf"{name}{power}\left( {', '.join(map(self._print, call.args))} \right)"

    # SymPy has printers of its own for these.
    _print_tanh = _print_log = _print_sin = _print_cos = _print_tan = _print_sinh = _print_cosh = _print_Function

    def _print_Softmax(self, softmax: Softmax) -> str:
        return rf"\mathrm{{softmax}}\left( {self._print(softmax.args[0])} \right)"

    def _print_OneHot(self, onehot: OneHot) -> str:
        return rf"\mathrm{{onehot}}\left( {self._print(onehot.args[0])} \right)"

    def _print_SoftmaxCrossEntropy(self, entropy: SoftmaxCrossEntropy) -> str:
        y, t = map(self._print, entropy.args)
        return rf"-\log \mathrm{{softmax}}\left( {y} \right)_{{{t}}}"

    def _print_logistic_cross_entropy(self, entropy: Expr) -> str:
        y, t = entropy.args
        sigma = rf"\sigma\left( {self._print(y)} \right)"
        times = r" \odot " if form_of(entropy).shape else " "
        no = rf"\left( 1 - {self._term(t)} \right)"
        return rf"-{self._times(t)}{times}\log {sigma} - {no}{times}\log \left( 1 - {sigma} \right)"

    def _print_BatchSum(self, total: BatchSum) -> str:
        return r"\sum_{n=1}^{N} " + self._inside_batch(total.args[0])

    def _print_BatchMean(self, average: BatchMean) -> str:
        return r"\frac{1}{N} \sum_{n=1}^{N} " + self._inside_batch(average.args[0])

    def _inside_batch(self, inside: Expr) -> str:
        before, self._per_sequence = self._per_sequence, True
        text = self._term(inside)
        self._per_sequence = before
        return text

    def _print_Sum(self, total: Sum) -> str:
        index, first, last = map(self._print, total.limits[0])
        return rf"\sum_{{{index}={first}}}^{{{last}}} {self._term(total.function)}"

    def _print_Hessian(self, hessian: Hessian) -> str:
        return "H"

    def _print_UpdateJacobian(self, jacobian: UpdateJacobian) -> str:
        return "J"

    def _print_Determinant(self, determinant: Determinant) -> str:
        parts = ("I" if isinstance(part, MatrixBase) else self._print(part) for part in determinant.args)
        return rf"\det({' + '.join(parts)})"

    def _print_Eigenvalue(self, eigenvalue: Eigenvalue) -> str:
        return rf"\lambda_{{{self._print(eigenvalue.args[0])}}}"

    def _print_SpectralRadius(self, radius: SpectralRadius) -> str:
        return r"\max |\lambda(J)|"

    def _print_Rounded(self, rounded: Rounded) -> str:
        return decimal(rounded)

    def _print_Add(self, total: Add, order: str | None = None) -> str:
        first, *others = self._terms(total)
        text = self._print(first)
        for term in others:
            text += f" - {self._term(-term)}" if is_negative(term) else f" + {self._term(term)}"
        return text

    def _terms(self, total: Add) -> list[Expr]:
        return self.ordering.terms(total)

    def _print_Mul(self, product: Mul) -> str:
        if product.is_number:
            number: str = super()._print_Mul(product)
            return number
        if is_negative(product):
            return f"-{self._term(-product)}"
        coefficient, factors = _split_coefficient(product)
        front = [] if coefficient == S.One else [self._fraction(coefficient)]
        rest = self.ordering.factors(Mul(*factors, evaluate=False)) if len(factors) > 1 else factors
        return " ".join([*front, *self._joined(rest)])

    def _joined(self, factors: list[Expr]) -> list[str]:
        """Factors in a row, ⊙ between those that are multiplied entry by entry, and dots for most of very many."""
        if len(factors) > LONGEST_PRODUCT:
            by_step = sorted(factors, key=latest_step, reverse=True)
            return [*self._joined(by_step[:DEEPEST]), r"\cdots", *self._joined(by_step[-DEEPEST:])]
        entrywise = [bool(form_of(factor).shape) for factor in factors]
        parts: list[str] = []
        for place, factor in enumerate(factors):
            if entrywise[place] and any(entrywise[:place]):
                parts.append(r"\odot")
            is_last, alone = place == len(factors) - 1, sum(entrywise) < 2
            if isinstance(factor, SUMS) and not is_last:
                parts.append(self._bracketed(factor))
            elif isinstance(factor, PRODUCTS) and alone:
                parts.append(self._print(factor))
            else:
                parts.append(self._times(factor))
        return parts

    def _fraction(self, coefficient: Expr) -> str:
        """A number, or a number and N, above and below a line."""
        above, below = map(Mul.make_args, fraction(coefficient))
        if below == (S.One,):
            return " ".join(map(self._times, above))
        lines = (self._print(*part) if len(part) == 1 else " ".join(map(self._times, part)) for part in (above, below))
        return r"\frac{{{}}}{{{}}}".format(*lines)

    def _term(self, term: Expr) -> str:
        """What is added, or summed over: a sum, or what begins with a minus, in brackets."""
        return self._bracketed(term) if isinstance(term, TERMS) or is_negative(term) else self._print(term)

    def _times(self, factor: Expr) -> str:
        """What is multiplied entry by entry: a matrix product in brackets too."""
        return self._bracketed(factor) if isinstance(factor, PRODUCTS) else self._term(factor)

    def _beside(self, factor: Expr) -> str:
        """A factor of a matrix product: what is more than one factor in brackets, but for a further product."""
        return self._bracketed(factor) if isinstance(factor, (*SUMS, Mul)) else self._term(factor)

    def _raised(self, base: Expr, exponent: str) -> str:
        """A power or a transpose: all but a single letter, without a superscript of its own, in brackets."""
        if not isinstance(base, At | Quantity | Symbol) and not (base.is_Integer and base >= 0):
            return f"{self._bracketed(base)}^{{{exponent}}}"
        text = self._print(base)
        return rf"\left( {text} \right)^{{{exponent}}}" if "^" in text else f"{text}^{{{exponent}}}"

    def _bracketed(self, inside: Expr) -> str:
        if self._depth == DEEPEST:
            return r"\left( \cdots \right)"
        self._depth += isinstance(inside, Add)
        text = rf"\left( {self._print(inside)} \right)"
        self._depth -= isinstance(inside, Add)
        return text

    def _print_Rational(self, number: Rational) -> str:
        sign = "-" if number.p < 0 else ""
        return f"{number.p}" if number.q == 1 else rf"{sign}\frac{{{abs(number.p)}}}{{{number.q}}}"

    def _print_Pow(self, power: Pow) -> str:
        base, exponent = power.base, power.exp
        if exponent == S.Half:
            return rf"\sqrt{{{self._print(base)}}}"
        if isinstance(exponent, Rational) and exponent.is_negative:
            return rf"\frac{{1}}{{{self._print(base**-exponent)}}}"
        if isinstance(base, Function) and exponent.is_Integer and not isinstance(base, (exp, *TERMS)):
            return self._print_Function(base, self._print(exponent))
        return self._raised(base, self._print(exponent))


TERMS = (Add, logistic_cross_entropy, SoftmaxCrossEntropy)
"""What is written with + and -."""
SUMS = (Sum, BatchSum, BatchMean, EntrySum)
"""What begins with Σ, which takes in all that is multiplied after it."""
PRODUCTS = (Product, BatchOuter)
"""What is written side by side."""


def latest_step(expression: Expr) -> int:
    """The last of the numbered steps that an expression speaks of; 0 where there is none."""
    return max((int(atom.index) for atom in indexed_of(expression) if atom.index.is_Integer), default=0)


def _split_coefficient(product: Mul) -> tuple[Expr, list[Expr]]:
    """A product as 2/N and the other factors: numbers and N go into one fraction in front."""
    front = [factor for factor in product.args if factor.is_number or factor.as_base_exp()[0] == N]
    rest = [factor for factor in product.args if factor not in front]
    return Mul(*front), rest


def scripts(latex: str) -> tuple[str, str, str]:
    """The letter, the subscript and the superscript of a quantity's LaTeX: `W_{rec}^{a}` → W, rec, a."""
    match = re.fullmatch(r"(.*?)(?:_(\{.*\}|\\?\w+?))?(?:\^(\{.*\}|\\?\w+?))?", latex, re.S)
    base, *indices = match.groups() if match else (latex, None, None)
    below, above = (index.removeprefix("{").removesuffix("}") if index else "" for index in indices)
    return base, below, above


def decimal(rounded: Rounded) -> str:
    """An exact number with so many significant digits: 0.0846, 23.64, 1.7 · 10^{-7}."""
    exact, digits = rounded.args
    number = Decimal(f"{Decimal(str(exact.evalf(30))):.{digits}g}")
    if number == 0 or -5 < number.adjusted() < 7:
        text = f"{number:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return rf"{number.scaleb(-number.adjusted()).normalize():f} \cdot 10^{{{number.adjusted()}}}"
