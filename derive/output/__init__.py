"""The output of derive: the modules and pages of a cell, files written whole, processes, command line, notebook."""
