"""Code from a program: a folder per dialect, and the `templating` of their frames; README.md tells how to add one."""
