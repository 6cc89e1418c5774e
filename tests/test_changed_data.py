"""A run goes on with the data it began with, or is told that they may be others."""

import json
import shutil

import numpy as np
import pytest
from scripts import listing

from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]


@pytest.fixture
def measured_again(finished, tmp_path):
    """A run whose training has ended, and whose end is yet to be measured."""
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    folder.metrics_file.unlink()
    return folder


@pytest.fixture
def resume(call_script, measured_again, finished, tmp_path):
    """`resume(*flags, y=...)`: go on with some arrays changed, in another file."""

    def go_on(*flags, **changes):
        with np.load(finished.data_file) as stored:
            arrays = dict(stored) | changes
        path = tmp_path / finished.data_file.name
        np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
        place = ("--resume", "--run-dir", measured_again.path, "--dataset", path)
        return call_script("train.py", *place, "--no-figures", "--quiet", *flags)

    return go_on


def content(folder):
    """All files but the lock, which tells who looked last."""
    files = listing(folder.path)
    del files[".lock"]
    return files


def fingerprint(folder):
    return json.loads(folder.config_file.read_text())["dataset"]["fingerprint"]


def test_other_data_of_the_same_shapes_go_on_when_that_is_accepted(
    resume, measured_again, finished
):
    y_test = np.zeros(100, np.int32)
    before = content(measured_again)
    ended = resume(y_test=y_test)
    assert (ended.status, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "the data are not those that" in line
    assert f"the SHA-256 was {fingerprint(measured_again)[:12]}... and is " in line
    assert "--accept-changed-data" in line
    assert content(measured_again) == before

    began_with = fingerprint(measured_again)
    ended = resume("--accept-changed-data", y_test=y_test)
    assert ended.status == 0, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("going on with other data: the SHA-256 was")
    assert fingerprint(measured_again) != began_with
    assert measured_again.read_record().dataset["before"] == [began_with]
    metrics = json.loads(measured_again.metrics_file.read_text())
    assert metrics["knn_accuracy"] == 1  # as every test image now has one label
    # From now on these are the run's data.
    measured_again.metrics_file.unlink()
    ended = resume(y_test=y_test)
    assert (ended.status, ended.stderr) == (0, "")


def test_what_differs_is_named_array_by_array(resume):
    fewer = np.zeros((50, 8, 8, 1), np.uint8)
    ended = resume("--accept-changed-data", x_test=fewer, y=None, y_test=None)
    assert ended.status == 0, ended.stderr
    assert "y_train was [400] and is absent" in ended.stderr
    assert "x_test was [100, 8, 8, 1] and is [50, 8, 8, 1]" in ended.stderr
    assert "x_train" not in ended.stderr


@pytest.mark.parametrize("flags", [(), ("--accept-changed-data",)])
def test_more_or_fewer_training_images_cannot_be_accepted(
    resume, measured_again, tiny_dataset, flags
):
    before = content(measured_again)
    # One fewer, and as many are trained on: the tenth held out is another.
    ended = resume(*flags, x=tiny_dataset.x_train[:399], y=tiny_dataset.y_train[:399])
    assert ended.status == 2
    (line,) = ended.stderr.splitlines()
    assert "x_train was [400, 8, 8, 1] and is [399, 8, 8, 1]" in line
    assert "--accept-changed-data" not in line
    assert "--init-from" in line
    assert content(measured_again) == before
