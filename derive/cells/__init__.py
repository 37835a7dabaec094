"""The cells shipped, one screen each; every module here has a `cell`."""
