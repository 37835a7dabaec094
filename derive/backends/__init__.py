"""Code from a derivation: one folder for each language, and the templates that all of them fill in."""
