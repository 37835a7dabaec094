"""Prints expressions and equations as LaTeX."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sympy import Add, Expr, Function, Mul, Pow, Rational, S, Sum, exp, fraction
from sympy.matrices import MatrixBase
from sympy.printing.latex import LatexPrinter

from derive.derivation import Equation, Range
from derive.notation import is_negative, ordered_factors, ordered_terms
from derive.operations import (
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
)
from derive.quantities import Adjoint, At, N, Product, Quantity, Transpose, indexed_of
from derive.rules import Relation
from derive.shapes import form_of

DEEPEST = 4
"""A nested expression is written down to this many brackets; what lies deeper is dots."""

LONGEST_CHAIN = 4
"""What a longer product of derivatives equals is written on a line of its own."""

FUNCTIONS = {"logistic": r"\sigma", "softplus": r"\mathrm{softplus}", "atan": r"\arctan"}
"""The functions whose names on paper are not those in SymPy."""

RELATIONS = {Relation.EQUALS: "=", Relation.DEFINES: ":=", Relation.BECOMES: r"\leftarrow"}


class Formulas(LatexPrinter):
    r"""One method a node; no mathematics.

    Args:
        marked: LaTeX of a marked term, with `{}` for its formula; how a repeating term is coloured.
        operator: LaTeX of a named operator, with `{}` for its name; GitHub knows no `\\operatorname`.
    """

    def __init__(self, marked: str = r"{{\color{{teal}}{}}}", operator: str = r"\operatorname{{{}}}") -> None:
        super().__init__({"mat_str": "pmatrix", "mat_delim": ""})
        self._marked, self._operator = marked, operator
        self._per_sequence = False  # inside a sum over the batch, where every quantity carries its (n)
        self._inside_mark = False
        self._depth = 0

    def equation(self, equation: Equation) -> str:
        """Both sides."""
        left, relation = self.doprint(equation.lhs), self.relation(equation)
        terms = ordered_terms(equation.rhs) if equation.rhs.has(Chain, BatchMean) else []
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
            steps = [int(atom.index) for atom in indexed_of(term) if atom.index.is_Integer]
            return len(term.atoms(Partial)), max(steps, default=0)

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
        return " ".join(map(self._factor, product.args))

    def _print_Transpose(self, transpose: Transpose) -> str:
        base, subscript, superscript = scripts(self._print(transpose.args[0]))
        below = f"_{{{subscript}}}" if subscript else ""
        return rf"{base}{below}^{{{superscript}\top}}"

    def _print_BatchOuter(self, outer: BatchOuter) -> str:
        """Aᵀ B, with one sequence a row."""
        left, right = map(self._factor, outer.args)
        return rf"{{{left}}}^{{\top}} {right}"

    def _print_EntrySum(self, total: EntrySum) -> str:
        return rf"\sum_{{i}} \left[ {self._print(total.args[0])} \right]_i"

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
        return rf"\left( -\log \mathrm{{softmax}}\left( {y} \right)_{{{t}}} \right)"

    def _print_logistic_cross_entropy(self, entropy: Expr) -> str:
        y, t = self._print(entropy.args[0]), self._print(entropy.args[1])
        sigma = rf"\sigma\left( {y} \right)"
        return rf"\left( -{t} \odot \log {sigma} - \left( 1 - {t} \right) \odot \log \left( 1 - {sigma} \right) \right)"

    def _print_BatchSum(self, total: BatchSum) -> str:
        return r"\sum_{n=1}^{N} " + self._inside_batch(total.args[0])

    def _print_BatchMean(self, average: BatchMean) -> str:
        return r"\frac{1}{N} \sum_{n=1}^{N} " + self._inside_batch(average.args[0])

    def _inside_batch(self, inside: Expr) -> str:
        before, self._per_sequence = self._per_sequence, True
        text = self._bracketed_sum(inside)
        self._per_sequence = before
        return text

    def _bracketed_sum(self, inside: Expr) -> str:
        return rf"\left( {self._print(inside)} \right)" if isinstance(inside, Add) else self._print(inside)

    def _print_Sum(self, total: Sum) -> str:
        index, first, last = map(self._print, total.limits[0])
        return rf"\sum_{{{index}={first}}}^{{{last}}} {self._bracketed_sum(total.function)}"

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
        terms = self._terms(total)
        text = self._print(terms[0])
        for term in terms[1:]:
            text += f" - {self._factor(-term)}" if is_negative(term) else f" + {self._print(term)}"
        return text

    def _terms(self, total: Add) -> list[Expr]:
        return ordered_terms(total)

    def _print_Mul(self, product: Mul) -> str:
        if product.is_number:
            number: str = super()._print_Mul(product)
            return number
        if is_negative(product):
            return f"-{self._factor(-product)}"
        coefficient, rest = _split_coefficient(product)
        front = [] if coefficient == S.One else [self._fraction(coefficient)]
        return " ".join([*front, *self._joined(rest)])

    def _joined(self, factors: list[Expr]) -> list[str]:
        """Factors in a row, ⊙ between those that are multiplied entry by entry."""
        parts = []
        for before, factor in zip([None, *factors], factors, strict=False):
            if before is not None and form_of(before).shape and form_of(factor).shape:
                parts.append(r"\odot")
            parts.append(self._factor(factor))
        return parts

    def _fraction(self, coefficient: Expr) -> str:
        above, below = fraction(coefficient)
        return self._print(above) if below == S.One else rf"\frac{{{self._print(above)}}}{{{self._print(below)}}}"

    def _factor(self, factor: Expr) -> str:
        if not isinstance(factor, Add):
            return self._print(factor)
        if self._depth == DEEPEST:
            return r"\left( \cdots \right)"
        self._depth += 1
        text = rf"\left( {self._print(factor)} \right)"
        self._depth -= 1
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
        if isinstance(base, Function) and exponent.is_Integer and not isinstance(base, exp):
            return self._print_Function(base, self._print(exponent))
        text = self._print(base)
        if (isinstance(base, Add | Mul | Total | Partial | Rational | Product) and not _is_whole(base)) or "^" in text:
            text = rf"\left( {text} \right)"
        return f"{text}^{{{self._print(exponent)}}}"


def _split_coefficient(product: Mul) -> tuple[Expr, list[Expr]]:
    """A product as 2/N times the rest: numbers and N go into one fraction in front."""
    front = [factor for factor in product.args if factor.is_number or factor in (N, 1 / N)]
    rest = [factor for factor in product.args if factor not in front]
    return Mul(*front), ordered_factors(Mul(*rest, evaluate=False)) if len(rest) > 1 else rest


def _is_whole(number: Expr) -> bool:
    """A number that needs no brackets below an exponent: 2, not -2 or 1/2."""
    return bool(number.is_Integer and number >= 0)


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
