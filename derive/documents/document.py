"""The parts of a derivation as a template wants them: words, formulas and links already printed in one format.

`view` is what the LaTeX, the HTML and the Markdown template have in common; a `Format` is how they differ.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sympy import sympify

from derive.backends.numpy.printer import Printer
from derive.documents.latex import Formulas
from derive.documents.work import work_of
from derive.mathematics.derivation import Derivation, Dots, Entry, Equation, Figure, Remark, Section, Table, Work
from derive.mathematics.rules import Rule
from derive.program.nodes import Add, Let, Module, Record
from derive.program.walk import every


class Format(ABC):
    """How one kind of document writes words, formulas within words, and references to equations."""

    formulas: Formulas

    @abstractmethod
    def words(self, text: str) -> str:
        """Plain text, with what is special in this format escaped."""

    @abstractmethod
    def formula(self, latex: str) -> str:
        """A formula within a sentence."""

    @abstractmethod
    def reference(self, number: int) -> str:
        """(12), linked to equation 12."""

    @abstractmethod
    def code(self, text: str) -> str:
        """A piece of code within a sentence."""

    def text(self, template: str, values: Mapping[str, Any] | None = None) -> str:
        """A remark: words, LaTeX between dollar signs, code between backticks, fields in braces, in any lines."""
        known = values or {}
        parts = re.split(r"(\$[^$]+\$|`[^`]+`|\{\w+\})", " ".join(template.split()))
        return "".join(self._part(part, known) for part in parts)

    def _part(self, part: str, values: Mapping[str, Any]) -> str:
        if part.startswith("$"):
            return self.formula(part[1:-1])
        if part.startswith("`"):
            return self.code(part[1:-1])
        if part.startswith("{") and part[1:-1] in values:
            return self.value(values[part[1:-1]])
        return self.words(part)

    def value(self, value: Any) -> str:
        """What stands in a field or in a table: an equation, an expression, words, or several of them."""
        if isinstance(value, tuple):
            return ", ".join(map(self.value, value))
        if isinstance(value, Equation):
            return self.reference(value.number)
        return self.text(value) if isinstance(value, str) else self.formula(self.formulas.doprint(sympify(value)))


def lines_of_code(module: Module) -> dict[int, list[str]]:
    """The lines of the generated module by the number of the equation that they compute."""
    found: dict[int, list[str]] = {}
    for function in module.functions:
        printer = Printer((each for each in function.parameters if isinstance(each, Record)), numbered=False)
        for statement in every(function):
            if isinstance(statement, Let | Add):
                for number in statement.of:
                    found.setdefault(number, []).extend(printer.lines([statement]))
    return found


def view(derivation: Derivation, module: Module, form: Format) -> dict[str, Any]:
    """The fields of a template.

    Args:
        derivation: What to show.
        module: Its program, whose code is shown beside the equations.
        form: The format to print words and formulas in.
    """
    explained: set[Rule] = set()
    code = lines_of_code(module)
    elided = frozenset().union(*(section.elided for section in derivation.sections))
    work = work_of(module)
    return {
        "cell": derivation.cell,
        "title": form.words(derivation.cell.title),
        "sections": [
            {
                "title": form.text(section.title),
                "plain_title": form.words(section.title.replace("$", "")),
                "anchor": re.sub(r"\W+", "-", section.title.lower()).strip("-"),
                "blocks": list(_blocks(_entries(section, work), form, code, elided, explained)),
            }
            for section in derivation.sections
        ],
        "references": [form.words(reference) for reference in derivation.cell.references],
    }


def _entries(section: Section, work: tuple[Entry, ...]) -> Iterator[Entry]:
    """The entries of a section, with the work of a step where it stands."""
    for entry in section.entries:
        yield from work if isinstance(entry, Work) else (entry,)


def _blocks(
    entries: Iterable[Entry], form: Format, code: Mapping[int, list[str]], elided: frozenset[int], explained: set[Rule]
) -> Iterator[dict[str, Any]]:
    dots = False
    for entry in entries:
        hidden = isinstance(entry, Equation) and entry.number in elided
        if hidden and not dots:
            yield _block(Dots(), form, code, elided, explained)
        dots = hidden
        if not hidden:
            yield _block(entry, form, code, elided, explained)


def _block(
    entry: Entry, form: Format, code: Mapping[int, list[str]], elided: frozenset[int], explained: set[Rule]
) -> dict[str, Any]:
    match entry:
        case Equation():
            law = "" if entry.rule in explained else form.text(entry.rule.law)
            explained.add(entry.rule)
            return {
                "kind": "equation",
                "number": entry.number,
                "latex": form.formulas.equation(entry),
                "over": form.formulas.ranges(entry),
                "rule": form.words(entry.rule.name),
                "law": law,
                "uses": shown_uses(entry.uses, elided, form),
                "code": code.get(entry.number, []),
            }
        case Remark():
            return {"kind": "remark", "text": form.text(entry.template, entry.values)}
        case Table():
            return {
                "kind": "table",
                "header": [form.value(title) for title in entry.header],
                "rows": [[form.value(value) for value in row] for row in entry.rows],
            }
        case Figure():
            return {"kind": "figure", "name": entry.name, "caption": form.text(entry.caption)}
        case Dots():
            return {"kind": "dots"}
    raise TypeError(f"no block for {type(entry).__name__}")


def shown_uses(numbers: tuple[int, ...], elided: frozenset[int], form: Format, most: int = 8) -> list[str]:
    """References to the equations that another one uses, with dots for those that are not shown."""
    shown = [number for number in numbers if number not in elided]
    if len(shown) > most:
        shown = [*shown[: most - 1], shown[-1]]
    references = [form.reference(number) for number in shown]
    return references if len(shown) == len(numbers) else [*references[:-1], "…", *references[-1:]]
