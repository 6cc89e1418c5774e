"""What a Config may hold: the names and ranges of its fields, and what fits together.

Nothing here imports jax.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aae_jax.checks import check_name, check_number, check_sizes
from aae_jax.errors import UserError
from aae_jax.recipes import MODELS, OPTIMIZERS, RECIPES

if TYPE_CHECKING:
    from aae_jax.config import Config

PRIOR_SCALES = {
    "normal": 5.0,
    "uniform": 10.0,
    "gamma": 2.5,
    "mixture": 5.0,
    "swiss-roll": 5.0,
    "custom": 1.0,
}
"""Default scale of each named prior; `custom` is made in Python and has its own."""
PRIORS = tuple(name for name in PRIOR_SCALES if name != "custom")
PLANAR_PRIORS = ("mixture", "swiss-roll")
DEFAULT_CLUSTERS = {"clustering": 16, "dim-reduction": 20}
PARTED_PRIORS = (*PLANAR_PRIORS, "custom")
"""Those of which labels can choose a part."""
NETWORKS = ("mlp", "conv")
LEAST_SIDE = 8
"""Rows and columns of an image that has a convolution."""
ENCODERS = ("deterministic", "gaussian", "universal")
INITIALIZERS = ("normal", "lecun", "spread")
UPDATE_RULES = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "steps")

MOST_LAYERS = 64
"""Hidden layers of a network; each takes its time to compile."""

_NAMED = {
    "initializer": INITIALIZERS,
    "optimizer": UPDATE_RULES,
    "schedule": SCHEDULES,
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "z_dim": (1, 1024),
    "epochs": (1, 1_000_000),
    "steps": (1, 1_000_000_000),
    "batch_size": (2, 65_536),
    "seed": (0, 2**32 - 1),
    "n_classes": (2, 10_000),
    "clusters": (2, 10_000),
    "prior_scale": (1e-3, 1e3),
    "prior_shape": (0.1, 1e3),
    **{f"{each}_rate": (0, 10) for each in OPTIMIZERS},
    **{f"{each}_beta1": (0, 0.9999) for each in OPTIMIZERS},
    **{f"{each}_epsilon": (1e-12, 1) for each in OPTIMIZERS},
    **{f"{each}_final": (0, 1) for each in OPTIMIZERS},
    "reconstruction_weight": (0, 1e6),
    "reconstruction_weight_final": (0, 1),
    "instance_noise": (0, 10),
    "instance_noise_final": (0, 1),
    "gradient_penalty": (0, 1e3),
    "input_noise": (0, 10),
    "shift": (0, 64),
    "head_distance": (0, 100),
    "entropy_weight": (0, 1e6),
    "consistency_weight": (0, 1e6),
    "consistency_radius": (0, 1e3),
    "consistency_probe": (0, 1e3),
}
_REQUIRED = ("z_dim", "seed", "prior_shape")
_WHOLE = (
    "z_dim",
    "n_classes",
    "clusters",
    "epochs",
    "steps",
    "batch_size",
    "seed",
    "shift",
)


def check_config(config: "Config") -> None:
    """Refuse a config with a name that does not exist or a number out of its range.

    Raises:
      UserError: what was got, and what is allowed.
    """
    check_name("model", config.model, MODELS)
    check_name("recipe", config.recipe, RECIPES)
    check_name("prior", config.prior, PRIOR_SCALES, shown=PRIORS)
    check_name("encoder", config.encoder, ENCODERS)
    check_name("network", config.network, NETWORKS)
    for name, allowed in _NAMED.items():
        if (given := getattr(config, name)) is not None:
            check_name(name, given, allowed)
    for name, (low, high) in _RANGES.items():
        value = getattr(config, name)
        if value is not None or name in _REQUIRED:
            check_number(name, value, low, high, whole=name in _WHOLE)
    if config.prior in PLANAR_PRIORS and config.z_dim != 2:
        raise UserError(
            f"prior={config.prior!r} lies in the plane, got z_dim={config.z_dim}; "
            "use --z-dim 2, or normal, uniform or gamma for other dimensions"
        )
    if config.wiring.parts_prior and config.prior not in PARTED_PRIORS:
        raise UserError(
            f"model={config.model!r} lets labels choose a part of the prior, and "
            f"prior={config.prior!r} has none; use --prior mixture or swiss-roll"
        )
    _check_labels(config)
    if config.epochs is not None and config.steps is not None:
        raise UserError(
            f"got epochs={config.epochs} and steps={config.steps}; give one of them"
        )
    example = "(64, 64), --hidden 64 64"
    check_sizes("hidden", config.hidden, 65_536, example, most=MOST_LAYERS)
    if (size := config.image_size) is not None:
        check_sizes("image_size", size, 1024, "--image-size 28 28", least=2, most=2)
        if config.network == "conv":
            check_convolves(*size)
    name = config.dataset
    if not isinstance(name, str) or not name or "\0" in name:
        raise UserError(f"dataset={name!r} is no name; give such as mnist")
    for name in ("standardize_codes", "batch_norm", "aggregated_categories"):
        if (choice := getattr(config, name)) not in (None, True, False):
            raise UserError(f"{name}={choice!r} is neither True nor False")


def check_convolves(height: int, width: int) -> None:
    """Refuse images that `network="conv"` has no convolution for.

    Raises:
      UserError: one side is shorter than 8.
    """
    if min(height, width) < LEAST_SIDE:
        raise UserError(
            f"network='conv' is for images from {LEAST_SIDE} x {LEAST_SIDE} on, and "
            f"these are {height} x {width}; use --network mlp, or give --image-size "
            f"{max(height, LEAST_SIDE)} {max(width, LEAST_SIDE)}"
        )


def _check_labels(config: "Config") -> None:
    if config.labels == "all":
        return
    if isinstance(config.labels, str):
        raise UserError(f"labels={config.labels!r} is neither a number nor all")
    check_number("labels", config.labels, 0, 2**31 - 1, whole=True)
    learns = config.wiring.has_categories and config.model not in DEFAULT_CLUSTERS
    if config.labels == 0 and learns:
        raise UserError(
            f"labels=0 leaves model={config.model!r} nothing to learn classes from; "
            "give --labels a number above 0, or use --model clustering"
        )
