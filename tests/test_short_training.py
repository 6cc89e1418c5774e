"""A short real training: the algorithm does what it is for."""

import dataclasses

import jax
import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.data import load_dataset
from aae_jax.fitting import fit
from aae_jax.options import RunOptions

pytestmark = pytest.mark.usefixtures("optimized", "without_coverage")


def test_a_short_training_on_digits_brings_codes_and_prior_together(tmp_path):
    digits = load_dataset("sample")
    dataset = dataclasses.replace(
        digits,
        x_train=digits.x_train[::4],
        y_train=digits.y_train[::4],
        x_test=digits.x_test[::4],
        y_test=digits.y_test[::4],
    )
    config = Config(hidden=(128, 128), steps=1200, batch_size=50)
    options = RunOptions(run_dir=tmp_path / "run", quiet=True, no_figures=True)
    run = fit(config, dataset=dataset, options=options)
    log = run.folder.read_log()
    first, last = log[0], log[-1]
    assert last["losses"]["reconstruction"] < 0.7 * first["losses"]["reconstruction"]
    ratios = [line["validation"]["latent"]["ratio"] for line in log]
    assert ratios[-1] < 0.7 * ratios[0]
    assert abs(last["losses"]["discriminator"] - 1.386) < 0.3
    assert abs(last["losses"]["generator"] - 0.693) < 0.3
    metrics = run.metrics()
    assert metrics["reconstruction_mse"] < 0.065
    assert metrics["knn_accuracy"] > 0.25
    assert 0.4 < metrics["discriminator_accuracy"] < 0.8
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))
