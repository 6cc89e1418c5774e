"""The command in a report leads to a run with the same config."""

import dataclasses
import shlex

import pytest

from aae_jax.cli import training_request
from aae_jax.config import Config
from aae_jax.options import RunOptions
from aae_jax.phases import Phase
from aae_jax.repeat import command_to_repeat, set_by_hand
from aae_jax.run_start import make_record, settle

pytest_plugins = ["script_fixtures"]


def record_of(config, dataset, *, phases=None, **environment):
    """What config.json would say of a run."""
    settled = settle(config, dataset, RunOptions())
    record = make_record(settled, dataset, RunOptions(), phases=phases, say=None)
    environment = {**record.environment, **environment}
    return dataclasses.replace(record, environment=environment)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--model aae-joint --prior uniform --prior-scale 3 --hidden 16 --epochs 3",
        "--prior gamma --prior-shape 3 --z-dim 5 --encoder gaussian --steps 7 --seed 9",
        "--recipe guide --optimizer sgd --generator-rate 1e-05 --image-size 9 8",
        "--model semi-supervised --labels 40 --batch-norm False --shift 1",
        "--model dim-reduction --labels 0 --clusters 7 --hidden 8 8 8",
        "--model clustering --consistency-weight 0",
        "--model label-prior --prior mixture --n-classes 6",
        "--model autoencoder --input-noise 0 --schedule constant",
        "--model aae-joint --network conv --hidden 30",
        "--model autoencoder --network conv",
    ],
)
def test_the_command_makes_the_same_config(flags, tiny_dataset, data_file):
    line = f"--batch-size 20 --dataset {data_file} {flags}"
    config = training_request(line.split()).config
    record = record_of(config, tiny_dataset)
    python, script, *words = command_to_repeat(record)
    assert (python, script) == ("python", "train.py")
    again = training_request(shlex.split(shlex.join(words)))
    assert settle(again.config, tiny_dataset, again.options) == record.config


def test_only_what_the_recipe_has_otherwise_was_set_by_hand(tiny_dataset):
    config = Config(batch_size=20, epochs=40)  # the length that the recipe gives, too
    settled = settle(config, tiny_dataset, RunOptions())
    assert set_by_hand(settled, 360) == {"batch_size": 20}
    config = dataclasses.replace(config, epochs=2, head_distance=1.0, input_noise=0.0)
    settled = settle(config, tiny_dataset, RunOptions())
    assert set_by_hand(settled, 360) == {
        "batch_size": 20,
        "steps": 36,
        "input_noise": 0.0,  # and head_distance does nothing here
    }


def test_what_beside_the_config_decides_the_bits_is_repeated(tiny_dataset):
    config = Config(batch_size=20, dataset="sample")
    record = record_of(config, tiny_dataset, devices=4)
    record = dataclasses.replace(record, init_from="runs/an other")
    words = command_to_repeat(record)
    assert words[-4:] == ["--devices", "4", "--init-from", "runs/an other"]


def test_no_command_repeats_what_was_made_in_python(tiny_dataset):
    config = Config(batch_size=20, dataset="sample")
    mine = Phase("mine", lambda *_: None, ("encoder",), "reconstruction")
    assert command_to_repeat(record_of(config, tiny_dataset, phases=(mine,))) == []
    custom = dataclasses.replace(config, prior="custom")
    assert command_to_repeat(record_of(custom, tiny_dataset)) == []
