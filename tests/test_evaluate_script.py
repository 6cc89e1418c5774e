"""evaluate.py: each flag on a finished run, and on one that has not ended."""

import json
import os
import shutil

import numpy as np
import pytest
from scripts import listing, wait

from aae_jax.config import Config
from aae_jax.data import load_dataset
from aae_jax.holdout import hold_out
from aae_jax.options import pictures_of
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.run_lock import run_lock

pytest_plugins = ["script_fixtures"]

PICTURES = pictures_of(Config())


@pytest.fixture
def evaluate(call_script, finished, tmp_path, monkeypatch):
    """evaluate.py on the finished run, from another folder; it leaves the run alone."""
    monkeypatch.chdir(tmp_path)
    # Whoever holds the lock writes its name into it: another test may, meanwhile.
    before = listing(finished.folder.path) | {".lock": None}
    yield lambda *line: call_script(
        "evaluate.py", "--run-dir", finished.folder.path, *line
    )
    assert listing(finished.folder.path) | {".lock": None} == before


def test_a_picture_flag_writes_its_file_and_no_other(evaluate, tmp_path):
    for name in PICTURES:
        ended = evaluate(f"--{name}", "--out", tmp_path / name)
        assert (ended.status, ended.stdout) == (0, "")
        path = tmp_path / name / f"{name}.png"
        assert ended.stderr == f"wrote {path}\n"
        assert list((tmp_path / name).iterdir()) == [path]
        assert path.read_bytes().startswith(b"\x89PNG")


def test_without_flags_it_draws_all_and_prints_the_metrics(
    run_script, finished, tmp_path
):
    # The README's second command, as it stands, beside the folder runs/.
    folder = finished.folder
    before = listing(folder.path)
    with run_lock(folder.path):  # a training may be running
        ended = run_script("evaluate.py", cwd=folder.path.parent.parent)
    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout)["images"] == 100
    assert len(ended.stderr.splitlines()) == len(PICTURES) + 1  # and the report
    after = listing(folder.path)
    # The same pictures, byte for byte, and nothing else.
    assert after | {".lock": None} == before | {".lock": None}


def test_metrics_are_json_and_nothing_else(evaluate, finished):
    stored = json.loads(finished.folder.metrics_file.read_text())
    ended = evaluate("--metrics")
    assert (ended.status, ended.stderr) == (0, "")
    printed = json.loads(ended.stdout)
    assert printed.items() <= stored.items()
    assert stored.keys() - printed.keys() == {"epochs", "seconds", "images_per_second"}
    validation = json.loads(evaluate("--metrics", "--split", "validation").stdout)
    assert (validation["split"], validation["images"]) == ("validation", 40)
    assert (
        validation["latent"] == finished.folder.read_log()[-1]["validation"]["latent"]
    )


def test_a_reader_that_has_enough_is_no_error_to_tell(start_script, finished, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    flags = ("--metrics", "--run-dir", finished.folder.path)
    with os.fdopen(writing, "w") as closed:
        process = start_script("evaluate.py", *flags, cwd=tmp_path, stdout=closed)
        ended = wait(process)
    assert (ended.status, ended.stderr) == (1, "")


def test_codes_keep_the_order_of_the_data(evaluate, finished, tmp_path):
    dataset = load_dataset(finished.data_file)
    run = Run.load(finished.folder.path)
    rows, held_out = hold_out(400)
    np.savez(tmp_path / "own.npz", x=dataset.x_test, y=dataset.y_test)
    np.save(tmp_path / "unlabelled.npy", dataset.x_test[::-1])
    for name, x, y in (
        ("test", dataset.x_test, dataset.y_test),
        ("train", dataset.x_train[rows], dataset.y_train[rows]),
        ("validation", dataset.x_train[held_out], dataset.y_train[held_out]),
        (tmp_path / "own.npz", dataset.x_test, dataset.y_test),
        (tmp_path / "unlabelled.npy", dataset.x_test[::-1], None),
    ):
        out = tmp_path / "out.npz"
        ended = evaluate("--encode", name, "--out", out)
        assert (ended.status, ended.stdout) == (0, "")
        assert f"wrote {out}: z [{len(x)}, 2]" in ended.stderr
        with np.load(out) as stored:
            np.testing.assert_array_equal(stored["z"], run.encode(x))
            assert stored["z"].dtype == np.float32
            assert ("y" in stored) == (y is not None)
            if y is not None:
                np.testing.assert_array_equal(stored["y"], y)
        out.unlink()


def test_codes_become_images_again(evaluate, finished, tmp_path):
    run = Run.load(finished.folder.path)
    assert evaluate("--sample", 9, "--seed", 5, "--out", "a.npz").status == 0
    assert evaluate("--sample=9", "--seed=5", "--out", "b.npz").status == 0
    assert evaluate("--decode", "a.npz", "--out", "c.npz").status == 0
    with np.load("a.npz") as a, np.load("b.npz") as b, np.load("c.npz") as c:
        np.testing.assert_array_equal(a["z"], run.sample_codes(9, seed=5))
        np.testing.assert_array_equal(a["x_hat"], run.sample(9, seed=5))
        np.testing.assert_array_equal(b["z"], a["z"])
        np.testing.assert_array_equal(c["x_hat"], a["x_hat"])
        assert (c["x_hat"].dtype, c.files) == (np.float32, ["x_hat"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--sample 9 --out x.npz --memory-limit 0.000001", "--memory-limit"),
        ("--grid --out x.png", "give a folder for pictures"),
        ("--decode wide.npz --out x.npz", "[n, 2]"),
        ("--decode empty.npz --out x.npz", "empty.npz"),
        ("--decode text.npz --out x.npz", "text.npz"),
        ("--decode huge.npz --out x.npz", "finite numbers of 32 bits"),
        ("--encode wide.npz --out x.npz", "wide.npz"),
        ("--encode colour.npy --out x.npz", "was trained on"),
        ("--dataset empty.npz --grid --latent --out pictures", "empty.npz"),
    ],
)
def test_input_that_does_not_fit_is_refused(evaluate, tmp_path, line, words):
    np.savez("wide.npz", z=np.zeros((3, 5), np.float32))
    np.savez("huge.npz", z=np.full((3, 2), 1e300))
    np.save("colour.npy", np.zeros((3, 8, 8, 3), np.uint8))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("z = 1")
    before = listing(tmp_path)
    ended = evaluate(*line.split())
    assert (ended.status, ended.stdout) == (2, ""), ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert words in sentence
    after = listing(tmp_path)
    assert {name for name in after if name.endswith(".npz")} == {
        name for name in before if name.endswith(".npz")
    }


def test_only_what_needs_images_reads_them(call_script, finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.folder.path, path)
    gone = str(tmp_path / "gone.npz")
    stored = json.loads((path / "config.json").read_text())
    stored["config"]["dataset"] = gone
    (path / "config.json").write_text(json.dumps(stored))

    def evaluate(*line):
        return call_script("evaluate.py", "--run-dir", path, *line)

    ended = evaluate("--grid", "--samples", "--losses")
    assert ended.status == 0, ended.stderr
    ended = evaluate("--sample", 3, "--out", tmp_path / "samples.npz")
    assert ended.status == 0, ended.stderr
    ended = evaluate("--metrics")
    assert (ended.status, ended.stdout) == (2, "")
    assert "gone.npz" in ended.stderr
    assert "name them with --dataset" in ended.stderr
    # Moved data are the same data; others are used with a word on it.
    shutil.copy(finished.data_file, tmp_path / "moved.npz")
    ended = evaluate("--metrics", "--dataset", tmp_path / "moved.npz")
    assert (ended.status, ended.stderr) == (0, "")
    np.savez(tmp_path / "other.npz", x=load_dataset(finished.data_file).x_train)
    ended = evaluate("--metrics", "--dataset", tmp_path / "other.npz")
    assert ended.status == 0
    assert "not the images that the run was trained on" in ended.stderr


def test_an_unfinished_run_is_shown_as_far_as_it_is(call_script, finished, tmp_path):
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(finished.folder.path, folder.path)
    folder.metrics_file.unlink()
    folder.log_file.unlink()
    shutil.rmtree(folder.figures)
    before = listing(folder.path)
    ended = call_script("evaluate.py", "--run-dir", folder.path)
    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout)["steps"] == 906
    assert "no epoch has ended yet" in ended.stderr
    drawn = {f"figures/{name}.png" for name in PICTURES if name != "losses"}
    drawn |= {"figures", "figures/report.html"}
    assert listing(folder.path).keys() == before.keys() | drawn
    ended = call_script("evaluate.py", "--run-dir", folder.path, "--losses")
    assert ended.status == 2
    assert "train for an epoch" in ended.stderr
    shutil.rmtree(folder.checkpoints)
    ended = call_script("evaluate.py", "--run-dir", folder.path, "--metrics")
    assert (ended.status, ended.stdout) == (2, "")
    assert "has no checkpoint yet" in ended.stderr
