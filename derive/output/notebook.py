"""What a derivation does in a notebook: it shows itself typeset, and its functions run."""

from __future__ import annotations

from dataclasses import fields

from derive.backends.numpy.adapter import candidates_of
from derive.backends.numpy.lambdified import Lambdified
from derive.backends.numpy.network_code import network_of, print_network
from derive.backends.templating import render
from derive.certify.certificate import certify
from derive.documents.document import view
from derive.documents.html import Html
from derive.documents.latex import Formulas
from derive.language.cell import Cell
from derive.mathematics.derivation import Derivation
from derive.mathematics.pipeline import STEPS, write_derivation


class ShownDerivation(Derivation):
    """A derivation that a notebook displays."""

    def _repr_html_(self) -> str:
        """All of it: headings, equations, rules and tables."""
        form = Html(Formulas(order=self.cell.order))
        return render("documents/templates/fragment.html.j2", view(self, network_of(self).module, form))

    def _repr_latex_(self) -> str:
        """The equations, numbered, one below the other."""
        formulas = Formulas(order=self.cell.order)
        shown = (equation for section in self.sections for equation in section.shown_equations)
        return "\n".join(rf"$$\displaystyle {formulas.equation(each)} \tag{{{each.number}}}$$" for each in shown)

    def lambdify(self) -> Lambdified:
        """The functions of the generated module, in memory, each line by SymPy's `lambdify`."""
        return Lambdified(self)


def derive(cell: Cell, steps: int = STEPS) -> ShownDerivation:
    """Derives backpropagation through time for a cell, and checks all of it.

    Args:
        cell: The cell.
        steps: For how many steps the equations are also written out one by one.

    Raises:
        UsageError: `steps` is less than 1.
        CertificateError: A proof does not go through, or a check does not hold.
    """
    plain = write_derivation(cell, steps)
    certify(plain, *candidates_of(plain, {"network.py": print_network(plain)}))
    return ShownDerivation(**{each.name: getattr(plain, each.name) for each in fields(plain)})
