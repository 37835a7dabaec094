"""What a generated module computes, as assignments and loops, and its conversion from a derivation."""
