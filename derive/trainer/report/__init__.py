"""Reports: what is said, drawn and written of a run, during it and at its end."""
