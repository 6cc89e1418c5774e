"""Runs of the variants that know classes: from Python, resumed, and by the scripts."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from checkpoint_states import leaf_bytes

from aae_jax import figures, host_loop
from aae_jax.checkpoint import checkpoint_steps
from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.errors import UserError
from aae_jax.fitting import fit
from aae_jax.options import RunOptions, pictures_of
from aae_jax.pictures import draw_pictures
from aae_jax.run import Run
from aae_jax.run_start import kept_labels, settle
from aae_jax.splits import images_of_split, metrics_of_split

pytest_plugins = ["script_fixtures"]
pytestmark = pytest.mark.usefixtures("without_coverage")

STEPS = 30  # of 18 an epoch
SETTINGS = {
    "supervised": {"encoder": "universal"},
    "label-prior": {"prior": "swiss-roll", "labels": 40},
    "semi-supervised": {
        "labels": 20,
        "batch_norm": True,
        "consistency_weight": 1.0,
        "z_dim": 3,
    },
    "clustering": {
        "clusters": 6,
        "encoder": "gaussian",
        "aggregated_categories": True,
        "entropy_weight": 0.2,
    },
    "dim-reduction": {"labels": 20, "z_dim": 3},
}


@pytest.fixture(scope="module")
def trained(tiny_config, tiny_dataset, tmp_path_factory):
    """`trained(model)`: a finished run, saved as often as can be."""
    place = tmp_path_factory.mktemp("runs")
    runs = {}

    def train(model):
        if model not in runs:
            config = dataclasses.replace(
                tiny_config, model=model, steps=STEPS, **SETTINGS[model]
            )
            options = RunOptions(run_dir=place / model, quiet=True, no_figures=True)
            data = data_of(model, tiny_dataset)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(host_loop, "SECONDS_BETWEEN_SAVES", 0.0)
                runs[model] = fit(config, dataset=data, options=options)
        return runs[model]

    return train


def data_of(model, dataset):
    """With a label on every fifth training image alone, where a model learns so."""
    if model != "semi-supervised":
        return dataset
    y = np.where(np.arange(400) % 5 == 0, dataset.y_train, np.int32(-1))
    return dataclasses.replace(dataset, y_train=y)


@pytest.mark.parametrize("model", SETTINGS)
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    model, trained, tiny_dataset, tmp_path
):
    straight = trained(model)
    folder = dataclasses.replace(straight.folder, path=tmp_path / "run")
    shutil.copytree(straight.folder.path, folder.path)
    newest, before, *_ = checkpoint_steps(folder.checkpoints)
    assert (newest, before) == (STEPS, 18)
    shutil.rmtree(folder.checkpoints / f"{newest:08d}")
    options = RunOptions(run_dir=folder.path, resume=True, quiet=True, no_figures=True)
    config = straight.record.config
    data = data_of(model, tiny_dataset)
    resumed = fit(config, dataset=data, options=options)
    assert leaf_bytes(resumed.params) == leaf_bytes(straight.params)
    timings = ("seconds", "images_per_second")
    logs = [
        [{k: v for k, v in line.items() if k not in timings} for line in run.read_log()]
        for run in (folder, straight.folder)
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 2


@pytest.mark.parametrize("model", SETTINGS)
def test_a_run_opens_again_with_all_that_it_knows(model, trained, tiny_dataset):
    run = trained(model)
    again = Run.load(run.folder.path)
    assert leaf_bytes(again.params) == leaf_bytes(run.params)
    x = tiny_dataset.x_test
    z = again.encode(x)
    assert z.shape == (100, run.record.config.z_dim)
    np.testing.assert_array_equal(z, run.encode(x))
    # One at a time or together: nothing but the image decides its code.
    np.testing.assert_allclose(again.encode(x[7:8]), z[7:8], rtol=1e-4, atol=1e-5)
    assert run.sample_codes(5, seed=1).shape == (5, run.record.config.z_dim)
    assert run.sample(5, seed=1).shape == (5, 8, 8, 1)
    x_hat = again.reconstruct(x, tiny_dataset.y_test)
    error = float(np.square(x_hat - x.astype(np.float32) / 255).mean())
    assert run.metrics()["reconstruction_mse"] == pytest.approx(error, rel=1e-4)


def test_classes_are_inferred(trained, tiny_dataset):
    x, y = tiny_dataset.x_test, tiny_dataset.y_test
    run = trained("semi-supervised")
    shares, y_pred = run.probabilities(x), run.classify(x)
    assert (shares.shape, shares.dtype) == ((100, 4), np.float32)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(y_pred, shares.argmax(axis=1))
    assert y_pred.dtype == np.int32
    assert run.metrics()["test_error"] == pytest.approx(np.mean(y_pred != y))
    assert run.record.config.n_classes == 4
    log = run.folder.read_log()
    assert "error" in log[-1]["validation"]
    assert {"classification", "consistency"} <= set(log[-1]["losses"])
    assert trained("clustering").classify(x).max() < 6
    for model in ("supervised", "label-prior"):
        with pytest.raises(UserError, match="those that do are semi-supervised"):
            trained(model).classify(x)
        with pytest.raises(UserError, match="those that do are semi-supervised"):
            trained(model).decode_heads()


def test_held_out_images_name_the_clusters(trained, tiny_dataset):
    """With other labels on them the same clusters have other names."""
    run = trained("clustering")
    x, y = tiny_dataset.x_test, tiny_dataset.y_test
    for turned in range(4):
        other = dataclasses.replace(
            tiny_dataset, y_train=(tiny_dataset.y_train + turned) % 4
        )
        classes = run.name_clusters(*images_of_split(other, "validation"))
        assert classes.shape == (6,)
        share = np.mean(classes[run.classify(x)] != y)
        found = metrics_of_split(run, other, "test")
        assert found["cluster_error"] == pytest.approx(share)
        if turned == 0:
            assert found.items() <= run.metrics().items()
        else:
            assert found["cluster_error"] != run.metrics()["cluster_error"]
    none = np.full(400, -1, np.int32)
    unnamed = metrics_of_split(
        run, dataclasses.replace(tiny_dataset, y_train=none), "test"
    )
    assert "cluster_error" not in unnamed
    assert unnamed["cluster_error_majority"] == run.metrics()["cluster_error_majority"]
    assert run.name_clusters(tiny_dataset.x_train, none) is None
    with pytest.raises(UserError, match="infers no classes"):
        trained("supervised").name_clusters(x, y)
    for classes in ([0, 1], np.zeros(6), 0):
        with pytest.raises(UserError, match=r"one whole number .* \(6,\)"):
            run.metrics(x, y, cluster_classes=classes)
    with pytest.raises(UserError, match="finds no clusters; leave cluster_classes out"):
        trained("supervised").metrics(x, y, cluster_classes=[0, 1, 2, 3])


def test_a_class_is_read_beside_the_code(trained):
    run = trained("supervised")
    z = run.sample_codes(4, seed=0)
    images = run.decode(z, [0, 1, 2, 3])
    for label in range(4):
        same = run.decode(z, label)
        np.testing.assert_array_equal(same[label], images[label])
    y = run.sample_categories(4, seed=0)
    np.testing.assert_array_equal(run.sample(4, seed=0), run.decode(z, y))
    np.testing.assert_array_equal(run.sample(4, seed=0, y=2), run.decode(z, 2))
    counts = np.bincount(run.sample_categories(4000))
    assert counts.shape == (4,)
    assert counts.min() > 900
    for y, words in (
        (None, "reads a class beside the code; give y, 4 whole numbers from -1 to 3"),
        ([0, 1, 2, 4], "from 0 to 4"),
        (-2, "from -2 to -2"),
        ([0, 1], r"shape \(2,\)"),
        ([0.0, 1.0, 2.0, 3.0], "float64"),
    ):
        with pytest.raises(UserError, match=words):
            run.decode(z, y)
    with pytest.raises(UserError, match="reads a class"):
        run.reconstruct(np.zeros((2, 8, 8, 1), np.uint8))
    with pytest.raises(UserError, match="reads the code alone; leave y out"):
        trained("label-prior").decode(np.zeros((1, 2)), 0)


def test_a_decoder_of_labels_takes_images_without_one(trained, tiny_dataset):
    run, x = trained("supervised"), tiny_dataset.x_test
    z = run.encode(x)
    assert abs(run.decode(z, -1) - run.decode(z, 0)).max() > 1e-3
    with pytest.raises(UserError, match="from 0 to 5"):
        trained("clustering").decode(np.zeros((1, 2)), -1)


def test_a_class_chooses_the_part_of_the_prior_or_the_head(trained):
    by_part, by_head = trained("label-prior"), trained("dim-reduction")
    y = np.arange(200) % 4
    z = jax.numpy.asarray(by_part.sample_codes(200, seed=2, y=y))
    assert np.mean(np.asarray(by_part.model.prior.part_of(z)) == y) > 0.85
    codes = by_head.sample_codes(200, seed=2, y=3)
    head = np.asarray(by_head.model.networks.heads(by_head.params))[3]
    deviation = by_head.model.prior.std / np.sqrt(200)
    np.testing.assert_array_less(abs(codes.mean(axis=0) - head), 5 * deviation)
    for run in (by_part, by_head):
        images = run.decode(run.sample_codes(8, seed=1, y=2))
        np.testing.assert_array_equal(run.sample(8, seed=1, y=2), images)
        with pytest.raises(UserError, match="from 0 to 3"):
            run.sample(3, y=4)


def test_codes_of_samples_lie_around_the_cluster_heads(trained):
    run = trained("dim-reduction")
    heads = np.asarray(run.model.networks.heads(run.params))
    codes = run.sample_codes(20_000)
    np.testing.assert_allclose(
        codes.mean(axis=0), heads.mean(axis=0), atol=0.15 * run.code_prior.std.max()
    )
    np.testing.assert_allclose(codes.std(axis=0), run.code_prior.std, rtol=0.05)
    np.testing.assert_allclose(codes.mean(axis=0), run.code_prior.mean, atol=0.3)
    np.testing.assert_array_equal(run.decode_heads(), run.decode(heads))


def test_codes_by_class_are_measured_against_their_parts(trained, tiny_dataset):
    run = trained("label-prior")
    part = np.asarray(
        run.model.prior.part_of(jax.numpy.asarray(run.encode(tiny_dataset.x_test)))
    )
    share = float(np.mean(part == tiny_dataset.y_test))
    assert run.metrics()["part_share"] == pytest.approx(share)


@pytest.mark.parametrize("model", ["label-prior", "clustering", "supervised"])
def test_the_scripts_draw_and_write_what_the_model_has(
    model, trained, call_script, data_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = trained(model)

    def evaluate(*line):
        flags = ("--run-dir", run.folder.path, "--dataset", data_file, *line)
        ended = call_script("evaluate.py", *flags)
        assert ended.status == 0, ended.stderr
        return ended

    ended = evaluate("--out", tmp_path / "pictures")
    drawn = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {*pictures_of(run.record.config), "report"}
    printed, stored = json.loads(ended.stdout), run.metrics()
    assert printed.items() <= stored.items()

    evaluate("--encode", "test", "--out", "codes.npz")
    evaluate("--sample", 9, "--seed", 5, "--out", "samples.npz")
    evaluate("--decode", "samples.npz", "--out", "decoded.npz")
    with np.load("samples.npz") as samples, np.load("decoded.npz") as decoded:
        np.testing.assert_array_equal(samples["x_hat"], decoded["x_hat"])
        y = run.sample_categories(9, seed=5)
        np.testing.assert_array_equal(samples["y"], y)
        z = run.sample_codes(9, seed=5, y=y)
        np.testing.assert_array_equal(samples["z"], z)
    infers = run.model.networks.wiring.infers_y
    with np.load("codes.npz") as codes, np.load(data_file) as data:
        assert set(codes) == {"z", "y", *(["y_pred"] if infers else [])}
        np.testing.assert_array_equal(codes["y"], data["y_test"])
        if infers:
            np.testing.assert_array_equal(codes["y_pred"], run.classify(data["x_test"]))
        y = codes["y_pred" if infers else "y"] if run.reads_category else None
        x_hat = run.decode(codes["z"], y)
    evaluate("--decode", "codes.npz", "--out", "back.npz")
    with np.load("back.npz") as back:
        np.testing.assert_array_equal(back["x_hat"], x_hat)


def test_only_images_of_a_cluster_stand_below_its_head(
    trained, tiny_dataset, tmp_path, monkeypatch
):
    """The rest of the column is white, as for a cluster that has none at all."""
    run, x = trained("clustering"), tiny_dataset.x_test
    shown, draw = {}, figures.table_figure

    def table_figure(images, **about):
        shown.update(about, images=images)
        return draw(images, **about)

    monkeypatch.setattr(figures, "table_figure", table_figure)
    draw_pictures(run, lambda: (x, None), out=tmp_path, names=["heads"])
    category = run.classify(x)
    counts = [int((category == each).sum()) for each in range(6)]
    assert shown["column_counts"] == counts
    np.testing.assert_array_equal(shown["images"][0], run.decode_heads())
    for each in range(6):
        members = shown["images"][1:, each]
        has = members.min(axis=(1, 2, 3)) < 1
        assert has.sum() == min(counts[each], len(members))
        pixels = np.rint(members * 255).astype(np.uint8)
        assert all(run.classify(pixels[has]) == each)


def test_parzen_prints_what_it_took_and_found(call_script, trained, data_file):
    flags = ("--run-dir", trained("clustering").folder.path, "--dataset", data_file)
    ended = call_script("evaluate.py", *flags, "--parzen", 50, "--seed", 3)
    assert ended.status == 0, ended.stderr
    found = json.loads(ended.stdout)
    header = {"split": "test", "images": 100, "seed": 3, "samples": 50}
    assert found.items() >= header.items()
    assert found["sigmas"][0] <= found["sigma"] <= found["sigmas"][-1]
    assert np.isfinite(found["log_likelihood"])


def test_test_images_may_lack_labels(tiny_config, tiny_dataset, tmp_path):
    """The decoder reads no class of these, while training and after."""
    y_test = np.where(np.arange(100) % 3 == 0, tiny_dataset.y_test, -1)
    config = dataclasses.replace(tiny_config, model="supervised", steps=STEPS)
    options = RunOptions(run_dir=tmp_path / "run", quiet=True)
    data = Dataset.from_arrays(
        tiny_dataset.x_train,
        tiny_dataset.y_train,
        x_test=tiny_dataset.x_test,
        y_test=y_test,
    )
    run = fit(config, dataset=data, options=options)
    drawn = {path.stem for path in run.folder.figures.iterdir()}
    assert drawn == {*pictures_of(run.record.config), "report"}
    x_hat = run.reconstruct(tiny_dataset.x_test, y_test)
    error = float(
        np.square(x_hat - tiny_dataset.x_test.astype(np.float32) / 255).mean()
    )
    assert run.metrics()["reconstruction_mse"] == pytest.approx(error, rel=1e-4)
    assert (run.metrics()["images"], run.metrics()["labelled"]) == (100, 34)
    decoded = run.decode(run.encode(tiny_dataset.x_test), y_test)
    np.testing.assert_allclose(decoded, x_hat, atol=1e-6)


def test_labels_that_do_not_suffice_are_told_or_refused(tiny_config, tiny_dataset):
    y = np.where(tiny_dataset.y_train == 2, 3, tiny_dataset.y_train)
    config = dataclasses.replace(tiny_config, model="semi-supervised", n_classes=4)
    data, said = dataclasses.replace(tiny_dataset, y_train=y), []
    kept_labels(config, data, say=said.append)
    (note,) = said
    assert "1 of 4 classes has no labelled image to learn from" in note
    one = dataclasses.replace(data, y_train=np.where(y == 3, y, np.int32(-1)))
    with pytest.raises(UserError, match=r"all labels .* are 3; there is no class"):
        settle(config, one, RunOptions())
    few = data_of("semi-supervised", tiny_dataset)
    more = dataclasses.replace(config, labels=200)
    with pytest.raises(UserError, match="labels=200 asks for"):
        kept_labels(more, few)


def test_a_model_that_needs_labels_says_so_before_it_writes(
    run_script, tiny_dataset, tmp_path
):
    np.save(tmp_path / "x.npy", tiny_dataset.x_train)
    flags = ("--model", "semi-supervised", "--dataset", "x.npy", "--run-dir", "run")
    ended = run_script("train.py", *flags, cwd=tmp_path)
    assert (ended.status, ended.stdout) == (2, "")
    (sentence,) = ended.stderr.splitlines()
    assert "learns from labels" in sentence
    assert not (tmp_path / "run").exists()
    assert Config(model="clustering").reads_labels is False
