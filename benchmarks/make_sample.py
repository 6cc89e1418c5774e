"""Make aae_jax/data/sample.npz from the four published IDX files of MNIST.

    python benchmarks/make_sample.py --from path/to/mnist [--out FILE]

The rule: of the n images of a class, in file order, those at the positions
floor(i n / k) for i = 0 ... k - 1, with k = 1000 for training and 200 for test; so both
halves of each file, which differ in their writers, have their share. The chosen images
stay in file order. With the same zlib the file is the same bit for bit.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np

from aae_jax.data.idx import read_idx_folder

ROOT = Path(__file__).resolve().parent.parent
MEMORY_LIMIT = 2**26


def choose(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices, ascending, of `count` images a class, evenly spread over the file."""
    chosen = []
    for label in range(10):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.arange(count) * len(members) // count])
    return np.sort(np.concatenate(chosen))


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as numpy.savez_compressed does, at the highest level, undated."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(
                member, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9
            )


def main() -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "aae_jax/data/sample.npz")
    options = parser.parse_args()
    parts = read_idx_folder(options.source, memory_limit=MEMORY_LIMIT)
    assert parts.y is not None
    assert parts.x_test is not None
    assert parts.y_test is not None
    train, test = choose(parts.y, 1000), choose(parts.y_test, 200)
    arrays = {
        "x": parts.x[train],
        "y": parts.y[train],
        "x_test": parts.x_test[test],
        "y_test": parts.y_test[test],
    }
    write_npz(options.out, arrays)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
