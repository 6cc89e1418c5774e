"""Config: everything that decides the result of a run, checked when it is made.

Nothing here imports jax: the command line is validated before anything slow starts.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aae_jax.config_checks import DEFAULT_CLUSTERS, PRIOR_SCALES, check_config
from aae_jax.errors import UserError
from aae_jax.recipes import Hyperparameters, recipe_for, unread
from aae_jax.wirings import WIRINGS, Wiring


def _plain(value: Any) -> Any:
    """NumPy's number as Python's, which can be stored; a list as a tuple."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain_number, value))
    return _plain_number(value)


def _plain_number(value: Any) -> Any:
    return value.item() if getattr(value, "shape", None) == () else value


@dataclass(frozen=True)
class Config:
    """Everything that decides the bits of a run, besides the data.

    A hyper-parameter left at None is the recipe's. Checked when it is made; compared
    field by field when a run is resumed.

    Raises:
      UserError: a name that does not exist, or a number out of its range.
    """

    model: str = "aae"
    """The variant: aae (three phases), aae-joint (two), autoencoder (no adversary);
    with classes or clusters supervised, label-prior, semi-supervised, clustering,
    dim-reduction."""
    prior: str = "normal"
    """What the codes should follow: normal, uniform, gamma, mixture or swiss-roll."""
    prior_scale: float | None = None
    """Normal: standard deviation (5). Uniform: half width (10). Gamma: scale (2.5).
    Mixture and swiss-roll: standard deviation of the whole (5). A fifth of these where
    the encoder infers a class."""
    prior_shape: float = 2.0
    """Shape of the gamma prior."""
    z_dim: int = 2
    """How many numbers a code has."""
    encoder: str = "deterministic"
    """How an image gets its code: deterministic, gaussian (a mean and a deviation) or
    universal (the encoder reads noise beside the image)."""
    labels: int | Literal["all"] = "all"
    """How many of the training labels are used, as many of each class: a number, or
    all."""
    n_classes: int | None = None
    """How many classes the labels tell apart; by default those of the data."""
    clusters: int | None = None
    """How many clusters training looks for (clustering: 16; dim-reduction without
    labels: 20)."""
    recipe: str = "tuned"
    """Where the hyper-parameters that are not given come from: tuned, guide (the
    guide's own) or paper (those of Makhzani et al. 2015)."""
    dataset: str = "auto"
    """mnist, fashion_mnist, sample, the name of another prepared tfds set, or a path;
    auto takes mnist where it is prepared and else the sample that comes along."""
    image_size: tuple[int, int] | None = None
    """Height and width to resize the images to."""
    epochs: int | None = None
    """Length in passes over the training images."""
    steps: int | None = None
    """Length in batches."""
    batch_size: int | None = None
    """Images a step."""
    network: str = "mlp"
    """What encoder and decoder are made of: mlp (dense layers) or conv (convolutions,
    as many as the images are large)."""
    hidden: tuple[int, ...] = (1000, 1000)
    """Widths of the hidden layers of every network that is not made of convolutions."""
    seed: int = 0
    """The one number that everything random comes from."""
    initializer: str | None = None
    """First weights: normal (deviation 0.01), lecun (variance 1 / fan-in), or spread
    (lecun, and biases that spread the kinks of networks which read codes over the
    prior)."""
    batch_norm: bool | None = None
    """Whether the encoder normalizes its units over each batch."""
    optimizer: str | None = None
    """What moves the weights: adam, or sgd with beta1 as momentum."""
    schedule: str | None = None
    """Rates, weights and noise: constant, or cosine down to the final shares; or steps,
    where rates fall to a tenth after a hundredth and again after a fifth of the run."""
    reconstruction_rate: float | None = None
    """Rate where encoder and decoder learn to reconstruct."""
    reconstruction_beta1: float | None = None
    """Adam's beta1 there, or the momentum."""
    reconstruction_epsilon: float | None = None
    """Adam's epsilon there."""
    reconstruction_final: float | None = None
    """Share of that rate at the end of a cosine schedule."""
    reconstruction_weight: float | None = None
    """Weight of the reconstruction error against the generator loss in aae-joint, and
    against the cost of crowded cluster heads in dim-reduction."""
    reconstruction_weight_final: float | None = None
    """Share of that weight at the end of a cosine schedule."""
    discriminator_rate: float | None = None
    """Rate of the discriminators."""
    discriminator_beta1: float | None = None
    """Adam's beta1 there, or the momentum."""
    discriminator_epsilon: float | None = None
    """Adam's epsilon there."""
    discriminator_final: float | None = None
    """Share of that rate at the end of a cosine schedule."""
    generator_rate: float | None = None
    """Rate where the encoder learns to fool the discriminator."""
    generator_beta1: float | None = None
    """Adam's beta1 there, or the momentum."""
    generator_epsilon: float | None = None
    """Adam's epsilon there."""
    generator_final: float | None = None
    """Share of that rate at the end of a cosine schedule."""
    instance_noise: float | None = None
    """Deviation of the noise on codes and samples that the discriminator is shown, in
    units of the prior's deviation."""
    instance_noise_final: float | None = None
    """Share of that noise at the end of a cosine schedule."""
    gradient_penalty: float | None = None
    """Weight of the penalty on the discriminator's slope at samples and at codes."""
    input_noise: float | None = None
    """Standard deviation of the noise added to the images where they are reconstructed
    or classified; under a cosine schedule it falls to 0, else it stays."""
    label_generator_rate: float | None = None
    """Rate where the encoder learns to fool the label discriminator."""
    label_generator_beta1: float | None = None
    """Adam's beta1 there, or the momentum."""
    label_generator_epsilon: float | None = None
    """Adam's epsilon there."""
    label_generator_final: float | None = None
    """Share of that rate at the end of a cosine schedule."""
    classification_rate: float | None = None
    """Rate where the encoder learns the labels."""
    classification_beta1: float | None = None
    """Adam's beta1 there, or the momentum."""
    classification_epsilon: float | None = None
    """Adam's epsilon there."""
    classification_final: float | None = None
    """Share of that rate at the end of a cosine schedule."""
    shift: int | None = None
    """By how many pixels training moves each image at random, at most, both ways."""
    head_distance: float | None = None
    """Distance, in units of the prior's deviation, under which two cluster heads cost
    something."""
    aggregated_categories: bool | None = None
    """Whether the label discriminator sees how often each category comes in a batch, or
    each image's probabilities."""
    entropy_weight: float | None = None
    """Weight, beside the label generator loss, of how undecided categories are."""
    consistency_weight: float | None = None
    """Weight, beside the label generator loss, of the change of an image's category
    under the worst small change of the image."""
    consistency_radius: float | None = None
    """Euclidean length of that change of the image, pixels from 0 to 1."""
    consistency_probe: float | None = None
    """Euclidean length of a random change around which the worst one is looked for; at
    0 it is looked for at the image itself."""
    standardize_codes: bool | None = None
    """Whether the discriminator sees (code - prior mean) / prior deviation."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _plain(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        check_config(self)

    @property
    def wiring(self) -> Wiring:
        """What the networks of the model deal with beside codes."""
        return WIRINGS[self.model]

    @property
    def finds_clusters(self) -> bool:
        """Whether the categories are clusters, found without labels."""
        return self.wiring.infers_y and (self.model == "clustering" or self.labels == 0)

    @property
    def reads_labels(self) -> bool:
        """Whether training needs labels."""
        return self.wiring.has_categories and not self.finds_clusters

    @property
    def n_categories(self) -> int:
        """Classes or clusters.

        Raises:
          UserError: they are classes, and `n_classes` is not known yet.
        """
        if self.finds_clusters:
            return self.clusters or DEFAULT_CLUSTERS[self.model]
        if self.n_classes is None:
            raise UserError(
                f"n_classes is not known, and model={self.model!r} needs it; give the "
                "number of classes, such as Config(n_classes=10)"
            )
        return self.n_classes

    @property
    def scale(self) -> float:
        """The prior's scale, given or its default."""
        # The decoder reads shares from 0 to 1 beside the code: it shall see both.
        share = 0.2 if self.wiring.infers_y else 1.0
        return self.prior_scale or share * PRIOR_SCALES[self.prior]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The recipe's hyper-parameters with the given ones in their place."""
        recipe = recipe_for(
            self.recipe,
            model=self.model,
            prior=self.prior,
            finds_clusters=self.finds_clusters,
        )
        given = {
            field.name: value
            for field in dataclasses.fields(Hyperparameters)
            if (value := getattr(self, field.name)) is not None
        }
        if "steps" in given or "epochs" in given:
            recipe = dataclasses.replace(recipe, steps=None, epochs=None)
        return dataclasses.replace(recipe, **given)

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the hyper-parameters that do nothing in this variant."""
        return unread(self.model, finds_clusters=self.finds_clusters)

    def with_own_prior(self, prior: object | None) -> "Config":
        """The same, or `prior="custom"` where there is a prior of one's own.

        The recipe may depend on the prior.
        """
        return self if prior is None else dataclasses.replace(self, prior="custom")

    def total_steps(self, n_images: int | None = None) -> int:
        """Length of the run in steps.

        Args:
          n_images: training images of an epoch; needed where the length is in epochs.

        Raises:
          UserError: the length is in epochs and `n_images` is missing or smaller than
            a batch.
        """
        hyper = self.hyperparameters
        lengths = [] if hyper.steps is None else [hyper.steps]
        if hyper.epochs is not None and n_images is not None:
            lengths.append(hyper.epochs * self.steps_per_epoch(n_images))
        if not lengths:
            raise UserError(
                f"epochs={hyper.epochs} is a number of steps only for a given number "
                "of images; give the length as steps"
            )
        return min(lengths)

    def steps_per_epoch(self, n_images: int) -> int:
        """Full batches in a pass over `n_images`; the rest of a pass is dropped.

        Raises:
          UserError: the batch is larger than the data.
        """
        batch_size = self.hyperparameters.batch_size
        if batch_size > n_images:
            raise UserError(
                f"batch_size={batch_size} is larger than the {n_images} training "
                f"images; use --batch-size {n_images} or less"
            )
        return n_images // batch_size

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Config":
        """The Config that `dataclasses.asdict` and JSON made of one.

        Every field must be there: a default of today need not be that of the day on
        which the run began.

        Raises:
          UserError: a field is unknown or missing, or Config refuses its value.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"a stored config is no table of fields: {values!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UserError(f"a stored config has fields unknown to us: {unknown}")
        if missing := sorted(known - set(values)):
            raise UserError(f"a stored config lacks the fields {missing}")
        return cls(**values)
