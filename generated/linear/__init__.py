"""The linear network that counts ones.

`network.py` computes it; `derivation.html`, `.tex` and `.md` derive it, line for line.
"""
