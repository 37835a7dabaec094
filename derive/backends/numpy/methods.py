"""Prints the update rules and Levenberg–Marquardt as NumPy modules."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from typing import NamedTuple

from derive.backends.numpy.printer import Printer, Text
from derive.backends.templating import docstring, render, sentence
from derive.language.quantities import Quantity
from derive.methods.levenberg_marquardt import MOST, RULES, START, STEP
from derive.methods.notation import number, short_number
from derive.methods.update_rules import CLIPPING, METHODS, Method, UpdateRule, eta
from derive.program.nodes import Call, Function, Select, Symbol
from derive.program.rules import rules_program
from derive.program.types import NUMBER, type_of
from derive.program.walk import free, symbols_of


class MethodPrinter(Printer):
    """NumPy in which the larger and the smaller of two numbers are Python's, which keep the type of a float."""

    def _call(self, call: Call) -> Text:
        if call.function in ("maximum", "minimum") and type_of(call) == NUMBER:
            return Text(f"{call.function[:3]}({', '.join(map(self.text, call.args))})")
        return super()._call(call)


class UpdatePrinter(MethodPrinter):
    """The same, where a choice of numbers is a number."""

    def _select(self, select: Select) -> Text:
        return Text(f"where({', '.join(map(self.text, (select.condition, select.then, select.otherwise)))})")


class Lines(NamedTuple):
    """A function as its template shows it."""

    name: str
    title: str
    signature: str
    kind: str
    about: list[str]
    arguments: list[tuple[str, str]]
    result: str
    body: list[str]
    returned: str


class Frame:
    """The lines around the body of each rule.

    Args:
        printer: Prints the body.
        array: The type of what is no number.
        number: How a usual value is written.
        with_source: Whether each function says where its rule comes from.
    """

    def __init__(self, printer: Printer, array: str, number: Callable[[float], str], with_source: bool) -> None:
        self._printer, self._array, self._number, self._with_source = printer, array, number, with_source

    def lines(self, rule: UpdateRule, function: Function, result: str) -> Lines:
        """A function with all that its template needs; `result` is what it gives, in words."""
        results = list(symbols_of(function.results))
        names = [symbol.name for symbol in results]
        is_method = isinstance(rule, Method)
        about = (rule.idea, rule.remark, f"{rule.source}." if self._with_source else "")
        return Lines(
            rule.name,
            rule.title,
            self._signature(rule, function),
            f"tuple[{self._array}, ...]" if is_method else self._kind(results[0]),
            "\n\n".join(textwrap.fill(docstring(text), 112) for text in about if text).splitlines(),
            [(quantity.name, _meaning(rule, quantity)) for quantity in rule.arguments],
            result,
            [*_sizes(function), *self._printer.lines(function.body)],
            _tuple(names) if is_method else names[0],
        )

    def _signature(self, rule: UpdateRule, function: Function) -> str:
        """The arguments given by position, then the constants by name."""
        constants = [f"{quantity.name}: float = {self._number(value)}" for quantity, value in rule.defaults.items()]
        given = list(symbols_of(function.parameters))[: len(function.parameters) - len(constants)]
        positional = [f"{symbol.name}: {self._kind(symbol)}" for symbol in given]
        return ", ".join([*positional, *(["*", *constants] if constants else [])])

    def _kind(self, symbol: Symbol) -> str:
        return "float" if symbol.type == NUMBER else self._array


def print_update_rules() -> str:
    """The module with one function for each method, and the one for clipping.

    Returns:
        Its source, not yet formatted.
    """
    frame = Frame(UpdatePrinter(), "Leaf", number, with_source=True)
    rules = (*METHODS.values(), CLIPPING)
    results = (*map(_new, METHODS.values()), "The gradient with respect to this weight, clipped")
    functions = rules_program("update_rules", rules).functions
    fields = {
        "functions": list(map(frame.lines, rules, functions, results)),
        "methods": METHODS.values(),
        "starts": _starts,
        "number": number,
    }
    return render("backends/numpy/templates/update_rules.py.j2", fields)


def print_levenberg_marquardt() -> str:
    """The module with the step and the two changes of the damping.

    Returns:
        Its source, not yet formatted.
    """
    frame = Frame(MethodPrinter(), "Array", short_number, with_source=False)
    results = ("What is added to each weight", "The new damping", "The new damping")
    fields = {
        "functions": list(map(frame.lines, RULES, rules_program("levenberg_marquardt", RULES).functions, results)),
        "source": textwrap.wrap(docstring(f"{STEP.source}."), 120),
        "start": short_number(START),
        "most": short_number(MOST),
    }
    return render("backends/numpy/templates/levenberg_marquardt.py.j2", fields)


def _meaning(rule: UpdateRule, quantity: Quantity) -> str:
    """An argument in a sentence: of the state also where it starts."""
    meaning = sentence(quantity).removesuffix(".")
    if isinstance(rule, Method) and quantity in rule.state:
        meaning += f"; starts at {rule.state[quantity]}"
    if quantity == eta and eta not in rule.reads:
        meaning += "; the update does not read it"
    return f"{meaning}."


def _sizes(function: Function) -> list[str]:
    """The line of each size that the body needs, from an array that has it."""
    places = {
        size: f"{symbol.name}.shape[{axis + symbol.type.batch}]"
        for symbol in symbols_of(function.parameters)
        for axis, form in enumerate(symbol.type.axes)
        for size in form.names
    }
    return [f"{size} = {places[size]}" for size in free(function.body).sizes]


def _starts(method: Method) -> str:
    """The state before the first update; what does not start at 0 is of the shape and the type of the weight."""
    return f"({_tuple(f'{start} * np.ones_like(W)' if start else '0.0' for start in method.state.values())})"


def _new(method: Method) -> str:
    state = " and ".join(quantity.name for quantity in method.state)
    return f"The new weight{f', and the new {state}' if state else ''}"


def _tuple(texts: Iterable[str]) -> str:
    """The entries of a tuple."""
    entries = list(texts)
    return f"{entries[0]}," if len(entries) == 1 else ", ".join(entries)
