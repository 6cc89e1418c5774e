"""A discriminator that has won or died is told while it happens, and no other is."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.fitting import fit
from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM
from aae_jax.options import RunOptions
from aae_jax.stalemate import WINDOW, stalemate


def line(loss, *, accuracy=0.6, ratio=1.5):
    validation = {"latent": {"ratio": ratio}, "discriminator_accuracy": accuracy}
    losses = {"discriminator": loss, "generator": 0.7}
    return {"losses": losses, "validation": validation}


def with_labels(loss):
    found = line(1.3, ratio=9.0)
    return found | {"losses": found["losses"] | {"label_discriminator": loss}}


TOSS = DISCRIMINATOR_EQUILIBRIUM
BAD = {
    "it knows nearly all": (line(0.5, accuracy=0.97), "the discriminator has won: "),
    "its loss is low": (line(0.3), "the discriminator has won: "),
    "it sees nothing": (line(TOSS, ratio=9.0), "the discriminator has died: "),
    "it is worse than a coin": (line(1.9, ratio=9.0), "the discriminator has died: "),
    "it knows all labels": (with_labels(0.1), "the label discriminator has won: "),
}
HEALTHY = {
    "the equilibrium": line(TOSS, accuracy=0.5),
    "far and on its way": line(1.2, ratio=20.0),
    "strong": line(0.75, accuracy=0.89),
    "labels at their equilibrium": with_labels(TOSS),
    "no discriminator": {
        "losses": {"reconstruction": 0.04},
        "validation": {"latent": {"ratio": 50.0}},
    },
}


@pytest.mark.parametrize(("one", "told"), BAD.values(), ids=BAD)
def test_what_is_wrong_for_some_epochs_on_end_is_told(one, told):
    assert stalemate([one] * WINDOW).startswith(told)
    assert stalemate([one] * (WINDOW - 1)) is None
    between = [one] * WINDOW + [HEALTHY["strong"]] + [one] * (WINDOW - 1)
    assert stalemate(between) is None


@pytest.mark.parametrize("one", HEALTHY.values(), ids=HEALTHY)
def test_a_discriminator_at_work_is_no_stalemate(one):
    assert stalemate([one] * 2 * WINDOW) is None


def test_every_flag_that_is_to_be_tried_is_one_that_the_model_reads():
    for one, told in BAD.values():
        model = "semi-supervised" if "label" in told else "aae"
        flags = re.findall(r"--([a-z-]+)", stalemate([one] * WINDOW))
        names = {flag.replace("-", "_") for flag in flags}
        assert names
        assert not names & set(Config(model=model).unread)


@pytest.fixture(scope="module")
def many_images(tiny_dataset):
    """Ten times as many, so that distances from the prior are measured well."""
    x, y = (
        np.tile(tiny_dataset.x_train, (10, 1, 1, 1)),
        np.tile(tiny_dataset.y_train, 10),
    )
    return replace(tiny_dataset, x_train=x, y_train=y)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"generator_rate": 1e-9, "instance_noise": 0.0}, "has won"),
        ({"discriminator_rate": 1e-9, "initializer": "normal"}, "has died"),
        ({"discriminator_rate": 0.0}, None),  # it was not to learn
    ],
)
def test_it_is_told_once_while_the_training_goes_on(
    tiny_config, many_images, tmp_path, changes, told
):
    steps = 5 * 180  # epochs
    config = replace(tiny_config, steps=steps, discriminator_rate=0.01)
    said = []
    fit(
        replace(config, **changes),
        dataset=many_images,
        options=RunOptions(run_dir=tmp_path / "run", quiet=True, no_figures=True),
        say=said.append,
    )
    if told is None:
        assert said == []
    else:
        (sentence,) = said
        assert sentence.startswith(f"{tmp_path / 'run'}: the discriminator {told}: ")
