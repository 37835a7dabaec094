"""Running a command: its result on standard output, its complaints on standard error, its exit code."""

import argparse
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from ..report.printing import say, show


def run(name: str, parser: argparse.ArgumentParser, look: Callable[[Any], tuple[str, int]], argv: Any) -> int:
    """Run a command.

    Args:
        name: The command's.
        parser: Of its command line.
        look: From the arguments to what is printed, and the exit code.
        argv: The words after the program's name; by default those of this process.

    Returns:
        The exit code: that of `look`, 1 if its text cannot be printed, 2 for bad input, 130 if interrupted.
    """
    try:
        text, exit_code = look(parser.parse_args(argv))
    except InputError as error:
        say(f"{name}: error: {error}")
        return 2
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return 130
    if failure := show(text):
        say(f"{name}: error: the result was not printed: {failure.strerror}")
        return 1
    return exit_code
