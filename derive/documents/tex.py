"""The derivation as a LaTeX document."""

from __future__ import annotations

from pylatexenc.latexencode import unicode_to_latex

from derive.backends.templating import render, tidy
from derive.documents.document import Format, view
from derive.documents.latex import Formulas
from derive.language.order import Order
from derive.mathematics.derivation import Derivation
from derive.program.nodes import Module


class Tex(Format):
    """Words, formulas and references in LaTeX.

    Args:
        order: The order of terms and factors.
    """

    def __init__(self, order: Order) -> None:
        self.formulas = Formulas(marked=r"{{\color{{repeated}}{}}}", order=order)

    def words(self, text: str) -> str:
        """Writes what TeX would read as commands, or cannot read at all, as commands for it."""
        return unicode_to_latex(text, unknown_char_warning=False)

    def formula(self, latex: str) -> str:
        """$…$."""
        return f"${latex}$"

    def reference(self, number: int) -> str:
        """A reference that hyperref makes a link."""
        return rf"\eqref{{eq:{number}}}"

    def code(self, text: str) -> str:
        """Typewriter."""
        return rf"\texttt{{{self.words(text)}}}"


def print_tex(derivation: Derivation, module: Module) -> str:
    """The document, ready for pdflatex."""
    form = Tex(derivation.cell.order)
    return tidy(render("documents/templates/derivation.tex.j2", {**view(derivation, module, form), "form": form}))
