"""Flip single bits of a real checkpoint, file after file, and load it each time.

    python tests/soak_flips.py --flips 500

A run on the sample, of the guide's networks or smaller ones, saves three times. One bit
of the newest checkpoint is flipped, drawn anew for each of its files in turn, the run
opened, and the bit set right again. Exit status 1 where not the checkpoint before was
loaded, and that said, or a number that had not been saved.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from checkpoint_states import files_of
from same_run import all_leaves

from aae_jax import host_loop
from aae_jax.checkpoint import checkpoint_steps
from aae_jax.config import Config
from aae_jax.errors import RunError, UserError
from aae_jax.fitting import fit
from aae_jax.options import RunOptions
from aae_jax.run_folder import RunFolder

WRONG = "WRONG: other numbers, none, or nothing said"


def flip(path: Path, bit: int) -> None:
    """Flip a bit of a file where it lies."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def outcome(folder: RunFolder, saved: Sequence[object]) -> str:
    """What comes of opening a run with these two newest checkpoints."""
    said: list[str] = []
    try:
        loaded = all_leaves(folder, say=said.append)
    except (RunError, UserError):
        return WRONG  # the one before is intact
    if loaded == saved[0] and not said:
        return "not noticed, and every number is right"
    if loaded == saved[1] and len(said) == 1:
        return "noticed: said, and the checkpoint before it loaded"
    return WRONG


def main() -> None:
    """Train, flip, load, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--hidden", type=int, default=1000)
    arguments = parser.parse_args()
    rng, found = random.Random(0), Counter[str]()
    host_loop.SECONDS_BETWEEN_SAVES = 0.0
    place = Path(tempfile.mkdtemp()) / "run"
    options = RunOptions(run_dir=place, quiet=True, no_figures=True)
    config = Config(dataset="sample", steps=200, hidden=(arguments.hidden,) * 2)
    folder = fit(config, options=options).folder
    newest, before, *_ = checkpoint_steps(folder.checkpoints)
    saved = [all_leaves(folder, up_to=step) for step in (newest, before)]
    assert [step for step, _ in saved] == [newest, before]
    place = folder.checkpoints / f"{newest:08d}"
    files = [path for path in files_of(place) if path.stat().st_size]
    for index in range(arguments.flips):
        path = files[index % len(files)]
        bit = rng.randrange(8 * path.stat().st_size)
        flip(path, bit)
        found[outcome(folder, saved)] += 1
        flip(path, bit)
    assert outcome(folder, saved).startswith("not noticed")  # all is as it was
    size = sum(path.stat().st_size for path in files) / 2**20
    print(f"{arguments.flips} flips over {len(files)} files, {size:.1f} MiB")
    for what, count in found.most_common():
        print(f"{count:6} {what}")
    sys.exit(int(found[WRONG] > 0))


if __name__ == "__main__":
    main()
