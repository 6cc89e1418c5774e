"""Runs of every format version: opened, evaluated and gone on with by today's code."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from aae_jax.environment import difference, this_environment
from aae_jax.formats import FORMAT_VERSION
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]
pytestmark = pytest.mark.usefixtures("without_coverage")

STORED = Path(__file__).parent / "stored_runs"
DATA = STORED / "tiny.npz"
VERSIONS = sorted(int(path.name[6:]) for path in STORED.glob("format*"))


@dataclass(frozen=True)
class Stored:
    """A copy of a stored run, and what the code of its time made of it."""

    folder: RunFolder
    expected: dict[str, np.ndarray]

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """Means over the last epoch."""
        return {
            name.removeprefix("losses."): value
            for name, value in self.expected.items()
            if name.startswith("losses.")
        }


@pytest.fixture(params=VERSIONS, ids="format{}".format)
def stored(request, tmp_path):
    place = STORED / f"format{request.param}"
    copy = shutil.copytree(place / "run", tmp_path / "run")
    with np.load(place / "expected.npz") as file:
        return Stored(RunFolder(copy), dict(file))


def test_every_version_has_a_run():
    """Who raises the version stores one: tests/stored_runs/README.md says how."""
    assert list(range(1, FORMAT_VERSION + 1)) == VERSIONS
    for version in VERSIONS:
        config = STORED / f"format{version}" / "run" / "config.json"
        assert json.loads(config.read_text())["format_version"] == version


def test_it_gives_the_codes_and_images_that_it_gave_then(stored, capfd):
    run = Run.load(stored.folder, say=pytest.fail)
    with np.load(DATA) as file:
        x = file["x_test"][: len(stored.expected["z"])]
    for name, values in (("z", run.encode(x)), ("x_hat", run.reconstruct(x))):
        assert_allclose(values, stored.expected[name], rtol=1e-5, atol=1e-5)
    if "probabilities" in stored.expected:
        q = stored.expected["probabilities"]
        assert_allclose(run.probabilities(x), q, rtol=1e-5, atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_evaluate_writes_its_codes(stored, call_script, tmp_path):
    out = tmp_path / "codes.npz"
    flags = ("--dataset", DATA, "--encode", "test", "--no-compile-cache")
    ended = call_script("evaluate.py", "--run-dir", stored.folder, "--out", out, *flags)
    assert ended.status == 0, ended.stderr
    z = stored.expected["z"]
    with np.load(out) as file:
        assert_allclose(file["z"][: len(z)], z, rtol=1e-5, atol=1e-5)


def test_train_goes_on_to_its_end(stored, call_script):
    before = stored.folder.read_log()
    record = stored.folder.read_record()
    changed = difference(record.environment, this_environment())
    flags = ("--dataset", DATA, "--no-figures", "--quiet", "--no-compile-cache")
    ended = call_script("train.py", "--resume", "--run-dir", stored.folder, *flags)
    assert ended.status == 0, ended.stderr
    where = "this is not where the run began, so bits may differ: "
    assert ended.stderr == (f"{where}{changed}\n" if changed else "")

    log = stored.folder.read_log()
    assert log[: len(before)] == before
    steps_per_epoch = record.config.steps_per_epoch(record.n_train)
    ends = range(steps_per_epoch, record.config.steps + 1, steps_per_epoch)
    assert [line["step"] for line in log] == list(ends)
    metrics = json.loads(stored.folder.metrics_file.read_text())
    assert metrics["steps"] == record.config.steps
    # About as the code of then went on; rounding turns the worst change of an image.
    assert log[-1]["losses"].keys() == stored.losses.keys()
    for name, value in stored.losses.items():
        assert_allclose(log[-1]["losses"][name], value, rtol=0.05, err_msg=name)
