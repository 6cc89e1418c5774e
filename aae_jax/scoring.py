"""Novelty scores of images as a table, and the oddest and the plainest as a picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aae_jax import figures
from aae_jax.data import Dataset
from aae_jax.data.stored import Images
from aae_jax.inference import as_pixels
from aae_jax.messages import Say
from aae_jax.novelty import Familiar, Novelty
from aae_jax.run import Run
from aae_jax.run_inputs import check_image_shape
from aae_jax.small_files import write_text

SHOWN_MOST, SHOWN_LEAST = 20, 10


def write_scores(
    run: Run,
    x: Images,
    *,
    dataset: Dataset,
    y: NDArray[np.int32] | None,
    files: Sequence[str] | None,
    out: Path,
    say: Say,
) -> None:
    """Score images; write a line for each to a CSV file, and the ranked picture beside.

    Args:
      run: the model.
      x: images; `y` and `files`, their labels and the files they come from, if known.
      dataset: that which it was trained on, see `Run.familiar`.
      out: the CSV file; the picture has its name with .png.

    Raises:
      UserError: the images do not fit the run, or the data set is too small.
      RunError: a file cannot be written.
    """
    check_image_shape(x.shape, run.record.image_shape)
    familiar = run.familiar(dataset)
    scores = familiar.novelty(x)
    write_text(out, table(scores, y=y, files=files))
    say(f"wrote {out}: {len(x):,} images")
    picture = out.with_suffix(".png")
    figures.save(sheet(familiar, x, scores, title=run.folder.title), picture)
    say(f"wrote {picture}")


def sheet(familiar: Familiar, x: Images, scores: Novelty, *, title: str) -> Figure:
    """The most and the least novel images, each above what came back.

    Args:
      familiar: what they were compared with.
      x: images; `scores`, how novel they are.
      title: the run's name.
    """
    order = np.argsort(-scores.score, kind="stable")
    most = order[:SHOWN_MOST]
    least = order[len(most) :][::-1][:SHOWN_LEAST]
    blocks = []
    for name, rows in (("most novel", most), ("least novel", least)):
        if len(rows):
            images, texts = x[rows], [f"{scores.score[row]:.1f}" for row in rows]
            back, known, _ = familiar.bring_back(images)
            strips = (as_pixels(images), back, known)
            blocks.append(figures.Ranked(name, strips, texts))
    return figures.ranked_figure(
        blocks, n_images=len(x), n_ordinary=len(familiar.ordinary), title=title
    )


def table(
    scores: Novelty,
    *,
    y: NDArray[np.int32] | None = None,
    files: Sequence[str] | None = None,
) -> str:
    """The scores as CSV, a line an image, in the images' order.

    Names of files begin with `./`: no program that reads tables takes one for a formula
    or a number. What is no text in them is written as an escape.
    """
    columns: dict[str, Sequence[object]] = {"index": range(len(scores.score))}
    if files is not None:
        columns["file"] = [_as_text(f"./{name}") for name in files]
    columns |= {
        name: [f"{value:.6g}" for value in values]
        for name, values in scores._asdict().items()
    }
    if y is not None:
        columns["y"] = y.tolist()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _as_text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
