"""The program: what is computed, as a small tree of plain data that every printer prints.

`nodes` is the grammar; `types` and `verify` say which trees make sense; `build` makes a program of equations; the
passes in `passes/` rewrite it (`fast` runs those of the fast code); `interpret` runs it slowly and `cost` counts it.
"""
