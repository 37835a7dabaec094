"""The commands: what their options mean, and what they do."""
