"""The trainer of derived networks, copied by `python -m derive` into every package it writes.

folder     holds                                                         imports
data       files, texts and tasks, read into sequences                   -
run        the training loop, its learners, the driver of network_fast   data
report     messages, figures and files of a run                          data, run
commands   train, check, gradients, moments_of: options and their run    data, run, report

`errors`, `files` and `cells` beside the folders serve all of them. The trainer needs NumPy, and matplotlib to draw.
"""
