"""What a stranger has to know of exported networks: names, shapes, origin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
"""Of arrays by their names, each without its first dimension, the rows."""


@dataclass(frozen=True)
class About:
    """What exported networks read and give, and the run that they are from.

    Attributes:
      title: the run's name.
      image_shape: `(height, width, channels)`.
      z_dim, n_categories: widths of z and y.
      category: what y tells, `class` or `cluster`.
      infers_y, decodes_y: whether the encoder gives y, and the decoder reads it.
      facts: texts, numbers and lists, for JSON.
    """

    title: str
    image_shape: tuple[int, int, int]
    z_dim: int
    n_categories: int
    category: str
    infers_y: bool
    decodes_y: bool
    facts: Mapping[str, Any]

    @property
    def images(self) -> Shapes:
        """What the encoder reads."""
        return {"x": self.image_shape}

    @property
    def code(self) -> Shapes:
        """What the encoder gives."""
        return self._code(with_y=self.infers_y)

    @property
    def decoder_inputs(self) -> Shapes:
        """What the decoder reads."""
        return self._code(with_y=self.decodes_y)

    @property
    def decoded(self) -> Shapes:
        """What the decoder gives."""
        return {"x_hat": self.image_shape}

    @property
    def metadata(self) -> dict[str, str]:
        """The facts as texts, those that are none as JSON."""
        return {
            name: fact if isinstance(fact, str) else json.dumps(fact)
            for name, fact in self.facts.items()
        }

    def _code(self, *, with_y: bool) -> Shapes:
        z = {"z": (self.z_dim,)}
        return z | {"y": (self.n_categories,)} if with_y else z
