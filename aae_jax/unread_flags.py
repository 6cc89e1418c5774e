"""Flags of train.py that would change nothing: somebody believes that they do."""

from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.recipes import MODELS, unread
from aae_jax.wirings import WIRINGS

_PART_OF = {
    "consistency_radius": "consistency_weight",
    "consistency_probe": "consistency_weight",
    "instance_noise_final": "instance_noise",
}
"""Hyper-parameters that do nothing while another one is 0."""


def refuse_unread(config: Config, given: set[str]) -> None:
    """Refuse names of given flags that do nothing with the config.

    Raises:
      UserError: with the first such flag, and what it needs.
    """
    for name in config.unread:
        if name in given:
            flag = name.replace("_", "-")
            raise UserError(
                f"--{flag} does nothing with {_variant(config)}; leave it out, or "
                f"choose a model that reads it out of {', '.join(_readers(name))}"
            )
    _refuse_unread_labels(config, given)
    hyper = config.hyperparameters
    for name, weight in _PART_OF.items():
        if name in given and not getattr(hyper, weight):
            raise UserError(
                f"--{name.replace('_', '-')} does nothing while {weight} is 0; leave "
                f"it out, or give --{weight.replace('_', '-')} a number above 0"
            )
    finals = sorted(name for name in given if name.endswith("_final"))
    if finals and hyper.schedule != "cosine":
        raise UserError(
            f"--{finals[0].replace('_', '-')} is for the cosine schedule and yours is "
            f"{hyper.schedule}; leave it out, or add --schedule cosine"
        )
    epsilons = sorted(name for name in given if name.endswith("_epsilon"))
    if epsilons and hyper.optimizer != "adam":
        raise UserError(
            f"--{epsilons[0].replace('_', '-')} is Adam's and your optimizer is "
            f"{hyper.optimizer}; leave it out, or add --optimizer adam"
        )
    alone = config.model == "autoencoder" and config.network == "conv"
    if "hidden" in given and alone:
        raise UserError(
            "--hidden does nothing with --model autoencoder --network conv, whose "
            "networks are convolutional; leave it out, or use --network mlp"
        )
    if "prior_shape" in given and config.prior != "gamma":
        raise UserError(
            f"--prior-shape does nothing with --prior {config.prior}; leave it out, or "
            "add --prior gamma"
        )


def _refuse_unread_labels(config: Config, given: set[str]) -> None:
    """The same of flags about labels and clusters."""
    learners = ", ".join(
        name
        for name, wiring in WIRINGS.items()
        if wiring.has_categories and name != "clustering"
    )
    advice = {}
    if not config.finds_clusters:
        advice["clusters"] = "add --model clustering, or dim-reduction with --labels 0"
    if not config.wiring.has_categories or config.model == "clustering":
        for name in ("n_classes", "labels"):
            advice[name] = f"choose a model that has classes out of {learners}"
    elif config.labels == 0:
        advice["n_classes"] = "give --labels a number above 0"
    for name in sorted(given & advice.keys()):
        flag = name.replace("_", "-")
        raise UserError(
            f"--{flag} does nothing with {_variant(config)}; leave it out, or "
            f"{advice[name]}"
        )


def _variant(config: Config) -> str:
    """The flags that make the variant what it is."""
    alone = config.labels == 0 and config.model == "dim-reduction"
    return f"--model {config.model}{' --labels 0' if alone else ''}"


def _readers(name: str) -> list[str]:
    return [
        model for model in MODELS if name not in unread(model, finds_clusters=False)
    ]
