"""The language of cells: quantities, operations, functions, shapes, the description of a cell, values of expressions.

Start at `quantities`; `cell` states what a description can hold, `checks` finds its mistakes. `evaluate` interprets
expressions from the equations of the cell alone.
"""
