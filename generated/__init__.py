"""Recurrent networks with a derived gradient, written by `python -m derive`; they need NumPy alone.

One folder per cell, and the trainer for all of them: `python -m generated.train --help`.
"""
