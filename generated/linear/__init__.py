"""The linear network that counts ones, computed by `network.py`; `derivation.html`, `.tex` and `.md` derive it line for line."""
