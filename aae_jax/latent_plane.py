"""The plane in which codes are drawn, what the prior looks like in it, and the codes
that a grid decodes: numpy, but for the prior's own density.
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from aae_jax.priors import LogDensity, Prior

MASSES = (0.5, 0.9, 0.99)
"""Shares of the prior that its contours hold."""

_TAIL = 0.023  # leaves the central 95.4%, two deviations of a normal
_CELLS = 240
_FAR = 1e6  # nats, in place of infinities
# Windows in parts of the side of a picture: narrow enough for the arms of a Swiss roll,
# wide enough for the rim of a projection from many dimensions, which is always smooth.
_NARROW, _WIDE = 0.016, 0.028


@dataclass(frozen=True)
class Plane:
    """A plane in the space of codes; a line where codes have one dimension.

    Attributes:
      origin: `[z_dim]`, the code at (0, 0).
      axes: `[p, z_dim]`, orthonormal rows, p = min(z_dim, 2) or as many as asked for.
      shares: `[p]`, share of the codes' variance along each axis where the axes are
        principal components; None where they are the code's own dimensions.
    """

    origin: Float[np.ndarray, " z_dim"]
    axes: Float[np.ndarray, "p z_dim"]
    shares: Float[np.ndarray, " p"] | None = None

    def project(self, z: Float[np.ndarray, "*n z_dim"]) -> Float[np.ndarray, "*n p"]:
        """Coordinates of codes in the plane."""
        return (z - self.origin) @ self.axes.T

    def lift(self, points: Float[np.ndarray, "*n p"]) -> Float[np.ndarray, "*n z_dim"]:
        """Codes of coordinates in the plane."""
        return self.origin + points @ self.axes

    @property
    def axis_names(self) -> tuple[str, ...]:
        """What the coordinates are, for the axes of a picture."""
        if len(self.axes) == 1:
            return ("code",)
        if self.shares is None:
            return ("first coordinate of the code", "second coordinate of the code")
        return tuple(
            f"{nth} principal component of the codes ({share:.0%} of the variance)"
            for nth, share in zip(("first", "second"), self.shares, strict=True)
        )


def latent_plane(z: Float[np.ndarray, "n z_dim"], *, n_axes: int = 2) -> Plane:
    """The plane that shows codes best.

    Codes of one or two dimensions are their own coordinates. Others are seen in the
    plane of their first two principal components, through their mean; each component
    points to where its largest entry is positive.

    Args:
      z: `[n, z_dim]`.
      n_axes: how many principal components; 3 or more span more than a plane.
    """
    z_dim = z.shape[1]
    if z_dim <= 2:
        return Plane(np.zeros(z_dim), np.eye(z_dim))
    mean = z.mean(axis=0, dtype=np.float64)
    covariance = (z - mean).T @ (z - mean) / len(z)
    variances, components = np.linalg.eigh(covariance)  # ascending
    axes = components.T[: -n_axes - 1 : -1]
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    total = max(variances.sum(), np.finfo(float).tiny)
    return Plane(mean, axes, variances[: -n_axes - 1 : -1] / total)


@dataclass(frozen=True)
class Grid:
    """Codes on a lattice in a plane.

    Attributes:
      codes: `[rows, columns, z_dim]`, float32; row 0 has the lowest second coordinate.
      first: `[columns]`, first coordinates, ascending.
      second: `[rows]`, second coordinates, ascending; one 0 for codes of one dimension.
    """

    codes: NDArray[np.float32]
    first: NDArray[np.floating]
    second: NDArray[np.floating]


def grid_codes(
    prior: Prior,
    plane: Plane,
    *,
    z_prior: Float[np.ndarray, "m z_dim"],
    guide: bool = False,
    n: int = 20,
) -> Grid:
    """Evenly spaced codes over the prior's central 95.4% along each axis of a plane.

    Args:
      prior: from -2 to 2 standard deviations where it is a normal.
      plane: of `latent_plane`.
      z_prior: `[m, z_dim]`, samples whose quantiles give the range of other priors.
      guide: take the guide's own grid: 14 x 14, -10 to 9.5 in steps of 1.5.
      n: codes along each axis.

    Source: the guide's part 2, the grid of decoded codes.
    """
    if guide:
        coordinates = [-10 + 1.5 * np.arange(14)] * len(plane.axes)
    else:
        low, high = _central_range(prior, plane, z_prior)
        coordinates = list(np.linspace(low, high, n, axis=-1))
    first, second = (
        coordinates if len(coordinates) == 2 else (*coordinates, np.zeros(1))
    )
    points = np.stack(np.meshgrid(first, second), axis=-1)[..., : len(coordinates)]
    return Grid(plane.lift(points).astype(np.float32), first, second)


def _central_range(
    prior: Prior, plane: Plane, z_prior: Float[np.ndarray, "m z_dim"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high end `[p]` of the prior's central 95.4% along each axis."""
    if prior.name == "normal":
        centre = plane.project(prior.mean.astype(np.float64))
        deviation = np.sqrt(plane.axes**2 @ prior.std.astype(np.float64) ** 2)
        return centre - 2 * deviation, centre + 2 * deviation
    points = plane.project(z_prior)
    low, high = np.quantile(points, [_TAIL, 1 - _TAIL], axis=0)
    # Three digits of the range: more would be the noise of the sample.
    decimals = 2 - math.floor(math.log10(np.max(high - low)))
    return low.round(decimals), high.round(decimals)


@dataclass(frozen=True)
class Density:
    """The prior's density in a plane, and the levels of its contours.

    Attributes:
      first: `[columns]`, first coordinates.
      second: `[rows]`, second coordinates.
      log_density: `[rows, columns]`, nats up to a constant, finite.
      levels: `[k]`, nats, ascending; the contours.
      masses: `[k]`, share of the prior inside each contour, descending.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    log_density: NDArray[np.float64]
    levels: NDArray[np.float64]
    masses: tuple[float, ...]


def prior_density(
    prior: Prior, plane: Plane, z_prior: Float[np.ndarray, "m z_dim"]
) -> Density:
    """The prior as a picture of the plane shows it; z_dim is 2 or more.

    From its own density where the plane is the whole space and the prior has a closed
    form, else from a smoothed histogram of its samples.

    Args:
      prior: whose density is taken.
      plane: of `latent_plane`, of two axes.
      z_prior: `[m, z_dim]`, samples; 100,000 give smooth contours.
    """
    points = plane.project(z_prior)
    low, high = _padded(points.min(axis=0), points.max(axis=0))
    first, second = np.linspace(low, high, _CELLS, axis=-1)
    if prior.log_density is not None and plane.shares is None:
        lattice = np.stack(np.meshgrid(first, second), axis=-1)
        at_points = _evaluate(prior.log_density, z_prior)
        on_grid = _evaluate(prior.log_density, plane.lift(lattice.reshape(-1, 2)))
        on_grid = on_grid.reshape(_CELLS, _CELLS)
    else:
        with np.errstate(divide="ignore"):
            window = _NARROW if plane.shares is None else _WIDE
            window *= max(1, (1e5 / len(points)) ** (1 / 6))  # few samples, wide window
            on_grid = np.log(smoothed_histogram(points, low, high, window=window))
        column, row = (
            ((points - low) / (high - low) * (_CELLS - 1)).round().astype(int).T
        )
        at_points = on_grid[row, column]
    levels = np.quantile(at_points, 1 - np.array(MASSES))
    # A hair below, so that a plateau (the uniform) has its edge as its one contour.
    levels = np.unique(levels.round(3)) - 1e-3
    masses = tuple(float(np.mean(at_points >= level)) for level in levels)
    # Under the lowest contour any number will do, as long as it is finite.
    log_density = np.clip(on_grid, levels[0] - 2, at_points.max())
    return Density(first, second, log_density, levels, masses)


def smoothed_histogram(
    points: Float[np.ndarray, "n 2"],
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    *,
    window: float = _WIDE,
) -> Float[np.ndarray, "rows columns"]:
    """Share of points near each node of a lattice.

    The nodes are `linspace(low, high)` along each axis; row 0 has the lowest second
    coordinate. `window` is the standard deviation of the Gaussian that counts a point,
    in parts of the range.
    """
    half = (high - low) / (_CELLS - 1) / 2
    edges = [
        np.linspace(a - h, b + h, _CELLS + 1)
        for a, b, h in zip(low, high, half, strict=True)
    ]
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=edges[::-1])
    distance = np.subtract.outer(np.arange(_CELLS), np.arange(_CELLS)) / _CELLS
    weights = np.exp(-0.5 * (distance / window) ** 2)
    weights /= weights.sum(axis=0)
    return weights @ counts @ weights.T / max(len(points), 1)


def visible_range(
    points: Float[np.ndarray, "n p"], prior_points: Float[np.ndarray, "m p"]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What a picture shows along each axis `[p]`: low and high end, with a margin.

    The prior's central 99.7%, widened to the codes' central 99%.
    """
    prior_low, prior_high = np.quantile(prior_points, [0.0015, 0.9985], axis=0)
    code_low, code_high = np.quantile(points, [0.005, 0.995], axis=0)
    return _padded(np.minimum(prior_low, code_low), np.maximum(prior_high, code_high))


def _padded(
    low: NDArray[np.floating], high: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """A range with a twentieth more at both ends; never an empty one."""
    room = np.maximum((high - low).astype(np.float64) / 20, 1e-6)
    return low - room, high + room


def _evaluate(log_density: LogDensity, z: np.ndarray) -> NDArray[np.float64]:
    nats = np.asarray(log_density(jnp.asarray(z, jnp.float32)), np.float64)
    return np.nan_to_num(nats, nan=-_FAR, neginf=-_FAR, posinf=_FAR)
