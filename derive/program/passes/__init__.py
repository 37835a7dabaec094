"""Rewritings of a program, from module to module: they change order, memory and form, but not the result.

pass                       level     does
sums.with_split_sums       value     adds each term of a gradient by itself
tanh.with_tanh             value     writes σ as ½ + ½ tanh, by an equation of the derivation; ½ joins the weights
windows.in_windows         value     turns a loop over all steps into one over a window; a single step into a condition
layout.laid_out            storage   gives every value a place, by its lifetime; stacks values for common products
sums.with_collected_sums   storage   makes one product for all gradients with common factors
fuse.fused                 storage   puts entrywise statements of one shape into one pass over memory
linearise.linearised       storage   splits expressions, those of maps too, into single operations; packs the weights
merge.merged               storage   joins like operations on neighbouring rows

`views` names parts of buffers for them. `passes_of` in `program.fast` gives their order; the program is verified after
each.
"""
