"""Several processes that train one model, as real processes on the loopback."""

import os
import re
import signal
import socket
import subprocess

import jax
import numpy as np
import pytest
from scripts import TINY, wait, wait_until

from aae_jax.run import Run
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]


@pytest.fixture
def start_processes(start_script, data_file, tmp_path):
    """`start_processes(n, *flags, of_each=()) -> processes`, all in one run folder.

    `of_each[k]` are flags that process k alone is given.
    """
    started = []

    def start(n, *flags, of_each=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
        own = [*of_each, *((),) * (n - len(of_each))]
        for process_id in range(n):
            argv = ["--distributed", "--coordinator", coordinator, "--processes", n]
            argv += ["--process-id", process_id, "--dataset", data_file, *flags]
            argv += ["--run-dir", "run", "--no-figures", *own[process_id]]
            started.append(start_script("train.py", *argv, cwd=tmp_path))
        return started[-n:]

    yield start
    for process in started:
        process.kill()


def kill_child(process):
    """Kill what the parent that was started watches over."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    os.kill(int(listed.stdout), signal.SIGKILL)


def parameters(folder):
    return jax.tree.leaves(Run.load(folder).params)


@pytest.mark.parametrize(("n", "more"), [(2, ()), (4, ("--memory-limit", 2e-5))])
def test_several_processes_train_as_one_does(
    start_processes, call_script, data_file, tmp_path, n, more
):
    """With the images in memory, or each reading its part of them from disk."""
    flags = (*TINY, "--steps", 10)
    ended = [wait(each) for each in start_processes(n, *flags, *more)]
    assert {each.status for each in ended} == {0}, ended[0].stderr
    assert "trained for 10 steps" in ended[0].stdout
    assert {each.stdout for each in ended[1:]} == {""}
    assert ("stay on disk" in ended[0].stderr) == bool(more)
    alone = ("--dataset", data_file, "--run-dir", tmp_path / "alone", "--no-figures")
    assert call_script("train.py", *flags, *alone).status == 0
    for ours, theirs in zip(
        parameters(tmp_path / "run"), parameters(tmp_path / "alone"), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_a_signal_to_one_stops_all_and_fewer_go_on(
    start_processes, call_script, tmp_path
):
    processes = start_processes(2, *TINY, "--steps", 50_000)
    folder = RunFolder(tmp_path / "run")
    wait_until(folder.log_file.exists, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    for ended in map(wait, processes):
        assert ended.status == 128 + signal.SIGTERM
        step = int(re.search(r"stopped and saved at step (\d+) of", ended.stderr)[1])
    assert (folder.checkpoints / f"{step:08d}").is_dir()

    more = step + 20
    alone = ("--resume", "--run-dir", folder.path, "--no-figures")
    ended = call_script("train.py", *alone, "--steps", more)
    assert (ended.status, ended.stdout) == (2, "")  # another length is another run
    config = folder.config_file.read_text()
    folder.config_file.write_text(config.replace("50000", str(more)))
    ended = call_script("train.py", *alone)
    assert ended.status == 0
    assert f"going on from step {step} of {more}" in ended.stderr


def test_a_process_that_dies_ends_the_others_with_a_sentence(start_processes, tmp_path):
    processes = start_processes(2, *TINY, "--steps", 50_000)
    wait_until((tmp_path / "run" / "metrics.jsonl").exists, processes[0])
    kill_child(processes[0])
    for process, what in zip(
        processes,
        ("this process was ended by signal 9", "another process"),
        strict=True,
    ):
        ended = wait(process)
        assert (ended.status, ended.stdout) == (1, "")
        assert f"train.py: {what}" in ended.stderr
        assert "start all of them again, with --resume" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--seed", 7), "process 1 has seed 7 and process 0 has 0"),
        (
            ("--memory-limit", 2e-5),
            "images 'on disk' and process 0 has 'in memory'; give all the same --mem",
        ),
    ],
)
def test_processes_that_were_asked_for_different_things_say_which(
    start_processes, tmp_path, flags, words
):
    processes = start_processes(2, *TINY, of_each=[(), flags])
    for ended in map(wait, processes):
        assert ended.status == 2
        assert words in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--processes 2", "add --distributed"),
        ("--distributed --processes 2", "go together"),
        ("--distributed --coordinator here --processes 2 --process-id 0", "HOST:PORT"),
        (
            "--distributed --coordinator a:70000 --processes 2 --process-id 0",
            "HOST:PORT",
        ),
        (
            "--distributed --coordinator a:1 --processes 2 --process-id 2",
            "it counts from 0 to 1",
        ),
        (
            "--distributed --coordinator a:1 --processes 3 --process-id 0",
            "use --batch-size 99 or 102",
        ),
    ],
)
def test_what_is_no_cluster_is_refused(call_script, flags, sentence):
    ended = call_script("train.py", "--dataset", "sample", *flags.split())
    assert (ended.status, ended.stdout) == (2, "")
    assert sentence in ended.stderr


def test_a_coordinator_that_cannot_be_reached_is_named(run_script, tmp_path):
    # An address for documents (RFC 5737), which no machine has.
    flags = "--distributed --coordinator 192.0.2.1:9 --processes 2 --process-id 0"
    flags = (*flags.split(), "--dataset", "sample")
    ended = run_script("train.py", *flags, cwd=tmp_path)
    assert (ended.status, ended.stdout) == (2, "")
    assert "the coordinator 192.0.2.1:9 cannot be reached" in ended.stderr
    assert list(tmp_path.iterdir()) == []
