"""Versions of config.json: what older ones did not say, and meant all the same."""

from collections.abc import Mapping
from typing import Any

FORMAT_VERSION = 4

_ADDED: Mapping[int, Mapping[str, Any]] = {
    2: {
        "encoder": "deterministic",
        "labels": "all",
        "n_classes": None,
        "clusters": None,
        "batch_norm": False,
        "optimizer": "adam",
        "label_generator_rate": 0.001,
        "label_generator_beta1": 0.9,
        "label_generator_epsilon": 1e-8,
        "label_generator_final": 1.0,
        "classification_rate": 0.001,
        "classification_beta1": 0.9,
        "classification_epsilon": 1e-8,
        "classification_final": 1.0,
        "shift": 0,
        "head_distance": 6.0,
        "aggregated_categories": False,
        "entropy_weight": 0.0,
        "consistency_weight": 0.0,
        "consistency_radius": 2.0,
    },
    3: {"consistency_probe": 0.01},
    4: {"network": "mlp"},
}
"""Fields that came to the config with each version, as runs before did without them."""


def upgraded(config: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A stored config of a version as one of today's; fields that it has are kept.

    Raises:
      ValueError: there is no such version.
    """
    if version not in range(1, FORMAT_VERSION + 1):
        raise ValueError(f"its format version is {version!r}")
    values: dict[str, Any] = {}
    for newer in range(version + 1, FORMAT_VERSION + 1):
        values |= _ADDED[newer]
    return values | dict(config)
