"""A run: the training loop, its learners, the settings, and what goes from one epoch to the next."""
