"""Time from a command to its first sign of life, without compiled programs and with.

    make start

The cold start has an empty cache folder; the warm ones find what the one before kept.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELP = ("--help",)
TRAINING = ("--recipe", "guide", "--steps", "100000", "--no-figures")


def seconds_until(sign: str, *flags: str, cache: str) -> float:
    """Seconds until train.py prints a line with `sign`; it is ended there."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *flags],
            cwd=place,
            env=os.environ | {"XDG_CACHE_HOME": cache},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        found = any(sign in line for line in process.stdout)
        taken = time.perf_counter() - began
        process.kill()
        process.communicate()
    if not found:
        raise SystemExit(f"train.py {' '.join(flags)} ended without {sign!r}")
    return taken


def main() -> None:
    """Print the seconds of each start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="sample", help="data set to train on")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    data = Path(flags.data)
    training = (*TRAINING, "--dataset", str(data.resolve() if data.exists() else data))
    taken: dict[str, list[float]] = {"--help": [], "cold": [], "warm": []}
    for _ in range(flags.rounds):
        with tempfile.TemporaryDirectory() as cache:
            taken["--help"].append(seconds_until("usage", *HELP, cache=cache))
            for name in ("cold", "warm"):
                taken[name].append(seconds_until("step 5/", *training, cache=cache))
    for name, each in taken.items():
        print(f"{name:<8}", *(f"{seconds:.2f}" for seconds in each))


if __name__ == "__main__":
    main()
