"""Numbers for how well codes match the prior, images come back and classes part.

Codes and errors come from the device; what compares them is computed on the host, in
float64 where sums are taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from numpy.typing import NDArray
from scipy.spatial import KDTree

from aae_jax.class_metrics import classification_error, cluster_error
from aae_jax.networks import Params
from aae_jax.phases import Model
from aae_jax.priors import Prior

PROJECTIONS = 256
DRAWS = 20
GAP_DRAWS = 5
NEIGHBOURS = 5
# In more dimensions a tree looks at nearly all points, and a matrix product is faster.
_TREE_DIMENSIONS = 8
_QUERIES = 1000
_METRIC_SEED = 1511
"""Directions and prior draws are the same for every run, so that runs compare."""


@dataclass(frozen=True)
class LatentReference:
    """What the prior looks like in samples of `n` points; made by `make_reference`.

    Attributes:
      n: points in each draw.
      directions: `[PROJECTIONS, z_dim]`, unit vectors.
      quantiles: `[PROJECTIONS, n]`, mean over the draws of the sorted projections.
      spread: mean squared deviation of the draws' sorted projections from `quantiles`.
      floor: sliced Wasserstein distance of independent prior draws.
      gap_radius: 99th percentile of the distance from a point of one prior draw to
        the nearest of another.
      gap_draws: `[GAP_DRAWS, n, z_dim]`, prior samples that look for a near code.
      mean, std: `[z_dim]`, the prior's.
    """

    n: int
    directions: Float[NDArray, "projections z_dim"]
    quantiles: Float[NDArray, "projections n"]
    spread: float
    floor: float
    gap_radius: float
    gap_draws: Float[NDArray, "draws n z_dim"]
    mean: Float[NDArray, " z_dim"]
    std: Float[NDArray, " z_dim"]

    def sliced_wasserstein(self, z: Float[NDArray, "n z_dim"]) -> float:
        """Distance from codes to the prior, in units of z.

        The square root of the mean squared distance that sorted points travel in one
        dimension, over all projections and all prior draws. At best about `floor`.

        Raises:
          ValueError: `z` has another number of codes than the reference.
        """
        if len(z) != self.n:
            raise ValueError(f"got {len(z)} codes for a reference of {self.n}")
        travel = np.square(_sorted_projections(z, self.directions) - self.quantiles)
        # The mean over draws of (q - d)^2 is (q - mean d)^2 plus the variance of d.
        return float(np.sqrt(travel.mean() + self.spread))

    def gap_fraction(self, z: Float[NDArray, "n z_dim"]) -> float:
        """Share of prior samples with no code as near as another prior draw has.

        0.01 for codes that follow the prior perfectly, 1 for codes far from it.
        """
        distances, _ = nearest_codes(z, np.concatenate(self.gap_draws), k=1)
        return float(np.mean(distances > self.gap_radius))


def make_reference(prior: Prior, n: int) -> LatentReference:
    """Draws from the prior, once, for comparing any number of code sets of size n."""
    z_dim = len(prior.mean)
    key = jax.random.key(_METRIC_SEED)
    sample = jax.jit(lambda index: prior.sample(jax.random.fold_in(key, index), n))

    def draw(index: int) -> NDArray[np.float64]:
        return np.asarray(sample(index), np.float64)

    directions = np.array(
        jax.random.normal(jax.random.key(_METRIC_SEED + 1), (PROJECTIONS, z_dim)),
        np.float64,
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    quantiles = np.zeros((PROJECTIONS, n))
    squares = 0.0
    for index in range(DRAWS):
        projected = _sorted_projections(draw(index), directions)
        quantiles += projected / DRAWS
        squares += np.square(projected).mean() / DRAWS
    spread = float(squares - np.square(quantiles).mean())
    # Fresh draws in place of codes, as many as the draws that they are compared with.
    travel = [
        np.square(
            _sorted_projections(draw(DRAWS + index), directions) - quantiles
        ).mean()
        for index in range(DRAWS)
    ]
    pairs = [
        nearest_codes(draw(2 * index), draw(2 * index + 1), k=1)[0]
        for index in range(GAP_DRAWS)
    ]
    return LatentReference(
        n=n,
        directions=directions,
        quantiles=quantiles,
        spread=spread,
        floor=float(np.sqrt(np.mean(travel) + spread)),
        gap_radius=float(np.percentile(np.concatenate(pairs), 99)),
        gap_draws=np.stack([draw(2 * DRAWS + index) for index in range(GAP_DRAWS)]),
        mean=np.asarray(prior.mean, np.float64),
        std=np.asarray(prior.std, np.float64),
    )


def latent_match(
    z: Float[NDArray, "n z_dim"],
    reference: LatentReference,
    *,
    rescale: bool = False,
) -> dict[str, Any]:
    """How well codes follow the prior.

    Args:
      z: `[n, z_dim]`, codes.
      reference: of the prior, for n codes.
      rescale: first give the codes the prior's mean and deviation in each dimension;
        for a plain autoencoder, whose codes have a scale of their own. `mean` and
        `std` are still those of the codes as they are.

    Returns:
      `sliced_wasserstein` and `floor` in units of z, their `ratio` (1 is perfect),
      `gap_fraction` (0.01 is perfect), `mean` and `std` of each dimension; `rescaled`
      where it was asked for.
    """
    z = np.asarray(z, np.float64)
    mean, std = z.mean(axis=0), z.std(axis=0)
    if rescale:
        z = (z - mean) / np.maximum(std, 1e-12) * reference.std + reference.mean
    distance = reference.sliced_wasserstein(z)
    result = {
        "sliced_wasserstein": distance,
        "floor": reference.floor,
        "ratio": distance / reference.floor,
        "gap_fraction": reference.gap_fraction(z),
        "mean": mean.tolist(),
        "std": std.tolist(),
    }
    return result | {"rescaled": True} if rescale else result


def knn_accuracy(z: Float[NDArray, "n z_dim"], y: Int[NDArray, " n"]) -> float | None:
    """Share of codes whose class five neighbours tell.

    Even-numbered codes are the reference, odd-numbered ones ask; a tie goes to the
    smaller class. Codes without a label (-1) are left out.

    Returns:
      A share of 1, or None where fewer than `2 * NEIGHBOURS` codes have a label.
    """
    z, y = z[y >= 0], y[y >= 0]
    if len(z) < 2 * NEIGHBOURS:
        return None
    _, nearest = nearest_codes(z[0::2], z[1::2], k=NEIGHBOURS)
    classes, y = np.unique(y, return_inverse=True)
    votes = np.eye(len(classes), dtype=np.int64)[y[0::2][nearest]].sum(axis=1)
    return float(np.mean(votes.argmax(axis=1) == y[1::2]))


def nearest_codes(
    z: Float[NDArray, "n z_dim"], queries: Float[NDArray, "m z_dim"], *, k: int
) -> tuple[Float[NDArray, "m k"], Int[NDArray, "m k"]]:
    """Distances to the `k` codes nearest to each query, in any order; their rows."""
    if z.shape[1] <= _TREE_DIMENSIONS:
        return KDTree(z).query(queries, k=range(1, k + 1))
    distances, nearest = [], []
    lengths = np.square(z).sum(axis=1)
    for some in np.split(queries, range(_QUERIES, len(queries), _QUERIES)):
        squares = lengths - 2 * some @ z.T + np.square(some).sum(axis=1)[:, None]
        rows = np.argpartition(squares, k - 1, axis=1)[:, :k]
        nearest.append(rows)
        distances.append(np.take_along_axis(squares, rows, axis=1))
    return np.sqrt(np.maximum(np.concatenate(distances), 0)), np.concatenate(nearest)


Measure = Callable[[Params], tuple[dict[str, Any], NDArray[np.float64]]]


def make_measure(
    model: Model,
    x: UInt8[NDArray, "n height width channels"],
    y: Int[NDArray, " n"] | None = None,
) -> Measure:
    """All metrics of a model on n images, compiled once.

    `measure(params) -> (metrics, codes [n, z_dim])`; the metrics are
      `reconstruction_mse`: squared pixel values of [0, 1], mean over pixels and images;
      `latent`: see `latent_match`; codes of a variant without a discriminator are
        rescaled first;
      `knn_accuracy`: where there are labels, see there;
      `error`: where classes are inferred, see `classification_error`;
      `cluster_error` and what stands beside it: where clusters are, see there;
      `part_share`: share of the labelled codes that lie on the part of the prior that
        their label chooses, where the discriminator sees labels;
      `discriminator_accuracy`: share of n codes and n prior samples that a logit above
        0 sorts rightly, where there is a discriminator; without instance noise.
    Codes are drawn from q(z|x) where they are compared with the prior, and the centre
    of q(z|x) elsewhere. It raises FloatingPointError where a code or an error is not
    finite.
    """
    reference = make_reference(model.prior, len(x))
    observe = _make_observe(model, x, y)

    def measure(params: Params) -> tuple[dict[str, Any], NDArray[np.float64]]:
        seen = observe(params)
        if not (np.isfinite(seen.z).all() and np.isfinite(seen.errors).all()):
            raise FloatingPointError("codes or reconstruction errors are not finite")
        rescale = seen.sorted_rightly is None
        z = np.asarray(seen.z, np.float64)
        result: dict[str, Any] = {
            "reconstruction_mse": float(np.asarray(seen.errors, np.float64).mean()),
            "latent": latent_match(z, reference, rescale=rescale),
        }
        if y is not None:
            result |= _class_metrics(model, seen, y)
        if seen.sorted_rightly is not None:
            result["discriminator_accuracy"] = float(seen.sorted_rightly)
        return result, z

    return measure


def metrics_of_split(
    split: str, n_images: int, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Metrics with the split that they are of, for a file: `error` as `test_error`."""
    named = {
        f"{split}_error" if name == "error" else name: value
        for name, value in metrics.items()
    }
    return {"split": split, "images": n_images, **named}


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
    x: UInt8[NDArray, "n height width channels"],
    y: Int[NDArray, " n"] | None,
) -> Callable[[Params], _Observed]:
    networks, key = model.networks, jax.random.key(_METRIC_SEED + 2)
    labels = np.full(len(x), -1, np.int32) if y is None else y
    images = jax.device_put((x, labels, jax.random.split(key, len(x))))
    shown = (images[1],) if networks.wiring.discriminates_y else ()
    z_prior = jax.jit(lambda: model.prior.sample(key, len(x), *shown))()

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

    @jax.jit
    def observe(params: Params, images: tuple[Array, ...]) -> _Observed:
        seen = jax.lax.map(
            lambda each: there_and_back(params, *each), images, batch_size=500
        )
        if "discriminator" not in params:
            return seen
        # Half a point for each code called a code, each sample called a sample.
        real = (networks.discriminate(params, z_prior, *shown) > 0).mean()
        fake = (networks.discriminate(params, seen.z, *shown) <= 0).mean()
        return seen._replace(sorted_rightly=(real + fake) / 2)

    return lambda params: observe(params, images)


def _class_metrics(
    model: Model, seen: _Observed, y: Int[NDArray, " n"]
) -> dict[str, Any]:
    """What labels tell of codes and inferred categories."""
    result: dict[str, Any] = {}
    codes = np.asarray(seen.codes, np.float64)
    part_of = model.prior.part_of
    if model.networks.wiring.discriminates_y and part_of is not None and (y >= 0).any():
        on_its_part = np.asarray(jax.jit(part_of)(seen.z)) == y
        result["part_share"] = float(on_its_part[y >= 0].mean())
    if (accuracy := knn_accuracy(codes, y)) is not None:
        result["knn_accuracy"] = accuracy
    if seen.y_logits is None:
        return result
    y_logits = np.asarray(seen.y_logits)
    if model.config.finds_clusters:
        return result | (cluster_error(y_logits, y) or {})
    if (error := classification_error(y_logits, y)) is not None:
        result["error"] = error
    return result


def _sorted_projections(
    z: Float[NDArray, "n z_dim"], directions: Float[NDArray, "projections z_dim"]
) -> Float[NDArray, "projections n"]:
    # float32 sorts several times faster, and projections need no more.
    projections = (directions @ z.T).astype(np.float32)
    return np.sort(projections, axis=1).astype(np.float64)
