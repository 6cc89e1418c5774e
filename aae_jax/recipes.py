"""Recipes: named sets of hyper-parameters for each variant."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aae_jax.wirings import WIRINGS

MODELS = tuple(WIRINGS)
OPTIMIZERS = (
    "reconstruction",
    "discriminator",
    "generator",
    "label_generator",
    "classification",
)
"""What a phase may name as its optimizer: each has settings of its own."""


@dataclass(frozen=True)
class Hyperparameters:
    """How a variant is optimized. A recipe is a named instance of this.

    `steps` or `epochs` is the length of the training; where both are given the
    shorter one holds, so that one default serves small and large data. A `*_final` is
    the share of a rate, weight or noise that the cosine schedule leaves at the end.
    """

    steps: int | None
    epochs: int | None
    batch_size: int
    initializer: str
    batch_norm: bool
    optimizer: str
    schedule: str
    reconstruction_rate: float
    reconstruction_beta1: float
    reconstruction_epsilon: float
    reconstruction_final: float
    reconstruction_weight: float
    reconstruction_weight_final: float
    discriminator_rate: float
    discriminator_beta1: float
    discriminator_epsilon: float
    discriminator_final: float
    generator_rate: float
    generator_beta1: float
    generator_epsilon: float
    generator_final: float
    label_generator_rate: float
    label_generator_beta1: float
    label_generator_epsilon: float
    label_generator_final: float
    classification_rate: float
    classification_beta1: float
    classification_epsilon: float
    classification_final: float
    instance_noise: float
    instance_noise_final: float
    gradient_penalty: float
    input_noise: float
    shift: int
    head_distance: float
    aggregated_categories: bool
    entropy_weight: float
    consistency_weight: float
    consistency_radius: float
    consistency_probe: float
    standardize_codes: bool


_GUIDE = Hyperparameters(
    steps=None,
    epochs=300,
    batch_size=100,
    initializer="normal",
    batch_norm=False,
    optimizer="adam",
    schedule="constant",
    reconstruction_rate=1e-3,
    reconstruction_beta1=0.9,
    reconstruction_epsilon=1e-8,
    reconstruction_final=1.0,
    reconstruction_weight=1.0,
    reconstruction_weight_final=1.0,
    discriminator_rate=1e-3,
    discriminator_beta1=0.9,
    discriminator_epsilon=1e-8,
    discriminator_final=1.0,
    generator_rate=1e-3,
    generator_beta1=0.9,
    generator_epsilon=1e-8,
    generator_final=1.0,
    label_generator_rate=1e-3,
    label_generator_beta1=0.9,
    label_generator_epsilon=1e-8,
    label_generator_final=1.0,
    classification_rate=1e-3,
    classification_beta1=0.9,
    classification_epsilon=1e-8,
    classification_final=1.0,
    instance_noise=0.0,
    instance_noise_final=1.0,
    gradient_penalty=0.0,
    input_noise=0.0,
    shift=0,
    head_distance=6.0,
    aggregated_categories=False,
    entropy_weight=0.0,
    consistency_weight=0.0,
    consistency_radius=2.0,
    consistency_probe=0.0,
    standardize_codes=False,
)
_TUNED = replace(
    _GUIDE,
    steps=10_800,
    epochs=40,
    initializer="spread",
    schedule="cosine",
    reconstruction_final=0.02,
    reconstruction_weight=200.0,
    reconstruction_weight_final=0.05,
    discriminator_beta1=0.5,
    discriminator_final=0.1,
    # Of no use in aae-joint, which has no generator phase.
    generator_rate=3e-4,
    # At 1e-3 this is gradient descent, and the cloud of codes sloshes as a whole. See
    # docs/tuning.md.
    generator_epsilon=1e-5,
    generator_final=0.01,
    instance_noise=0.2,
    instance_noise_final=0.0,
    input_noise=0.15,
    standardize_codes=True,
)
# Three phases with an Adam each run away where the first kinks are spread.
_TUNED_AAE = replace(
    _TUNED,
    initializer="lecun",
    reconstruction_final=0.01,
    discriminator_rate=3e-4,
    instance_noise=0.3,
)
# Along an edge of the prior the discriminator is steep, and a batch's gradients are
# large even where the match is good. Noise that stays bounds them, and with a larger
# epsilon the encoder moves more by what they agree on.
_TUNED_AAE_WITH_EDGES = replace(
    _TUNED_AAE, generator_epsilon=1e-4, instance_noise_final=1.0
)
# At 3e-4 the match on `uniform` slowly gets worse; from 5e-4 that on `gamma` breaks.
_TUNED_AAE_WITH_SHARP_EDGES = replace(_TUNED_AAE_WITH_EDGES, generator_rate=1e-3)
_TUNED_AAE_FOR = {
    "normal": _TUNED_AAE,
    "gamma": _TUNED_AAE_WITH_EDGES,
    "custom": _TUNED_AAE_WITH_EDGES,
}

# Batch normalization and the consistency term are what few labels, or none, need; see
# docs/classes.md. Codes need not be exact here, so the adversary may be quick.
_TUNED_CLASSES = replace(
    _TUNED_AAE,
    batch_norm=True,
    reconstruction_final=0.02,
    # Against the cost of crowded cluster heads.
    reconstruction_weight=1.0,
    reconstruction_weight_final=1.0,
    discriminator_final=0.02,
    generator_rate=5e-4,
    generator_epsilon=1e-8,
    generator_final=0.02,
    label_generator_rate=5e-4,
    label_generator_final=0.02,
    classification_final=0.02,
    instance_noise=0.0,
    input_noise=0.3,
    consistency_weight=1.0,
)
# In a plane the decoder learns most from the heads: at a higher rate it, more than few
# labels, decides which images share one.
_TUNED_HEADS = replace(_TUNED_CLASSES, reconstruction_rate=1e-4)
# Noise that stays keeps the discriminator from winning along a prior's narrow parts;
# codes get there quickly, and lie still at the end.
_TUNED_LABELLED = replace(
    _TUNED_CLASSES,
    reconstruction_final=0.005,
    discriminator_rate=1e-3,
    discriminator_final=0.1,
    generator_rate=2e-3,
    generator_beta1=0.5,
    generator_final=0.005,
    instance_noise=0.1,
    instance_noise_final=1.0,
    input_noise=0.15,
)
# A style that holds more of the image tells no more of the class, and a discriminator
# that is quick, and an encoder that answers to the end, find what it tells.
_TUNED_SUPERVISED = replace(
    _TUNED_LABELLED,
    reconstruction_rate=2e-3,
    reconstruction_final=0.02,
    discriminator_rate=2e-3,
    generator_rate=1e-3,
    generator_final=0.04,
)
# Batches of several images a cluster, and categories counted over them, or some
# clusters starve; and a discriminator that keeps up with them. What the decoder asks of
# them has little to do with classes. See docs/tuning.md.
_TUNED_CLUSTERS = replace(
    _TUNED_CLASSES,
    # Clusters that were left empty fill in the end, with what is hard to tell apart.
    steps=3_240,
    epochs=100,
    batch_size=250,
    reconstruction_rate=3e-4,
    discriminator_rate=4e-3,
    # At this rate codes would run away once they match the prior well.
    label_generator_rate=2e-3,
    aggregated_categories=True,
    entropy_weight=0.25,
    consistency_weight=2.5,
    consistency_radius=1.5,
    consistency_probe=25.0,
)

# The paper's rates are for half the squared error summed over 28 x 28 pixels: so many
# times our mean.
_HALF_SUM = 28 * 28 / 2
_PAPER = replace(
    _GUIDE,
    epochs=5000,
    optimizer="sgd",
    schedule="steps",
    reconstruction_rate=0.01 * _HALF_SUM,
    discriminator_rate=0.1,
    discriminator_beta1=0.1,
    generator_rate=0.1,
    generator_beta1=0.1,
    label_generator_rate=0.1,
    label_generator_beta1=0.1,
    classification_rate=0.1,
    input_noise=0.3,
)
# A sum of losses needs the half sum itself.
_PAPER_OF_SUMS = replace(
    _PAPER, reconstruction_rate=0.01, reconstruction_weight=_HALF_SUM
)
_PAPER_FOR = {"aae-joint": _PAPER_OF_SUMS, "dim-reduction": _PAPER_OF_SUMS}

RECIPES = ("tuned", "guide", "paper")


def recipe_for(
    recipe: str, *, model: str, prior: str, finds_clusters: bool
) -> Hyperparameters:
    """The hyper-parameters of a recipe for a variant and a prior.

    All names are checked by `Config`. Only `tuned` asks for the prior, and only where a
    generator phase is to make codes match it well: by how sharp its edges are.
    """
    if recipe == "guide":
        return _GUIDE
    if recipe == "paper":
        paper = _PAPER_FOR.get(model, _PAPER)
        # Crucial where there are no labels, says section 6.
        return replace(paper, batch_norm=finds_clusters)
    if finds_clusters:
        return _TUNED_CLUSTERS
    if WIRINGS[model].infers_y:
        return _TUNED_HEADS if WIRINGS[model].adds_heads else _TUNED_CLASSES
    if WIRINGS[model].discriminates_y:
        reads_y = WIRINGS[model].decodes_y
        return _TUNED_SUPERVISED if reads_y else _TUNED_LABELLED
    if model not in ("aae-joint", "autoencoder"):
        return _TUNED_AAE_FOR.get(prior, _TUNED_AAE_WITH_SHARP_EDGES)
    return _TUNED


_DISCRIMINATOR, _GENERATOR, _LABEL_GENERATOR, _CLASSIFICATION = (
    tuple(f"{optimizer}_{name}" for name in ("rate", "beta1", "epsilon", "final"))
    for optimizer in ("discriminator", "generator", "label_generator", "classification")
)
_WEIGHT = ("reconstruction_weight", "reconstruction_weight_final")
_ADVERSARY = (
    *_DISCRIMINATOR,
    "instance_noise",
    "instance_noise_final",
    "gradient_penalty",
    "standardize_codes",
)
_CATEGORIES = (
    "aggregated_categories",
    "entropy_weight",
    "consistency_weight",
    "consistency_radius",
    "consistency_probe",
)
_NO_CLASSES = (*_LABEL_GENERATOR, *_CLASSIFICATION, *_CATEGORIES, "head_distance")
_UNREAD: Mapping[str, tuple[str, ...]] = {
    "aae": (*_WEIGHT, *_NO_CLASSES),
    "aae-joint": (*_GENERATOR, *_NO_CLASSES),
    "autoencoder": (*_WEIGHT, *_GENERATOR, *_ADVERSARY, *_NO_CLASSES),
    "supervised": (*_WEIGHT, *_NO_CLASSES),
    "label-prior": (*_WEIGHT, *_NO_CLASSES),
    "semi-supervised": (*_WEIGHT, "head_distance"),
    "clustering": (*_WEIGHT, *_CLASSIFICATION, "head_distance"),
    "dim-reduction": (),
}


def unread(model: str, *, finds_clusters: bool) -> tuple[str, ...]:
    """Names of the hyper-parameters that do nothing in a variant."""
    return (*_UNREAD[model], *(_CLASSIFICATION if finds_clusters else ()))
