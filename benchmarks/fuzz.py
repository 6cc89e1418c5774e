"""Read what was drawn at random, for as long as told, and say what came of it.

    make fuzz ARGS="--minutes 10"
    make fuzz ARGS="--cases --names 1000000"

The second measures the files that tests/test_hostile_input.py has train.py refuse, and
a folder of so many names. Exits 1 where anything was neither read nor refused in a
sentence, took too long or too much memory. The inputs are those of tests/test_fuzz.py,
and ever new ones.
"""

import argparse
import collections
import sys
import tempfile
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

from fuzz_commands import COMMANDS, PROCESSES
from fuzz_files import FILES
from fuzz_runs import RUNS
from fuzzing import Reader, Tally, attempt, peak_bytes
from hostile import DATA, many_names, measured
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisWarning

AT_A_TIME = 200
MOST_FAILURES = 5


def go_on(reader: Reader, folder: Path, tally: Tally, *, number: int) -> None:
    """Try some more inputs of a reader, another sequence for each number."""

    @seed(number)
    @settings(
        max_examples=max(1, int(AT_A_TIME * reader.share)),
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def check(drawn: object) -> None:
        attempt(reader, folder, drawn, tally)

    try:
        check()
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        last = "".join(traceback.format_exception(error)[-6:])
        tally.failures.append(f"{reader.name}: {last[:3000]}{notes[:3000]}")


def measure_cases(n_names: int) -> int:
    """Print what each hostile file takes beyond an empty one."""
    cases = DATA | {f"{n_names:,} names": partial(many_names, n=n_names)}
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "a.npy").touch()
        plain = measured("train.py", "--dataset", place / "a.npy", cwd=place)
        print(
            f"a plain start takes {plain.seconds:.1f} s, "
            f"{plain.seconds_of_processor:.1f} s of the processor and "
            f"{plain.peak_bytes / 2**20:.0f} MiB; beyond that"
        )
        for index, (name, make) in enumerate(cases.items()):
            (place / str(index)).mkdir()
            taken = measured(*make(place / str(index)), cwd=place)
            seconds = taken.seconds - plain.seconds
            of_processor = taken.seconds_of_processor - plain.seconds_of_processor
            more = taken.peak_bytes - plain.peak_bytes
            bad += taken.status != 2 or of_processor > 5 or more > 500e6
            print(
                f"{name:<40}{seconds:>6.1f} s{of_processor:>6.1f} s"
                f"{more / 2**20:>6.0f} MiB"
            )
    return 1 if bad else 0


def main() -> int:
    """Print a line for each reader, and whatever went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="the name of one reader")
    parser.add_argument("--cases", action="store_true")
    parser.add_argument("--names", type=int, default=100_000)
    flags = parser.parse_args()
    if flags.cases:
        return measure_cases(flags.names)
    warnings.filterwarnings("error", append=True)  # as in the tests
    warnings.filterwarnings("ignore", category=HypothesisWarning)
    # Of threads that still read a checkpoint which was found to be damaged.
    sys.unraisablehook = lambda dropped: None
    readers = [
        each for each in (*FILES, *RUNS, *COMMANDS) if flags.only in (None, each.name)
    ]
    tallies: dict[str, Tally] = collections.defaultdict(Tally)
    end, number = time.monotonic() + 60 * flags.minutes, flags.seed
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < end:
            number += 1
            for index, reader in enumerate(readers):
                tally = tallies[reader.name]
                if len(tally.failures) < MOST_FAILURES:
                    go_on(reader, Path(place) / str(index), tally, number=number)
        for reader in PROCESSES if flags.only is None else ():
            go_on(reader, Path(place) / "process", tallies[reader.name], number=number)
    print(
        f"{'reader':<24}{'tried':>8}{'refused':>9}{'read':>8}{'slowest':>10}{'more':>9}"
    )
    for name, tally in tallies.items():
        print(
            f"{name:<24}{tally.tried:>8,}{tally.refused:>9,}{tally.read:>8,}"
            f"{tally.slowest:>8.2f} s{tally.growth / 2**20:>5.0f} MiB"
        )
    failures = [each for tally in tallies.values() for each in tally.failures]
    tried = sum(tally.tried for tally in tallies.values())
    print(f"{tried:,} inputs, {len(failures)} neither read nor refused as they should")
    print(f"most memory of all: {peak_bytes() / 2**20:,.0f} MiB")
    print(*failures, sep="\n\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
