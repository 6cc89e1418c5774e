"""The space of codes as the page to explore it has it: axes, range, and the prior."""

from typing import Any

import numpy as np
from contourpy import contour_generator
from jaxtyping import Float

from aae_jax.latent_plane import (
    Plane,
    latent_plane,
    prior_density,
    visible_range,
)
from aae_jax.packing import packed_bytes, packed_floats
from aae_jax.priors import Prior
from aae_jax.run import Run

DRAWS = 500
"""Draws from the prior that a page has inside."""

_MOST_AXES = 24  # with a slider each
_PRIOR_SAMPLES = 100_000


def explored_space(run: Run, z: Float[np.ndarray, "n z_dim"]) -> dict[str, Any]:
    """Where codes lie: axes, what is shown of them, and the prior there.

    Args:
      run: whose prior it is.
      z: `[n, z_dim]`, codes; those of more than two dimensions choose the axes.
    """
    prior = run.code_prior
    whole = latent_plane(z, n_axes=_MOST_AXES)
    draws = run.sample_codes(_PRIOR_SAMPLES)
    spread, points = whole.project(draws), whole.project(z)
    low, high = visible_range(points, spread)
    space = {
        "origin": whole.origin.tolist(),
        "axes": whole.axes.tolist(),
        "names": _axis_names(whole),
        "low": low.tolist(),
        "high": high.tolist(),
        "prior": prior.name,
        "draws": packed_floats(draws[:DRAWS]),
    }
    if len(whole.axes) == 1:
        shares = [0.005, 0.05, 0.25, 0.75, 0.95, 0.995]
        return space | {"quantiles": np.quantile(spread, shares).tolist()}
    shares = None if whole.shares is None else whole.shares[:2]
    plane = Plane(whole.origin, whole.axes[:2], shares)
    return space | _prior_in(plane, prior, draws)


def _axis_names(space: Plane) -> list[str]:
    if space.shares is None:
        return [f"z{index + 1}" for index in range(len(space.axes))]
    return [
        f"component {index + 1} ({share:.0%} of the variance)"
        for index, share in enumerate(space.shares)
    ]


def _prior_in(plane: Plane, prior: Prior, draws: np.ndarray) -> dict[str, Any]:
    """The prior's density in bytes, and its contours as lines."""
    density = prior_density(prior, plane, draws)
    generator: Any = contour_generator(
        density.first, density.second, density.log_density
    )
    lowest, highest = density.log_density.min(), density.log_density.max()

    def byte(log_density: Any) -> Any:
        """Square roots of densities, which show the rim, from 0 to 255."""
        root, least = (np.exp((each - highest) / 2) for each in (log_density, lowest))
        return (255 * (root - least) / (1 - least)).astype(np.uint8)

    contours = [
        {
            "mass": round(mass, 3),
            "byte": int(byte(level)),
            "lines": [line.round(3).tolist() for line in generator.lines(level)],
        }
        for mass, level in zip(density.masses, density.levels, strict=True)
    ]
    return {
        "contours": contours,
        "density": {
            "shape": list(density.log_density.shape),
            "first": [density.first[0], density.first[-1]],
            "second": [density.second[0], density.second[-1]],
            "data": packed_bytes(byte(density.log_density)),
        },
    }
