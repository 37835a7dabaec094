"""Backpropagation through time, derived from the description of a recurrent cell, to read and to run.

    >>> from derive.cells.linear import cell
    >>> derive.derive(cell)          # in a notebook: the derivation, typeset

A cell is described with the names below; `derive.language.cell.Cell` explains how.
"""

import os

# SymPy remembers its last 1,000 results unless told otherwise: too few for hundreds of steps written out.
os.environ.setdefault("SYMPY_CACHE_SIZE", "20000")

from derive.language.cell import Cell
from derive.language.errors import CellError, CertificateError, DeriveError
from derive.language.example import Example, Landscape, TaskExample
from derive.language.operations import logistic, logistic_cross_entropy, mean, softmax_cross_entropy, softplus, total
from derive.language.quantities import Dimension, Input, Intermediate, Label, N, Parameter, State, T, Target, k
from derive.output.notebook import derive

__all__ = [
    "Cell",
    "CellError",
    "CertificateError",
    "DeriveError",
    "Dimension",
    "Example",
    "Input",
    "Intermediate",
    "Label",
    "Landscape",
    "N",
    "Parameter",
    "State",
    "T",
    "Target",
    "TaskExample",
    "derive",
    "k",
    "logistic",
    "logistic_cross_entropy",
    "mean",
    "softmax_cross_entropy",
    "softplus",
    "total",
]
