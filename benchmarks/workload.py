"""What all contenders train: sizes, batches, configs of ours."""

from collections.abc import Callable

from aae_jax import Config

N_IMAGES, BATCH, SHAPE, RATE = 54_000, 100, (28, 28, 1), 1e-3
CONFIG = Config(recipe="guide", steps=1_000_000)
JOINT = Config(recipe="guide", steps=1_000_000, model="aae-joint")

Run = Callable[[int], None]
"""Does so many steps."""
