"""The program: the equations of a derivation as a small tree of plain data, the input of every printer.

module          holds
nodes, sizes    the grammar
types, verify   the type of an expression, and the rules for a program to make sense
build           SymPy expressions and equations, turned into nodes
names           the names in code, the author's first
network, closed_form, moments, jacobian, descent, rules
                the program of each kind of module, at the level of values
staged, fast    that of network_fast.py, from the staged equations, and through the passes to storage
passes          the rewritings
walk            parts, reads and writes, and `rebuild`
interpret       a slow interpreter; `first_wrong_pass` names a pass that changes a result
cost            operations and bytes, as `polynomials` in the sizes
loading         generated modules, run from their texts
"""
