"""Proofs of a derivation and of its code against what did not produce them; `certificate` lists them."""
