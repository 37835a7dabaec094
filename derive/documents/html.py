"""The derivation as a web page, typeset by MathJax from a file beside it, without a network."""

from __future__ import annotations

from html import escape

from derive.backends.templating import render, tidy
from derive.documents.document import Format, view
from derive.documents.latex import Formulas
from derive.mathematics.derivation import Derivation
from derive.program.nodes import Module

SUMMARY = "Backpropagation through time, derived from the description of the cell."
"""What a page is about whose cell does not say what it is for."""

MARKED = r"\class{{repeated}}{{{}}}"
"""A repeating term, which the page colours."""


class Html(Format):
    """Words, formulas and references in HTML.

    Args:
        formulas: The printer of formulas, where repeating terms are not to be marked by a class of the page.
    """

    def __init__(self, formulas: Formulas | None = None) -> None:
        self.formulas = formulas or Formulas(marked=MARKED)

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


class Plain(Html):
    """Words alone, for places where MathJax does not look."""

    def formula(self, latex: str) -> str:
        """The formula in Unicode."""
        # Imported here, so that what prints nothing does not load it.
        from pylatexenc.latex2text import LatexNodes2Text

        return escape(LatexNodes2Text().latex_to_text(latex))

    def code(self, text: str) -> str:
        """The code as it is."""
        return escape(text)


def print_html(derivation: Derivation, module: Module) -> str:
    """The page."""
    form = Html(Formulas(marked=MARKED, order=derivation.cell.order))
    description = Plain().text(derivation.cell.about) or SUMMARY
    fields = {**view(derivation, module, form), "form": form, "description": description}
    return tidy(render("documents/templates/derivation.html.j2", fields))
