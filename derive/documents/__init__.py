"""The derivation for readers: LaTeX, a page, Markdown, figures; and the pages of the update rules."""
