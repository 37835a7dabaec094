"""Checks of the description of a cell, one line for each mistake, with its cure."""
