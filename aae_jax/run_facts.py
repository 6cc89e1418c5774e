"""What was trained, as texts for a page: data, length, networks, recipe, commands."""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from aae_jax.networks import SUBSETS
from aae_jax.repeat import (
    command_to_repeat,
    commands_to_look,
    recipe_of,
    set_by_hand,
)
from aae_jax.run import Run
from aae_jax.variants import phases_of

_NAMED = 30  # classes
_VERSIONS = ("python", "aae-jax", "jax", "jaxlib", "flax", "optax", "numpy")

Row = Mapping[str, str]


def facts_of(run: Run) -> list[Row]:
    """What was trained, on what, where: a name and a text each."""
    record, config = run.record, run.record.config
    phases = record.phases or [phase.name for phase in phases_of(config)]
    height, width, channels = record.image_shape
    names = [str(each) for each in record.dataset.get("class_names") or ()]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    batch_size = config.hyperparameters.batch_size
    epochs = run.record.config.total_steps() / config.steps_per_epoch(record.n_train)
    facts = {
        "Model": f"{config.model}; each step runs {', '.join(phases)}",
        "Prior": _prior_text(run),
        "Code": f"{config.z_dim:,} numbers from a {config.encoder} encoder",
        "Labels": _labels_text(run),
        "Data": f"{record.dataset['name']}, images of {height} x {width} x {channels}",
        "Images": _sizes_text(run),
        "Classes": ", ".join(names[:_NAMED]) + more,
        "SHA-256 of the data": record.dataset["fingerprint"],
        "Length": f"{config.total_steps():,} steps of {batch_size:,} images, "
        f"{epochs:,.4g} epochs",
        "Recipe": config.recipe,
        "Seed": str(config.seed),
        "First weights": record.init_from and f"those of {record.init_from}",
        "Machine": _machine_text(record.environment),
        "Versions": ", ".join(
            f"{name} {record.environment.get(name)}" for name in _VERSIONS
        ),
    }
    return [{"name": name, "value": text} for name, text in facts.items() if text]


def _prior_text(run: Run) -> str:
    config, prior = run.record.config, run.model.prior
    if config.prior == "custom":
        return f"{prior.name}, made in Python"
    text = f"{config.prior}, scale {config.scale:g}"
    return f"{text}, shape {config.prior_shape:g}" if config.prior == "gamma" else text


def _labels_text(run: Run) -> str:
    """What a variant with categories learns them from."""
    config = run.record.config
    if not config.wiring.has_categories:
        return ""
    if config.finds_clusters:
        return f"none; {config.n_categories:,} clusters are looked for"
    labels = "all" if config.labels == "all" else f"{config.labels:,}"
    return f"{labels} of {config.n_categories:,} classes are learned from"


def _sizes_text(run: Run) -> str:
    n_train, shapes = run.record.n_train, run.record.dataset.get("shapes") or {}
    parts = [f"{n_train:,} trained on"]
    if shapes.get("x_train"):
        parts.append(f"{shapes['x_train'][0] - n_train:,} held out")
    if shapes.get("x_test"):
        parts.append(f"{shapes['x_test'][0]:,} to test on")
    return ", ".join(parts)


def _machine_text(environment: Mapping[str, Any]) -> str:
    parts = [str(environment.get(name)) for name in ("platform", "device")]
    text = ", ".join([*parts, f"{environment.get('cores')} cores"])
    devices, together = environment.get("devices"), environment.get("together")
    if devices not in (None, 1):
        text += f"; {devices} devices share each batch"
    if together not in (None, 1):
        text += f"; {together} seeds trained in one program"
    return text


def network_values(run: Run) -> dict[str, Any]:
    """The networks and their sizes; the hyper-parameters, and those set by hand."""
    config, networks = run.record.config, run.model.networks
    rows = [
        {
            "name": name.replace("_", " "),
            "reads": f"{networks.inputs[name]:,}",
            "weights": f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,}",
        }
        for name in SUBSETS
        if (params := run.params.get(name)) is not None
    ]
    by_hand = set_by_hand(config, run.record.n_train)
    usual = recipe_of(config, run.record.n_train)
    ours = dataclasses.asdict(config.hyperparameters)
    skipped = {"epochs", *config.unread}
    widths = " and ".join(f"{width:,}" for width in config.hidden) or "no"
    hidden = f"Hidden layers have {widths} units."
    if config.network == "conv":
        hidden = (
            "Encoder and decoder are made of convolutions; hidden layers of other "
            f"networks have {widths} units."
        )
    return {
        "networks": rows,
        "hidden": hidden,
        "recipe": f"Hyper-parameters are those of the recipe {config.recipe}"
        + (", but for:" if by_hand else ", all of them."),
        "by_hand": [
            {"name": name, "value": _setting(value), "usual": _setting(usual[name])}
            for name, value in by_hand.items()
        ],
        "hyperparameters": [
            {"name": name, "value": _setting(value)}
            for name, value in ours.items()
            if name not in skipped
        ],
    }


def command_values(run: Run, *, ended: bool) -> dict[str, Any]:
    """The command that repeats a run, the one that began it, those to look further."""
    command = command_to_repeat(run.record)
    further = commands_to_look(run.folder, ended=ended)
    return {
        "repeat": [{"command": _pieces(map(shlex.quote, command))}] if command else [],
        "started": _pieces(run.record.command.split(" ")),
        "further": [
            {"what": what, "command": _pieces(map(shlex.quote, words))}
            for what, words in further.items()
        ],
    }


def _pieces(words: Iterable[str]) -> list[Row]:
    """A command in pieces between which a line may end: a flag keeps its values."""
    pieces: list[str] = []
    for word in words:
        if word.startswith("--") or len(pieces) < 2:
            pieces.append(word)
        else:
            pieces[-1] += f" {word}"
    return [{"piece": piece} for piece in pieces]


def _setting(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
