"""How weights are improved: update rules, and Levenberg–Marquardt, as code and on paper.

Written by `python -m derive`.
"""
