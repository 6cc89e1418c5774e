"""Numbers for how well codes match the prior, and how well they part the classes.

Computed on the host, in float64 where sums are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.spatial import KDTree

from aae_jax.priors import Prior

PROJECTIONS = 256
DRAWS = 20
GAP_DRAWS = 5
NEIGHBOURS = 5
# In more dimensions a tree looks at nearly all points, and a matrix product is faster.
_TREE_DIMENSIONS = 8
_QUERIES = 1000
_COUNTS = ("step", "epoch", "steps", "epochs", "images", "measured", "labelled")
METRIC_SEED = 1511
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
    directions: Float[np.ndarray, "projections z_dim"]
    quantiles: Float[np.ndarray, "projections n"]
    spread: float
    floor: float
    gap_radius: float
    gap_draws: Float[np.ndarray, "draws n z_dim"]
    mean: Float[np.ndarray, " z_dim"]
    std: Float[np.ndarray, " z_dim"]

    def sliced_wasserstein(self, z: Float[np.ndarray, "n z_dim"]) -> float:
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

    def gap_fraction(self, z: Float[np.ndarray, "n z_dim"]) -> float:
        """Share of prior samples with no code as near as another prior draw has.

        0.01 for codes that follow the prior perfectly, 1 for codes far from it.
        """
        distances, _ = nearest_codes(z, np.concatenate(self.gap_draws), k=1)
        return float(np.mean(distances > self.gap_radius))


@lru_cache(maxsize=2)  # models that are trained together have one prior
def make_reference(prior: Prior, n: int) -> LatentReference:
    """Draws from the prior, once, for comparing any number of code sets of size n."""
    z_dim = len(prior.mean)
    key = jax.random.key(METRIC_SEED)
    sample = jax.jit(lambda index: prior.sample(jax.random.fold_in(key, index), n))

    def draw(index: int) -> NDArray[np.float64]:
        return np.asarray(sample(index), np.float64)

    directions = np.array(
        jax.random.normal(jax.random.key(METRIC_SEED + 1), (PROJECTIONS, z_dim)),
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
    z: Float[np.ndarray, "n z_dim"],
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


def knn_accuracy(
    z: Float[np.ndarray, "n z_dim"], y: Int[np.ndarray, " n"]
) -> float | None:
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
    z: Float[np.ndarray, "n z_dim"], queries: Float[np.ndarray, "m z_dim"], *, k: int
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """Distances to the `k` codes nearest to each query, in any order; their rows."""
    if z.shape[1] <= _TREE_DIMENSIONS:
        return KDTree(z).query(queries, k=range(1, k + 1))
    # (z, |z|^2) times (-2 q, 1) is the squared distance less |q|^2, in one product.
    z_and_length = np.column_stack([z, np.square(z).sum(axis=1)])
    distances, nearest = [], []
    for some in np.split(queries, range(_QUERIES, len(queries), _QUERIES)):
        asked = np.column_stack([-2 * some, np.ones(len(some), some.dtype)])
        squares = asked @ z_and_length.T
        if k == 1:  # by far the most queries, and no partition is needed
            rows = squares.argmin(axis=1)[:, None]
        else:
            rows = np.argpartition(squares, k - 1, axis=1)[:, :k]
        lengths = np.square(some).sum(axis=1)[:, None]
        nearest.append(rows)
        distances.append(np.take_along_axis(squares, rows, axis=1) + lengths)
    return np.sqrt(np.maximum(np.concatenate(distances), 0)), np.concatenate(nearest)


def _sorted_projections(
    z: Float[np.ndarray, "n z_dim"], directions: Float[np.ndarray, "projections z_dim"]
) -> Float[np.ndarray, "projections n"]:
    # float32 sorts several times faster, and projections need no more.
    projections = (directions @ z.T).astype(np.float32)
    return np.sort(projections, axis=1).astype(np.float64)


def numbers_in(metrics: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """`[("losses/generator", 0.69), ...]` from nested objects; lists by index.

    Counts of steps, epochs and images are left out, and what is no number.
    """
    found = []
    for name, value in metrics.items():
        if isinstance(value, list):
            value = {str(index): each for index, each in enumerate(value)}
        if isinstance(value, Mapping):
            found += numbers_in(value, f"{prefix}{name}/")
        elif isinstance(value, bool):
            continue
        elif isinstance(value, int | float) and prefix + name not in _COUNTS:
            found.append((prefix + name, float(value)))
    return found
