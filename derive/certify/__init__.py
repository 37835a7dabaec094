"""Proofs of a derivation and of its code against independent evidence; `certificate` lists them."""
