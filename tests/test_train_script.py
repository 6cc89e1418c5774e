"""train.py from its first word to its last file."""

import json
import shutil
import signal

import jax
import numpy as np
import pytest
from scripts import DEADLINE, STEPS, TINY, listing, wait_until

from aae_jax.checkpoint import checkpoint_steps
from aae_jax.config import Config
from aae_jax.data import load_dataset
from aae_jax.options import pictures_of
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.run_lock import run_lock

pytest_plugins = ["script_fixtures"]

PICTURES = pictures_of(Config())


def test_the_result_goes_to_stdout_and_progress_to_stderr(finished):
    stdout, stderr = finished.ended.stdout, finished.ended.stderr
    folder = finished.folder.path.relative_to(finished.folder.path.parent.parent)
    head, *_ = stdout.splitlines()
    assert head.startswith("trained for 906 steps in ")
    assert head.endswith("on 100 test images:")
    for name in ("reconstruction_mse", "latent.ratio", "knn_accuracy"):
        assert f"  {name} " in stdout
    assert f"{folder}/figures/" in stdout
    assert f"python evaluate.py --run-dir {folder}" in stdout
    assert "step 906/906  reconstruction 0." in stderr
    assert "(-> 1.386)  generator" in stderr
    first, *_, last, end = stderr.splitlines()
    assert first.startswith("compiling; the first step")
    assert "latent ratio" in last
    assert end == "measuring on the test images, and drawing"
    assert "Traceback" not in stderr
    assert "Warning" not in stderr


def test_a_reader_that_has_seen_enough_stops_the_training_and_loses_nothing(
    start_script, data_file, tmp_path
):
    flags = ("--dataset", data_file, *TINY, "--run-dir", "run")
    process = start_script("train.py", *flags, cwd=tmp_path)
    first = process.stderr.readline()
    process.stderr.close()
    assert first.startswith("compiling")
    assert process.wait(DEADLINE) == 128 + signal.SIGPIPE
    (step,) = checkpoint_steps(tmp_path / "run" / "checkpoints")
    assert 0 < step < STEPS
    process.stdout.close()


def test_the_run_folder_holds_what_is_promised(finished):
    folder = finished.folder
    names = {path.name for path in folder.path.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "metrics.jsonl",
        "metrics.json",
        "checkpoints",
        "codes",
        "tensorboard",
        "figures",
    }
    pictures = {path.name for path in folder.figures.iterdir()}
    assert pictures == {f"{name}.png" for name in PICTURES} | {"report.html"}
    for path in folder.figures.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert checkpoint_steps(folder.checkpoints)[0] == 906


def test_config_json_tells_all_that_decides_the_bits(finished):
    stored = json.loads(finished.folder.config_file.read_text())
    assert stored["format_version"] == 4
    config = stored["config"]
    assert (config["steps"], config["epochs"]) == (906, None)
    assert config["dataset"] == str(finished.data_file)
    assert None not in {
        config[name] for name in ("prior_scale", "schedule", "generator_rate")
    }
    assert stored["image_shape"] == [8, 8, 1]
    assert stored["n_train"] == 360
    dataset = load_dataset(finished.data_file)
    assert stored["dataset"]["fingerprint"] == dataset.fingerprint()
    environment = stored["environment"]
    assert environment["jax"] == jax.__version__
    assert {"python", "flax", "device", "device_count", "cores"} <= set(environment)
    assert stored["command"].startswith("train.py --prior normal --z-dim 2 --dataset")


def test_the_log_has_a_line_for_each_epoch(finished):
    text = finished.folder.log_file.read_text()
    assert "NaN" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == [*range(18, 901, 18), 906]
    assert [line["epoch"] for line in lines] == [*range(1, 52)]
    for line in lines:
        assert set(line["losses"]) == {"reconstruction", "discriminator", "generator"}
        assert set(line["gradient_norms"]) == set(line["losses"])
        assert line["validation"]["latent"]["ratio"] > 0
        assert line["images_per_second"] > 0
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_metrics_json_is_the_test_set(finished):
    stored = json.loads(finished.folder.metrics_file.read_text())
    dataset = load_dataset(finished.data_file)
    run = Run.load(finished.folder.path)
    measured = run.metrics(dataset.x_test, dataset.y_test)
    assert {name: stored[name] for name in measured} == measured
    assert (stored["split"], stored["images"], stored["steps"]) == ("test", 100, 906)
    assert stored["epochs"] == 906 / 18
    assert stored["images_per_second"] == 906 * 20 / stored["seconds"]
    assert run.metrics() == stored


def test_a_finished_run_says_so(call_script, finished):
    before = listing(finished.folder.path)
    ended = call_script("train.py", "--resume", "--run-dir", finished.folder.path)
    assert (ended.status, ended.stderr) == (0, "")
    assert (
        ended.stdout == f"{finished.folder.path} is finished; nothing is left to do\n"
    )
    assert listing(finished.folder.path) == before


def test_a_finished_run_that_lost_its_checkpoints_makes_them_again(
    call_script, finished, tmp_path
):
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    newest = folder.checkpoints / f"{STEPS:08d}"
    before = json.loads((newest / "manifest.json").read_text())["content"]
    shutil.rmtree(folder.checkpoints)
    metrics = json.loads(folder.metrics_file.read_text())
    line = ("train.py", "--resume", "--run-dir", folder.path)
    ended = call_script(*line)
    assert (ended.status, ended.stdout) == (2, "")
    assert "has ended, and its checkpoints are gone" in ended.stderr
    assert f"delete {folder.metrics_file}, and --resume trains it" in ended.stderr
    assert json.loads(folder.metrics_file.read_text()) == metrics
    assert folder.read_log() == finished.folder.read_log()

    folder.metrics_file.unlink()
    ended = call_script(*line)
    assert ended.status == 0, ended.stderr
    measured = json.loads(folder.metrics_file.read_text())
    assert measured["reconstruction_mse"] == pytest.approx(
        metrics["reconstruction_mse"], rel=1e-3
    )
    again = json.loads((newest / "manifest.json").read_text())["content"]
    assert again["leaf_hashes"] == before["leaf_hashes"]
    assert "nothing is left to do" in call_script(*line).stdout


def test_lines_that_the_log_has_lost_are_missed(call_script, finished, tmp_path):
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    folder.metrics_file.unlink()
    lines = folder.log_file.read_text().splitlines(keepends=True)
    folder.log_file.write_text("".join(lines[:-3]))
    flags = ("--resume", "--run-dir", folder.path, "--quiet", "--no-figures")
    ended = call_script("train.py", *flags)
    assert ended.status == 0
    assert "metrics.jsonl has 48 lines of the 50 epochs so far" in ended.stderr


@pytest.mark.parametrize(
    ("arrays", "line", "words"),
    [
        ({}, "--batch-size 361", "larger than the 360 training images"),
        ({"x": np.full((60, 8, 8), np.nan)}, "", "is nan at index"),
        ({"x": np.zeros((12, 8, 8))}, "", "give 20 or more"),
        ({"y": np.zeros(7, int)}, "", "give one label for each"),
        ({}, "--memory-limit 0.000001", "--memory-limit"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    call_script, data_file, tmp_path, monkeypatch, arrays, line, words
):
    monkeypatch.chdir(tmp_path)
    with np.load(data_file) as known:
        stored = {} if "x" in arrays else dict(known)
    np.savez("data.npz", **(stored | arrays))
    before = listing(tmp_path)
    ended = call_script("train.py", "--dataset", "data.npz", *line.split())
    assert (ended.status, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert listing(tmp_path) == before


def test_a_folder_that_is_in_use_is_refused(call_script, data_file, tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    line = ("--dataset", data_file, *TINY, "--run-dir", place)
    with run_lock(place):
        before = listing(place)
        for more in ((), ("--resume",)):
            ended = call_script("train.py", *line, *more)
            assert (ended.status, ended.stdout) == (2, "")
            assert "is in use by process" in ended.stderr
        assert listing(place) == before


def test_other_images_are_not_gone_on_with(
    call_script, finished, tiny_dataset, tmp_path
):
    shutil.copytree(finished.folder.path, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    np.savez(tmp_path / "other.npz", x=tiny_dataset.x_train[:200])
    before = listing(tmp_path / "run")
    line = ("--resume", "--run-dir", tmp_path / "run", "--dataset")
    ended = call_script("train.py", *line, tmp_path / "other.npz")
    assert (ended.status, ended.stdout) == (2, "")
    after = listing(tmp_path / "run")
    assert {**after, ".lock": None} == {**before, ".lock": None}


def test_a_run_killed_at_its_end_is_finished_later_with_moved_data(
    call_script, finished, tmp_path
):
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(finished.folder.path, folder.path)
    shutil.copy(finished.data_file, tmp_path / "moved.npz")
    stored = json.loads(folder.config_file.read_text())
    stored["environment"]["jax"] = "0.0.1"
    stored["config"]["dataset"] = str(tmp_path / "gone.npz")
    folder.config_file.write_text(json.dumps(stored))
    folder.metrics_file.unlink()
    shutil.rmtree(folder.figures)
    line = ("--resume", "--run-dir", folder.path, "--dataset", tmp_path / "moved.npz")
    ended = call_script("train.py", *line)
    assert ended.status == 0, ended.stderr
    # A difference of the environment is said; nothing is trained again.
    assert f"jax 0.0.1 -> {jax.__version__}" in ended.stderr
    assert "going on from step 906 of 906" in ended.stderr
    timings = ("seconds", "images_per_second")
    metrics = json.loads(folder.metrics_file.read_text())
    expected = json.loads(finished.folder.metrics_file.read_text())
    assert [metrics.pop(t) for t in timings] == [expected.pop(t) for t in timings]
    assert metrics == expected
    assert listing(folder.figures).keys() == listing(finished.folder.figures).keys()
    assert folder.log_file.read_text() == finished.folder.log_file.read_text()


def test_wait_until_tells_of_a_process_that_ended(start_script, tmp_path):
    process = start_script("train.py", "--prior", "gausian", cwd=tmp_path)
    with pytest.raises(AssertionError, match="gausian"):
        wait_until(lambda: False, process)
