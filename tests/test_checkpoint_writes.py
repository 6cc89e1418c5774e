"""A save that fails or is killed leaves the checkpoints before it as they were."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from checkpoint_states import assert_loads, folder_bytes, load, make_state, save_two
from disk import file_size_limit

from aae_jax import checkpoint
from aae_jax.checkpoint import checkpoint_steps, save_checkpoint
from aae_jax.errors import RunError


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """Checkpoints of steps 100 and 200: copied by the tests that change them."""
    return save_two(tmp_path_factory.mktemp("run") / "checkpoints")


@pytest.fixture
def saved(saved_once, tmp_path):
    return Path(shutil.copytree(saved_once, tmp_path / "checkpoints"))


def test_a_full_disk_is_told_and_leaves_the_earlier_ones(saved, capfd):
    before = folder_bytes(saved)
    with (
        pytest.raises(RunError, match=r"step 300 could not .*File too large"),
        file_size_limit(2**20),
    ):
        save_checkpoint(saved, make_state(300), step=300)
    assert folder_bytes(saved) == before
    assert capfd.readouterr() == ("", "")
    save_checkpoint(saved, make_state(300), step=300)
    assert_loads(saved, 300)


@pytest.mark.parametrize("limit", [50, 2000, 10_000])
def test_a_disk_that_fills_up_while_saving_is_told(saved, monkeypatch, capfd, limit):
    # As if another program took the space after the probe. The three limits stop Orbax
    # at its metadata and at the array, and us at the manifest.
    monkeypatch.setattr(checkpoint, "probe_space", lambda folder, size: None)
    before = folder_bytes(saved)
    state, record = {"x": jnp.arange(1000.0)}, {"text": "x" * 20_000}
    with (
        pytest.raises(RunError, match=r"step 300 could not .*File too large"),
        file_size_limit(limit),
    ):
        save_checkpoint(saved, state, step=300, record=record)
    assert folder_bytes(saved) == before
    assert capfd.readouterr() == ("", "")


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="checkpoints"):
        save_checkpoint(tmp_path / "checkpoints", make_state(0), step=0)
    with pytest.raises(RunError, match="Not a directory"):
        load(tmp_path / "checkpoints")


WRITER = """
import itertools, sys
from pathlib import Path
from aae_jax.checkpoint import save_checkpoint
from checkpoint_states import make_state

for step in itertools.count(300):
    save_checkpoint(Path(sys.argv[1]), make_state(step), step=step)
"""


@pytest.mark.parametrize("seen", [".orbax-checkpoint-tmp", ".writing"])
def test_a_kill_while_saving_leaves_the_checkpoint_before(saved, seen):
    tests = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(saved)], env=environment
    )
    with writer:
        try:
            while checkpoint_steps(saved)[0] < 301:
                assert writer.poll() is None
            while not any(path.name.endswith(seen) for path in saved.iterdir()):
                assert writer.poll() is None
        finally:
            writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    newest = checkpoint_steps(saved)[0]
    assert_loads(saved, newest)
    save_checkpoint(saved, make_state(newest + 1), step=newest + 1)
    assert_loads(saved, newest + 1)
