"""The NumPy modules: `network.py`, `network_fast.py`, those without a recurrence, and the update rules."""
