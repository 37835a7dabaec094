"""The derivation as a web page, typeset by MathJax from a file beside it, without a network."""

from __future__ import annotations

from html import escape

from derive.backends.templating import render, tidy
from derive.documents.document import Format, view
from derive.documents.latex import Formulas
from derive.mathematics.derivation import Derivation
from derive.program.program import Program


class Html(Format):
    """Words, formulas and references in HTML.

    Args:
        formulas: The printer of formulas.
    """

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas

    def words(self, text: str) -> str:
        """Escapes what a browser would read as markup."""
        return escape(text)

    def formula(self, latex: str) -> str:
        r"""\(…\), for MathJax."""
        return rf"\({escape(latex)}\)"

    def reference(self, number: int) -> str:
        """A link to the equation."""
        return f'<a href="#eq-{number}">({number})</a>'

    def code(self, text: str) -> str:
        """A code element."""
        return f"<code>{escape(text)}</code>"


def print_html(derivation: Derivation, program: Program) -> str:
    """The page."""
    form = Html(Formulas(marked=r"\class{{repeated}}{{{}}}", order=derivation.cell.order))
    return tidy(render("documents/templates/derivation.html.j2", {**view(derivation, program, form), "form": form}))
