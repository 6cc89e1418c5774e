"""The latent space over the training as a GIF: what moves moves, the rest stands."""

import io
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from scripts import listing

from aae_jax import animate
from aae_jax.animate import write_animation
from aae_jax.config import Config
from aae_jax.figures.animation import Frame, animation
from aae_jax.figures.classes import CLASS_COLOURS
from aae_jax.priors import make_prior
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]

RED = 5  # class #780f00, far from every grey


def frames_of(gif):
    """RGB of each frame `[frames, height, width, 3]`, and how long each is shown."""
    pictures, durations = [], []
    with Image.open(io.BytesIO(gif)) as image:
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
            pictures.append(np.asarray(image.convert("RGB")))
    return np.stack(pictures), durations


def draw(*codes, z_dim=2, classes=RED):
    """The frames of codes `[n, z_dim]`, one after the other, under a normal prior."""
    prior = make_prior(Config(z_dim=z_dim))
    frames = [
        Frame(z, np.full(len(z), classes, np.int32), f"epoch {index}")
        for index, z in enumerate(codes)
    ]
    z_prior = np.asarray(prior.sample(jax.random.key(0), 5000))
    return frames_of(animation(frames, prior=prior, z_prior=z_prior, title="a run"))[0]


def colours_in(pictures):
    """Each colour that occurs, as one number."""
    return set(np.unique(pictures.astype(np.int32) @ (1 << 16, 1 << 8, 1)).tolist())


def red(pictures):
    """Where dots of the class are: nothing else is as red."""
    pictures = pictures.astype(np.int16)
    return pictures[..., 0] - pictures[..., 1] > 60


def test_evaluate_animates_a_run(call_script, finished, tmp_path):
    line = ("--run-dir", finished.folder.path, "--animate", "--out", tmp_path)
    ended = call_script("evaluate.py", *line)
    path = tmp_path / "animation.gif"
    assert (ended.status, ended.stdout) == (0, ""), ended.stderr
    assert ended.stderr == f"wrote {path}\n"
    assert list(tmp_path.iterdir()) == [path]
    pictures, durations = frames_of(path.read_bytes())
    assert len(pictures) == len(finished.folder.read_log())
    assert pictures.shape[2] == 640
    assert set(durations[:-1]) == {durations[0]}
    assert durations[-1] > 10 * durations[0]
    assert len(colours_in(pictures)) < 256  # of all frames together
    # Heading, names of axes and legend stand still; the codes do not.
    moves = (pictures != pictures[0]).any(axis=(0, -1))
    assert moves[60:450, 60:500].any()
    assert not moves[60:, 560:].any()
    assert not moves[-40:].any()


def test_a_run_that_kept_no_codes_is_refused(call_script, finished, tmp_path):
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    shutil.rmtree(folder.codes)
    before = listing(folder.path)
    ended = call_script("evaluate.py", "--run-dir", folder.path, "--animate")
    assert (ended.status, ended.stdout) == (2, "")
    assert "has kept no codes of its epochs" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert listing(folder.path) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--animate --split validation", "--split does nothing with --animate"),
        ("--animate --sample 3 --out a.npz", "--sample and --animate"),
        ("--animate --out a.png", "give a folder"),
    ],
)
def test_flags_that_do_not_go_with_it_are_refused(call_script, finished, line, words):
    ended = call_script("evaluate.py", "--run-dir", finished.folder.path, *line.split())
    assert (ended.status, ended.stdout) == (2, "")
    assert words in ended.stderr


def test_of_many_epochs_some_are_drawn_the_first_and_the_last_among_them(
    finished, tmp_path, monkeypatch
):
    run, path, gifs = Run.load(finished.folder.path), tmp_path / "a.gif", []
    for most in (3, 3, 5):
        monkeypatch.setattr(animate, "MOST_FRAMES", most)
        write_animation(run, path)
        gifs.append(path.read_bytes())
    assert gifs[0] == gifs[1]
    few, more = (frames_of(gif)[0] for gif in gifs[1:])
    assert (len(few), len(more)) == (3, 5)
    np.testing.assert_array_equal(few[[0, -1]], more[[0, -1]])


def test_dots_are_where_the_codes_are():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(40, 2)).astype(np.float32)
    here, there, away = (cloud + shift for shift in ([-8, 0], [8, 0], [0, 1e4]))
    # The range is that of the last frame, which the legend's dot lies outside of.
    dots = red(draw(here, there, away, np.concatenate([here, there])))[:, :, :500]
    across = [np.nonzero(each)[1] for each in dots]
    assert across[0].max() < across[1].min()
    assert set(across[3]) >= {across[0].min(), across[1].max()}
    above = np.nonzero(dots[2])[0]  # at the upper edge, not beyond and not lost
    assert len(above)
    assert np.ptp(above) < 12


def test_codes_of_one_dimension_are_bars():
    codes = np.linspace(-8, 8, 200, dtype=np.float32)[:, None]
    left, both = red(draw(codes.clip(max=-2), codes, z_dim=1))[:, :, :500]
    assert np.nonzero(left)[1].max() < np.nonzero(both)[1].max() - 100
    assert both.sum() > 1000


def test_codes_of_many_dimensions_are_seen_in_the_plane_of_the_last():
    rng = np.random.default_rng(1)
    # At the end they vary in dimensions 3 and 4 alone; before in 0 and 1.
    flat, last = np.zeros((2, 60, 5), np.float32)
    flat[:, :2], last[:, 3:] = rng.normal(size=(2, 60, 2)) * 6
    first, end = red(draw(flat, last, z_dim=5))[:, :, :500]
    assert first.sum() < end.sum() / 4  # in the plane they lie on one spot


def test_every_class_keeps_its_colour_in_the_palette():
    z = np.random.default_rng(2).normal(size=(300, 2)).astype(np.float32) * 5
    y = np.arange(300, dtype=np.int32) % 11 - 1
    frame = Frame(z, y, "")
    prior = make_prior(Config())
    gif = animation([frame], prior=prior, z_prior=z, title="a run")
    pictures, _ = frames_of(gif)
    assert {int(colour[1:], 16) for colour in CLASS_COLOURS} <= colours_in(pictures)
