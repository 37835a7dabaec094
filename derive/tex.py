"""The derivation as a LaTeX document."""

from __future__ import annotations

from derive.derivation import Derivation
from derive.document import Format, view
from derive.latex import Formulas
from derive.program import Program
from derive.templating import render

ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "ξ": r"$\xi$",
        "δ": r"$\delta$",
        "η": r"$\eta$",
        "×": r"$\times$",
        "…": r"\dots{}",
    }
)


class Tex(Format):
    """Words, formulas and references in LaTeX."""

    formulas = Formulas(marked=r"{{\color{{repeated}}{}}}")

    def words(self, text: str) -> str:
        """Escapes what TeX would read as commands."""
        return text.translate(ESCAPES)

    def formula(self, latex: str) -> str:
        """$…$."""
        return f"${latex}$"

    def reference(self, number: int) -> str:
        """A reference that hyperref makes a link."""
        return rf"\eqref{{eq:{number}}}"

    def code(self, text: str) -> str:
        """Typewriter."""
        return rf"\texttt{{{self.words(text)}}}"


def print_tex(derivation: Derivation, program: Program) -> str:
    """The document, ready for pdflatex."""
    form = Tex()
    return render("derivation.tex.j2", {**view(derivation, program, form), "form": form})
