"""The templates, `*.j2`, and how they are filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from derive.language.quantities import Quantity

if TYPE_CHECKING:
    from jinja2 import Environment


def sentence(quantity: Quantity) -> str:
    """The meaning of a quantity as a sentence; its LaTeX where nobody said."""
    meaning = quantity.meaning or quantity.latex
    return docstring(f"{meaning[0].upper()}{meaning[1:]}.")


def docstring(text: str) -> str:
    """Text as it stands between triple quotes."""
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


@cache
def templates() -> Environment:
    """The environment of the templates: their place and their marks."""
    # Imported here, so that a calculation that prints nothing does not wait for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("derive", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # LaTeX is full of braces and percent signs, so the templates use other marks.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["docstring"] = docstring
    environment.filters["sentence"] = sentence
    environment.filters["gradient"] = "gradient_{}".format
    return environment


def render(template: str, fields: Mapping[str, Any]) -> str:
    """Fills in a template.

    Args:
        template: Its path in derive/, as in `documents/templates/derivation.md.j2`.
        fields: What its marks stand for; a missing one is an error.
    """
    return templates().get_template(template).render(fields)


def tidy(text: str) -> str:
    """A document without two blank lines in a row, which templates leave where they print nothing."""
    return re.sub(r"\n{3,}", "\n\n", text)
