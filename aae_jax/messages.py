"""Lines for the user."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line for the user."""


def say_on_stderr(line: str) -> None:
    """Print a line where it does not mix with results."""
    print(line, file=sys.stderr)
