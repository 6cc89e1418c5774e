"""Trainings whose images are read from disk: the same as from memory."""

import json
import os
import shutil
import threading
from dataclasses import replace

import jax
import numpy as np
import pytest
from scripts import TINY, listing, wait, wait_until
from states import assert_same_bits

from aae_jax import host_loop
from aae_jax.checkpoint import checkpoint_steps
from aae_jax.data.stored import stored_array
from aae_jax.disk_feed import AT_ONCE, DiskFeed
from aae_jax.errors import UserError
from aae_jax.feeds import MemoryFeed, TrainingData
from aae_jax.fitting import fit, fit_seeds
from aae_jax.options import RunOptions
from aae_jax.run_folder import RunFolder
from aae_jax.splits import MOST_IMAGES, images_of_split, measured_of_split

pytest_plugins = ["script_fixtures"]
pytestmark = pytest.mark.usefixtures("without_coverage")

N, BATCH, STEPS_PER_EPOCH = 110, 20, 5
STEPS_OF_WINDOW = 3
IMAGE_BYTES = 64


@pytest.fixture(scope="module")
def config(tiny_config_of):
    return replace(tiny_config_of("semi-supervised"), labels=40)


@pytest.fixture
def disk_feed(config, tiny_dataset):
    """`disk_feed(labelled)`: one of windows of three steps, newly opened."""
    x, y = tiny_dataset.x_train[:N], tiny_dataset.y_train[:N]
    opened = []

    def open_feed(labelled=None, images=None):
        one = BATCH * IMAGE_BYTES * (1 if labelled is None else 2)
        limit = AT_ONCE * STEPS_OF_WINDOW * one
        if images is None:
            images = stored_array(x, "x")
        key = jax.random.key(0)
        feed = DiskFeed(config, images, y, labelled, key, memory_limit=limit)
        opened.append(feed)
        return feed

    yield open_feed
    for feed in opened:
        feed.close()


@pytest.mark.parametrize("labelled", [None, np.arange(0, 33, 3, dtype=np.int32)])
def test_a_feed_takes_the_batches_of_memory(config, disk_feed, tiny_dataset, labelled):
    """Whatever step it begins with, over ends of epochs and of windows."""
    x, y = tiny_dataset.x_train[:N], tiny_dataset.y_train[:N]
    data = TrainingData(*jax.tree.map(jax.numpy.asarray, (x, y, labelled)))
    memory, on = MemoryFeed(config, data, jax.random.key(0)), disk_feed(labelled)
    for step in (0, 1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 2, 0, 9):
        index = jax.numpy.int32(step)
        batch = memory.window(step).batch(index, BATCH)
        for feed in (on, disk_feed(labelled)):
            assert_same_bits(feed.window(step).batch(index, BATCH), batch)
    assert batch.x.shape == (BATCH, 8, 8, 1)
    assert (batch.x_labelled is None) == (labelled is None)


def test_windows_end_where_the_next_begins(disk_feed):
    feed = disk_feed()
    assert [feed.end(step) for step in (0, 2, 3, 5, 6)] == [3, 3, 6, 6, 9]
    assert feed.window(4).x.shape == (STEPS_OF_WINDOW, BATCH, 8, 8, 1)
    assert feed.window(4).first_step == 3
    assert feed.window(5) is feed.window(3)


def test_a_window_that_could_not_be_read_is_read_again(disk_feed, tiny_dataset):
    images = stored_array(tiny_dataset.x_train[:N], "x")
    broken = [True]

    def read(rows):
        if broken:
            raise UserError("the disk is away")
        return images.read(rows)

    feed, whole = disk_feed(images=replace(images, read=read)), disk_feed()
    for step in (0, 3):
        with pytest.raises(UserError, match="away"):
            feed.window(step)
        broken.clear()
        assert_same_bits(feed.window(step), whole.window(step))
        feed.close()
        broken.append(True)


def test_nothing_is_read_after_the_last_step(config, disk_feed, tiny_dataset):
    images = stored_array(tiny_dataset.x_train[:N], "x")
    read = []

    def count(rows):
        read.append(len(rows))
        return images.read(rows)

    feed = disk_feed(images=replace(images, read=count))
    for step in range(config.total_steps()):
        feed.window(step)
    assert sum(read) == config.total_steps() * BATCH  # 60 steps are whole windows
    assert feed.window(config.total_steps()).first_step == config.total_steps()


def test_a_limit_too_small_for_a_batch_is_refused_with_one_that_is_not(
    config, tiny_dataset
):
    images = stored_array(tiny_dataset.x_train, "x")
    arguments = (config, images, None, None, jax.random.key(0))
    needed = 2 * AT_ONCE * BATCH * IMAGE_BYTES
    DiskFeed(*arguments, memory_limit=needed)
    with pytest.raises(UserError, match=r"--memory-limit 0\.001 or more"):
        DiskFeed(*arguments, memory_limit=needed - 1)
    with pytest.raises(UserError, match=f"{6 * AT_ONCE} batches of 20 images"):
        DiskFeed(*arguments, memory_limit=2 * needed, n_runs=3)


@pytest.fixture(scope="module")
def on_disk(tiny_dataset):
    """The tiny data set, its images read by rows."""
    x, x_test = tiny_dataset.x_train, tiny_dataset.x_test
    return replace(
        tiny_dataset,
        x_train=stored_array(x, "x"),
        x_test=stored_array(x_test, "x_test"),
    )


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """`options(name)`: those of a run whose images go through memory in pieces."""
    place = tmp_path_factory.mktemp("runs")

    def options(name, **others):
        return RunOptions(
            run_dir=place / name,
            quiet=True,
            no_figures=True,
            memory_limit=1e-4,
            **others,
        )

    return options


@pytest.fixture(scope="module")
def trained(config, tiny_dataset, options):
    """From memory, saved as often as can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_loop, "SECONDS_BETWEEN_SAVES", 0.0)
        return fit(config, dataset=tiny_dataset, options=options("memory"))


def test_a_training_from_disk_is_one_from_memory(trained, config, on_disk, options):
    run = fit(config, dataset=on_disk, options=options("disk"))
    assert not any("grain" in thread.name for thread in threading.enumerate())
    assert_same_bits(run.params, trained.params)
    assert run.record.dataset == trained.record.dataset
    both = [run.metrics(), trained.metrics()]
    for metrics in both:
        del metrics["seconds"], metrics["images_per_second"]
    assert both[1] == both[0]


def test_a_training_goes_on_from_disk_with_another_limit(
    trained, config, on_disk, options
):
    folder = RunFolder(options("half").run_dir)
    shutil.copytree(trained.folder.path, folder.path)
    newest, *_ = checkpoint_steps(folder.checkpoints)
    assert newest == config.total_steps()
    half = checkpoint_steps(folder.checkpoints)[1]
    shutil.rmtree(folder.checkpoints / f"{newest:08d}")
    resume = replace(options("half", resume=True), memory_limit=7e-5)
    run = fit(config, dataset=on_disk, options=resume)
    assert 0 < half < newest
    assert_same_bits(run.params, trained.params)


def test_seeds_from_disk_are_those_from_memory(
    tiny_config, tiny_dataset, on_disk, options
):
    config = replace(tiny_config, steps=7)
    for disk, memory in zip(
        fit_seeds(config, 2, dataset=on_disk, options=options("seeds, disk")),
        fit_seeds(config, 2, dataset=tiny_dataset, options=options("seeds, memory")),
        strict=True,
    ):
        assert_same_bits(disk.params, memory.params)


def test_codes_and_classes_of_images_on_disk(trained, on_disk, tiny_dataset):
    run = trained
    (stored, _), (x, _) = (
        images_of_split(dataset, "train") for dataset in (on_disk, tiny_dataset)
    )
    np.testing.assert_array_equal(run.encode(stored), run.encode(x))
    np.testing.assert_array_equal(run.classify(stored), run.classify(x))
    for ask in (run.metrics, run.reconstruct):
        with pytest.raises(UserError, match="lie on disk; give some"):
            ask(stored)
    with pytest.raises(UserError, match=r"trained on images of \(8, 8, 1\)"):
        run.encode(stored_array(np.zeros((9, 7, 8), np.uint8), "x"))


def test_of_a_large_split_some_images_all_over_it_are_measured(tiny_dataset):
    n = MOST_IMAGES + 10
    x_test = np.zeros((n, 2, 2, 1), np.uint8)
    y_test = np.sort(np.arange(n, dtype=np.int32) % 5)
    x_train = np.zeros((30, 2, 2, 1), np.uint8)
    large = replace(
        tiny_dataset, x_train=x_train, y_train=None, x_test=x_test, y_test=y_test
    )
    x, y = measured_of_split(large, "test")
    assert len(x) == len(y) == MOST_IMAGES
    assert np.ptp(np.bincount(y)) < 5
    assert len(measured_of_split(large, "validation")[0]) == 3


def test_train_and_evaluate_read_from_disk(call_script, data_file, tmp_path):
    place = ("--run-dir", tmp_path / "run")
    flags = ("--dataset", data_file, *TINY, *place, "--no-figures")
    limit = ("--memory-limit", 2e-5)
    flags = (*flags, "--batch-size", 20, "--steps", 20)
    ended = call_script("train.py", *flags, *limit)
    assert ended.status == 0, ended.stderr
    assert "tiny.npz, whose images are more than the 0.02 MiB of" in ended.stderr
    assert "reading 400 training images once, to know them again" in ended.stderr
    codes = {}
    for name, more in (("disk", limit), ("memory", ())):
        out = tmp_path / f"{name}.npz"
        encode = ("--encode", "train", "--out", out)
        ended = call_script("evaluate.py", *place, *encode, *more)
        assert ended.status == 0, ended.stderr
        codes[name] = dict(np.load(out))
    for name, array in codes["memory"].items():
        np.testing.assert_array_equal(codes["disk"][name], array)
    ended = call_script("evaluate.py", *place, "--metrics", *limit)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert json.loads(ended.stdout)["latent"] == stored["latent"]


def test_a_file_cut_short_ends_a_training_that_goes_on_when_it_is_back(
    start_script, call_script, finished, tiny_dataset, tmp_path
):
    data, folder = tmp_path / "x.npy", RunFolder(tmp_path / "run")
    np.save(data, np.tile(tiny_dataset.x_train, (4, 1, 1, 1)))
    content = data.read_bytes()
    place = ("--run-dir", folder.path, "--no-figures", "--memory-limit", 5e-5)
    flags = (*place, "--dataset", data, *TINY, "--init-from", finished.folder.path)
    process = start_script("train.py", *flags, cwd=tmp_path)
    wait_until(lambda: folder.log_file.exists() and folder.read_log(), process)
    saved = listing(folder.checkpoints)
    os.truncate(data, 1000)
    ended = wait(process)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == (
        f"train.py: {data} had {len(content):,} bytes when it was opened and has 1,000 "
        "now; put it back as it was, then start again (a training with --resume)"
    )
    assert "Traceback" not in ended.stderr
    assert listing(folder.checkpoints) == saved != {}
    data.write_bytes(content)
    ended = call_script("train.py", *place, "--resume")
    assert ended.status == 0, ended.stderr
    assert folder.metrics_file.exists()


def test_a_limit_too_small_is_said_before_anything_is_written(
    run_script, data_file, tmp_path
):
    flags = ("--dataset", data_file, "--batch-size", 300, "--memory-limit", 1e-5)
    ended = run_script("train.py", *flags, "--run-dir", "run", cwd=tmp_path)
    assert (ended.status, ended.stdout) == (2, "")
    (_, sentence) = ended.stderr.splitlines()  # before anything is read, too
    assert sentence.startswith("train.py: --memory-limit 1e-05 is too small: ")
    assert list(tmp_path.iterdir()) == []
