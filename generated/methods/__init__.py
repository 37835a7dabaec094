"""How weights are improved: update rules, and Levenberg–Marquardt; written by `python -m derive`, on paper beside it."""
