"""The functions of single entries that a cell may use, each by a neutral name that every backend knows."""

from __future__ import annotations

from sympy import Function, atan, cos, cosh, exp, log, sin, sinh, tan, tanh

from derive.language.operations import logistic, logistic_cross_entropy, softplus

FUNCTIONS: dict[type[Function], str] = {
    exp: "exp",
    log: "log",
    sin: "sin",
    cos: "cos",
    tan: "tan",
    atan: "atan",
    sinh: "sinh",
    cosh: "cosh",
    tanh: "tanh",
    logistic: "logistic",
    softplus: "softplus",
    logistic_cross_entropy: "logistic_cross_entropy",
}
"""SymPy's class of each function, and its name in a program."""
