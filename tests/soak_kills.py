"""Kill trainings at any moment, go on with them, and compare all their bits.

    python tests/soak_kills.py --kills 100

Each case is trained once without a kill. Then it is trained again, killed by SIGKILL
some times, each time at a moment drawn anew, and gone on with by --resume until it
ends. Parameters, optimizer states, log and test metrics must be equal. The processes
are those of train.py; only they save after every chunk of a twentieth of a second,
where a usual one saves every half minute, so that most kills hit a save. Exit status 1
where a run was lost.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from same_run import assert_same_run

from aae_jax.data import load_dataset
from aae_jax.run_folder import RunFolder, seeds_in
from aae_jax.variants import VARIANTS

ROOT = Path(__file__).resolve().parent.parent
KILLS_A_RUN = 8
SOON = 0.02  # seconds after a moment was seen
LENGTH = ("--hidden", "64", "64", "--steps", "300")
CASES = {
    **{model: ("--model", model) for model in VARIANTS if model != "label-prior"},
    "label-prior": ("--model", "label-prior", "--prior", "mixture"),
    "images on disk": ("--memory-limit", "0.001"),
    "two seeds": ("--seeds", "2"),
}
EAGER = """
import runpy, sys
from aae_jax import host_loop
host_loop.SECONDS_BETWEEN_SAVES = 0.0
host_loop.SECONDS_PER_CHUNK = 0.05
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path("train.py", run_name="__main__")
"""

ANY_TIME = "at any time"
MOMENTS = {
    ANY_TIME: None,
    "before the first step": "events.out.tfevents.*",
    "when the log changes": "metrics.jsonl",
    "while arrays are written": "*.orbax-checkpoint-tmp",
    "before a checkpoint is published": "*.writing/manifest.json",
    "while an old one is deleted": "*.deleting",
    "while pictures are drawn": "figures/*.png",
    "while metrics are written": "metrics.json.*.tmp",
}
"""When a training is killed: it has just made, or changed, a file of such a name."""


@dataclass
class Soak:
    """Where the trainings are, what was provoked, and what came of it."""

    root: Path
    rng: random.Random
    seconds: dict[str, float] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def try_case(self, case: str, name: str, *, kills: int) -> None:
        """Train a case under kills, and compare it with one that was not killed."""
        place, straight = self.root / name, self.root / f"{case} without a kill"
        if case not in self.seconds:
            began = time.monotonic()
            finish(self.start(case, straight))
            self.seconds[case] = time.monotonic() - began
        moments: list[str] = []
        try:
            for moment in self.train_and_kill(case, place, kills=kills):
                moments.append(moment)
                self.kills[moment] += 1
            for folder, other in zip(runs_in(place), runs_in(straight), strict=True):
                assert_same_run(folder, other)
        except Exception as error:  # whatever it is, a run was lost
            told = "".join(traceback.format_exception_only(error))[:2000]
            self.lost.append(f"LOST: {name}, killed {', '.join(moments)}: {told}")
        else:
            self.survived.update(moments)
        print(f"{name}: {len(moments)} kills", flush=True)

    def train_and_kill(self, case: str, place: Path, *, kills: int) -> Iterator[str]:
        """Train under kills to the end; yields the moment of each."""
        for _ in range(kills):
            anyway = self.rng.random() < 0.6  # other moments may not come any more
            moment = ANY_TIME if anyway else self.rng.choice(list(MOMENTS))
            some = SOON if MOMENTS[moment] else 0.4 * self.seconds[case]
            before = files(place, MOMENTS[moment])
            process = self.start(case, place, "--resume")
            while MOMENTS[moment] and files(place, MOMENTS[moment]) <= before:
                if process.poll() is not None:
                    return finish(process)
                time.sleep(0.001)
            try:
                process.wait(self.rng.uniform(0, some))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                yield moment
            else:
                return finish(process)
        return finish(self.start(case, place, "--resume"))

    def start(self, case: str, place: Path, *flags: str) -> subprocess.Popen[bytes]:
        """A training in a folder; compiled programs are kept beside all of them."""
        dataset = self.root / "sample.npz" if case == "images on disk" else "sample"
        flags = (*flags, *CASES[case], *LENGTH, "--dataset", str(dataset))
        return subprocess.Popen(
            [sys.executable, "-c", EAGER, *flags, "--run-dir", str(place)],
            cwd=ROOT,
            env={**os.environ, "XDG_CACHE_HOME": str(self.root / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def report(self) -> str:
        """What was provoked and survived, and what was lost."""
        counts = [(each, self.kills[each], self.survived[each]) for each in MOMENTS]
        counts.append(("all", self.kills.total(), self.survived.total()))
        lines = [f"{'killed':34}{'times':>6}{'survived':>10}"]
        lines += [f"{moment:34}{n:6}{survived:10}" for moment, n, survived in counts]
        return "\n".join([*lines, *self.lost])


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a training, which must be a good one."""
    assert process.wait() == 0, f"exit status {process.returncode}"


def files(place: Path, pattern: str | None) -> set[tuple[str, int, int]]:
    """Those of such a name, with what tells one from another that has replaced it."""
    found = set()
    with contextlib.suppress(OSError):  # something has just gone
        for path in place.rglob(pattern) if pattern else ():
            found.add((str(path), path.stat().st_ino, path.stat().st_size))
    return found


def runs_in(place: Path) -> list[RunFolder]:
    """The runs of a training, one or one for each seed."""
    of_seeds = [RunFolder(place / f"seed{seed}") for seed in seeds_in(place)]
    return of_seeds or [RunFolder(place)]


def main() -> None:
    """Kill until the budget is spent; print what was provoked and survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    soak = Soak(Path(tempfile.mkdtemp()), random.Random(arguments.seed))
    sample = load_dataset("sample")
    np.savez(soak.root / "sample.npz", x=sample.x_train, y=sample.y_train)
    for turn, case in enumerate(itertools.cycle(CASES)):
        left = arguments.kills - soak.kills.total()
        if left <= 0 or time.monotonic() > end:
            break
        soak.try_case(case, f"{case} {turn}", kills=min(KILLS_A_RUN, left))
    print(soak.report())
    never = [moment for moment in MOMENTS if not soak.kills[moment]]
    if never:
        print(f"nothing was killed {', '.join(never)}")
    if not soak.lost:
        shutil.rmtree(soak.root)
    sys.exit(int(bool(soak.lost or never)))


if __name__ == "__main__":
    main()
