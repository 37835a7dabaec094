"""NumPy's dialect for any library of the array API standard: arrays are never written into."""
