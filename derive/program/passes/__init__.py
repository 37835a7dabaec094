"""Rewritings of a program, module to module: they change order, memory and form, and never what is computed.

pass        level     what
sums        value     each term of a gradient by itself; later, one product for all gradients that share factors
tanh        value     σ as ½ + ½ tanh, by an equation of the derivation; ½ is a factor of the weights
windows     value     a loop over all steps as one over those of a window; what is for one step as a condition
layout      storage   a place for each value, by how long it is needed; what is stacked so that its products are one
linearise   storage   single operations, each into a place that is there; what is made of the weights once per call
merge       storage   alike operations on neighbouring rows as one

`views` names parts of buffers for them. `program.fast` runs them in this order, and verifies the program after each.
"""
