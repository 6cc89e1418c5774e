"""How far exported files are from jax, on test images and codes of the prior.

python benchmarks/export.py runs/NAME
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from aae_jax import Run, load_dataset
from aae_jax.export_check import differences

ROWS = 1000


def main() -> None:
    """Print the largest differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run's folder")
    parser.add_argument("--dataset", help="where the run's images are now")
    flags = parser.parse_args()
    run = Run.load(flags.run)
    dataset = load_dataset(flags.dataset or run.record.config.dataset)
    print(run)
    x = dataset.x_test[:ROWS].astype(np.float32) / 255
    z = run.sample_codes(ROWS)
    largest = abs(run.encode(x)).max()
    print(f"{len(x)} test images, with codes up to {largest:.1f}; {len(z)} codes")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "exported"
        run.export(folder, say=lambda line: None)
        found = differences(run, folder, x=x, z=z)
    for form, by_output in found.items():
        print(form, *(f"{name} {value:.1e}" for name, value in by_output.items()))


if __name__ == "__main__":
    main()
