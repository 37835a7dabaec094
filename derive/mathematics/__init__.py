"""From a cell to its derivation, numbered equations in sections; `pipeline` is the table of contents.

`derivation` holds the data, `ledger` numbers the equations, `rules` states what they follow by, and `pullbacks` has the
law of each operation. Every other module derives one part.
"""
