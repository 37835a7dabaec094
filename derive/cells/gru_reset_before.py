"""The GRU with the reset gate before the product: the form of Cho et al., and of Keras with reset_after=False."""

from sympy import Eq

from derive import Cell, T, k, mean, total
from derive.cells import gru
from derive.cells.gru import W_hc, W_xc, b_xc, c, gates, h, new_state, p, r, t, u, weights, x, y, z_c, z_r, z_u

cell = Cell(
    name="gru_reset_before",
    title="The GRU, reset before the product",
    about="""The form of Cho et al. (2014), and of Keras with reset_after=False. It differs from `gru` in the candidate
    alone, which has one bias.""",
    quantities=(*(w for w in weights if w != gru.b_hc), x, z_r, z_u, z_c, r, u, p, c, h, y, t),
    equations=(
        *gates,
        Eq(p[k], r[k] * h[k - 1]),
        Eq(z_c[k], p[k] @ W_hc + x[k] @ W_xc + b_xc),
        *new_state,
    ),
    output=y[T],
    loss=mean(total((y[T] - t) ** 2)),
    example=gru.cell.example,
    references=gru.cell.references,
)
