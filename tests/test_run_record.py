"""The record of a run: what it may be gone on with."""

import dataclasses

import pytest

from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.run_record import RunRecord

STORED = Config(steps=30, batch_size=10, seed=4, dataset="here")


def resumed(given, n_train=100):
    record = RunRecord(STORED, (8, 8, 1), n_train, {}, {}, "train.py")
    return record.resumed(given)


def test_resuming_with_the_same_values_changes_nothing():
    assert resumed({}) == STORED
    same = {"steps": 30, "seed": 4, "dataset": "here", "epochs": None}
    assert resumed(same) == STORED


def test_resuming_with_other_values_names_each_of_them():
    with pytest.raises(UserError) as caught:
        resumed({"seed": 5, "z_dim": 2, "prior": "gamma"})
    message = str(caught.value)
    assert "seed is 4 in the run and 5 now" in message
    assert "prior is 'normal' in the run and 'gamma' now" in message
    assert "z_dim" not in message


def test_resuming_compares_epochs_through_steps():
    assert resumed({"epochs": 3}, n_train=109) == STORED
    with pytest.raises(UserError, match="steps is 30 in the run and 40 now"):
        resumed({"epochs": 4}, n_train=109)
    with pytest.raises(UserError, match="steps is 30 in the run and 33 now"):
        resumed({"epochs": 3}, n_train=110)


def test_the_data_of_a_resumed_run_may_have_moved():
    moved = resumed({"dataset": "there"})
    assert moved == dataclasses.replace(STORED, dataset="there")
