"""What can be wrong with the description of a cell, each mistake with its cure."""
