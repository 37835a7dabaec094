"""Data: files, texts and tasks, read and checked, as sequences of inputs with their targets."""
