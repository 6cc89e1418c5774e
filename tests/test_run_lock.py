"""The lock of a run folder: one writer, free again as soon as the writer is dead."""

import os
import signal
import subprocess
import sys

import pytest

from aae_jax.errors import RunError, UserError
from aae_jax.run_lock import run_lock

HOLD = """
import sys
from pathlib import Path
from aae_jax.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path, holder):
    expected = rf"{tmp_path} is in use by process {holder.pid} on .*--run-dir"
    with pytest.raises(UserError, match=expected), run_lock(tmp_path):
        pass


def test_the_lock_is_free_once_its_holder_was_killed(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with run_lock(tmp_path):
        pid, _host = (tmp_path / ".lock").read_text().split()
    assert int(pid) == os.getpid()


def test_the_lock_is_free_after_a_normal_end(tmp_path, holder):
    holder.communicate("")
    assert holder.returncode == 0
    with run_lock(tmp_path):
        pass


def test_the_same_process_is_refused_a_second_time(tmp_path):
    with run_lock(tmp_path):
        expected = f"process {os.getpid()} "
        with pytest.raises(UserError, match=expected), run_lock(tmp_path):
            pass


def test_an_error_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        _ = 1 / 0
    with run_lock(tmp_path):
        pass


def test_text_in_the_lock_file_is_not_believed(tmp_path):
    with run_lock(tmp_path):
        (tmp_path / ".lock").write_text("1 \x1b[2J<script>\n")
        with pytest.raises(UserError, match="by another process;"), run_lock(tmp_path):
            pass


def test_a_link_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / ".lock").symlink_to(other)
    with pytest.raises(RunError, match="cannot be locked"), run_lock(tmp_path):
        pass
    assert other.read_text() == "precious"


def test_a_folder_that_is_absent_cannot_be_locked(tmp_path):
    with pytest.raises(RunError, match="No such file"), run_lock(tmp_path / "absent"):
        pass
