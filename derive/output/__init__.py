"""The files of a cell and the way onto the disk: the command line, processes, and the notebook."""
