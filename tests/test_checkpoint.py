"""Checkpoints: exact round trips, which are kept, and what is refused."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from checkpoint_states import (
    OPTIMIZERS,
    assert_loads,
    folder_bytes,
    leaf_bytes,
    load,
    make_state,
    reseal,
    save_two,
)

from aae_jax import checkpoint_folder
from aae_jax.checkpoint import checkpoint_steps, save_checkpoint
from aae_jax.errors import UserError


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """Checkpoints of steps 100 and 200: copied by the tests that change them."""
    return save_two(tmp_path_factory.mktemp("run") / "checkpoints")


@pytest.fixture
def saved(saved_once, tmp_path):
    return Path(shutil.copytree(saved_once, tmp_path / "checkpoints"))


def test_a_training_state_comes_back_bit_for_bit(saved_once):
    before = folder_bytes(saved_once)
    loaded = load(saved_once, like=jax.eval_shape(lambda: make_state(0)))
    state = make_state(200)
    assert (loaded.step, loaded.record) == (200, {"lines": 200})
    assert leaf_bytes(loaded.state) == leaf_bytes(state)
    assert jax.tree.structure(loaded.state) == jax.tree.structure(state)
    assert jax.random.bits(loaded.state.key) == jax.random.bits(state.key)
    assert folder_bytes(saved_once) == before


def test_every_kind_of_leaf_comes_back(tmp_path):
    nan_with_payload = np.asarray([0x7FC12345, 0x80000000], np.uint32).view(np.float32)
    state = {
        "key": jax.random.split(jax.random.key(1, impl="rbg"), 3),
        "odd floats": jnp.asarray([*nan_with_payload, jnp.inf]),
        "bfloat16": jnp.asarray([1.5, -2], jnp.bfloat16),
        "bool": jnp.asarray([True, False]),
        "no elements": jnp.zeros((0, 3)),
        "names/with": {"dots. and ['quotes']": jnp.asarray(1, jnp.uint8)},
    }
    save_checkpoint(tmp_path, state, step=0)
    loaded = load(tmp_path, like=state).state
    assert leaf_bytes(loaded) == leaf_bytes(state)
    assert loaded["key"].dtype == state["key"].dtype


def test_a_loaded_state_needs_no_second_compilation(saved_once):
    @jax.jit
    def advance(state):
        gradients = jax.tree.map(jnp.ones_like, state.params)
        updates, optimizer = OPTIMIZERS[1].update(gradients, state.optimizers[1])
        return dataclasses.replace(
            state,
            params=optax.apply_updates(state.params, updates),
            optimizers=(state.optimizers[0], optimizer),
            step=state.step + 1,
        )

    expected = advance(make_state(200))
    assert leaf_bytes(advance(load(saved_once).state)) == leaf_bytes(expected)
    assert advance._cache_size() == 1


def test_two_leaves_of_one_name_are_refused(tmp_path):
    state = {"a": {"b": jnp.zeros(1)}, "a.b": jnp.ones(1)}
    with pytest.raises(ValueError, match="same name"):
        save_checkpoint(tmp_path, state, step=0)


def test_the_newest_three_are_kept(tmp_path):
    for step in range(5):
        save_checkpoint(tmp_path, make_state(step), step=step)
    assert checkpoint_steps(tmp_path) == [4, 3, 2]
    assert len(list(tmp_path.iterdir())) == 3
    assert_loads(tmp_path, 4)


@pytest.mark.parametrize("arguments", [{"step": -1}, {"step": 0, "keep": 0}])
def test_a_negative_step_or_keeping_none_is_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match="must be"):
        save_checkpoint(tmp_path, make_state(0), **arguments)


def test_without_a_completed_checkpoint_there_is_nothing_to_load(saved, tmp_path):
    assert load(tmp_path / "absent") is None
    (tmp_path / "empty").mkdir()
    assert load(tmp_path / "empty") is None
    (saved / "00000100").rename(saved / "00000100.writing.orbax-checkpoint-tmp")
    (saved / "00000200").rename(saved / "00000200.writing")
    assert load(saved) is None
    assert checkpoint_steps(saved) == []


def test_the_next_save_removes_what_an_unfinished_one_left(saved):
    for suffix in (".writing", ".writing.orbax-checkpoint-tmp", ".deleting"):
        shutil.copytree(saved / "00000200", saved / f"00000300{suffix}")
    (saved / "mine.txt").write_text("not a checkpoint")
    assert_loads(saved, 200)
    save_checkpoint(saved, make_state(300), step=300)
    names = {path.name for path in saved.iterdir()}
    assert names == {"00000100", "00000200", "00000300", "mine.txt"}


def test_a_step_saved_anew_replaces_the_old_one(saved):
    (saved / "00000200" / "manifest.json").write_bytes(b"")
    save_checkpoint(saved, make_state(200), step=200)
    assert_loads(saved, 200)
    assert {path.name for path in saved.iterdir()} == {"00000100", "00000200"}


def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(saved):
    shutil.rmtree(saved / "00000100")
    (saved / "00000200").rename(saved / "00000200.replaced")
    assert_loads(saved, 200)
    save_checkpoint(saved, make_state(200), step=200)
    assert [path.name for path in saved.iterdir()] == ["00000200"]


def test_damaged_later_checkpoints_go_when_the_run_went_on_before_them(saved):
    (saved / "00000200" / "manifest.json").write_bytes(b"")
    save_checkpoint(saved, make_state(150), step=150, keep=1)
    assert checkpoint_steps(saved) == [150]
    assert_loads(saved, 150)


def without_bias(state):
    encoder = {"kernel": state.params["encoder"]["kernel"]}
    return dataclasses.replace(state, params={**state.params, "encoder": encoder})


def with_extra(state):
    return dataclasses.replace(state, params={**state.params, "extra": jnp.zeros(3)})


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        (make_state(0, width=6), r"kernel is float32\[7, 5\], not float32\[7, 6\]"),
        (without_bias(make_state(0)), r"bias is float32\[2\], not expected"),
        (with_extra(make_state(0)), r"extra is missing, not float32\[3\]"),
        (
            dataclasses.replace(make_state(0), step=jnp.asarray(0.0)),
            r"step is int32\[\], not float32\[\]",
        ),
        (
            dataclasses.replace(make_state(0), key=jax.random.key(0, impl="rbg")),
            r"key is key<fry>\[\], not key<rbg>\[\]",
        ),
    ],
    ids=["shape", "left over", "missing", "dtype", "key implementation"],
)
def test_another_model_is_refused_with_the_differences(saved_once, like, expected):
    with pytest.raises(UserError, match=expected):
        load(saved_once, like=like)


def test_all_differences_are_listed(saved_once):
    with pytest.raises(UserError) as caught:
        load(saved_once, like=make_state(0, width=6))
    # Each kernel and its two moments in every optimizer that moves it.
    assert str(caught.value).count("float32[7, 6]") == 1 + 2 + 2
    assert str(caught.value).count("float32[6, 7]") == 1 + 2


def test_a_later_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr(checkpoint_folder, "FORMAT_VERSION", 2)
    reseal(saved / "00000200")
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"format 2, .* up to 1; install a newer"):
        load(saved)


def test_the_manifest_is_plain_json(saved_once):
    content = json.loads((saved_once / "00000200" / "manifest.json").read_text())
    assert content["content"]["format_version"] == 1
    assert content["content"]["leaf_types"]["params.encoder.kernel"] == "float32[7, 5]"


def test_saving_and_loading_are_silent_and_leave_the_logger_alone(saved, capfd):
    logger = logging.getLogger("absl")
    before = list(logger.filters)
    save_checkpoint(saved, make_state(300), step=300)
    assert_loads(saved, 300)
    assert capfd.readouterr() == ("", "")
    assert logger.filters == before
