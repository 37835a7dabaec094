"""The one error that the trainer shows to its user."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that says what is wrong, where, and how to cure it. A command prints it
    behind its name, as in `train: error: …`, and exits with code 2.
    """

    def __str__(self) -> str:
        """Return the message; a file name may hold line breaks."""
        return " ".join(super().__str__().splitlines())
