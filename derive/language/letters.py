"""A quantity's name on paper: made from its name in code, or given, and then checked before any TeX sees it."""

from __future__ import annotations

import re

from derive.language.errors import UsageError

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega|"
    "Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)
"""The letters that TeX knows by their names."""


def latex_of(name: str) -> str:
    r"""The LaTeX of a code name: W1 → W_1, W_x_in → W_{x,\mathrm{in}}, gamma → \gamma, start → \mathrm{start}."""
    letter, *indices = map(_typeset, re.findall(r"[^\W\d_]+|\d+", name) or [name])
    below = ",".join(indices)
    return letter + (f"_{below}" if len(below) == 1 else f"_{{{below}}}" if below else "")


def _typeset(part: str) -> str:
    """A letter in italics, a number, a Greek letter, or a word upright."""
    if GREEK.fullmatch(part):
        return rf"\{part}"
    return part if len(part) == 1 or not part.isalpha() else rf"\mathrm{{{part}}}"


def check_latex(name: str, latex: str) -> None:
    r"""Refuses LaTeX that would break the document, or that cannot take a step as a further index.

    Raises:
        UsageError: It has a control character (from `"\f"`, without the r), a letter that is not ASCII, one of %, &, #
            and $, a brace without its partner, or two subscripts; in one line, with the cure.
    """
    bare = re.sub(r"\\.", "", latex)
    outside, before = bare, ""
    while outside != before:  # the innermost braces go first
        outside, before = re.sub(r"\{[^{}]*\}", "", outside), outside
    special = "".join(re.findall(r"[%&#$\\]", bare))
    problems = (
        (not latex.isprintable(), "it has a control character", r'write it with an r in front, as in r"\frac{a}{b}"'),
        (not latex.isascii(), "TeX does not know a letter of it", r'write its name, as in r"\lambda"'),
        (special, f"it has {special}, which TeX would not print", "leave that out; a formula needs no $ around it"),
        (re.search("[{}]", outside), "a brace has no partner", 'close each brace, as in "W_{xf}"'),
        (max(map(outside.count, "_^")) > 1, "it has two subscripts or superscripts", 'make them one, as in "W_{x,f}"'),
        (not latex.strip(), "it is empty", "leave latex= out"),
    )
    for found, problem, cure in problems:
        if found:
            raise UsageError(f"quantity {name!r}, latex={latex!r}: {problem}; {cure}")
