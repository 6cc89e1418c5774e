"""Priors: what the codes of an adversarial autoencoder are made to follow.

Defaults give a standard deviation near 5 in each dimension, as in the guide's part 2,
so that one range serves all pictures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.errors import UserError

PARTS = 10
"""Gaussians of the mixture, and stretches of the Swiss roll, where no labels choose."""
MOST_PARTS = 20
"""As many as labels may choose from: petals of more would lie on each other."""

_TURNS = 4 * math.pi
_THICKNESS = 0.1

Sample = Callable[..., Float[Array, "n z_dim"]]
LogDensity = Callable[[Float[Array, "n z_dim"]], Float[Array, " n"]]


@dataclass(frozen=True, eq=False)
class Prior:
    """A distribution over codes.

    Attributes:
      name: for logs and titles.
      sample: `sample(key, n, labels=None) -> [n, z_dim]`, float32. Priors with parts
        (mixture, swiss-roll) take `labels` `[n]`, the part of each sample; -1, or no
        labels at all, leaves the part to chance. Other priors ignore them.
      mean: `[z_dim]`.
      std: `[z_dim]`, standard deviation of each dimension.
      log_density: `log_density(z [n, z_dim]) -> [n]`, nats; None where no closed form
        is known.
      curve: `curve(part [n], place [n]) -> [n, z_dim]`, points along the middle of
        parts, place 0 at one end and 1 at the other; None without parts.
      part_of: `part_of(z [n, z_dim]) -> [n]`, the part that a code lies on; None
        without parts.
    """

    name: str
    sample: Sample
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    log_density: LogDensity | None = None
    curve: Callable[..., Float[Array, "n z_dim"]] | None = None
    part_of: Callable[..., Int[Array, " n"]] | None = None

    def __post_init__(self) -> None:
        """Refuse moments that are none.

        Raises:
          UserError: mean and std are not arrays of one length, or std is not above 0.
        """
        moments = (self.mean, self.std)
        if (
            not all(isinstance(moment, np.ndarray) for moment in moments)
            or self.mean.ndim != 1
            or self.mean.shape != self.std.shape
            or not np.isfinite(moments).all()
        ):
            raise UserError(
                f"the prior {self.name!r} has mean {self.mean!r} and std {self.std!r}; "
                "give two numpy arrays, with a number for each dimension of the code"
            )
        if not (self.std > 0).all():
            raise UserError(
                f"the prior {self.name!r} has std {self.std}; it must be above 0"
            )


def around_heads(prior: Prior, heads: Float[np.ndarray, "n z_dim"]) -> Prior:
    """Samples of a prior, each shifted by one of the heads, which labels choose."""

    def sample(
        key: PRNGKeyArray, n: int, labels: Int[Array, " n"] | None = None
    ) -> Array:
        key, head_key = jax.random.split(key)
        rows = _chosen(head_key, n, labels, len(heads))
        return prior.sample(key, n) + jnp.asarray(heads)[rows]

    return Prior(
        f"{prior.name} around each cluster head",
        sample,
        prior.mean + heads.mean(axis=0),
        np.hypot(prior.std, heads.std(axis=0)),
    )


def make_prior(config: Config) -> Prior:
    """The named prior of a config.

    Raises:
      UserError: its name is `custom`, which no name can bring back.
    """
    scale, z_dim = config.scale, config.z_dim
    match config.prior:
        case "normal":
            return normal(z_dim, scale=scale)
        case "uniform":
            return uniform(z_dim, scale=scale)
        case "gamma":
            return gamma(z_dim, shape=config.prior_shape, scale=scale)
        case "mixture":
            return mixture(std=scale, parts=_parts_of(config))
        case "swiss-roll":
            return swiss_roll(std=scale, parts=_parts_of(config))
    raise UserError(
        "a prior of one's own (prior='custom') is made in Python and must be passed "
        "there: fit(config, prior=...), Run.load(path, prior=...)"
    )


def _parts_of(config: Config) -> int:
    """A part for each class, where labels choose parts and the classes are known."""
    chosen = config.n_classes if config.wiring.parts_prior else None
    return chosen or PARTS


def normal(z_dim: int = 2, *, scale: float = 5.0) -> Prior:
    """N(0, scale^2) in each dimension: the guide's prior at scale 5."""

    def sample(key: PRNGKeyArray, n: int, labels: object = None) -> Array:
        del labels
        return scale * jax.random.normal(key, (n, z_dim))

    def log_density(z: Array) -> Array:
        return jax.scipy.stats.norm.logpdf(z, scale=scale).sum(axis=-1)

    return Prior("normal", sample, _full(z_dim, 0.0), _full(z_dim, scale), log_density)


def uniform(z_dim: int = 2, *, scale: float = 10.0) -> Prior:
    """Uniform on [-scale, scale] in each dimension."""

    def sample(key: PRNGKeyArray, n: int, labels: object = None) -> Array:
        del labels
        return jax.random.uniform(key, (n, z_dim), minval=-scale, maxval=scale)

    def log_density(z: Array) -> Array:
        inside = jnp.all(jnp.abs(z) <= scale, axis=-1)
        return jnp.where(inside, -z_dim * math.log(2 * scale), -jnp.inf)

    std = _full(z_dim, scale / math.sqrt(3))
    return Prior("uniform", sample, _full(z_dim, 0.0), std, log_density)


def gamma(z_dim: int = 2, *, shape: float = 2.0, scale: float = 2.5) -> Prior:
    """Gamma(shape, scale) in each dimension: positive codes of mean shape * scale."""

    def sample(key: PRNGKeyArray, n: int, labels: object = None) -> Array:
        del labels
        return scale * jax.random.gamma(key, shape, (n, z_dim))

    def log_density(z: Array) -> Array:
        return jax.scipy.stats.gamma.logpdf(z, shape, scale=scale).sum(axis=-1)

    mean = _full(z_dim, shape * scale)
    std = _full(z_dim, math.sqrt(shape) * scale)
    return Prior("gamma", sample, mean, std, log_density)


def mixture(*, std: float = 5.0, parts: int = PARTS) -> Prior:
    """Gaussians like petals around the origin of the plane, ten by default.

    Component k of n lies on the spoke at angle 2 pi k / n: centre at 1.4 s, standard
    deviation 0.5 s along the spoke and 0.1 s across. s is such that the whole has the
    standard deviation `std` in both dimensions (two components, which lie on a line: in
    the mean of both variances). Labels choose the component.

    Source: Makhzani et al. 2015, section 2.3, with the spread of the guide's figures.
    """
    centre, along, across = 1.4, 0.5, 0.1
    s = std / math.sqrt((centre**2 + along**2 + across**2) / 2)
    deviation = _full(2, std)  # from three on, the rotations leave variances equal
    if parts == 2:
        deviation = np.array([s * math.hypot(centre, along), s * across], np.float32)
    turn = 2 * math.pi / parts

    def sample(
        key: PRNGKeyArray, n: int, labels: Int[Array, " n"] | None = None
    ) -> Array:
        part_key, spot_key = jax.random.split(key)
        part = _parts(part_key, n, labels, parts)
        spot = jax.random.normal(spot_key, (n, 2))
        spot = spot * jnp.array([[along, across]]) + jnp.array([[centre, 0.0]])
        return s * _rotate(spot, turn * part)

    def log_densities(z: Array) -> Array:
        """Of each component, up to a constant: `[components, n]`."""
        angles = -turn * np.arange(parts, dtype=np.float32)
        spokes = jax.vmap(lambda angle: _rotate(z / s, angle))(angles)
        return jax.scipy.stats.norm.logpdf(
            spokes, jnp.array([[[centre, 0.0]]]), jnp.array([[[along, across]]])
        ).sum(axis=-1)

    def log_density(z: Array) -> Array:
        shift = math.log(parts) + 2 * math.log(s)
        return jax.scipy.special.logsumexp(log_densities(z), axis=0) - shift

    def curve(part: Array, place: Array) -> Array:
        """Two deviations to both sides of the centre, along the spoke."""
        radius = centre + along * (4 * place - 2)
        spot = jnp.stack([radius, jnp.zeros_like(radius)], axis=-1)
        return s * _rotate(spot, turn * part)

    return Prior(
        "mixture",
        sample,
        _full(2, 0.0),
        deviation,
        log_density,
        curve,
        part_of=lambda z: log_densities(z).argmax(axis=0),
    )


def swiss_roll(*, std: float = 5.0, parts: int = PARTS) -> Prior:
    """A spiral of two turns: r = 3 sqrt(u), angle = 4 pi sqrt(u), u uniform on [0, 1].

    Times s, plus isotropic noise of deviation 0.1 s: a curve without thickness could
    never be matched. s is such that the mean of both variances is `std` squared.
    Labels choose the n-th part of u, a tenth by default, that is a stretch of the roll.
    No closed density.

    Source: Makhzani et al. 2015, section 2.3.
    """
    # With t = sqrt(u) of density 2t and a = 4 pi, integrals of 3t exp(iat), and of its
    # squares, over [0, 1]; exp(ia) = 1 removes most terms.
    mean = np.array([12 / _TURNS**2, -6 / _TURNS])
    ripple = 27 / (2 * _TURNS) ** 2
    square = np.array([9 / 4 + ripple, 9 / 4 - ripple])
    variance = square - mean**2 + _THICKNESS**2
    s = std / math.sqrt(variance.mean())

    def sample(
        key: PRNGKeyArray, n: int, labels: Int[Array, " n"] | None = None
    ) -> Array:
        part_key, u_key, noise_key = jax.random.split(key, 3)
        part = _parts(part_key, n, labels, parts)
        spot = curve(part, jax.random.uniform(u_key, (n,)))
        return spot + s * _THICKNESS * jax.random.normal(noise_key, (n, 2))

    def curve(part: Array, place: Array) -> Array:
        t = jnp.sqrt((part + place) / parts)
        spot = jnp.stack([3 * t, jnp.zeros_like(t)], axis=-1)
        return s * _rotate(spot, _TURNS * t)

    # A hundred points a part, or a thousandth of u apart by default.
    part, place = jnp.divmod(jnp.arange(0.5, 100 * parts) / 100, 1)
    points = curve(part, place)

    def part_of(z: Array) -> Array:
        nearest = jnp.square(z[:, None] - points[None]).sum(axis=-1).argmin(axis=1)
        return nearest // 100

    return Prior(
        "swiss-roll",
        sample,
        (s * mean).astype(np.float32),
        (s * np.sqrt(variance)).astype(np.float32),
        curve=curve,
        part_of=part_of,
    )


def _full(z_dim: int, value: float) -> NDArray[np.float32]:
    return np.full(z_dim, value, np.float32)


def _chosen(
    key: PRNGKeyArray, n: int, labels: Array | None, count: int
) -> Int[Array, " n"]:
    """The labels, with chance out of `count` in place of -1, or of no labels."""
    drawn = jax.random.randint(key, (n,), 0, count)
    return drawn if labels is None else jnp.where(labels < 0, drawn, labels)


def _parts(key: PRNGKeyArray, n: int, labels: Array | None, parts: int) -> Array:
    """`[n]` float parts, see `_chosen`."""
    return _chosen(key, n, labels, parts).astype(jnp.float32)


def _rotate(points: Array, angle: Array) -> Array:
    """`[n, 2]` points turned anticlockwise by an angle, one or `[n]`, in radians."""
    x, y = points[..., 0], points[..., 1]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
