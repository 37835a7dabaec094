"""The dialect for any library of the array API standard: NumPy's, except that no array is written to."""
