"""What a user writes: quantities, operations, shapes, the description of a cell, and what an expression is worth.

It begins with `quantities`; `cell` says what a description can hold, `checks` what can be wrong with one. `evaluate`
interprets expressions from the equations of the cell alone.
"""
