"""What config.json says of a run. No jax is imported here."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.measured_values import is_count

_MOST_PIXELS = 2**16  # a side


@dataclass(frozen=True)
class RunRecord:
    """What config.json says.

    Attributes:
      config: as the run uses it, its length in steps.
      image_shape: `(height, width, channels)`.
      n_train: images trained on, those held out not counted.
      dataset: name, fingerprint (SHA-256), class names and shapes of the data, and the
        fingerprints of those `before`, where others were accepted; runs of earlier
        versions have no shapes.
      environment: versions, platform, device, cores.
      command: what was typed.
      phases: names of the phases that were given in Python; None for a variant's own.
      init_from: the run whose weights this one began with; None for random ones.
    """

    config: Config
    image_shape: tuple[int, int, int]
    n_train: int
    dataset: Mapping[str, Any]
    environment: Mapping[str, Any]
    command: str
    phases: tuple[str, ...] | None = None
    init_from: str | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RunRecord":
        """The record that JSON holds. Anybody may have written it: types are checked.

        Raises:
          KeyError, TypeError, ValueError, OverflowError: it is not one of ours.
        """
        height, width, channels = stored["image_shape"]
        record = cls(
            config=Config.from_json(stored["config"]),
            image_shape=(height, width, channels),
            n_train=stored["n_train"],
            dataset=dict(stored["dataset"]),
            environment=dict(stored["environment"]),
            command=stored["command"],
            phases=tuple(stored["phases"]) if stored.get("phases") else None,
            init_from=stored.get("init_from"),
        )
        names = record.dataset["class_names"]
        texts = [
            record.config.dataset,
            record.dataset["name"],
            record.dataset["fingerprint"],
            record.command,
            *(names or ()),
            *record.dataset.get("before", ()),
            *(record.phases or ()),
            *(() if record.init_from is None else (record.init_from,)),
        ]
        shapes = [
            shape
            for shape in dict(record.dataset.get("shapes", {})).values()
            if shape is not None
        ]
        if not all(isinstance(each, list) for each in (names or [], *shapes)):
            raise ValueError("class_names or shapes are no lists")
        if max(height, width) > _MOST_PIXELS or channels not in (1, 3):
            raise ValueError(f"no images have the shape {stored['image_shape']}")
        counts = [*record.image_shape, record.n_train]
        counts += [side for shape in shapes for side in shape]
        if not all(is_count(count) for count in counts) or not all(
            isinstance(text, str) for text in texts
        ):
            raise ValueError("a value has the wrong type")
        return record

    def resumed(self, given: Mapping[str, Any]) -> Config:
        """The config to go on with: the stored one, unless a flag contradicts it.

        Args:
          given: what was asked for explicitly, by field. `dataset` may differ: the data
            may have moved, and are compared by their fingerprint.

        Raises:
          UserError: fields differ; both values of each are named.
        """
        given, stored = dict(given), self.config
        if given.get("epochs") is not None:
            length = dataclasses.replace(stored, epochs=given.pop("epochs"), steps=None)
            given["steps"] = length.total_steps(self.n_train)
        differing = [
            f"{name} is {there!r} in the run and {here!r} now"
            for name, here in given.items()
            if (there := getattr(stored, name)) != here and name != "dataset"
        ]
        if differing:
            raise UserError(
                "a run is resumed with the config it began with: "
                f"{'; '.join(differing)}; leave those flags out, or start a new run, "
                "with this one's weights by --init-from"
            )
        return dataclasses.replace(stored, dataset=given.get("dataset", stored.dataset))
