"""Inputs drawn at random for whatever reads what others made.

A `Reader` is a strategy of hypothesis and a function that reads what it draws. Whatever
is drawn is read, or refused in a sentence: `attempt` fails on anything else. The tests
try some thousand inputs, always the same; `make fuzz` goes on for as long as told.
"""

import contextlib
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from aae_jax.errors import RunError, UserError

GIB = 2**30
GROWTH = 2**27
"""Bytes by which an input may raise the most memory that this process ever had."""


@dataclass(frozen=True)
class Reader:
    """Something that reads what others made.

    Attributes:
      name: for people.
      inputs: what is drawn.
      read: `read(folder, drawn)` raises UserError or RunError, or has read it. The
        folder is empty.
      share: how many are tried beside the quickest reader's.
      hang: seconds in which an input must have been read or refused.
      examples: inputs that were a mistake of ours once.
    """

    name: str
    inputs: st.SearchStrategy[Any] = field(repr=False)
    read: Callable[[Path, Any], object]
    share: float = 1.0
    hang: float = 20.0
    examples: tuple[Any, ...] = ()


@dataclass
class Tally:
    """What came of the inputs of a reader."""

    refused: int = 0
    read: int = 0
    slowest: float = 0.0
    growth: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.refused + self.read + len(self.failures)


def attempt(reader: Reader, folder: Path, drawn: Any, tally: Tally) -> None:
    """Read one input, in an emptied folder, and count what came of it.

    Raises:
      AssertionError: it took too long, or too much memory, or its refusal is no
        sentence.
      Exception: what else it raised.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before, began = peak_bytes(), time.perf_counter()
    sentence = None
    try:
        with ends_in(4 * reader.hang):
            reader.read(folder, drawn)
    except (UserError, RunError) as error:
        sentence = str(error)
    assert sentence != "", "a refusal without words"
    tally.read += sentence is None
    tally.refused += sentence is not None
    seconds, growth = time.perf_counter() - began, peak_bytes() - before
    tally.slowest = max(tally.slowest, seconds)
    tally.growth = max(tally.growth, growth)
    assert seconds < reader.hang, f"it took {seconds:.1f} s"
    assert growth < GROWTH, f"it took {growth / 2**20:.0f} MiB"


@contextlib.contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """Raise where this takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it did not end in {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


# Bytes, changed.

_KINDS = ("flip", "set", "insert", "delete", "truncate", "duplicate", "zero")
_change = st.tuples(
    st.sampled_from(_KINDS), st.integers(0, 2**20), st.binary(min_size=1, max_size=8)
)
changes = st.lists(_change, max_size=4)
some_changes = st.lists(_change, min_size=1, max_size=4)


def changed(content: bytes, made: Sequence[tuple[str, int, bytes]]) -> bytes:
    """The content after changes, each at a place of its own."""
    result = bytearray(content)
    for kind, place, value in made:
        at, n = place % (len(result) + 1), len(value)
        if kind == "flip" and at < len(result):
            result[at] ^= 1 << value[0] % 8
        elif kind == "set":
            result[at : at + n] = value
        elif kind == "insert":
            result[at:at] = value
        elif kind == "delete":
            del result[at : at + value[0]]
        elif kind == "truncate":
            del result[at:]
        elif kind == "duplicate":
            result[at:at] = result[at : at + value[0]]
        elif kind == "zero":
            result[at : at + n] = bytes(n)
    return bytes(result)


def mutations(sound: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of some sound files, changed."""
    return st.builds(changed, st.sampled_from(sound), changes)


NUMBERS = (0, 1, 2, 4, 6, 7, 96, -1, 255, 1024, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (*NUMBERS, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 10**30)


def hear(line: str) -> None:
    """Take what is said, which must not be empty."""
    assert line.strip()
