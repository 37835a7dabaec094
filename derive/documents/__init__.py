"""The derivation for readers: LaTeX, a page, Markdown, and the figures."""
