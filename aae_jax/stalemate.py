"""A discriminator that has won or died, so that the encoder learns nothing from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM

WINDOW = 3
"""So many epochs in a row it must be so: the first often begin that way."""
_WON_ACCURACY, _WON_LOSS = 0.95, 0.4
_DIED_LOSS, _FAR_RATIO = DISCRIMINATOR_EQUILIBRIUM - 0.005, 3.0


def stalemate(lines: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with the discriminators, and what to try; '' where nothing is.

    One has won where, in each of the last `WINDOW` epochs, it sorted 95% of held-out
    codes and as many prior samples rightly, or its loss was below 0.4 nats. The one of
    the codes has died where its loss was a coin toss's 2 ln 2, less 0.005 nats at most,
    while the codes were 3 times or more as far from the prior as samples of it are:
    there is a difference, and it does not see it.

    Args:
      lines: of the log, the newest last.
    """
    last = list(lines)[-WINDOW:]
    if len(last) < WINDOW:
        return ""
    for name in ("discriminator", "label_discriminator"):
        if all(_has_won(line, name) for line in last):
            return _told(
                name,
                f"has won: for {WINDOW} epochs it has told nearly all codes from "
                "samples, which teaches the encoder little",
                "a higher --generator-rate, a lower --discriminator-rate, or "
                "--instance-noise 0.3",
            )
    if all(map(_has_died, last)):
        ratio = last[-1]["validation"]["latent"]["ratio"]
        return _told(
            "discriminator",
            f"has died: for {WINDOW} epochs it has done no better than a coin, though "
            f"the codes are {ratio:.1f} times as far from the prior as samples are",
            "a higher --discriminator-rate, --initializer lecun, or another --seed",
        )
    return ""


def _has_won(line: Mapping[str, Any], name: str) -> bool:
    if name not in line["losses"]:
        return False
    accuracy = line["validation"].get(f"{name}_accuracy", 0.0)
    return accuracy >= _WON_ACCURACY or line["losses"][name] < _WON_LOSS


def _has_died(line: Mapping[str, Any]) -> bool:
    loss = line["losses"].get("discriminator", 0.0)
    return loss >= _DIED_LOSS and line["validation"]["latent"]["ratio"] >= _FAR_RATIO


def _told(name: str, what: str, attempt: str) -> str:
    return f"the {name.replace('_', ' ')} {what}; try {attempt} (docs/tuning.md)"
