"""Lines for the user."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line for the user."""

_LETTERS = 4_000


def printable(text: str) -> str:
    """A text that cannot drive a terminal: names of files may hold anything.

    Of a long one the middle is left out.

    >>> printable("a" + chr(27) + "[2J")
    'a?[2J'
    """
    if len(text) > _LETTERS:
        half = _LETTERS // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def say_on_stderr(line: str) -> None:
    """Print a line where it does not mix with results."""
    print(printable(line), file=sys.stderr)
