"""The weights as other libraries hold them: the gates side by side in one block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.problems import Case

BLOCKS = {
    "vanilla_rnn": {"W_x": "Wx", "W_h": "Wrec", "b": "b", "W_y": "Wy", "b_y": "by"},
    "gru": {"W_x": "Wxr Wxu Wxc", "W_h": "Whr Whu Whc", "b": "br bu bxc", "b_h": "bhc", "W_y": "Wy", "b_y": "by"},
    "lstm": {"W_x": "Wxi Wxf Wxg Wxo", "W_h": "Whi Whf Whg Who", "b": "bi bf bg bo", "W_y": "Wy", "b_y": "by"},
}
"""Of every cell with rows: which of our weights stand in a block, from left to right."""


def fused(case: Case) -> dict[str, np.ndarray]:
    """The blocks of a case."""
    weights = case.parameters._asdict()
    return {
        block: np.concatenate([weights[name] for name in names.split()], axis=-1)
        for block, names in BLOCKS[case.problem.cell].items()
    }


def taken_apart(case: Case, blocks: Mapping[str, Any]) -> Sequence[np.ndarray]:
    """Our weights' gradients, from those of the blocks."""
    found = {}
    for block, names in BLOCKS[case.problem.cell].items():
        parts = names.split()
        found.update(zip(parts, np.split(np.asarray(blocks[block]), len(parts), axis=-1), strict=True))
    return case.parameters._make(found[name] for name in case.parameters._fields)
