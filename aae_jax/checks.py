"""Checks of what a person typed; each refusal says what was got and what is allowed."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

from aae_jax.errors import UserError


def nearest(got: str, allowed: Iterable[str]) -> str:
    """The end of a sentence that suggests the allowed name closest to `got`, or ''."""
    # Comparing takes the longer the more there is.
    close = difflib.get_close_matches(got[:100], list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def check_name(
    field: str, got: Any, allowed: Iterable[str], shown: Iterable[str] | None = None
) -> None:
    """Refuse a name that is not among the allowed; `shown` are those that are told."""
    if got not in (allowed := tuple(allowed)):
        names = tuple(shown or allowed)
        raise UserError(
            f"{field}={got!r} is unknown; choose one of {', '.join(names)}"
            + nearest(str(got), names)
        )


def check_printable(field: str, got: Any) -> None:
    """Refuse a name that a log, a file or a terminal could not hold."""
    if not isinstance(got, str) or not got or not got.isprintable():
        raise UserError(f"{field} {got!r} is no name; give a word that can be printed")


def check_number(
    name: str, got: Any, low: float, high: float, *, whole: bool = False
) -> None:
    """Refuse what is not a number, or not a whole one, from `low` to `high`."""
    kind = int if whole else (int, float)
    allowed = f"from {low:.10g} to {high:.10g}"
    # Of the numbers only those below infinity are numbers here; NaN is below nothing.
    if not isinstance(got, kind) or isinstance(got, bool) or not abs(got) < math.inf:
        noun = "a whole number" if whole else "a number"
        raise UserError(f"{name}={got!r} is not {noun} {allowed}")
    if not low <= got <= high:
        flag = "--" + name.replace("_", "-")
        raise UserError(f"{name}={got} is out of range; give {flag} a value {allowed}")


def check_sizes(
    name: str, got: Any, high: int, example: str, *, least: int = 1, most: int
) -> None:
    """Refuse what is not `least` to `most` whole numbers from 1 to `high`, a tuple."""
    if not isinstance(got, tuple):
        raise UserError(f"{name}={got!r} is no tuple of sizes; give such as {example}")
    if not least <= len(got) <= most:
        allowed = f"{least}" if least == most else f"{least} to {most}"
        raise UserError(
            f"{name} has {len(got):,} sizes, and {allowed} are allowed; give such as "
            f"{example}"
        )
    for size in got:
        check_number(name, size, 1, high, whole=True)
