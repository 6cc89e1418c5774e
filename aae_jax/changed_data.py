"""Data that are not those which a run was trained on: refused, or accepted and told."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from aae_jax.errors import UserError
from aae_jax.options import RunOptions
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord


def changed_data(
    folder: RunFolder, stored: RunRecord, options: RunOptions, *, now: RunRecord
) -> str:
    """How the data differ from those that a run was trained on; '' if they do not.

    Raises:
      UserError: they do, and that is not accepted; or the images to train on and hold
        out are more, fewer or of another size, which no flag accepts: they would be
        split anew, and some that were trained on be held out.
    """
    if stored.dataset["fingerprint"] == now.dataset["fingerprint"]:
        return ""
    changes = _told_changes(stored.dataset, now.dataset)
    split_anew = _split_anew(stored, now)
    if options.accept_changed_data and not split_anew:
        return changes
    accept = "" if split_anew else ", accept that with --accept-changed-data"
    raise UserError(
        f"the data are not those that {folder.path} was trained on "
        f"({stored.dataset['name']!r}): {changes}; give the same --dataset as it was "
        f"then{accept}, or begin a new run with --init-from "
        f"{shlex.quote(str(folder.path))}"
    )


def _split_anew(then: RunRecord, now: RunRecord) -> bool:
    """Whether there are other numbers of images to train on and hold out."""
    shapes = then.dataset.get("shapes", {})
    if "x_train" not in shapes:  # of earlier versions
        return (then.n_train, then.image_shape) != (now.n_train, now.image_shape)
    return _shown(shapes["x_train"]) != _shown(now.dataset["shapes"]["x_train"])


def _told_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`y_train was [400] and is [300]`, and both hashes."""
    shapes = then.get("shapes", {})
    told = [
        f"{name} was {_shown(shapes[name])} and is {_shown(shape)}"
        for name, shape in now["shapes"].items()
        if name in shapes and _shown(shapes[name]) != _shown(shape)
    ]
    hashes = [data["fingerprint"][:12] for data in (then, now)]
    told.append("the SHA-256 was {}... and is {}...".format(*hashes))
    return ", ".join(told)


def _shown(shape: Sequence[int] | None) -> str:
    return "absent" if shape is None else str(list(shape))
