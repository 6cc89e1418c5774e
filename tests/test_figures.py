"""Pictures: what is drawn where, in rendered pixels; files; every shape of input."""

import itertools
import subprocess
import sys

import matplotlib.style
import numpy as np
import pytest
from PIL import Image

from aae_jax import figures, priors
from aae_jax.errors import RunError, UserError
from aae_jax.figures.classes import CLASS_COLOURS

TITLE = "20260101-120000-aae-normal"


def normal_codes(z_dim=2, n=400):
    return np.random.default_rng(1).normal(0, 5, (n, z_dim)).astype(np.float32)


def draw_latent(z, y=None, **options):
    z_prior = np.random.default_rng(2).normal(0, 5, (4000, z.shape[1]))
    return figures.latent_figure(
        z,
        y,
        prior=priors.normal(z.shape[1]),
        z_prior=z_prior.astype(np.float32),
        title=TITLE,
        **options,
    )


def pixels_of(figure, path):
    """The saved picture, `[height, width, 3]`."""
    figures.save(figure, path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def inside(picture, axes):
    """The part of a saved picture within the frame of its axes."""
    box = axes.get_window_extent()
    height = len(picture)
    rows = slice(round(height - box.y1) + 3, round(height - box.y0) - 3)
    return picture[rows, round(box.x0) + 3 : round(box.x1) - 3]


def centre_of(mask):
    """Mean place of a mask, in parts of its width and, from below, its height."""
    rows, columns = np.nonzero(mask)
    return columns.mean() / mask.shape[1], 1 - rows.mean() / mask.shape[0]


def texts_of(figure):
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


@pytest.mark.parametrize(
    ("row", "column", "right", "up"),
    [(0, 5, 1, 0), (3, 1, 0, 1)],
)
def test_a_decoded_code_lies_at_its_coordinates(tmp_path, row, column, right, up):
    images = np.zeros((4, 6, 8, 8, 1), np.float32)
    images[row, column] = 1
    first, second = np.linspace(-10, 10, 6), np.linspace(-6, 6, 4)
    figure = figures.grid_figure(images, first=first, second=second, title=TITLE)
    (axes,) = figure.axes
    picture = inside(pixels_of(figure, tmp_path / "grid.png"), axes)
    across, above = centre_of(picture[..., 0] > 128)
    assert across == pytest.approx((column + 0.5) / 6, abs=0.01)
    assert above == pytest.approx((row + 0.5) / 4, abs=0.01)
    # The axes say the same: the middle of the marker is at the code's coordinates.
    marked = axes.transData.inverted().transform(
        axes.transAxes.transform([(column + 0.5) / 6, (row + 0.5) / 4])
    )
    np.testing.assert_allclose(marked, [first[column], second[row]], atol=1e-6)
    assert (across > 0.5, above > 0.5) == (bool(right), bool(up))


def test_the_scatter_and_the_grid_agree_on_what_is_up(tmp_path):
    z = np.concatenate([np.zeros((200, 2)), np.full((200, 2), [8.0, -9.0])])
    y = np.repeat([-1, 7], 200)
    figure = draw_latent(z.astype(np.float32), y)
    axes = figure.axes[0]
    picture = inside(pixels_of(figure, tmp_path / "latent.png"), axes)
    coloured = np.ptp(picture, axis=-1) > 30  # everything else there is grey
    low, high = axes.get_xlim()
    expected = [(8 - low) / (high - low), (-9 - axes.get_ylim()[0]) / (high - low)]
    np.testing.assert_allclose(centre_of(coloured), expected, atol=0.02)
    assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(axes.get_ylim()))


def test_colours_of_images_are_kept(tmp_path):
    images = np.zeros((2, 2, 8, 8, 3), np.float32)
    images[1, 0] = [1, 0, 0]
    images[0, 1] = [0, 0.5, 1]
    places = np.array([-1.0, 1.0])
    figure = figures.grid_figure(images, first=places, second=places, title=TITLE)
    picture = inside(pixels_of(figure, tmp_path / "grid.png"), figure.axes[0])
    height, width = picture.shape[:2]
    np.testing.assert_array_equal(picture[height // 4, width // 4], [255, 0, 0])
    np.testing.assert_allclose(
        picture[3 * height // 4, 3 * width // 4], [0, 128, 255], atol=1
    )


def test_a_line_of_codes_is_a_strip(tmp_path):
    images = np.ones((1, 20, 8, 8, 1), np.float32)
    figure = figures.grid_figure(
        images,
        first=np.linspace(-10, 10, 20),
        second=np.zeros(1),
        title=TITLE,
        axis_names=("code",),
    )
    pixels_of(figure, tmp_path / "grid.png")
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(20, rel=0.02)
    assert not figure.axes[0].get_yticks().size


def test_equal_figures_give_equal_bytes_whatever_the_style_around_them(tmp_path):
    z, y = normal_codes(), np.arange(400) % 10
    figure = draw_latent(z, y)
    figures.save(figure, tmp_path / "once.png")
    figures.save(figure, tmp_path / "again.png")
    losses = figures.losses_figure([log_row(1)], title=TITLE)
    with matplotlib.style.context("dark_background"):
        figures.save(draw_latent(z, y), tmp_path / "dark.png")
        dark_losses = figures.losses_figure([log_row(1)], title=TITLE)
        dark_losses = pixels_of(dark_losses, tmp_path / "losses.png")
    np.testing.assert_array_equal(
        pixels_of(losses, tmp_path / "losses.png"), dark_losses
    )
    once = (tmp_path / "once.png").read_bytes()
    assert (tmp_path / "again.png").read_bytes() == once
    assert (tmp_path / "dark.png").read_bytes() == once
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.png",
        "dark.png",
        "losses.png",
        "once.png",
    ]


def test_a_save_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "grid.png").mkdir()
    figure = figures.samples_figure(np.zeros((4, 4, 4, 1), np.float32), title=TITLE)
    with pytest.raises(RunError, match=r"grid\.png could not be written"):
        figures.save(figure, tmp_path / "grid.png")
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_pictures_need_no_pyplot():
    code = "import sys, aae_jax.figures; print('matplotlib.pyplot' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert told.stdout.strip() == b"False"


@pytest.mark.parametrize("z_dim", [1, 2, 3, 16])
def test_codes_of_any_dimension_are_drawn(tmp_path, z_dim):
    z = normal_codes(z_dim)
    figure = draw_latent(z, np.arange(400) % 10)
    picture = pixels_of(figure, tmp_path / "latent.png")
    assert picture.shape[1] == 1000
    assert "400 codes." in texts_of(figure)
    assert TITLE in texts_of(figure)
    assert ("variance" in figure.axes[0].get_xlabel()) == (z_dim > 2)
    figure = figures.histogram_figure(z, normal_codes(z_dim), title=TITLE)
    assert len(figure.axes) == z_dim
    if z_dim == 3:
        assert pixels_of(figure, tmp_path / "histogram.png").shape[1] == 1000


def test_ten_thousand_codes_fit_a_page_of_300_kilobytes(tmp_path):
    z, y = normal_codes(n=10_000), np.arange(10_000) % 10
    picture = pixels_of(draw_latent(z, y), tmp_path / "latent.png")
    assert (tmp_path / "latent.png").stat().st_size < 300_000
    # Fewer colours, but the paper stays white and the legend true.
    np.testing.assert_array_equal(picture[0, 0], 255)
    for colour in CLASS_COLOURS:
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert np.sum(np.all(picture == rgb, axis=-1)) > 50, colour


def test_a_noisy_grey_mosaic_stays_small(tmp_path):
    images = np.random.default_rng(0).random((400, 28, 28, 1)).astype(np.float32) / 4
    path = tmp_path / "samples.png"
    pixels_of(figures.samples_figure(images, title=TITLE), path)
    assert len(np.unique(np.asarray(Image.open(path)))) <= 64


@pytest.mark.parametrize(("z_dim", "y"), [(1, np.full(400, -1)), (2, None)])
def test_unlabelled_codes_are_grey(tmp_path, z_dim, y):
    figure = draw_latent(normal_codes(z_dim), y)
    picture = pixels_of(figure, tmp_path / "latent.png")
    assert np.ptp(picture, axis=-1).max() == 0


def test_codes_outside_of_the_picture_are_counted():
    z = normal_codes(n=5000)
    near = np.clip(z, -12, 12)
    assert "Outside" not in texts_of(draw_latent(near))
    near[:7] = 1000
    assert "Outside of the picture: 7 codes." in texts_of(draw_latent(near))
    figure = figures.histogram_figure(near, normal_codes(n=4000), title=TITLE)
    assert "Outside of the picture: 7 codes." in texts_of(figure)
    near[1:7] = 0
    assert "Outside of the picture: 1 code." in texts_of(draw_latent(near))


def test_names_of_classes_are_texts_not_formulas(tmp_path):
    names = ["$cat", "dog_$x^", "a name that is much too long for a legend"]
    figure = draw_latent(normal_codes(), np.arange(400) % 4, class_names=names)
    pixels_of(figure, tmp_path / "latent.png")
    legend = next(
        child for child in figure.axes[0].get_children() if "Legend" in repr(child)
    )
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["$cat", "dog_$x^", "a name that is mu\u2026", "3"]


def test_parts_of_the_prior_have_the_colour_of_their_class(tmp_path):
    z = normal_codes(n=50)
    parts = np.arange(4 * 5 * 2, dtype=np.float32).reshape(4, 5, 2) / 10
    figure = draw_latent(z, parts=parts)
    pixels_of(figure, tmp_path / "latent.png")
    drawn = [line for line in figure.axes[0].lines if line.get_linewidth() == 3]
    assert [line.get_color() for line in drawn] == list(CLASS_COLOURS[:4])
    for line, points in zip(drawn, parts, strict=True):
        np.testing.assert_array_equal(np.stack(line.get_data(), axis=1), points)
    assert "Thick: where the codes of a class should lie" in texts_of(figure)


def test_counts_stand_under_the_names_of_columns(tmp_path):
    figure = figures.table_figure(
        np.ones((2, 3, 4, 4, 1), np.float32),
        heading="Heads",
        caption="",
        title=TITLE,
        column_names=["a", "b", "c"],
        column_counts=[1200, 0, 7],
    )
    pixels_of(figure, tmp_path / "heads.png")
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["a\n1,200", "b\n0", "c\n7"]


def test_counts_of_many_columns_stand_apart(tmp_path):
    figure = figures.table_figure(
        np.ones((2, 30, 4, 4, 1), np.float32),
        heading="Heads",
        caption="",
        title=TITLE,
        column_names=[str(column) for column in range(30)],
        column_counts=[1036] * 30,
    )
    pixels_of(figure, tmp_path / "heads.png")
    boxes = [each.get_window_extent() for each in figure.axes[0].get_xticklabels()]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0


def test_a_legend_says_when_it_cannot_name_all_classes(tmp_path):
    figure = draw_latent(normal_codes(), np.arange(400) % 40)
    pixels_of(figure, tmp_path / "latent.png")
    assert "24 of 40 classes are named." in texts_of(figure)


def test_class_colours_stay_apart_without_a_kind_of_cone():
    # Machado, Oliveira and Fernandes 2009, full severity; Ottosson's OKLab.
    red_blind = "0.152286 1.052583 -0.204868 0.114503 0.786281 0.099216 "
    red_blind += "-0.003882 -0.048116 1.051998"
    green_blind = "0.367322 0.860646 -0.227968 0.280085 0.672501 0.047413 "
    green_blind += "-0.011820 0.042940 0.968881"
    cones = "0.4122214708 0.5363325363 0.0514459929 0.2119034982 0.6806995451 "
    cones += "0.1073969566 0.0883024619 0.2817188376 0.6299787005"
    lab = "0.2104542553 0.7936177850 -0.0040720468 1.9779984951 -2.4285922050 "
    lab += "0.4505937099 0.0259040371 0.7827717662 -0.8086757660"

    def matrix(text):
        return np.array(text.split(), float).reshape(3, 3)

    def least_distance(colours, sight):
        rgb = np.array([[int(c[at : at + 2], 16) for at in (1, 3, 5)] for c in colours])
        linear = np.where(
            rgb / 255 <= 0.04045, rgb / 3294.6, ((rgb / 255 + 0.055) / 1.055) ** 2.4
        )
        seen = np.clip(linear @ sight.T, 0, 1)
        points = np.cbrt(seen @ matrix(cones).T) @ matrix(lab).T
        apart = np.linalg.norm(points[:, None] - points, axis=-1)
        return apart[np.triu_indices(len(colours), 1)].min()

    usual = matplotlib.color_sequences["petroff10"]
    usual = [matplotlib.colors.to_hex(colour) for colour in usual]
    sights = [np.eye(3), matrix(red_blind), matrix(green_blind)]
    least = min(least_distance(CLASS_COLOURS, sight) for sight in sights)
    assert least > 0.12
    assert least > 1.9 * min(least_distance(usual, sight) for sight in sights)


def test_histograms_tell_mean_and_deviation_and_what_is_left_out():
    z = normal_codes(20) * 0 + np.array([1, -1] * 200, np.float32)[:, None] - 2
    figure = figures.histogram_figure(z, normal_codes(20, n=4000), title=TITLE)
    assert len(figure.axes) == 16
    assert "4 more dimensions are not shown." in texts_of(figure)
    numbers = figure.axes[0].texts[0].get_text()
    assert "codes \u22122.00 \u00b1 1.00" in numbers
    expected = normal_codes(20, n=4000)[:, 0]
    assert f"\u00b1 {expected.std():.2f}" in numbers


def test_reconstructions_stand_below_their_images_a_column_a_class(tmp_path):
    y = np.repeat(np.arange(10), 3)[::-1].copy()
    x = np.broadcast_to(y[:, None, None, None] / 10, (30, 6, 6, 1)).astype(np.float32)
    rows = figures.take_turns(y, 20)
    figure = figures.reconstructions_figure(x[rows], x[rows] / 2, title=TITLE)
    pixels_of(figure, tmp_path / "reconstructions.png")
    shown = np.asarray(figure.axes[0].images[0].get_array())
    classes = np.arange(10) / 10
    for top in (0, 13):  # two images of six rows, one row of paper
        np.testing.assert_allclose(shown[top + 3, 3::6], classes, atol=1e-6)
        np.testing.assert_allclose(shown[top + 9, 3::6], classes / 2, atol=1e-6)
    assert "0.0713" in texts_of(figure)  # mean of (c / 20)^2


def test_shown_rows_take_turns_among_classes_in_any_order():
    y = np.repeat([3, 7, -1], [50, 1, 4]).astype(np.int32)
    np.testing.assert_array_equal(
        figures.take_turns(y, 9), [51, 0, 50, 52, 1, 53, 2, 54, 3]
    )
    assert len(figures.take_turns(y, 100)) == 55


@pytest.mark.parametrize(("n", "channels"), [(1, 1), (7, 3), (25, 1)])
def test_few_images_and_colours_are_fine(tmp_path, n, channels):
    x = np.random.default_rng(0).random((n, 5, 7, channels)).astype(np.float32)
    figure = figures.reconstructions_figure(x, x, title=TITLE)
    pixels_of(figure, tmp_path / "reconstructions.png")
    figure = figures.samples_figure(x, title=TITLE)
    pixels_of(figure, tmp_path / "samples.png")
    side = int(n**0.5)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.shape[:2] == (side * 5, side * 7)
    np.testing.assert_array_equal(
        shown[-5:, -7:].reshape(5, 7, channels), x[side * side - 1]
    )


def log_row(epoch):
    return {
        "epoch": epoch,
        "step": 100 * epoch,
        "losses": {"reconstruction": 0.05, "discriminator": 1.2, "generator": 0.8},
        "validation": {"reconstruction_mse": 0.04, "latent": {"ratio": 3.0 / epoch}},
    }


def expected_values(figure):
    return {
        round(float(line.get_ydata()[0]), 3)
        for axes in figure.axes
        for line in axes.lines
        if len(set(line.get_xdata())) == 2 and set(line.get_xdata()) == {0, 1}
    }


@pytest.mark.parametrize("epochs", [1, 40])
def test_losses_are_drawn_beside_their_equilibria(tmp_path, epochs):
    log = [log_row(1 + epoch) for epoch in range(epochs)]
    figure = figures.losses_figure(log, title=TITLE)
    pixels_of(figure, tmp_path / "losses.png")
    assert expected_values(figure) == {1.386, 0.693, 1.0}
    assert "good news" in texts_of(figure)
    assert figure.axes[3].get_yscale() == "log"
    steps, ratios = figure.axes[3].lines[0].get_data()
    np.testing.assert_array_equal(steps, 100 * np.arange(1, epochs + 1))
    np.testing.assert_allclose(ratios, 3 / np.arange(1, epochs + 1))


def test_clusters_have_a_divergence_from_being_equally_frequent(tmp_path):
    log = [log_row(1), log_row(2)]
    for row in log:
        row["losses"]["label_divergence"] = 0.2
    figure = figures.losses_figure(log, title=TITLE)
    pixels_of(figure, tmp_path / "losses.png")
    assert expected_values(figure) == {1.386, 0.693, 1.0, 0.0}
    said = [axes.get_title(loc="right") for axes in figure.axes]
    assert "0 = all come equally often" in said


def test_an_autoencoder_has_no_panels_of_an_adversary(tmp_path):
    log = [log_row(1), log_row(2)]
    for row in log:
        row["losses"] = {"reconstruction": 0.05}
    del log[0]["validation"]
    log[1]["validation"]["latent"] = None
    figure = figures.losses_figure(log, title="costs $5 and $6")
    pixels_of(figure, tmp_path / "losses.png")
    (axes,) = figure.axes
    assert [len(line.get_xdata()) for line in axes.lines] == [2, 1]
    assert "good news" not in texts_of(figure)


def test_a_log_without_losses_is_refused_in_words():
    with pytest.raises(UserError, match="train for an epoch"):
        figures.losses_figure([], title=TITLE)
