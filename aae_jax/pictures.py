"""Which pictures a run has, and what each is drawn from."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aae_jax import figures
from aae_jax.class_metrics import log_odds
from aae_jax.latent_plane import grid_codes, latent_plane
from aae_jax.options import pictures_of
from aae_jax.run import Run
from aae_jax.small_files import make_folder, write_bytes
from aae_jax.splits import Split

PRIOR_SAMPLES = 100_000
SHOWN_SAMPLES = 100
SHOWN_PAIRS = 20
SHOWN_STYLES = 10
SHOWN_MEMBERS = 9
SHOWN_PLACES = 20
SHOWN_CATEGORIES = 30


@dataclass(frozen=True)
class Subject:
    """What pictures are drawn from; each part is made when a picture first needs it.

    Attributes:
      run: whose pictures they are.
      images: gives x `[n, height, width, channels]` and y `[n]` or None.
    """

    run: Run
    images: Callable[[], Split]

    @cached_property
    def x(self) -> NDArray[np.uint8]:
        return self.images()[0]

    @cached_property
    def y(self) -> NDArray[np.int32] | None:
        return self.images()[1]

    @cached_property
    def z(self) -> NDArray[np.float32]:
        return self.run.encode(self.x)

    @cached_property
    def z_prior(self) -> NDArray[np.float32]:
        return self.run.sample_codes(PRIOR_SAMPLES)


def draw_pictures(
    run: Run,
    images: Callable[[], Split],
    *,
    out: Path,
    names: Collection[str] | None = None,
    unsaved: Collection[str] = (),
) -> dict[str, bytes]:
    """Draw pictures of a run on images, and save each as `out`/<name>.png.

    Args:
      images: gives x `[n, height, width, channels]`, and labels y `[n]` or None; not
        called where no picture needs them.
      names: of `pictures_of(run.record.config)`; by default all of them.
      unsaved: names of more, which are drawn and not saved.

    Returns:
      Each as PNG, by name.

    Raises:
      UserError: the images cannot be read; the log has no losses yet.
      RunError: `out` cannot be written.
    """
    subject = Subject(run, images)
    names = pictures_of(run.record.config) if names is None else names
    make_folder(out)
    pictures = {}
    for name in dict.fromkeys((*names, *unsaved)):
        pictures[name] = figures.as_png(PICTURES[name](subject))
        if name in names:
            write_bytes(out / f"{name}.png", pictures[name])
    return pictures


def _grid(subject: Subject) -> Figure:
    run = subject.run
    # Codes of two dimensions are their own plane, so no images need to be read.
    plane = latent_plane(subject.z if subject.z_prior.shape[1] > 2 else subject.z_prior)
    config = run.record.config
    grid = grid_codes(
        run.code_prior,
        plane,
        z_prior=subject.z_prior,
        # Its grid spans its own prior, and no other.
        guide=(config.recipe, config.prior, config.scale) == ("guide", "normal", 5.0),
    )
    rows, columns, z_dim = grid.codes.shape
    images = run.decode(grid.codes.reshape(-1, z_dim))
    images = images.reshape(rows, columns, *images.shape[1:])
    return figures.grid_figure(
        images,
        first=grid.first,
        second=grid.second,
        title=run.folder.title,
        axis_names=plane.axis_names,
    )


def _styles(subject: Subject) -> Figure:
    run = subject.run
    n_categories = min(run.model.networks.n_categories, SHOWN_CATEGORIES)
    z = run.model.prior.sample(jax.random.key(0), SHOWN_STYLES)
    images = run.decode(
        np.repeat(z, n_categories, axis=0), np.tile(np.arange(n_categories), len(z))
    )
    what = _category_word(run)
    return figures.table_figure(
        images.reshape(len(z), n_categories, *images.shape[1:]),
        heading="Styles",
        caption=f"Each row is one code, drawn from the prior; each column a {what}"
        f"{_shown_of(run)}.",
        title=run.folder.title,
        column_names=_category_names(run)[:n_categories],
    )


def _heads(subject: Subject) -> Figure:
    run = subject.run
    y_logits = run.category_logits(subject.x)
    category, n_categories = y_logits.argmax(axis=1), y_logits.shape[1]
    counts = np.bincount(category, minlength=n_categories)
    shown = np.arange(n_categories)
    if n_categories > SHOWN_CATEGORIES:  # there is room for those with most images
        shown = np.argsort(-counts, kind="stable")[:SHOWN_CATEGORIES]
    # The surest first; where a category has no more images the page is left white.
    order = np.argsort(-log_odds(y_logits), axis=0, kind="stable")
    table = np.ones((1 + SHOWN_MEMBERS, len(shown), *subject.x.shape[1:]), np.float32)
    table[0] = run.decode_heads()[shown]
    for column, each in enumerate(shown):
        surest = order[:, each]
        members = surest[category[surest] == each][:SHOWN_MEMBERS]
        table[1 : 1 + len(members), column] = subject.x[members] / np.float32(255)
    what, names = _category_word(run), _category_names(run)
    return figures.table_figure(
        table,
        heading=f"{what.capitalize()} heads",
        caption=f"Above the centre of each {what}{_shown_of(run)}, decoded; below it "
        f"images that the encoder finds in the {what}, the surest first. Under its "
        f"name how many there are of {len(subject.x):,}.",
        title=run.folder.title,
        column_names=[names[each] for each in shown],
        column_counts=counts[shown].tolist(),
    )


def _shown_of(run: Run) -> str:
    """That a picture has no room for all categories, if so."""
    n_categories = run.model.networks.n_categories
    if n_categories <= SHOWN_CATEGORIES:
        return ""
    return f" ({SHOWN_CATEGORIES} of {n_categories:,})"


def _manifold(subject: Subject) -> Figure:
    run = subject.run
    points = _points_of_parts(run)
    images = run.decode(points.reshape(-1, points.shape[-1]))
    return figures.table_figure(
        images.reshape(*points.shape[:2], *images.shape[1:]),
        heading="Along the parts of the prior",
        caption=f"Each row is the part of the prior ({run.model.prior.name}) that a "
        "class should lie on, from its one end to the other, decoded.",
        title=run.folder.title,
        row_names=_category_names(run),
    )


def _points_of_parts(run: Run) -> NDArray[np.float32]:
    """`[parts, places, z_dim]`, along the middle of each part of the prior."""
    curve, n_parts = run.model.prior.curve, run.model.networks.n_categories
    assert curve is not None
    place = np.linspace(0, 1, SHOWN_PLACES, dtype=np.float32)
    part = np.repeat(np.arange(n_parts, dtype=np.float32), len(place))
    points = curve(jnp.asarray(part), jnp.asarray(np.tile(place, n_parts)))
    return np.asarray(points).reshape(n_parts, len(place), -1)


def _category_word(run: Run) -> str:
    return "cluster" if run.record.config.finds_clusters else "class"


def _category_names(run: Run) -> Sequence[str]:
    n_categories = run.model.networks.n_categories
    names = run.record.dataset.get("class_names")
    if names and len(names) == n_categories and not run.record.config.finds_clusters:
        return names
    return [str(index) for index in range(n_categories)]


def _latent(subject: Subject) -> Figure:
    run = subject.run
    parts = None
    if run.model.networks.wiring.parts_prior and run.model.prior.curve is not None:
        parts = _points_of_parts(run)
    return figures.latent_figure(
        subject.z,
        subject.y,
        prior=run.code_prior,
        z_prior=subject.z_prior,
        title=run.folder.title,
        class_names=run.record.dataset.get("class_names"),
        parts=parts,
    )


def _histogram(subject: Subject) -> Figure:
    return figures.histogram_figure(
        subject.z, subject.z_prior, title=subject.run.folder.title
    )


def _reconstructions(subject: Subject) -> Figure:
    y = np.full(len(subject.x), -1, np.int32) if subject.y is None else subject.y
    rows = figures.take_turns(y, SHOWN_PAIRS)
    return figures.reconstructions_figure(
        subject.x[rows].astype(np.float32) / 255,
        subject.run.reconstruct(subject.x[rows], y[rows]),
        title=subject.run.folder.title,
    )


def _samples(subject: Subject) -> Figure:
    images = subject.run.sample(SHOWN_SAMPLES)
    return figures.samples_figure(images, title=subject.run.folder.title)


def _losses(subject: Subject) -> Figure:
    folder = subject.run.folder
    return figures.losses_figure(folder.log_lines(), title=folder.title)


PICTURES: dict[str, Callable[[Subject], Figure]] = {
    "grid": _grid,
    "styles": _styles,
    "heads": _heads,
    "manifold": _manifold,
    "latent": _latent,
    "histogram": _histogram,
    "reconstructions": _reconstructions,
    "samples": _samples,
    "losses": _losses,
}
"""Each picture by the name of its flag and file."""
