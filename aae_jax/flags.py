"""Flags from the words of a command line, refused in a sentence of our own."""

import contextlib
import dataclasses
import io
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import tyro

from aae_jax.checks import nearest
from aae_jax.errors import UserError

Flags = TypeVar("Flags")


@dataclass(frozen=True)
class _Kind:
    """What a flag takes: how many words, how each is read, and both in words."""

    words: str
    read: Callable[[str], Any] = str
    least: int = 1
    most: float = 1


_SWITCH = _Kind("no value", least=0, most=0)
_KINDS: Mapping[Any, _Kind] = {
    int: _Kind("a whole number", int),
    float: _Kind("a number", float),
    bool: _Kind("True or False", {"True": True, "False": False}.__getitem__),
    str: _Kind("a value"),
    Path: _Kind("a path"),
    int | Literal["all"]: _Kind(
        "a whole number or all", lambda word: word if word == "all" else int(word)
    ),
    tuple[int, ...]: _Kind("whole numbers", int, least=0, most=math.inf),
    tuple[int, int]: _Kind("two whole numbers", int, least=2, most=2),
}


def parse(flags: type[Flags], argv: Sequence[str], *, script: str, about: str) -> Flags:
    """Flags of a script from its arguments; prints the help and exits 0 for --help.

    Args:
      flags: a dataclass, or a dataclass of dataclasses.

    Raises:
      UserError: a flag that does not exist, or a value of the wrong kind.
    """
    try:
        # tyro draws a box around its errors; what is wrong is said below instead.
        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(
                flags,
                prog=script,
                description=about,
                args=list(argv),
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.FlagCreatePairsOff,
                    tyro.conf.DisallowNone,
                ),
            )
    except SystemExit as stopped:
        if stopped.code in (0, None):
            raise
    what = _what_is_wrong(argv, kinds_of(flags))
    raise UserError(f"{what}; 'python {script} --help' lists all flags")


def given_fields(argv: Sequence[str]) -> set[str]:
    """Names of the fields whose flags were typed."""
    return {_field(flag) for flag, _ in _by_flag(argv)}


def _what_is_wrong(argv: Sequence[str], kinds: Mapping[str, _Kind]) -> str:
    for flag, values in _by_flag(argv):
        kind = kinds.get(_field(flag), _SWITCH)
        if flag and _field(flag) not in kinds:
            names = ["--" + name.replace("_", "-") for name in kinds]
            return f"{reprlib.repr(flag)} is not a flag{nearest(flag, names)}"
        if kind is _SWITCH and values:
            return f"got {reprlib.repr(values[0])}, which belongs to no flag"
        if not _fits(values, kind):
            got = " ".join(reprlib.repr(value) for value in values[:5]) or "nothing"
            return f"{flag} takes {kind.words}, got {got}"
    return "the flags do not fit together"


def _fits(values: Sequence[str], kind: _Kind) -> bool:
    try:
        for value in values:
            kind.read(value)
    except (KeyError, ValueError):
        return False
    return kind.least <= len(values) <= kind.most


def _by_flag(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with the words that follow it; '' for words before the first flag."""
    flag: str = ""
    values: list[str] = []
    for word in argv:
        if word.startswith("--"):
            yield flag, values
            flag, equals, value = word.partition("=")
            values = [value] if equals else []
        else:
            values.append(word)
    yield flag, values


def _field(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def kinds_of(flags: Any) -> dict[str, _Kind]:
    """What each field takes, those of nested dataclasses too."""
    kinds: dict[str, _Kind] = {"help": _SWITCH}
    for name, hint in get_type_hints(flags).items():
        if dataclasses.is_dataclass(hint):
            kinds |= kinds_of(hint)
        elif hint is bool:
            kinds[name] = _SWITCH
        else:
            given = [each for each in get_args(hint) if each is not NoneType]
            kinds[name] = _KINDS[given[0] if NoneType in get_args(hint) else hint]
    return kinds
