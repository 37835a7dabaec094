"""Rewritings of a program, module to module: they change order, memory and form, and never what is computed."""
