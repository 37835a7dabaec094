"""Rewritings of a program, each from module to module: they change order, memory and form, and never what is computed."""
