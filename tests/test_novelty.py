"""Novelty scores: their mathematics, what runs say of odd images, the command."""

import csv
import dataclasses
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scripts import listing

from aae_jax.data import Dataset, load_dataset
from aae_jax.errors import UserError
from aae_jax.inference import as_pixels
from aae_jax.metrics import nearest_codes
from aae_jax.novelty import Seen, Surprise, log_density, novelty, relative_errors
from aae_jax.phases import make_model
from aae_jax.run import Run
from aae_jax.scoring import table
from aae_jax.splits import images_of_split

pytest_plugins = ["script_fixtures"]

COLUMNS = [
    *("score", "error", "known_error"),
    *("error_surprise", "log_density", "density_surprise"),
]


def seen(n, seed=0):
    rng = np.random.default_rng(seed)
    return Seen(rng.gamma(2, 1, n), rng.gamma(3, 1, n), rng.normal(-9, 2, n))


# The mathematics.


@pytest.mark.parametrize("draw", ["gamma", "normal", "uniform"])
def test_surprises_of_fresh_values_are_those_of_uniform_shares(draw):
    rng = np.random.default_rng(0)
    shape = (2,) if draw == "gamma" else ()
    ordinary, fresh = getattr(rng, draw)(*shape, size=(2, 5000))
    p = np.exp(-Surprise(np.sort(ordinary))(fresh))
    # Kolmogorov-Smirnov at 0.1 %, of two samples of 5,000.
    distance = np.abs(np.sort(p) - (np.arange(5000) + 0.5) / 5000).max()
    assert distance < 1.95 * math.sqrt(2 / 5000)


def test_the_ordinary_values_themselves_are_uniform_up_to_the_tail():
    values = np.sort(np.random.default_rng(1).normal(size=1000))
    p = np.sort(np.exp(-Surprise(values)(values)))
    np.testing.assert_allclose(p[100:], (np.arange(100, 1000) + 0.5) / 1000)
    assert np.mean(-np.log(p)) == pytest.approx(1, abs=0.05)  # nats, on the average


def test_beyond_the_tail_an_exponential_is_told_exactly():
    n = 100_000  # quantiles of the exponential with mean 3: the surprise is s / 3
    values = -3 * np.log1p(-(np.arange(n) + 0.5) / n)
    asked = np.array([0.3, 3.0, 30.0, 300.0])
    np.testing.assert_allclose(Surprise(values)(asked), asked / 3, rtol=0.01)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=20, max_size=60),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20),
)
def test_what_is_larger_is_never_less_of_a_surprise(ordinary, asked):
    nats = Surprise(np.sort(np.array(ordinary)))(np.sort(np.array(asked)))
    assert np.isfinite(nats).all()
    assert (nats >= 0).all()
    assert (np.diff(nats) >= 0).all()


def test_a_larger_error_and_a_lonelier_code_each_raise_the_score():
    ordinary, same = seen(500), np.full(200, 3.0)
    errors = np.linspace(0, 50, 200)
    scores = novelty(Seen(same, errors, -3 * same), ordinary).score
    assert (np.diff(scores) >= 0).all()
    assert (np.diff(scores[errors > 8]) > 0).all()
    density = np.linspace(0, -100, 200)
    scores = novelty(Seen(same, same, density), ordinary).score
    assert (np.diff(scores) >= 0).all()
    assert (np.diff(scores[density < -15]) > 0).all()


def test_scores_of_fresh_ordinary_images_tell_their_own_share():
    ordinary = seen(2000)
    for images in (ordinary, seen(2000, seed=1)):
        score = novelty(images, ordinary).score
        for share in (0.5, 0.1, 0.02):
            expected = pytest.approx(share, abs=4 * math.sqrt(share / 2000))
            assert np.mean(np.exp(-score) <= share) == expected


@pytest.mark.parametrize("d", [1, 2, 3])
def test_density_of_codes_drawn_from_a_normal(d):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(20_000, d))
    places = np.vstack([np.zeros(d), np.eye(d)[0]])
    distances, _ = nearest_codes(codes, places, k=100)
    found = log_density(distances, m=len(codes), d=d)
    # The mean of j-th distances, which grow as (j / k)^(1/d), is d / (d + 1) of the
    # k-th: the constant that the docstring tells of.
    constant = d * math.log((d + 1) / d)
    expected = -d / 2 * math.log(2 * math.pi) - np.array([0, 0.5]) + constant
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_relative_errors_are_shares_of_the_ink():
    x = np.zeros((3, 2, 2, 1), np.float32)
    x[0], x[1, 0, 0] = 1, 1
    np.testing.assert_array_equal(relative_errors(x, x), 0)
    np.testing.assert_allclose(relative_errors(x[:2], 0 * x[:2]), 1)
    # What has nothing to compare with is compared with the floor.
    np.testing.assert_allclose(relative_errors(x[2:], x[2:] + 1, floor=0.5), 8)


def test_ink_on_paper_has_the_errors_of_chalk_on_slate():
    x, x_hat = np.random.default_rng(0).uniform(size=(2, 5, 4, 4, 1)).astype(np.float32)
    on_paper = relative_errors(1 - x, 1 - x_hat, ground=1.0)
    np.testing.assert_allclose(on_paper, relative_errors(x, x_hat), rtol=1e-5)


def test_images_that_are_all_seen_alike_are_no_trouble():
    same, odd = np.ones(30), np.array([1.0, 2.0])
    scores = novelty(Seen(odd, odd, -odd), Seen(same, same, -same))
    assert np.isfinite(scores).all()
    assert scores.score[1] > scores.score[0]
    assert np.isfinite(log_density(np.zeros((1, 5)), m=30, d=2)).all()


# Runs.


@pytest.fixture(scope="module")
def run(finished):
    return Run.load(finished.folder.path)


def odd_images():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    return np.concatenate([noise, np.full((1, 8, 8, 1), 255, np.uint8)])


def test_noise_outranks_what_the_run_knows(run, tiny_dataset):
    x = np.concatenate([tiny_dataset.x_test, odd_images()])
    scores = run.novelty(x, tiny_dataset)
    assert scores._fields == tuple(COLUMNS)
    assert all(each.shape == (107,) for each in scores)
    assert scores.score[100:].min() > np.quantile(scores.score[:100], 0.95)


def test_a_score_depends_on_its_image_alone(run, tiny_dataset):
    x = tiny_dataset.x_test
    scores = np.array(run.novelty(x, tiny_dataset))
    order = np.random.default_rng(0).permutation(len(x))
    for images, expected in (
        (x[order], scores[:, order]),
        (as_pixels(x), scores),
        (x[7:8], scores[:, 7:8]),
        (np.tile(x, (30, 1, 1, 1)), np.tile(scores, 30)),  # more than go at a time
        (x[:0], scores[:, :0]),
    ):
        got = run.novelty(images, tiny_dataset)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_known_image_comes_back_from_a_known_code(run, tiny_dataset):
    familiar = run.familiar(tiny_dataset)
    x, _ = images_of_split(tiny_dataset, "train")
    x_hat, from_known, distances = familiar.bring_back(x)
    assert distances.shape == (len(x), 5)
    # Its own code is the nearest, and another one may suit it better.
    np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-5)
    known, own = (relative_errors(as_pixels(x), each) for each in (from_known, x_hat))
    assert (known <= own + 1e-6).all()


def test_images_on_disk_have_the_scores_of_those_in_memory(run, tiny_dataset, tmp_path):
    np.save(tmp_path / "x.npy", np.tile(tiny_dataset.x_test, (4, 1, 1, 1)))
    on_disk = load_dataset(tmp_path / "x.npy", memory_limit=1e-6)
    in_memory = load_dataset(tmp_path / "x.npy")
    np.testing.assert_array_equal(
        run.novelty(on_disk.x_train, on_disk), run.novelty(in_memory.x_train, in_memory)
    )


def test_too_few_images_to_compare_with_and_other_shapes_are_refused(run, tiny_dataset):
    few = Dataset.from_arrays(tiny_dataset.x_train[:199])
    with pytest.raises(UserError, match="has 16 images that are held out"):
        run.novelty(tiny_dataset.x_test, few)
    other = Dataset.from_arrays(np.full((400, 8, 9), 7, np.uint8))
    for x, dataset in (
        (np.zeros((2, 8, 8, 3), np.uint8), tiny_dataset),
        (tiny_dataset.x_test, other),
    ):
        with pytest.raises(UserError, match=r"trained on images of \(8, 8, 1\)"):
            run.novelty(x, dataset)


@pytest.mark.parametrize(
    "model",
    ["autoencoder", "supervised", "label-prior", "clustering", "dim-reduction"],
)
def test_every_kind_of_model_scores(
    model, run, tiny_config_of, tiny_state, tiny_dataset
):
    config = tiny_config_of(model)  # not trained: what is scored with what, is asked
    record = dataclasses.replace(run.record, config=config)
    networks = make_model(config, image_shape=(8, 8, 1))
    run = Run(record, networks, tiny_state(model).weights, run.folder, 0)
    x = tiny_dataset.x_test
    scores = run.novelty(x, tiny_dataset)
    assert np.isfinite(scores).all()
    x_hat, _, _ = run.familiar(tiny_dataset).bring_back(x)
    errors = relative_errors(as_pixels(x), x_hat)
    np.testing.assert_allclose(scores.error, errors, rtol=1e-5)
    if model == "supervised":  # no label is told, and none is better
        for label in range(4):
            of_label = relative_errors(as_pixels(x), run.decode(run.encode(x), label))
            assert (errors <= of_label + 1e-6).all()
    else:
        np.testing.assert_allclose(x_hat, run.reconstruct(x), atol=1e-6)


# The command.


@pytest.fixture
def score(call_script, finished, tmp_path, monkeypatch):
    """evaluate.py --score on the finished run, which it leaves alone."""
    monkeypatch.chdir(tmp_path)
    before = listing(finished.folder.path) | {".lock": None}
    yield lambda *line: call_script(
        "evaluate.py", "--run-dir", finished.folder.path, "--score", *line
    )
    assert listing(finished.folder.path) | {".lock": None} == before


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_split_is_scored_in_its_order(score, run, finished, tmp_path):
    dataset = load_dataset(finished.data_file)
    ended = score("test", "--out", "odd.csv")
    assert (ended.status, ended.stdout) == (0, "")
    assert ended.stderr == "wrote odd.csv: 100 images\nwrote odd.png\n"
    rows = rows_of(tmp_path / "odd.csv")
    assert list(rows[0]) == ["index", *COLUMNS, "y"]
    assert [int(row["index"]) for row in rows] == list(range(100))
    assert [int(row["y"]) for row in rows] == dataset.y_test.tolist()
    scores = run.novelty(dataset.x_test, dataset)
    for name, expected in scores._asdict().items():
        got = [float(row[name]) for row in rows]
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    picture = (tmp_path / "odd.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    # Once more, under another name: the same bytes.
    assert score("test", "--out", "again.csv").status == 0
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "odd.csv").read_bytes()
    assert (tmp_path / "again.png").read_bytes() == picture


HOSTILE = (
    "=1+1.png",
    'a,"b".png',
    "two\nlines.png",
    "-2.png",
    "0012.png",
    "\x1b[2J.png",
)


def test_names_of_files_stay_text(score, tiny_dataset, tmp_path):
    folder = tmp_path / "pictures" / "@SUM(1)"
    folder.mkdir(parents=True)
    for name, image in zip(HOSTILE, tiny_dataset.x_test, strict=False):
        Image.fromarray(image[..., 0]).save(folder / name)
    (noise,) = odd_images()[:1]
    Image.fromarray(noise[..., 0]).save(folder / "noise.png")
    ended = score("pictures", "--out", "odd.csv")
    assert ended.status == 0, ended.stderr
    rows = rows_of(tmp_path / "odd.csv")
    names = sorted([*HOSTILE, "noise.png"])
    assert [row["file"] for row in rows] == [f"./@SUM(1)/{name}" for name in names]
    most = max(rows, key=lambda row: float(row["score"]))
    assert most["file"] == "./@SUM(1)/noise.png"
    assert {row["y"] for row in rows} == {"0"}


def test_a_name_that_is_no_text_is_written_as_an_escape():
    scores = novelty(seen(1), seen(30))
    text = table(scores, files=[b"\xff.png".decode("utf-8", "surrogateescape")])
    assert text.splitlines()[1].startswith("0,./\\udcff.png,")
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("test", "--score writes a .csv file, got none"),
        ("test --out odd.npz", "add --out FILE.csv"),
        ("test --out there.csv", "there.csv exists"),
        ("test --out drawn.csv", "drawn.png exists"),
        ("test --out no/odd.csv", "make it first"),
        ("tset --out odd.csv", "did you mean test?"),
        ("empty --out odd.csv", "has no images"),
        ("wide.npy --out odd.csv", "(2, 8, 9, 1)"),
        ("colour.npy --out odd.csv", "(2, 8, 8, 3)"),
        ("test --grid --out odd.csv", "--score"),
        ("test --split test --out odd.csv", "--score itself takes"),
    ],
)
def test_what_cannot_be_scored_is_refused(score, tmp_path, line, words):
    np.save("wide.npy", np.full((2, 8, 9), 7, np.uint8))
    np.save("colour.npy", np.full((2, 8, 8, 3), 7, np.uint8))
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").touch()
    (tmp_path / "drawn.png").touch()
    before = listing(tmp_path)
    ended = score(*line.split())
    assert (ended.status, ended.stdout) == (2, ""), ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert words in sentence
    assert listing(tmp_path) == before


def test_a_run_without_a_checkpoint_scores_nothing(call_script, finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.folder.path, path)
    shutil.rmtree(path / "checkpoints")
    line = ("--run-dir", path, "--score", "test", "--out", tmp_path / "odd.csv")
    ended = call_script("evaluate.py", *line)
    assert ended.status == 2
    assert "has no checkpoint yet" in ended.stderr
    assert not list(tmp_path.glob("odd.*"))
