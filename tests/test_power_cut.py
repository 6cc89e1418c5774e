"""A power cut at any moment: what counts as saved is on disk, and nothing is half.

The disk is a model, see power_cut; files and calls are the real ones.
"""

import sys

import pytest
from checkpoint_states import assert_loads, leaf_bytes, load, make_state
from power_cut import watched, write_tree

from aae_jax.checkpoint import save_checkpoint
from aae_jax.run_folder import RunFolder
from aae_jax.small_files import read_json, write_json

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="asks /proc which file is flushed"
)


def test_a_checkpoint_counts_as_saved_when_it_is_on_disk(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    log = RunFolder(run)
    save_checkpoint(run / "checkpoints", make_state(100), step=100)
    with watched(run) as power:
        log.append_log({"step": 200, "losses": {}})
        save_checkpoint(run / "checkpoints", make_state(200), step=200, keep=1)
        after = power.cut()
    assert len(power.trees) > 10
    steps = set()
    for index, tree in enumerate(power.trees):
        loaded = load(write_tree(tree, tmp_path / str(index)) / "checkpoints")
        assert leaf_bytes(loaded.state) == leaf_bytes(make_state(loaded.step))
        steps.add(loaded.step)
    assert steps == {100, 200}
    for index, tree in enumerate(after):
        left = RunFolder(write_tree(tree, tmp_path / f"after {index}"))
        assert_loads(left.checkpoints, 200)
        assert [line["step"] for line in left.read_log()] == [200]


def test_the_first_checkpoint_is_there_or_none(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with watched(run) as power:
        save_checkpoint(run / "checkpoints", make_state(100), step=100)
        after = power.cut()
    for index, tree in enumerate(power.trees):
        loaded = load(write_tree(tree, tmp_path / str(index)) / "checkpoints")
        assert loaded is None or loaded.step == 100
    for index, tree in enumerate(after):
        assert_loads(write_tree(tree, tmp_path / f"after {index}") / "checkpoints", 100)


def test_a_step_that_is_saved_anew_is_never_gone(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    save_checkpoint(run / "checkpoints", make_state(100), step=100)
    with watched(run) as power:
        save_checkpoint(run / "checkpoints", make_state(100), step=100)
    for index, tree in enumerate(power.trees):
        assert_loads(write_tree(tree, tmp_path / str(index)) / "checkpoints", 100)


def test_a_small_file_is_the_old_one_or_the_new(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "config.json", {"value": 1})
    with watched(run) as power:
        write_json(run / "config.json", {"value": 2})
        after = power.cut()
    values = [
        read_json(write_tree(tree, tmp_path / str(index)) / "config.json")["value"]
        for index, tree in enumerate([*power.trees, *after])
    ]
    assert set(values) == {1, 2}
    assert values[-2:] == [2, 2]


def test_a_run_s_folder_is_on_disk_with_all_those_that_it_lies_in(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    with watched(place) as power:
        RunFolder(place / "several" / "deep" / "run").make()
        after = power.cut()
    assert after == [{"several": {"deep": {"run": {}}}}] * 2


def test_a_run_s_folder_that_somebody_has_just_made_is_on_disk_too(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    with watched(place) as power:
        (place / "run").mkdir()
        RunFolder(place / "run").make()
        after = power.cut()
    assert after == [{"run": {}}] * 2
