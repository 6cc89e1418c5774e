"""Which networks of a variant deal with classes or clusters; without jax."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wiring:
    """What the networks of a variant tell each other beside codes.

    A category is a class, or a cluster that training finds.

    Attributes:
      infers_y: the encoder has a second head, for the category of an image.
      decodes_y: the decoder reads the category beside the code: the one inferred where
        there is one, else the label.
      discriminates_y: the discriminator sees the label beside the code, and a class of
        its own for images without one.
      parts_prior: the label chooses the part of the prior that an image's code is to
        lie on.
      adds_heads: the decoder reads the code plus the head of its category, a point for
        each category in the space of the codes.
    """

    infers_y: bool = False
    decodes_y: bool = False
    discriminates_y: bool = False
    parts_prior: bool = False
    adds_heads: bool = False

    @property
    def has_categories(self) -> bool:
        """Whether there is any category to speak of."""
        return self != Wiring()


WIRINGS: Mapping[str, Wiring] = {
    "aae": Wiring(),
    "aae-joint": Wiring(),
    "autoencoder": Wiring(),
    "supervised": Wiring(decodes_y=True, discriminates_y=True),
    "label-prior": Wiring(discriminates_y=True, parts_prior=True),
    "semi-supervised": Wiring(infers_y=True, decodes_y=True),
    "clustering": Wiring(infers_y=True, decodes_y=True),
    "dim-reduction": Wiring(infers_y=True, adds_heads=True),
}
"""What is wired in each model.

Source: Makhzani et al. 2015, sections 2.3 (label-prior), 4 (supervised), 5
(semi-supervised), 6 (clustering) and 7 (dim-reduction). In the paper the discriminator
of `supervised` sees no label: classes then share the prior out among them, and the code
still tells the class; see docs/classes.md.
"""


def models_that(does: str) -> list[str]:
    """Names of the models with a part of the wiring, such as `infers_y`."""
    return [model for model, wiring in WIRINGS.items() if getattr(wiring, does)]
