"""The LSTM.

Written by `python -m derive`: `network.py` computes it, `derivation.html`, `.tex` and `.md` derive it, line for line.
"""
