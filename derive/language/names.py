"""The names that a derivation or a generated module uses itself, so that no quantity of a cell may have them."""

from __future__ import annotations

import builtins

GENERATED_NAMES = """
np k n N T X dtype parameters trace adjoints gradient gradients learning_rates value output delta
annotations Any NamedTuple TypeAlias Number Array ArrayLike NDArray Parameters Trace Adjoints
forward backward predict loss value_and_gradient descend loss_of sum_over_time time_first as_targets
logistic softplus logistic_cross_entropy softmax one_hot softmax_cross_entropy
sequences floating steps targets Shape SHAPES DATA_SHAPES LOSS_IS_MEAN STATES TYPE_CHECKING
self m sizes isqrt weights window space spare totals rows stop is_first is_last columns inputs gates deltas slopes
left right products check_array bytes_of as_number
add arctan copyto cos cosh divide exp log multiply negative power sin sinh sqrt subtract tan tanh
residuals jacobian residuals_and_jacobian residuals_of gradient_of
j first factors moments polynomials power one_a_row sums_over_time as_data math epochs CHUNK EPSILON
"""
RESERVED = frozenset(dir(builtins)) | frozenset(GENERATED_NAMES.split())
"""Names that a generated module uses itself; a quantity of that name would hide them."""
RESERVED_BEGINNINGS = (
    *("delta_", "deltas_", "gradient_", "gates_", "slope_", "slopes_", "tanh_", "products_"),
    *("from_", "of_", "back_", "spare_", "steps_", "inputs_"),
)
RESERVED_ENDINGS = ("_rows", "_columns", "_itself", "_input")
"""What a generated module makes names of."""
RESERVED_FILES = frozenset(["assets", "trainer", "methods", "train", "check", "gradients", "moments_of", "index"])
"""What stands beside the cells in an output folder."""
RESERVED_LATEX = frozenset(["k", "n", "N", "T", r"\xi", r"\delta", r"\eta"])
"""Symbols that a derivation uses itself."""
RESERVED_FOR_NUMBERS = frozenset(["j", "m", "H", "I", "J", r"\lambda"])
"""Those that it uses for cells of numbers only: in the closed form and for the curvature."""


def name_of_tangent(quantity: str, weight: str) -> str:
    """What a generated module calls the derivative of a quantity with respect to a weight."""
    return f"d{quantity}_d{weight}"


def is_reserved(name: str) -> bool:
    """Whether a generated module may use a name itself."""
    return name in RESERVED or name.startswith(RESERVED_BEGINNINGS) or name.endswith(RESERVED_ENDINGS)
