"""A run from Python: shapes, types, sizes, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

from aae_jax.errors import RunError, UserError
from aae_jax.run import Run

pytest_plugins = ["script_fixtures"]


@pytest.fixture(scope="module")
def run(finished):
    return Run.load(str(finished.folder.path))


def test_shapes_and_types(run, tiny_dataset):
    x = tiny_dataset.x_test
    z = run.encode(x)
    x_hat = run.decode(z)
    assert (z.shape, z.dtype) == ((100, 2), np.float32)
    assert (x_hat.shape, x_hat.dtype) == ((100, 8, 8, 1), np.float32)
    assert x_hat.min() >= 0
    assert x_hat.max() <= 1
    np.testing.assert_array_equal(run.reconstruct(x), x_hat)
    assert run.sample(7).shape == (7, 8, 8, 1)
    codes = run.sample_codes(7, seed=3)
    assert (codes.shape, codes.dtype) == ((7, 2), np.float32)
    np.testing.assert_array_equal(run.sample(7, seed=3), run.decode(codes))
    assert not np.array_equal(run.sample_codes(7, seed=4), codes)
    assert run.sample_codes(20_000).std() == pytest.approx(5, rel=0.02)


def test_more_rows_than_a_batch_and_none_at_all(run, tiny_dataset):
    x = np.concatenate([tiny_dataset.x_train] * 3)[:1101]
    z = run.encode(x)
    assert len(z) == len(run.decode(z)) == 1101
    for rows in (slice(0, 3), slice(499, 502), slice(1100, 1101)):
        np.testing.assert_array_equal(run.encode(x[rows]), z[rows])
    assert run.encode(x[:0]).shape == (0, 2)
    assert run.decode(z[:0]).shape == (0, 8, 8, 1)
    assert run.sample(0).shape == (0, 8, 8, 1)


def test_images_of_every_number_type_agree(run, tiny_dataset):
    x = tiny_dataset.x_test
    z = run.encode(x)
    as_float = x.astype(np.float32) / 255
    for same in (as_float, x[..., 0], x.astype(np.int64), as_float[..., 0].tolist()):
        np.testing.assert_allclose(run.encode(same), z, rtol=1e-6, atol=1e-6)
    black_and_white = x > 127
    np.testing.assert_array_equal(
        run.encode(black_and_white), run.encode(black_and_white.astype(np.float32))
    )
    assert run.metrics(as_float) == run.metrics(x)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, 9, 8, 1), np.uint8), "this run was trained on"),
        (np.zeros((8, 8, 1), np.uint8), r"give x\[None\] for a single image"),
        (np.zeros((3, 8, 8, 3), np.uint8), "this run was trained on"),
        ([], "this run was trained on"),
        (3, "this run was trained on"),
        (np.full((3, 8, 8), 255.0), r"not in \[0, 1\]"),
        (np.full((3, 8, 8), np.nan), "images with NaN"),
        (np.full((3, 8, 8), 256), "256"),
        (np.full((3, 8, 8), "a"), "type"),
    ],
)
def test_images_that_do_not_fit_are_refused(run, x, words):
    for method in (run.encode, run.reconstruct, run.metrics):
        with pytest.raises(UserError, match=words):
            method(x)


def test_codes_that_do_not_fit_are_refused(run):
    for z in (np.zeros((3, 3)), np.zeros(2), 0.5, np.full((3, 2), "a")):
        with pytest.raises(UserError, match=r"\[n, 2\]"):
            run.decode(z)
    for number in (np.nan, np.inf, 1e300):
        with pytest.raises(UserError, match="infinite in float32"):
            run.decode(np.full((3, 2), number))
    with pytest.raises(UserError, match="0 or more"):
        run.sample(-1)
    with pytest.raises(UserError, match="knows no classes; those that do are superv"):
        run.sample(3, y=1)


def test_metrics_of_given_images(run, tiny_dataset):
    measured = run.metrics(tiny_dataset.x_test)
    assert "knn_accuracy" not in measured
    error = run.reconstruct(tiny_dataset.x_test) - tiny_dataset.x_test / 255
    assert measured["reconstruction_mse"] == pytest.approx(np.mean(error**2), rel=1e-4)
    with_labels = run.metrics(tiny_dataset.x_test, tiny_dataset.y_test)
    assert with_labels == measured | {"knn_accuracy": with_labels["knn_accuracy"]}
    with pytest.raises(UserError, match="2 or more"):
        run.metrics(tiny_dataset.x_test[:1])
    with pytest.raises(UserError, match=r"y has the shape \[3\]"):
        run.metrics(tiny_dataset.x_test, tiny_dataset.y_test[:3])


def test_loading_what_is_not_whole(finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.folder.path, path)
    (path / "metrics.json").unlink()
    assert Run.load(path).step == 906
    with pytest.raises(UserError, match="has not ended"):
        Run.load(path).metrics()
    stored = json.loads((path / "config.json").read_text())
    stored["config"]["hidden"] = [16, 17]
    (path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match="of another model"):
        Run.load(path)
    for manifest in path.glob("checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    said = []
    with pytest.raises(RunError, match=r"every checkpoint in .* is damaged"):
        Run.load(path, say=said.append)
    assert len(said) == 1
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(UserError, match=r"no checkpoint yet; .*--resume --run-dir"):
        Run.load(path)


def test_a_way_between_codes_is_straight_and_holds_both(run):
    a, b = run.sample_codes(2, seed=1)
    images = run.interpolate(a, b, n=5)
    wanted = run.decode([a, (3 * a + b) / 4, (a + b) / 2, (a + 3 * b) / 4, b])
    np.testing.assert_allclose(images, wanted, atol=1e-5)
    np.testing.assert_array_equal(run.interpolate(a, b).shape[0], 11)
    for n in (1, 2.5, 10**9):
        with pytest.raises(UserError, match=r"n=.* 2 to 100,?000"):
            run.interpolate(a, b, n=n)
    with pytest.raises(UserError, match="codes of shape"):
        run.interpolate(a, [0.0])


def test_one_number_of_a_code_is_traversed(run):
    z = run.sample_codes(1, seed=2)[0]
    before = z.copy()
    images = run.traverse(z, 1, n=3, extent=1.5)
    codes = np.stack([z] * 3)
    codes[:, 1] = run.code_prior.mean[1] + run.code_prior.std[1] * np.array(
        [-1.5, 0, 1.5], np.float32
    )
    np.testing.assert_allclose(images, run.decode(codes), atol=1e-5)
    np.testing.assert_array_equal(z, before)
    with pytest.raises(UserError, match=r"dimension=2 is none .* give 0 to 1"):
        run.traverse(z, 2)


def test_a_notebook_shows_metrics_and_grid(finished, tmp_path):
    path = tmp_path / "<b>run"
    shutil.copytree(finished.folder.path, path)
    shown = Run.load(path)._repr_html_()
    assert "latent.ratio" in shown
    assert "alt='grid'" in shown
    assert "<b>" not in shown
    (path / "metrics.json").unlink()
    unfinished = Run.load(path)._repr_html_()
    assert "latent.ratio" not in unfinished
    assert "data:image/png;base64," in unfinished
