"""The trainer of derived networks, which `python -m derive` copies into every package that it writes.

folder     holds                                                         imports
data       files, texts and tasks, read into sequences                   -
run        the training loop, and what it learns by                      data
report     what is said, drawn and written of a run                      data, run
commands   train, check, gradients, moments_of: options and their run    data, run, report

`errors`, `files` and `cells` beside the folders are for all of them. The trainer needs NumPy, and matplotlib to draw.
"""
