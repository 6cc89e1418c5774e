"""Adversarial autoencoders in JAX: train one, see its latent space, measure the match.

The names below are imported when they are first used: `import aae_jax` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aae_jax.config import Config
    from aae_jax.data import Dataset, load_dataset
    from aae_jax.errors import RunError, UserError
    from aae_jax.fitting import fit, fit_seeds
    from aae_jax.options import RunOptions
    from aae_jax.phases import Batch, Phase
    from aae_jax.priors import Prior, make_prior
    from aae_jax.run import Run
    from aae_jax.signals import Interrupted
    from aae_jax.training import StepInfo, TrainState, init, make_step, make_update
    from aae_jax.variants import VARIANTS

_MODULES = {
    "Batch": "phases",
    "Config": "config",
    "Dataset": "data",
    "Interrupted": "signals",
    "Phase": "phases",
    "Prior": "priors",
    "Run": "run",
    "RunError": "errors",
    "RunOptions": "options",
    "StepInfo": "training",
    "TrainState": "training",
    "UserError": "errors",
    "VARIANTS": "variants",
    "fit": "fitting",
    "fit_seeds": "fitting",
    "init": "training",
    "load_dataset": "data",
    "make_prior": "priors",
    "make_step": "training",
    "make_update": "training",
}

__all__ = [
    "VARIANTS",
    "Batch",
    "Config",
    "Dataset",
    "Interrupted",
    "Phase",
    "Prior",
    "Run",
    "RunError",
    "RunOptions",
    "StepInfo",
    "TrainState",
    "UserError",
    "fit",
    "fit_seeds",
    "init",
    "load_dataset",
    "make_prior",
    "make_step",
    "make_update",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'aae_jax' has no attribute {name!r}")
    # Not a name out of a file: only those of the table above.
    module = importlib.import_module(f"aae_jax.{_MODULES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
