"""What trained networks answer: codes, classes and images."""

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from aae_jax.class_metrics import name_clusters
from aae_jax.data.conversion import as_labels
from aae_jax.data.stored import Images, StoredImages
from aae_jax.errors import UserError
from aae_jax.inference import Inference
from aae_jax.networks import Params
from aae_jax.phases import Model
from aae_jax.priors import Prior, around_heads
from aae_jax.run_inputs import (
    between,
    categories_for_run,
    check_image_shape,
    codes_for_run,
    images_for_run,
)
from aae_jax.run_record import RunRecord
from aae_jax.wirings import models_that

_CATEGORIES_STREAM = 2**32 - 1  # of a seed's key, which draws the codes


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """Networks with their weights, as `Run` has them.

    Images are `[n, height, width, channels]`: uint8, or float in [0, 1]. Codes are
    `[n, z_dim]`. Images and codes come back as float32 numpy arrays.

    Attributes:
      record: what was trained.
      model: its networks and its prior.
      params: their weights.
    """

    record: RunRecord
    model: Model
    params: Params

    def encode(self, x: ArrayLike | StoredImages) -> NDArray[np.float32]:
        """Codes `[n, z_dim]` of images: the centre of q(z|x), cluster head included.

        Images on disk are read some at a time.

        Raises:
          UserError: images of another shape, or values that are not in [0, 1].
        """
        return self._inference.encode(self._any_images(x))

    def classify(self, x: ArrayLike | StoredImages) -> NDArray[np.int32]:
        """The likeliest class, or cluster, of images: `[n]`, counted from 0.

        Raises:
          UserError: see `probabilities`.
        """
        return self.category_logits(x).argmax(axis=1).astype(np.int32)

    def probabilities(self, x: ArrayLike | StoredImages) -> NDArray[np.float32]:
        """`[n, categories]`: how likely each class, or cluster, is for images.

        Raises:
          UserError: this model infers none; or see `encode`.
        """
        return softmax(self.category_logits(x), axis=1)

    def category_logits(self, x: ArrayLike | StoredImages) -> NDArray[np.float32]:
        """`[n, categories]`, of which `probabilities` are the softmax.

        Raises:
          UserError: see `probabilities`.
        """
        self._require("infers_y", "infers no classes")
        return self._inference.infer(self._any_images(x))

    def name_clusters(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int32] | None:
        """`[clusters]`: a class for each, that of the image surest to belong to it.

        Args:
          x: images.
          y: their labels, -1 where there is none; if there is none at all, the result
            is None.

        Raises:
          UserError: see `probabilities`.
        """
        y_logits = self.category_logits(x)
        labels = as_labels(np.asarray(y), len(y_logits), "y")
        return None if labels is None else name_clusters(y_logits, labels)

    def decode(self, z: ArrayLike, y: ArrayLike | None = None) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` in [0, 1] of codes.

        Args:
          z: `[n, z_dim]`.
          y: `[n]`, or one for all: the class, or cluster, of each image, where the
            decoder reads it beside the code; -1 for none, where it reads labels.

        Raises:
          UserError: codes of another shape, or not finite; y is needed and missing, or
            given and not needed, or no category.
        """
        codes = self._codes(z)
        if not self.reads_category:
            if y is not None:
                raise UserError(
                    f"the decoder of model={self.record.config.model!r} reads the code "
                    "alone; leave y out"
                )
            return self._inference.decode(codes)
        return self._inference.decode(codes, self._categories(y, len(codes)))

    def interpolate(
        self, a: ArrayLike, b: ArrayLike, *, n: int = 11, y: int | None = None
    ) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` on the straight way between two codes.

        Args:
          a, b: `[z_dim]`, where it begins and ends, such as `run.encode(x)[0]`.
          n: how many, both ends included.
          y: the class, or cluster, of all, where the decoder reads it.

        Raises:
          UserError: n is below 2; or see `decode`.
        """
        return self.decode(between(self._code(a), self._code(b), n), y)

    def traverse(
        self,
        z: ArrayLike,
        dimension: int,
        *,
        n: int = 11,
        extent: float = 2.0,
        y: int | None = None,
    ) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` as one number of a code changes.

        It goes from -extent to extent deviations of the prior around its mean; the
        others stay.

        Args:
          z: `[z_dim]`.
          dimension: which number, from 0.
          n: how many images.
          y: see `interpolate`.

        Raises:
          UserError: there is no such dimension; n is below 2; or see `decode`.
        """
        first, prior = self._code(z), self.code_prior
        if not 0 <= dimension < len(first):
            raise UserError(
                f"dimension={dimension} is none of a code of {len(first)} numbers; "
                f"give 0 to {len(first) - 1}"
            )
        last = first.copy()
        middle, reach = prior.mean[dimension], extent * prior.std[dimension]
        first[dimension], last[dimension] = middle - reach, middle + reach
        return self.decode(between(first, last, n), y)

    def reconstruct(
        self, x: ArrayLike, y: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Images after a way through their codes, in [0, 1].

        Args:
          x: images.
          y: their labels, where the decoder reads labels; -1 where there is none.

        Raises:
          UserError: see `encode` and `decode`.
        """
        images = self._images(x)
        labels = np.zeros(len(images), np.int32)
        if self._reads_labels:
            labels = self._categories(y, len(images))
        return self._inference.reconstruct(images, labels)

    def sample(
        self, n: int, *, seed: int = 0, y: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` of n codes drawn from the prior.

        Of classes, or clusters, that are drawn too, or of `y`: `[n]`, or one for all,
        where the model knows any: the decoder reads it, or it chooses the cluster head
        or the part of the prior (`label-prior`).

        Raises:
          UserError: n is below 0; y is no category, or the model has none.
        """
        if self.model.networks.wiring.has_categories and y is None:
            y = self.sample_categories(n, seed=seed)
        z = self.sample_codes(n, seed=seed, y=y)
        return self.decode(z, y if self.reads_category else None)

    def sample_codes(
        self, n: int, *, seed: int = 0, y: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """`[n, z_dim]` drawn from the prior, cluster heads included.

        `y` chooses the heads, or the parts of the prior, see `sample`; without it they
        are drawn too.

        Raises:
          UserError: see `sample`.
        """
        if n < 0:
            raise UserError(f"n={n} is out of range; draw 0 or more codes")
        chosen = ()
        if y is not None:
            self._require("has_categories", "knows no classes")
            chosen = (jnp.asarray(self._categories(y, n)),)
        z = self.code_prior.sample(jax.random.key(seed), n, *chosen)
        return np.asarray(z, np.float32)

    def sample_categories(self, n: int, *, seed: int = 0) -> NDArray[np.int32]:
        """`[n]` classes, or clusters, drawn at random, each as likely as any.

        Raises:
          UserError: this model has none.
        """
        self._require("has_categories", "knows no classes")
        key = jax.random.fold_in(jax.random.key(seed), _CATEGORIES_STREAM)
        n_categories = self.model.networks.n_categories
        return np.asarray(jax.random.randint(key, (n,), 0, n_categories))

    def decode_heads(self) -> NDArray[np.float32]:
        """Images `[categories, height, width, channels]` of the centre of each.

        Raises:
          UserError: this model infers no classes or clusters.
        """
        self._require("infers_y", "infers no classes")
        networks, mean = self.model.networks, self.model.prior.mean
        y = np.arange(networks.n_categories, dtype=np.int32)
        z = np.broadcast_to(mean, (len(y), len(mean)))
        if networks.wiring.adds_heads:
            z = z + np.asarray(networks.heads(self.params))
        return self.decode(z, y if self.reads_category else None)

    @cached_property
    def code_prior(self) -> Prior:
        """What codes, as `encode` gives them, should follow: cluster heads included."""
        prior, networks = self.model.prior, self.model.networks
        if not networks.wiring.adds_heads:
            return prior
        return around_heads(prior, np.asarray(networks.heads(self.params)))

    @property
    def reads_category(self) -> bool:
        """Whether the decoder reads a class, or cluster, beside the code."""
        return self.model.networks.wiring.decodes_y

    def _require(self, does: str, lacks: str) -> None:
        """Refuse a question that only models with a part of the wiring can answer."""
        if not getattr(self.model.networks.wiring, does):
            raise UserError(
                f"model={self.record.config.model!r} {lacks}; those that do are "
                f"{', '.join(models_that(does))}"
            )

    def _images(self, x: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
        return images_for_run(x, self.record.image_shape)

    def _any_images(self, x: ArrayLike | StoredImages) -> Images | NDArray[np.float32]:
        if not isinstance(x, StoredImages):
            return self._images(x)
        check_image_shape(x.shape, self.record.image_shape)
        return x

    def _code(self, z: ArrayLike) -> NDArray[np.float32]:
        """One code, as a copy."""
        return self._codes(np.asarray(z)[None])[0].copy()

    def _codes(self, z: ArrayLike) -> NDArray[np.float32]:
        return codes_for_run(z, self.record.config.z_dim)

    def _categories(self, y: ArrayLike | None, n: int) -> NDArray[np.int32]:
        return categories_for_run(
            y,
            n,
            n_categories=self.model.networks.n_categories,
            model=self.record.config.model,
            lowest=-1 if self._reads_labels else 0,
        )

    @property
    def _reads_labels(self) -> bool:
        """Whether the decoder reads labels, of which there may be none (-1)."""
        return self.reads_category and not self.model.networks.wiring.infers_y

    @cached_property
    def _inference(self) -> Inference:
        return Inference(self.model.networks, self.params)
