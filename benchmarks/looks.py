"""Looks at finished rows beyond their tables: the origin, and blocks of images."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rows import ROOT, ROW_OF, finished_seeds, load

from aae_jax import Run, load_dataset
from aae_jax.figures import save
from aae_jax.holdout import hold_out
from aae_jax.metrics import latent_match, make_reference


def origin(data: str, runs: Path) -> None:
    """Print and draw what (0, 0) decodes to, without and with an adversary."""
    images = load_dataset(data).x_test[:].reshape(-1, 28 * 28) / np.float32(255)
    decoded = {}
    for name in ("autoencoder", "aae"):
        for seed in finished_seeds(runs, ROW_OF[name])[:2]:
            run = load(runs, name, seed)
            x_hat = run.decode(np.zeros((1, 2), np.float32)).reshape(-1)
            nearest = np.square(images - x_hat).mean(axis=1).min()
            print(f"{name} seed {seed}: {nearest:.4f} from the nearest test image")
            decoded[f"{name}, seed {seed}"] = x_hat.reshape(28, 28)
    figure = Figure(figsize=(1.6 * len(decoded), 1.9), layout="constrained")
    panels = figure.subplots(1, len(decoded), squeeze=False)[0]
    for axes, (title, image) in zip(panels, decoded.items(), strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    save(figure, ROOT / "docs" / "figures" / "origin.png")


def blocks(data: str, runs: Path) -> None:
    """Print the latent ratio of blocks of training images, and of those held out."""
    run, size = load(runs, "aae-joint", 0), 10_000
    z = run.encode(load_dataset(data).x_train)
    trained_on, held_out = hold_out(len(z))
    mixed = np.random.default_rng(0).permutation(trained_on)[: 5 * size]
    _print_ratios(run, "in file order", z, size)
    _print_ratios(run, "trained on, mixed", z[mixed], size)
    _print_ratios(run, "held out", z[held_out], len(held_out))


def _print_ratios(run: Run, name: str, z: np.ndarray, size: int) -> None:
    reference = make_reference(run.model.prior, size)
    ratios = [
        f"{latent_match(z[first : first + size], reference)['ratio']:.2f}"
        for first in range(0, len(z), size)
    ]
    print(f"{size:,} images a block, {name}: {' '.join(ratios)}")
