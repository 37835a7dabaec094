"""Numbers as people write them, in files and on the command line."""

SHOWN = 30
"""So many characters of a text are repeated in a message."""
DIGITS = 50
"""Of a whole number: more than anything is counted to, and few enough to calculate with."""


def read_number(text: str) -> float:
    """Return the number that a text is, NaN and infinity included.

    Raises:
        ValueError: It is none.
    """
    if "_" in text:
        raise ValueError(f"no number: {text!r}")  # to Python 1_0 is ten
    return float(text)


def is_number(text: str) -> bool:
    """Tell whether a text is a number, NaN and infinity included."""
    try:
        read_number(text)
    except ValueError:
        return False
    return True


def is_whole(text: str) -> bool:
    """Tell whether a text is a whole number without a sign, of at most DIGITS digits."""
    return text.isascii() and text.isdigit() and len(text) <= DIGITS


def shortened(text: str) -> str:
    """Return the beginning of a long text."""
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
