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
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

from fuzzing import PROCESSES, READERS, Reader, Tally, attempt, peak_bytes
from hostile import DATA, many_names
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisWarning

ROOT = Path(__file__).resolve().parents[1]
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


def measured(script: str, *arguments: str) -> tuple[int, float, float, float]:
    """Status, seconds, seconds of the processor and mebibytes of a script."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    mebibytes = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    seconds = usage.ru_utime + usage.ru_stime
    return process.returncode, time.perf_counter() - began, seconds, mebibytes


def measure_cases(n_names: int) -> int:
    """Print what each hostile file takes beyond an empty one."""
    cases = DATA | {f"{n_names:,} names": partial(many_names, n=n_names)}
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "a.npy").touch()
        _, *plain = measured("train.py", "--dataset", str(Path(place) / "a.npy"))
        wall, seconds, mebibytes = plain
        print(
            f"a plain start takes {wall:.1f} s, {seconds:.1f} s of the processor and "
            f"{mebibytes:.0f} MiB; beyond that"
        )
        for index, (name, make) in enumerate(cases.items()):
            (Path(place) / str(index)).mkdir()
            status, *taken = measured(*make(Path(place) / str(index)))
            more = [a - b for a, b in zip(taken, plain, strict=True)]
            bad += status != 2 or more[1] > 5 or more[2] > 500e6 / 2**20
            print(f"{name:<40}{more[0]:>6.1f} s{more[1]:>6.1f} s{more[2]:>6.0f} MiB")
    return 1 if bad else 0


def main() -> int:
    """Print a line for each reader, and whatever went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="the name of one reader")
    parser.add_argument("--cases", action="store_true")
    parser.add_argument("--names", type=int, default=20_000)
    flags = parser.parse_args()
    if flags.cases:
        return measure_cases(flags.names)
    warnings.filterwarnings("error", append=True)  # as in the tests
    warnings.filterwarnings("ignore", category=HypothesisWarning)
    # Of threads that still read a checkpoint which was found to be damaged.
    sys.unraisablehook = lambda dropped: None
    readers = [each for each in READERS if flags.only in (None, each.name)]
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
