"""One batch on several devices: the same training, whatever their number."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scripts import DEADLINE, TINY, wait, wait_until

from aae_jax.errors import UserError
from aae_jax.options import RunOptions, check_devices
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.variants import VARIANTS

pytest_plugins = ["script_fixtures"]

PROGRAM = Path(__file__).with_name("eight_devices.py")
PLAIN, JOINT, FROM_DISK, NORMALIZED = "aae", "aae-joint", "aae@disk", "semi-supervised"


def compare(dtype, steps, *models):
    """What `eight_devices.py` prints."""
    argv = [sys.executable, PROGRAM, dtype, str(steps), *models]
    ended = subprocess.run(
        argv, capture_output=True, text=True, timeout=3 * DEADLINE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def ten_steps():
    return compare("float32", 10, PLAIN, JOINT, FROM_DISK, NORMALIZED)


@pytest.mark.parametrize("model", [PLAIN, JOINT, FROM_DISK, NORMALIZED])
def test_eight_devices_train_as_one_does(ten_steps, model):
    assert ten_steps[model]["difference"] < 1e-5


def test_what_differs_is_rounding():
    """Nearly all that a step can do is in clustering."""
    fifty_steps = compare("float64", 50, "clustering")
    assert fifty_steps["clustering"]["difference"] < 1e-13


@pytest.mark.parametrize("model", [PLAIN, JOINT, FROM_DISK])
def test_a_phase_adds_up_its_gradients_in_one_all_reduce(ten_steps, model):
    assert ten_steps[model]["all_reduces"] == len(VARIANTS[model.removesuffix("@disk")])


@pytest.mark.parametrize(
    ("devices", "batch_size", "nearest"),
    [(8, 100, "96 or 104"), (3, 100, "99 or 102"), (8, 5, "8"), (64, 100, "64 or 128")],
)
def test_a_batch_that_cannot_be_shared_has_neighbours_that_can(
    devices, batch_size, nearest
):
    with pytest.raises(UserError, match=f"use --batch-size {nearest}, or another"):
        check_devices(devices, batch_size=batch_size)
    for number in nearest.split(" or "):
        check_devices(devices, batch_size=int(number))


def test_devices_that_are_not_there_are_refused(call_script, data_file, tmp_path):
    flags = ("--dataset", data_file, *TINY, "--run-dir", tmp_path / "run")
    ended = call_script("train.py", *flags, "--devices", 2)
    assert (ended.status, ended.stdout) == (2, "")
    assert "devices=2 are more than the 1 that jax finds here (cpu)" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_of_several_devices_goes_on_with_one(
    start_script, run_script, data_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "4")
    flags = ("--dataset", data_file, *TINY, "--run-dir", "run", "--no-figures")
    process = start_script("train.py", *flags, "--devices", 4, cwd=tmp_path)
    folder = RunFolder(tmp_path / "run")
    wait_until(folder.log_file.exists, process)
    process.send_signal(signal.SIGTERM)
    assert wait(process).status == 128 + signal.SIGTERM
    before = folder.log_file.read_text()
    resume = ("--resume", "--run-dir", "run", "--no-figures")
    ended = run_script("train.py", *resume, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "bits may differ: devices 4 -> 1" in ended.stderr
    assert folder.log_file.read_text().startswith(before)
    z = Run.load(folder.path).encode(np.zeros((1, 8, 8, 1), np.uint8))
    assert np.isfinite(z).all()


def test_one_device_is_the_default():
    assert RunOptions().devices == 1
