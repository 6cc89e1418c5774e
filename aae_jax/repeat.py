"""The commands that lead to a run again, and on from it."""

import dataclasses
from typing import Any

from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord
from aae_jax.unread_flags import refuse_unread

_ALWAYS = ("model", "prior", "z_dim", "recipe", "dataset", "hidden", "steps", "seed")


def set_by_hand(config: Config, n_train: int) -> dict[str, Any]:
    """The hyper-parameters of a run's config that its recipe has otherwise.

    What does nothing in the variant is left out.

    Args:
      n_train: images trained on; they decide the length where a recipe counts epochs.
    """
    ours = dataclasses.asdict(config.hyperparameters)
    theirs = recipe_of(config, n_train)
    return {
        name: value
        for name, value in ours.items()
        if value != theirs[name] and name != "epochs" and _is_read(config, name)
    }


def recipe_of(config: Config, n_train: int) -> dict[str, Any]:
    """The hyper-parameters of a config's recipe, its length in steps."""
    ours = dataclasses.asdict(config.hyperparameters)
    nothing: dict[str, Any] = dict.fromkeys(ours)
    plain = dataclasses.replace(config, **nothing)
    values = dataclasses.asdict(plain.hyperparameters)
    # The length in batches of the config: the recipe's own may be larger than the data.
    as_long = dataclasses.replace(plain, batch_size=ours["batch_size"])
    return values | {"steps": as_long.total_steps(n_train), "epochs": None}


def command_to_repeat(record: RunRecord) -> list[str]:
    """The words of the train.py command of a new run with the same config.

    There are none for a prior or phases made in Python: no command names code to run.
    """
    config = record.config
    if config.prior == "custom" or record.phases is not None:
        return []
    usual = Config(model=config.model, prior=config.prior)
    given = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if (name in _ALWAYS and _is_read(config, name))
        or name in set_by_hand(config, record.n_train)
        or _is_own_setting(name, config, usual)
    }
    words = ["python", "train.py"]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        values = value if isinstance(value, tuple) else (value,)
        words += [flag, *map(str, values)]
    devices = record.environment.get("devices")
    if isinstance(devices, int) and devices > 1:
        words += ["--devices", str(devices)]
    if record.init_from is not None:
        words += ["--init-from", record.init_from]
    return words


def commands_to_look(folder: RunFolder, *, ended: bool) -> dict[str, list[str]]:
    """By what can be done with a run: the words of the command for it."""
    path = str(folder.path)
    evaluate = ["python", "evaluate.py", "--run-dir", path]
    codes, images = ["--out", "codes.npz"], ["--out", "images.npz"]
    commands = {
        "Every picture, this report, and the metrics": evaluate,
        "Codes of the test images": [*evaluate, "--encode", "test", *codes],
        "New images": [*evaluate, "--sample", "100", *images],
    }
    if folder.codes.is_dir():
        commands["The codes over the training, as a GIF"] = [*evaluate, "--animate"]
    if ended:
        return commands
    return {"Go on": ["python", "train.py", "--resume", "--run-dir", path], **commands}


def _is_own_setting(name: str, config: Config, usual: Config) -> bool:
    """Whether a field that is no hyper-parameter has a value of its own."""
    if hasattr(config.hyperparameters, name) or not _is_read(config, name):
        return False
    value = getattr(config, name)
    default = usual.scale if name == "prior_scale" else getattr(usual, name)
    return value is not None and value != default


def _is_read(config: Config, name: str) -> bool:
    """Whether train.py takes a flag, which it does where it changes something."""
    try:
        refuse_unread(config, {name})
    except UserError:
        return False
    return True
