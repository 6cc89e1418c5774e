"""Recipes: named sets of hyper-parameters for each variant."""

from collections.abc import Mapping
from dataclasses import dataclass

MODELS = ("aae", "aae-joint", "autoencoder")


@dataclass(frozen=True)
class Hyperparameters:
    """How a variant is optimized. A recipe is a named instance of this.

    `steps` or `epochs` is the length of the training; where both are given the
    shorter one holds, so that one default serves small and large data.
    """

    steps: int | None
    epochs: int | None
    initializer: str
    schedule: str
    reconstruction_rate: float
    discriminator_rate: float
    generator_rate: float
    reconstruction_beta1: float
    adversarial_beta1: float
    adversarial_epsilon: float
    reconstruction_weight: float
    gradient_penalty: float
    input_noise: float
    standardize_codes: bool


_GUIDE = Hyperparameters(
    steps=None,
    epochs=300,
    initializer="normal",
    schedule="constant",
    reconstruction_rate=1e-3,
    discriminator_rate=1e-3,
    generator_rate=1e-3,
    reconstruction_beta1=0.9,
    adversarial_beta1=0.9,
    adversarial_epsilon=1e-8,
    reconstruction_weight=1.0,
    gradient_penalty=0.0,
    input_noise=0.0,
    standardize_codes=False,
)
_TUNED = Hyperparameters(
    steps=27_000,
    epochs=100,
    initializer="lecun",
    schedule="cosine",
    reconstruction_rate=1e-3,
    discriminator_rate=1e-3,
    generator_rate=1e-3,
    reconstruction_beta1=0.9,
    adversarial_beta1=0.5,
    adversarial_epsilon=1e-3,
    reconstruction_weight=50.0,
    gradient_penalty=0.1,
    input_noise=0.0,
    standardize_codes=True,
)

RECIPES: Mapping[str, Mapping[str, Hyperparameters]] = {
    "guide": dict.fromkeys(MODELS, _GUIDE),
    "tuned": dict.fromkeys(MODELS, _TUNED),
}
"""The hyper-parameters of each recipe for each variant."""
