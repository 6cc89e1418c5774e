"""All metrics of a model on given images, and what the device computes for them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, UInt8
from numpy.typing import NDArray

from aae_jax.class_metrics import (
    classification_error,
    cluster_error,
    name_clusters,
)
from aae_jax.metrics import METRIC_SEED, knn_accuracy, latent_match, make_reference
from aae_jax.networks import Params
from aae_jax.phases import Model


class Measured(NamedTuple):
    """What is found out about n images.

    Attributes:
      metrics: see `make_measure`.
      z: `[n, z_dim]`, drawn from q(z|x), which the prior is compared with.
      codes: `[n, z_dim]`, the centres of q(z|x), as a run gives them.
      y: `[n]`, the labels; None where none were given.
    """

    metrics: dict[str, Any]
    z: NDArray[np.float64]
    codes: NDArray[np.float32]
    y: NDArray[np.integer] | None


Measure = Callable[..., Measured]


def make_measure(
    model: Model,
    x: UInt8[np.ndarray, "n height width channels"],
    y: Int[np.ndarray, " n"] | None = None,
) -> Measure:
    """All metrics of a model on n images, compiled once.

    `measure(params, cluster_classes=None) -> Measured`; the metrics are
      `reconstruction_mse`: squared pixel values of [0, 1], mean over pixels and images;
      `latent`: see `latent_match`; codes of a variant without a discriminator are
        rescaled first;
      `knn_accuracy`: where there are labels, see there;
      `error`: where classes are inferred, see `classification_error`;
      `clusters_used`: how many clusters have any of the images, where there are
        clusters; `cluster_error` and what stands beside it, see there: by
        `cluster_classes`, `[clusters]` classes, by default those by which the n images
        name them;
      `part_share`: share of the labelled codes that lie on the part of the prior that
        their label chooses, where labels choose one;
      `discriminator_accuracy`: share of n codes and n prior samples that a logit above
        0 sorts rightly, where there is a discriminator; without instance noise.
    Codes are drawn from q(z|x) where they are compared with the prior, and the centre
    of q(z|x) elsewhere. It raises FloatingPointError where a code or an error is not
    finite.
    """
    reference = make_reference(model.prior, len(x))
    observe = _make_observe(model, x, y)

    def measure(
        params: Params, cluster_classes: Int[np.ndarray, " clusters"] | None = None
    ) -> Measured:
        seen = observe(params)
        if not (np.isfinite(seen.z).all() and np.isfinite(seen.errors).all()):
            raise FloatingPointError("codes or reconstruction errors are not finite")
        rescale = seen.sorted_rightly is None
        z = np.asarray(seen.z, np.float64)
        result: dict[str, Any] = {
            "reconstruction_mse": float(np.asarray(seen.errors, np.float64).mean()),
            "latent": latent_match(z, reference, rescale=rescale),
        }
        if seen.y_logits is not None and model.config.finds_clusters:
            result["clusters_used"] = len(np.unique(seen.y_logits.argmax(axis=1)))
        if y is not None:
            result |= _class_metrics(model, seen, y, cluster_classes)
        if seen.sorted_rightly is not None:
            result["discriminator_accuracy"] = float(seen.sorted_rightly)
        return Measured(result, z, np.asarray(seen.codes), y)

    return measure


class _Observed(NamedTuple):
    """What is seen of n images.

    Attributes:
      z: `[n, z_dim]`, drawn from q(z|x).
      codes: `[n, z_dim]`, as a run gives them.
      errors: `[n]`, mean squared pixel errors.
      y_logits: `[n, categories]`, where categories are inferred.
      sorted_rightly: scalar, where there is a discriminator.
    """

    z: Array
    codes: Array
    errors: Array
    y_logits: Array | None = None
    sorted_rightly: Array | None = None


def _make_observe(
    model: Model,
    x: UInt8[np.ndarray, "n height width channels"],
    y: Int[np.ndarray, " n"] | None,
) -> Callable[[Params], _Observed]:
    networks = model.networks
    prior_key, encoder_key = jax.random.split(jax.random.key(METRIC_SEED + 2))
    labels = np.full(len(x), -1, np.int32) if y is None else y
    images = jax.device_put((x, labels, jax.random.split(encoder_key, len(x))))
    shown = (images[1],) if networks.wiring.discriminates_y else ()
    chosen = shown if networks.wiring.parts_prior else ()
    z_prior = jax.jit(lambda: model.prior.sample(prior_key, len(x), *chosen))()

    def there_and_back(params: Params, image: Array, y: Array, key: Array) -> _Observed:
        image = image[None].astype(np.float32) / 255
        code = networks.encode(params, image)
        error = image - networks.decode_code(params, code, y[None])
        return _Observed(
            z=networks.encode(params, image, key).z[0],
            codes=networks.represent(params, code)[0],
            errors=(error * error).mean(),
            y_logits=None if code.y_logits is None else code.y_logits[0],
        )

    def taken_for_prior(params: Params, z: Array, *y: Array) -> Array:
        return networks.discriminate(params, *(each[None] for each in (z, *y)))[0] > 0

    @jax.jit
    def observe(params: Params, images: tuple[Array, ...]) -> _Observed:
        # In parts: hidden layers of all at once would take more than the images.
        each = partial(jax.lax.map, batch_size=500)
        seen = each(lambda image: there_and_back(params, *image), images)
        if "discriminator" not in params:
            return seen
        # Half a point for each code called a code, each sample called a sample.
        real, fake = (
            each(lambda code: taken_for_prior(params, *code), (z, *shown)).mean()
            for z in (z_prior, seen.z)
        )
        return seen._replace(sorted_rightly=(real + (1 - fake)) / 2)

    return lambda params: observe(params, images)


def _class_metrics(
    model: Model,
    seen: _Observed,
    y: Int[np.ndarray, " n"],
    cluster_classes: Int[np.ndarray, " clusters"] | None,
) -> dict[str, Any]:
    """What labels tell of codes and inferred categories."""
    result: dict[str, Any] = {}
    codes = np.asarray(seen.codes, np.float64)
    part_of = model.prior.part_of
    if model.networks.wiring.parts_prior and part_of is not None and (y >= 0).any():
        on_its_part = np.asarray(jax.jit(part_of)(seen.z)) == y
        result["part_share"] = float(on_its_part[y >= 0].mean())
    if (accuracy := knn_accuracy(codes, y)) is not None:
        result["knn_accuracy"] = accuracy
    if seen.y_logits is None:
        return result
    y_logits = np.asarray(seen.y_logits)
    if model.config.finds_clusters:
        if cluster_classes is None:
            cluster_classes = name_clusters(y_logits, y)
        if cluster_classes is not None:
            result |= cluster_error(y_logits, y, cluster_classes) or {}
        return result
    if (error := classification_error(y_logits, y)) is not None:
        result["error"] = error
    return result
