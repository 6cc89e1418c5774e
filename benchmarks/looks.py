"""Looks at finished rows beyond their tables: the origin, and blocks of images."""

from pathlib import Path

import numpy as np
from PIL import Image
from rows import ROOT, ROW_OF, finished_seeds, load

from aae_jax import load_dataset
from aae_jax.metrics import latent_match, make_reference


def origin(data: str, runs: Path) -> None:
    """Print and draw what (0, 0) decodes to, without and with an adversary."""
    images = load_dataset(data).x_test.reshape(-1, 28 * 28) / np.float32(255)
    decoded = []
    for name in ("autoencoder", "aae"):
        for seed in finished_seeds(runs, ROW_OF[name])[:3]:
            run = load(runs, name, seed)
            x_hat = run.decode(np.zeros((1, 2), np.float32)).reshape(-1)
            nearest = np.square(images - x_hat).mean(axis=1).min()
            print(f"{name} seed {seed}: {nearest:.4f} from the nearest test image")
            decoded.append(x_hat.reshape(28, 28))
    strip = np.concatenate([np.pad(each, 2) for each in decoded], axis=1)
    picture = Image.fromarray(np.rint(255 * strip).astype(np.uint8))
    scaled = picture.resize((4 * picture.width, 4 * picture.height), Image.NEAREST)
    scaled.save(ROOT / "docs" / "figures" / "origin.png")


def blocks(data: str, runs: Path) -> None:
    """Print the latent ratio of training images, in the order of the file and mixed."""
    run, size = load(runs, "aae-joint", 0), 10_000
    z = run.encode(load_dataset(data).x_train)
    mixed = np.random.default_rng(0).permutation(len(z))
    reference = make_reference(run.model.prior, size)
    for name, codes in (("in file order", z), ("mixed", z[mixed])):
        ratios = [
            latent_match(codes[first : first + size], reference)["ratio"]
            for first in range(0, len(codes), size)
        ]
        print(f"blocks of {size:,} training images {name}:", np.round(ratios, 2))
