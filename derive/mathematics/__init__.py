"""From a cell to its derivation, numbered equations in sections; `pipeline` is the table of contents.

`derivation` holds the data, `ledger` numbers the equations, `rules` states the rules they follow from, and `pullbacks`
has the law of each operation. Every other module derives one part.
"""
