"""A discriminator that has won or died, so that the encoder learns nothing from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM

WINDOW = 3
"""So many epochs in a row it must be so: the first often begin that way."""
_WON_ACCURACY, _WON_LOSS = 0.95, 0.4
_DIED_LOSS, _FAR_RATIO = DISCRIMINATOR_EQUILIBRIUM - 0.005, 3.0

_WON = (
    f"the discriminator has won: for {WINDOW} epochs it has told nearly all codes from "
    "samples of the prior, which teaches the encoder little; try a higher "
    "--generator-rate, a lower --discriminator-rate, or --instance-noise 0.3 "
    "(docs/tuning.md)"
)
_DIED = (
    f"the discriminator has died: for {WINDOW} epochs it has done no better than a "
    f"coin, though the codes are over {_FAR_RATIO:.0f} times as far from the prior as "
    "samples of it are; try a higher --discriminator-rate, --initializer lecun, or "
    "another --seed (docs/tuning.md)"
)
_LABELS_WON = (
    f"the label discriminator has won: for {WINDOW} epochs it has told nearly all "
    "inferred categories from drawn ones, which teaches the encoder little; try a "
    "higher --label-generator-rate or a lower --discriminator-rate (docs/tuning.md)"
)


def stalemate(lines: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with a discriminator by the last `WINDOW` lines of the log, if any.

    The discriminator of the codes has won where in each of them it sorted 95% of
    held-out codes and as many prior samples rightly, or its loss was below 0.4 nats;
    that of the labels where its loss was. The one of the codes has died where its loss
    was 2 ln 2 - 0.005 or more, a coin toss's, while the codes were 3 times or more as
    far from the prior as samples are: there is a difference, and it does not see it.

    Returns:
      A sentence with what to try, the same one for the same ill; or None.
    """
    last = list(lines)[-WINDOW:]
    if len(last) < WINDOW:
        return None
    if all(map(_has_won, last)):
        return _WON
    if all(map(_has_died, last)):
        return _DIED
    if all(_loss(line, "label_discriminator") < _WON_LOSS for line in last):
        return _LABELS_WON
    return None


def _has_won(line: Mapping[str, Any]) -> bool:
    accuracy = line["validation"].get("discriminator_accuracy", 0.0)
    return accuracy >= _WON_ACCURACY or _loss(line, "discriminator") < _WON_LOSS


def _has_died(line: Mapping[str, Any]) -> bool:
    far = line["validation"]["latent"]["ratio"] >= _FAR_RATIO
    return far and _DIED_LOSS <= _loss(line, "discriminator") < float("inf")


def _loss(line: Mapping[str, Any], name: str) -> float:
    """Infinite where there is no such discriminator."""
    return line["losses"].get(name, float("inf"))
