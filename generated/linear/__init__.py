"""The linear network that counts ones: `network.py` computes it, and `derivation.html`, `.tex` and `.md` derive it, line for line."""
