"""A discriminator that has won or died is told while it happens, and no other is."""

from dataclasses import replace

import numpy as np
import pytest

from aae_jax.fitting import fit
from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM
from aae_jax.options import RunOptions
from aae_jax.stalemate import WINDOW, stalemate


def line(loss, *, accuracy=0.6, ratio=1.5, name="discriminator"):
    validation = {"latent": {"ratio": ratio}, f"{name}_accuracy": accuracy}
    return {"losses": {name: loss, "generator": 0.7}, "validation": validation}


TOSS = DISCRIMINATOR_EQUILIBRIUM
WON = (line(0.5, accuracy=0.97), line(0.3))
DIED = (line(TOSS, accuracy=0.5, ratio=9.0), line(1.9, accuracy=0.2, ratio=9.0))
HEALTHY = (
    line(TOSS, accuracy=0.5),  # the equilibrium: there is nothing to see
    line(1.2, ratio=20.0),  # far, and on its way
    line(0.75, accuracy=0.89),
    {"losses": {"reconstruction": 0.04}, "validation": {"latent": {"ratio": 50.0}}},
)


@pytest.mark.parametrize("one", WON)
def test_it_has_won_when_it_knows_nearly_all(one):
    assert "the discriminator has won" in stalemate([one] * WINDOW)


@pytest.mark.parametrize("one", DIED)
def test_it_has_died_when_it_sees_nothing_of_a_difference(one):
    assert "died" in stalemate([one] * WINDOW)
    assert "9.0 times as far from the prior" in stalemate([one] * WINDOW)


@pytest.mark.parametrize("one", HEALTHY)
def test_a_discriminator_at_work_is_no_stalemate(one):
    assert stalemate([one] * 2 * WINDOW) == ""


def test_the_discriminator_of_labels_is_watched_too():
    won = stalemate([line(0.1, name="label_discriminator")] * WINDOW)
    assert "the label discriminator has won" in won
    tossing = line(TOSS, ratio=9.0, name="label_discriminator")
    assert stalemate([tossing] * WINDOW) == ""  # as it should be at the end


@pytest.mark.parametrize("bad", [WON[0], DIED[0]])
def test_it_must_be_so_for_some_epochs_on_end(bad):
    assert stalemate([bad] * (WINDOW - 1)) == ""
    assert stalemate([bad] * WINDOW + [HEALTHY[1]] + [bad] * (WINDOW - 1)) == ""


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
