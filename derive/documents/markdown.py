"""The derivation as Markdown that GitHub typesets."""

from __future__ import annotations

import re

from derive.backends.templating import render, tidy
from derive.documents.document import Format, view
from derive.documents.latex import Formulas
from derive.language.order import Order
from derive.mathematics.derivation import Derivation
from derive.program.nodes import Module


class Markdown(Format):
    """Words, formulas and references in GitHub's Markdown.

    Args:
        order: The order of terms and factors.
    """

    def __init__(self, order: Order) -> None:
        self.formulas = Formulas(marked=r"{{\color{{teal}}{}}}", order=order)

    def words(self, text: str) -> str:
        """Escapes what Markdown would read as markup."""
        return re.sub(r"([\\`*_{}\[\]<>|#$])", r"\\\1", text)

    def formula(self, latex: str) -> str:
        """The form of inline mathematics that leaves underscores and stars alone; a bar would end a table's cell."""
        return f"$`{latex.replace('|', chr(92) + 'vert ')}`$"

    def reference(self, number: int) -> str:
        """A link to the equation."""
        return f"[({number})](#eq-{number})"

    def code(self, text: str) -> str:
        """Backticks."""
        return f"`{text}`"


def print_markdown(derivation: Derivation, module: Module) -> str:
    """The page."""
    form = Markdown(derivation.cell.order)
    return tidy(render("documents/templates/derivation.md.j2", {**view(derivation, module, form), "form": form}))
