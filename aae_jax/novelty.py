"""How odd images are to a model: unlike what it knows, coded where little is known."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from aae_jax.data.stored import Images
from aae_jax.inference import Inference, as_pixels, squared_errors
from aae_jax.metrics import nearest_codes

NEIGHBOURS = 5
FEWEST = 20
"""Images that a comparison needs, both known and ordinary ones."""

_TAIL = 0.1
_IMAGES, _VALUES = 2_000, 2**24
"""So many images, and values of theirs, go at a time."""

_TINY = float(np.finfo(np.float32).tiny)


class Seen(NamedTuple):
    """What a model makes of images.

    Attributes:
      error: `[n]`, of what comes back, see `relative_errors`.
      known_error: `[n]`, of what comes back from the known code, of the nearest five,
        that suits the image best.
      log_density: `[n]`, nats: how densely known codes lie around the image's; see
        `log_density`.
    """

    error: Float[np.ndarray, " n"]
    known_error: Float[np.ndarray, " n"]
    log_density: Float[np.ndarray, " n"]


class Novelty(NamedTuple):
    """How odd images are, beside ordinary ones.

    Attributes:
      score: `[n]`, nats: the surprise of `error_surprise + density_surprise`. e^-score
        is the share of ordinary images that are at least as odd.
      error: `[n]`, see `Seen`; it is no part of the score.
      known_error: `[n]`, see `Seen`.
      error_surprise: `[n]`, nats: the surprise of such a known_error.
      log_density: `[n]`, see `Seen`.
      density_surprise: `[n]`, nats: the surprise of a code in so lonely a place.
    """

    score: Float[np.ndarray, " n"]
    error: Float[np.ndarray, " n"]
    known_error: Float[np.ndarray, " n"]
    error_surprise: Float[np.ndarray, " n"]
    log_density: Float[np.ndarray, " n"]
    density_surprise: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Surprise:
    """How rarely ordinary images have a value as large: -ln p, in nats.

    p(s) is the share of ordinary values from s up, interpolated between them. There are
    few in the upper tenth, and none beyond the largest: from the quantile u on, where p
    is a tenth, it falls as an exponential does that has their mean excess,

      -ln p(s) = -ln p(u) + (s - u) / E[s' - u | s' > u],

    so that of two images that are odder than any the odder one still counts as such.
    p of the ordinary images themselves is uniform on [0, 1].

    Attributes:
      values: `[n]`, of ordinary images, ascending.

    Source: the exceedances of a high threshold, Pickands 1975, at shape 0.
    """

    values: Float[np.ndarray, " n"]

    def __call__(self, values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Nats, `[m]`; never less for a larger value."""
        n = len(self.values)
        nats = -np.log1p(-(np.arange(n) + 0.5) / n)
        first = math.floor(n * (1 - _TAIL))
        start = self.values[first]
        excess = (self.values[first + 1 :] - start).mean() or 1.0
        beyond = nats[first] + np.maximum(values - start, 0) / excess
        return np.where(values >= start, beyond, np.interp(values, self.values, nats))


@dataclass(frozen=True, eq=False)
class Familiar:
    """What a model knows, and how well: what images are compared with.

    Attributes:
      inference: the networks.
      known: images that the model was trained on, in bytes or in [0, 1].
      ordinary: images of the same kind that it was not trained on.
    """

    inference: Inference
    known: Images | NDArray[np.float32]
    ordinary: Images | NDArray[np.float32]

    def novelty(self, x: Images | NDArray[np.float32]) -> Novelty:
        """How odd images are; of those on disk some are read at a time."""
        return novelty(self.see(x), self._ordinary_seen)

    def see(self, x: Images | NDArray[np.float32]) -> Seen:
        """What the model makes of images."""
        n = max(1, min(_IMAGES, _VALUES // math.prod(x.shape[1:])))
        parts = [
            self._see(x[first : first + n]) for first in range(0, max(len(x), 1), n)
        ]
        return Seen(*map(np.concatenate, zip(*parts, strict=True)))

    def bring_back(
        self, x: NDArray
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        """Images from their codes, from known codes, and the distances to these.

        Where the decoder reads labels no label is needed: that with which an image
        comes back best is taken.

        Returns:
          What comes back, and what comes back from the known code that suits each best,
          in the images' shape; `[n, 5]`, the distances to the nearest known codes.
        """
        x_hat, y = self.inference.closest(x)
        z = self.inference.encode(x)
        distances, rows = nearest_codes(self._codes, z, k=NEIGHBOURS)
        pixels, from_known = as_pixels(x), np.zeros_like(x_hat)
        errors = np.full(len(x), np.inf)
        for nearest in rows.T:
            decoded = self.inference.decode_as(x, self._codes[nearest], y)
            errors_now = squared_errors(pixels, decoded)
            better = errors_now < errors
            from_known[better], errors[better] = decoded[better], errors_now[better]
        return x_hat, from_known, distances.astype(np.float64)

    def _see(self, x: NDArray) -> Seen:
        x_hat, from_known, distances = self.bring_back(x)
        error, known_error = (
            relative_errors(as_pixels(x), each, ground=self._ground, floor=self._floor)
            for each in (x_hat, from_known)
        )
        m, d = self._codes.shape
        return Seen(error, known_error, log_density(distances, m=m, d=d))

    @cached_property
    def _codes(self) -> NDArray[np.float32]:
        return self.inference.encode(self.known)

    @cached_property
    def _ground(self) -> float:
        return 0.0 if self._some.mean() <= 0.5 else 1.0

    @cached_property
    def _floor(self) -> float:
        """A hundredth of what ordinary images have on their ground, in the mean."""
        return float(squared_errors(self._some, self._ground).mean()) / 100

    @cached_property
    def _some(self) -> NDArray[np.float32]:
        """A thousand ordinary images or fewer, evenly spaced."""
        return as_pixels(self.ordinary[:: -(-len(self.ordinary) // 1000)])

    @cached_property
    def _ordinary_seen(self) -> Seen:
        return self.see(self.ordinary)


def relative_errors(
    x: Float[np.ndarray, "n height width channels"],
    x_hat: Float[np.ndarray, "n height width channels"],
    *,
    ground: float = 0.0,
    floor: float = 0.0,
) -> Float[np.ndarray, " n"]:
    """Squared error of each image in what it has on its ground.

    |x - x_hat|^2 / |x - b|^2

    An image of little ink is easily brought back to within little. 0 is exact, 1 what
    an empty image in its place would have.

    Args:
      x, x_hat: images in [0, 1] and what came back.
      ground: b, the value of pixels without ink: 0 is black, 1 is white.
      floor: the least denominator, for images that are all but empty.
    """
    ink = squared_errors(x, ground)
    return squared_errors(x, x_hat) / np.maximum(ink, floor + _TINY)


def log_density(
    distances: Float[np.ndarray, "n k"], *, m: int, d: int
) -> Float[np.ndarray, " n"]:
    """Density of known codes at a place, from how far the nearest of them are.

    ln p(z) = ln k - ln m - ln V - d ln r,  V the volume of the unit ball, r the mean
    distance to the k nearest codes. With the distance to the k-th of them, as in the
    source, it would be off by less; but it is off by a constant, which is of no
    importance here, and a mean is less noisy.

    Args:
      distances: `[n, k]`, of n places to the k nearest codes.
      m: how many codes there are.
      d: their dimension.

    Returns:
      `[n]`, nats.

    Source: Loftsgaarden and Quesenberry 1965.
    """
    # Codes of equal images are equal, and nothing is infinitely dense.
    radius = np.maximum(distances.mean(axis=1), _TINY)
    volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    return math.log(distances.shape[1] / m) - volume - d * np.log(radius)


def novelty(seen: Seen, ordinary: Seen) -> Novelty:
    """How odd images are beside ordinary ones, from what a model makes of both.

    Both parts are turned into surprises, which have one unit, and added; their sum is
    turned into one again.
    """
    of_error = Surprise(np.sort(ordinary.known_error))
    of_density = Surprise(np.sort(-ordinary.log_density))
    of_both = Surprise(
        np.sort(of_error(ordinary.known_error) + of_density(-ordinary.log_density))
    )
    error_surprise = of_error(seen.known_error)
    density_surprise = of_density(-seen.log_density)
    return Novelty(
        score=of_both(error_surprise + density_surprise),
        error=seen.error,
        known_error=seen.known_error,
        error_surprise=error_surprise,
        log_density=seen.log_density,
        density_surprise=density_surprise,
    )
