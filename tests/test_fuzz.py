"""Thousands of malformed inputs, always the same: each is read or refused in words.

`make fuzz` goes on with others; what it finds becomes an example of its reader.
"""

import fuzzing
import pytest
from fuzz_commands import COMMANDS, PROCESSES, started
from fuzz_files import FILES
from fuzz_runs import RUNS
from fuzzing import Tally, attempt
from hypothesis import HealthCheck, given, reject, settings

from aae_jax.errors import UserError

# Of threads that still read a checkpoint which was found to be damaged.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def always_the_same(number):
    """So many inputs, the same in every run."""
    return settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize(
    "reader", [*FILES, *RUNS, *COMMANDS], ids=lambda reader: reader.name
)
def test_whatever_is_drawn_is_read_or_refused(reader, tmp_path):
    tally, number = Tally(), int(250 * reader.share)
    check(reader, tmp_path, tally, number)
    assert tally.tried >= number
    if number >= 100:  # of few all may be the one or the other
        assert tally.refused
        assert tally.read


def test_command_lines_in_processes_of_their_own(tmp_path):
    train, *_ = PROCESSES
    check(train, tmp_path, Tally(), 3)


@pytest.mark.parametrize("reader", COMMANDS, ids=lambda reader: reader.name)
def test_a_process_of_its_own_refuses_in_the_same_words(reader, tmp_path):
    @always_the_same(13)
    @given(reader.inputs)
    def attempts(argv):
        refusal = refused(reader, tmp_path / "in", argv) or reject()
        assert started(reader.name, argv, tmp_path / "in-room") == (2, refusal)

    attempts()


def refused(reader, folder, drawn):
    """The sentence of a refusal, or none."""
    try:
        reader.read(folder, drawn)
    except UserError as refusal:
        return str(refusal)
    return ""


def check(reader, place, tally, number):
    """The examples of a reader, and a number of inputs that are always the same."""

    @always_the_same(number)
    @given(reader.inputs)
    def attempts(drawn):
        attempt(reader, place / "in", drawn, tally)

    for drawn in reader.examples:
        attempt(reader, place / "in", drawn, tally)
    attempts()


def test_what_is_neither_read_nor_refused_is_found(tmp_path):
    def read(folder, drawn):
        if drawn > 100:
            raise UserError("too large; give less")
        if drawn > 50:
            raise ZeroDivisionError

    reader = fuzzing.Reader("numbers", fuzzing.st.integers(0, 200), read)
    tally = Tally()
    attempt(reader, tmp_path / "in", 7, tally)
    attempt(reader, tmp_path / "in", 101, tally)
    assert (tally.read, tally.refused) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        attempt(reader, tmp_path / "in", 51, tally)


def test_what_takes_too_long_or_too_much_is_found(tmp_path):
    def wait(folder, drawn):
        while True:
            pass

    def hold(folder, drawn):
        return bytearray(drawn)

    reader = fuzzing.Reader("waiting", fuzzing.st.none(), wait, hang=0.01)
    with pytest.raises(TimeoutError):
        attempt(reader, tmp_path / "in", None, Tally())
    reader = fuzzing.Reader("holding", fuzzing.st.none(), hold, hang=60)
    with pytest.raises(AssertionError, match="MiB"):
        attempt(reader, tmp_path / "in", fuzzing.peak_bytes() + 2**28, Tally())
