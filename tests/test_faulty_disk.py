"""A disk that is full, too small, read-only or forbidden: said, and nothing is lost."""

import json
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from scripts import DEADLINE, ROOT, STEPS, Ended, listing

from aae_jax.checkpoint import require_space
from aae_jax.errors import RunError
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]

# Linux lets anybody mount a small disk of their own, and root be nobody in particular.
OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount")
NO_ROOT = () if os.geteuid() else ("unshare", "--user", "--map-user=1000")
MOUNT = 'mount -t tmpfs -o "$1" disk "$2" && cp -r "$3" "$2" && shift 3 && exec "$@"'


def call(*line):
    return subprocess.run(
        [*map(str, line)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def require(*line):
    """Skip, and say so, where the kernel gives no namespaces to users."""
    if line and (shutil.which(line[0]) is None or call(*line, "true").returncode != 0):
        pytest.skip(f"{line[0]} gives no disk to break here")


@pytest.fixture
def unfinished(finished, tmp_path):
    """A run that has far to go, saved once at least."""
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    folder.metrics_file.unlink()
    stored = json.loads(folder.config_file.read_text())
    stored["config"]["steps"] = 10**6
    folder.config_file.write_text(json.dumps(stored))
    return folder


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("full", "No space left on device"), ("forbidden", "Permission denied")],
)
def test_a_save_that_fails_names_the_last_good_step(
    unfinished, finished, tmp_path, fault, reason
):
    require(*(OWN_DISK if fault == "full" else NO_ROOT))
    disk, run = tmp_path / "disk", unfinished.path
    disk.mkdir()
    line = [sys.executable, ROOT / "tests" / "faulty_disk.py", fault]
    if fault == "full":
        size = sum(len(content or b"") for content in listing(run).values()) + 2**24
        line = [
            *OWN_DISK,
            "sh",
            "-c",
            MOUNT,
            "sh",
            f"size={size}",
            disk,
            run,
            *line,
            disk / "run",
        ]
        place = disk / "run"
    else:
        line, place = [*NO_ROOT, *line, run], run
    done = call(*line, finished.data_file)
    assert done.returncode == 0, done.stderr
    broken, mended = (Ended(**each) for each in json.loads(done.stdout))

    assert (broken.status, broken.stdout) == (1, "")
    said = broken.stderr.splitlines()[-1]
    assert said.startswith("train.py: the checkpoint of step ")
    assert f"could not be saved ({reason})" in said
    assert (
        f"is that of step {STEPS} in {place}/checkpoints, and --resume goes on" in said
    )
    assert mended.status == 143, mended.stderr
    assert "stopped and saved at step " in mended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("mount", "status", "reason"),
    [
        ("size=4m", 1, "has 4.0 MiB left"),
        ("size=64m,ro", 2, "cannot be made (Read-only file system)"),
    ],
)
def test_a_disk_that_cannot_take_a_run_is_told_before_the_first_step(
    finished, tmp_path, mount, status, reason
):
    require(*OWN_DISK)
    disk = tmp_path / "disk"
    disk.mkdir()
    short = ("--hidden", 8, "--batch-size", 20, "--steps", 50, "--quiet")
    place = ("--dataset", finished.data_file, "--run-dir", disk / "new")
    mounted = f'mount -t tmpfs -o {mount} disk "$1" && new=$1/new && shift'
    script = f'{mounted} && "$@"; status=$?; ls "$new"; exit $status'
    train = (sys.executable, ROOT / "train.py", *place, *short)
    done = call(*OWN_DISK, "sh", "-c", script, "sh", disk, *train)
    assert done.returncode == status, done.stderr
    said = done.stderr.splitlines()[0]
    assert reason in said
    assert "another --run-dir" in said
    assert done.stdout == ""  # the folder is empty, if it is there


def test_room_for_all_checkpoints_that_are_kept_is_asked_for(tmp_path):
    place = tmp_path / "run" / "checkpoints"
    require_space([place], {"x": jnp.zeros(1)})
    free = shutil.disk_usage(tmp_path).free
    third = {"x": jax.ShapeDtypeStruct((free // 3,), jnp.uint8)}
    with pytest.raises(RunError, match=r"MiB left, .*; free some, or give a new run"):
        require_space([place], third)
    require_space([place], third, keep=1)
    with pytest.raises(RunError, match="MiB left"):
        require_space([place, *[tmp_path / "other"] * 3], third, keep=1)
