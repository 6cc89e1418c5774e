"""How a notebook shows a run: what it is, its metrics, a picture."""

import html

from aae_jax import figures
from aae_jax.meanings import MEANINGS, by_name, number_text
from aae_jax.options import pictures_of
from aae_jax.page_template import data_uri
from aae_jax.pictures import PICTURES, Subject
from aae_jax.run import Run
from aae_jax.splits import Split


def shown_in_notebook(run: Run) -> str:
    """HTML of a run, to stand in a page; names in it stay text.

    The metrics are those of the test set, if the run has ended. The picture is the
    grid, or one that needs no images of the data set either.
    """
    rows = []
    if run.folder.metrics_file.exists():
        values = by_name(run.metrics())
        rows = [
            f"<tr><td>{html.escape(name)}</td><td>{number_text(values[name])}</td>"
            f"<td style='text-align: left'>{html.escape(meaning.short)}</td></tr>"
            for name, meaning in MEANINGS.items()
            if name in values and meaning.short
        ]
    name = picture_without_images(run)
    png = figures.as_png(PICTURES[name](Subject(run, _no_images)))
    return (
        f"<div><p><code>{html.escape(repr(run))}</code></p>"
        f"<table>{''.join(rows)}</table>"
        f"<img alt='{name}' style='max-width: 640px' src='{data_uri(png)}'></div>"
    )


def picture_without_images(run: Run) -> str:
    """The name of the picture that tells most without any image of the data set."""
    names = pictures_of(run.record.config)
    # In more dimensions the plane of the grid is that of the test images' codes.
    if "grid" in names and run.record.config.z_dim <= 2:
        return "grid"
    return "styles" if "styles" in names else "samples"


def _no_images() -> Split:
    raise NotImplementedError("this picture is chosen because it needs no images")
