"""No wrong number from any damaged checkpoint: the one before is used, and said."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkpoint_states import (
    assert_loads,
    files_of,
    folder_bytes,
    load,
    make_state,
    reseal,
    save_two,
)

from aae_jax import checkpoint
from aae_jax.checkpoint import save_checkpoint
from aae_jax.checkpoint_folder import DamagedError, ends_at, read_manifest
from aae_jax.errors import RunError


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """Checkpoints of steps 100 and 200: copied by the tests that change them."""
    return save_two(tmp_path_factory.mktemp("run") / "checkpoints")


@pytest.fixture
def saved(saved_once, tmp_path):
    return Path(shutil.copytree(saved_once, tmp_path / "checkpoints"))


def flip_bit(path, position):
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 1 << 4
    path.write_bytes(content)


DAMAGES = {
    "flipped": lambda path: flip_bit(path, 0.5),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "deleted": lambda path: path.unlink(),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_the_checkpoint_before_is_used(
    saved_once, tmp_path, damage
):
    needs_content = damage not in ("deleted", "a pipe")
    names = [
        path.relative_to(saved_once)
        for path in files_of(saved_once / "00000200")
        if path.stat().st_size or not needs_content
    ]
    assert len(names) >= 8
    for index, name in enumerate(names):
        folder = Path(shutil.copytree(saved_once, tmp_path / str(index)))
        assert ends_at(folder, 200)
        DAMAGES[damage](folder / name)
        assert not ends_at(folder, 200)
        messages = []
        assert_loads(folder, 100, say=messages.append)
        assert len(messages) == 1
        assert "step 200" in messages[0]
        assert name.name in messages[0]
        assert "using the one before" in messages[0]


def test_the_newest_checkpoint_need_not_be_the_last_step(saved):
    assert not ends_at(saved, 300)
    assert not ends_at(saved.with_name("absent"), 200)


@pytest.mark.parametrize("name", ["manifest.json", "state/_METADATA"])
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_plain_file_is_not_opened(saved, name, kind):
    path = saved / "00000200" / name
    path.unlink()
    path.mkdir() if kind == "folder" else path.symlink_to("/dev/zero")
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert path.name in messages[0]


def test_no_flipped_bit_of_the_manifest_goes_unnoticed(saved):
    manifest = saved / "00000200" / "manifest.json"
    intact = manifest.read_bytes()
    for position in np.linspace(0, 1, 300):
        flip_bit(manifest, position)
        with pytest.raises(DamagedError):
            read_manifest(manifest.parent)
        manifest.write_bytes(intact)
    assert read_manifest(manifest.parent).step == 200


def test_when_all_are_damaged_nothing_is_loaded_and_nothing_changed(saved):
    for path in files_of(saved):
        if path.parent.name == "d":
            flip_bit(path, 0.5)
    before = folder_bytes(saved)
    messages = []
    with pytest.raises(RunError, match=f"every checkpoint in {saved} is damaged"):
        load(saved, say=messages.append)
    assert len(messages) == 2
    assert folder_bytes(saved) == before


def test_a_checkpoint_copied_to_another_step_is_not_believed(saved):
    shutil.copytree(saved / "00000100", saved / "00000300")
    messages = []
    assert_loads(saved, 200, say=messages.append)
    assert "it is a copy of step 100" in messages[0]


def test_numbers_are_verified_even_where_the_files_are_consistent(saved):
    newest = saved / "00000200"
    shutil.rmtree(newest / "state")
    shutil.copytree(saved / "00000100" / "state", newest / "state")
    reseal(newest)
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert "the numbers of" in messages[0]


def test_arrays_of_another_size_than_the_manifest_says_are_not_read(saved):
    newest = saved / "00000200"
    small = read_manifest(newest)
    save_checkpoint(saved, make_state(200, width=6), step=200)
    reseal(newest, leaf_types=small.leaf_types, leaf_hashes=small.leaf_hashes)
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert "is stored as float32[" in messages[0]


def test_what_orbax_cannot_read_is_damage(saved, capfd):
    (saved / "00000200" / "state" / "_METADATA").write_text("{}")
    reseal(saved / "00000200")
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert "Orbax cannot read it" in messages[0]
    assert capfd.readouterr() == ("", "")


def test_files_far_larger_than_the_state_are_not_read(saved):
    with (saved / "00000200" / "state" / "_METADATA").open("ab") as file:
        file.truncate(2**40)  # a hole: it takes no space, and hours to read
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert "more than" in messages[0]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "\x00",
        '{"sha256": 1, "content": {}}',
        "[" * 10**6,
        "9" * 5000,
        '{"sha256": "", "content": NaN}',
    ],
    ids=range(8),
)
def test_a_manifest_that_is_none_is_damage(saved, content):
    (saved / "00000200" / "manifest.json").write_text(content)
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert "manifest.json is not as it was saved" in messages[0]


def test_control_characters_of_a_file_never_reach_the_terminal(saved):
    reseal(saved / "00000200", leaf_types={"\x1b[2J": "float32[]"})
    messages = []
    assert_loads(saved, 100, say=messages.append)
    assert messages[0].isprintable()


def test_a_checkpoint_deleted_while_it_is_read_is_not_called_damaged(
    saved, monkeypatch
):
    verify_files = checkpoint.verify_files

    def verify_too_late(folder, manifest, **arguments):
        # As if the training had saved once more, with keep=1, since we looked.
        if folder.name == "00000200":
            save_checkpoint(saved, make_state(300), step=300, keep=1)
        verify_files(folder, manifest, **arguments)

    monkeypatch.setattr(checkpoint, "verify_files", verify_too_late)
    assert_loads(saved, 300)
