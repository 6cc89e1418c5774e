"""A run that was stopped, killed and gone on with has the bits of one that was not."""

import json
import signal

from checkpoint_states import files_of
from same_run import TIMINGS, assert_same_run
from scripts import STEPS, STEPS_PER_EPOCH, TINY, wait, wait_until

from aae_jax.checkpoint import checkpoint_steps
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]


def kill_before_it_saves(process, folder):
    """SIGKILL before the first checkpoint."""
    wait_until(folder.config_file.exists, process)
    process.send_signal(signal.SIGKILL)
    assert wait(process).status == -signal.SIGKILL
    assert checkpoint_steps(folder.checkpoints) == []


def interrupt_while_it_compiles(process, folder):
    """Ctrl-C; the first steps, amid an epoch, are saved. Returns how many."""
    assert any(line.startswith("compiling") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    ended = wait(process)
    (step,) = checkpoint_steps(folder.checkpoints)
    assert 0 < step < STEPS
    assert step % STEPS_PER_EPOCH != 0
    assert (ended.status, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1] == (
        f"train.py: stopped and saved at step {step} of {STEPS}; go on with 'python "
        "train.py --resume --run-dir run'"
    )
    return step


def kill_after_it_logged(process, folder, step):
    """SIGKILL with lines in the log that are younger than the checkpoint."""
    wait_until(lambda: len(folder.read_log()) >= 2, process)
    process.send_signal(signal.SIGKILL)
    assert wait(process).status == -signal.SIGKILL
    assert checkpoint_steps(folder.checkpoints) == [step]


def terminate_after_a_look(process, folder, step, look):
    """SIGTERM, after `look` at the run while the training stands still, locked."""
    killed = folder.log_file.stat().st_ino
    wait_until(
        lambda: folder.log_file.stat().st_ino != killed and folder.read_log(), process
    )
    process.send_signal(signal.SIGSTOP)
    seen = look()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    assert seen.status == 0, seen.stderr
    assert json.loads(seen.stdout)["steps"] == step
    ended = wait(process)
    assert (ended.status, ended.stdout) == (143, "")
    assert f"going on from step {step} of {STEPS}" in ended.stderr
    assert "go on with 'python train.py --resume" in ended.stderr
    assert step < checkpoint_steps(folder.checkpoints)[0] < STEPS


def kill_while_it_draws(process, folder):
    """SIGKILL with all steps done and saved, and the end not yet told."""
    wait_until(folder.figures.exists, process)
    process.send_signal(signal.SIGKILL)
    ended = wait(process)
    assert ended.status == -signal.SIGKILL
    assert "bits may differ" not in ended.stderr
    assert checkpoint_steps(folder.checkpoints)[0] == STEPS
    assert not folder.metrics_file.exists()


def flip_a_bit(checkpoint):
    """In the middle of its largest file."""
    damaged = max(files_of(checkpoint), key=lambda file: file.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)


def test_stopped_killed_and_resumed_it_ends_with_the_same_bits(
    start_script, call_script, finished, tmp_path
):
    straight, folder = finished.folder, RunFolder(tmp_path / "run")

    def train(*flags, **options):
        flags = ("--run-dir", "run", *flags)
        return start_script("train.py", *flags, cwd=tmp_path, **options)

    def look():
        return call_script("evaluate.py", "--run-dir", folder.path, "--metrics")

    kill_before_it_saves(train("--dataset", finished.data_file, *TINY), folder)
    step = interrupt_while_it_compiles(train("--resume"), folder)
    kill_after_it_logged(train("--resume"), folder, step)
    terminate_after_a_look(train("--resume"), folder, step, look)
    # Compiled anew: the bits are the program's, not those of one compilation.
    kill_while_it_draws(train("--resume", cache=tmp_path / "compiled"), folder)
    line = ("--resume", "--run-dir", folder.path, "--quiet", "--no-figures")
    ended = call_script("train.py", *line)
    assert (ended.status, ended.stderr) == (0, "")
    assert_same_run(folder, straight)
    log = folder.read_log()
    assert len(log) == -(-STEPS // STEPS_PER_EPOCH)
    metrics = json.loads(folder.metrics_file.read_text())
    assert all(each[name] > 0 for each in (*log, metrics) for name in TIMINGS)

    # One flipped bit in the newest: that is said, and the one before used.
    newest, before, _ = checkpoint_steps(folder.checkpoints)
    folder.metrics_file.unlink()
    flip_a_bit(folder.checkpoints / f"{newest:08d}")
    ended = call_script("train.py", *line)
    assert ended.status == 0, ended.stderr
    (warning,) = ended.stderr.splitlines()  # --quiet is silent but for warnings
    assert warning.startswith(f"the checkpoint of step {STEPS} in ")
    assert warning.endswith("; using the one before")
    assert [newest, before] == checkpoint_steps(folder.checkpoints)[:2]
    assert_same_run(folder, straight)
