"""What evaluate.py does with a run: pictures, metrics, files for others."""

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aae_jax.data import (
    Dataset,
    load_codes,
    load_dataset,
    load_images,
    names_of_images,
)
from aae_jax.data.files import check_memory, default_memory_limit
from aae_jax.data.stored import Images
from aae_jax.errors import UserError
from aae_jax.messages import Say
from aae_jax.options import (
    SPLITS,
    EvaluationOptions,
    limit_in_bytes,
    pictures_of,
)
from aae_jax.parzen import parzen_window
from aae_jax.report import write_report
from aae_jax.run import Run
from aae_jax.small_files import make_folder, write_file
from aae_jax.splits import (
    Labels,
    Split,
    images_of_split,
    measured_of_split,
    metrics_of_split,
)


def evaluate(run: Run, options: EvaluationOptions, *, say: Say) -> None:
    """Do what was asked of a run; only its figures, --out or --export are written.

    Raises:
      UserError: the data or an input file are not what they should be.
      RunError: the output cannot be written.
    """

    @cache  # read once, and only for what needs images
    def dataset() -> Dataset:
        return load_dataset_of(run, options, say=say)

    limit = limit_in_bytes(options.memory_limit)
    if options.decode is not None:
        codes = load_codes(options.decode, memory_limit=options.memory_limit)
        x_hat = _decode(run, codes, limit, options.decode)
        write_arrays(options.out, x_hat=x_hat, say=say)
    elif options.sample is not None:
        n, seed = options.sample, options.seed
        y = None
        if run.model.networks.wiring.has_categories:
            y = run.sample_categories(n, seed=seed)
        codes: dict[str, NDArray] = {"z": run.sample_codes(n, seed=seed, y=y)}
        if y is not None:
            codes["y"] = y
        x_hat = _decode(run, codes, limit, f"--sample {n}")
        write_arrays(options.out, **codes, x_hat=x_hat, say=say)
    elif options.parzen is not None:
        _parzen(run, options.parzen, dataset, options)
    elif options.export is not None:
        run.export(options.export, say=say)
    elif options.encode is not None:
        x, y = _images_named(run, options.encode, dataset, options, say=say)
        arrays: dict[str, NDArray] = {"z": run.encode(x)}
        if y is not None:
            arrays["y"] = y
        if run.model.networks.wiring.infers_y:
            arrays["y_pred"] = run.classify(x)
        write_arrays(options.out, **arrays, say=say)
    elif options.score is not None:
        _score(run, options.score, dataset, options, say=say)
    else:
        _look(run, dataset, options, say=say)


def _score(
    run: Run,
    name: str,
    dataset: Callable[[], Dataset],
    options: EvaluationOptions,
    *,
    say: Say,
) -> None:
    """Write how novel images are beside those that the run held out."""
    from aae_jax.scoring import write_scores  # imports matplotlib

    x, y = _images_named(run, name, dataset, options, say=say)
    files = None if name in SPLITS else names_of_images(name)
    assert options.out is not None
    write_scores(run, x, dataset=dataset(), y=y, files=files, out=options.out, say=say)


def _parzen(
    run: Run, n: int, dataset: Callable[[], Dataset], options: EvaluationOptions
) -> None:
    """Print how likely the test images are under a Parzen window around n samples."""
    limit = limit_in_bytes(options.memory_limit) or default_memory_limit()
    n_bytes = 8 * n * math.prod(run.record.image_shape)
    check_memory(n_bytes, f"--parzen {n}", limit=limit)
    test, held_out = (
        np.float32(1 / 255) * measured_of_split(dataset(), split)[0]
        for split in ("test", "validation")
    )
    found = parzen_window(run.sample(n, seed=options.seed), held_out, test)
    header = {"split": "test", "images": len(test), "seed": options.seed}
    print(json.dumps(header | found, indent=2))


def _decode(
    run: Run, codes: Mapping[str, NDArray], limit: int | None, where: object
) -> NDArray[np.float32]:
    n_bytes = 4 * len(codes["z"]) * math.prod(run.record.image_shape)
    check_memory(n_bytes, where, limit=limit or default_memory_limit())
    # Of both the one that is nearer to what the decoder was told in training.
    y = codes.get("y_pred", codes.get("y")) if run.reads_category else None
    return run.decode(codes["z"], y)


def _look(
    run: Run,
    dataset: Callable[[], Dataset],
    options: EvaluationOptions,
    *,
    say: Say,
) -> None:
    """Pictures and pages into a folder, metrics as JSON to stdout.

    Every picture, the report and the metrics if nothing is named.
    """
    pages = (options.explore, options.animate, options.report)
    everything = not (options.pictures or any(pages) or options.metrics)
    out = options.out or run.folder.figures

    @cache  # a split is a copy
    def images() -> Split:
        return measured_of_split(dataset(), options.split)

    if options.animate:
        from aae_jax.animate import write_animation  # imports matplotlib

        path = make_folder(out) / run.folder.animation_file.name
        write_animation(run, path)
        say(f"wrote {path}")
    if options.explore:
        from aae_jax.explore import write_explore_page  # imports matplotlib

        write_explore_page(run, images, out=out, say=say)
    if options.pictures or options.report or everything:
        _draw(run, images, options, everything=everything, say=say)
    if options.metrics or everything:
        metrics = metrics_of_split(run, dataset(), options.split)
        print(json.dumps({**metrics, "steps": run.step}, indent=2))


def _draw(
    run: Run,
    images: Callable[[], Split],
    options: EvaluationOptions,
    *,
    everything: bool,
    say: Say,
) -> None:
    """Pictures, and the report with all of them inside."""
    from aae_jax.pictures import draw_pictures  # imports matplotlib

    has = list(pictures_of(run.record.config))
    reported = options.report or everything
    if reported and next(run.folder.log_lines(), None) is None:
        has.remove("losses")
        say("no epoch has ended yet, so there is no picture of the losses")
    out = options.out or run.folder.figures

    names = has if everything else options.pictures
    inside = has if reported else ()
    pictures = draw_pictures(run, images, out=out, names=names, unsaved=inside)
    for name in names:
        say(f"wrote {out / name}.png")
    if reported:
        page = out / run.folder.report_file.name
        inside = {name: pictures[name] for name in inside}
        write_report(run, inside, out=page, split=options.split)
        say(f"wrote {page}")


def _images_named(
    run: Run,
    name: str,
    dataset: Callable[[], Dataset],
    options: EvaluationOptions,
    *,
    say: Say,
) -> tuple[Images, Labels]:
    """A split of the run's data (test, validation, train), or what lies at a path."""
    if name in SPLITS:
        return images_of_split(dataset(), name)
    return load_images(
        name,
        memory_limit=options.memory_limit,
        image_size=run.record.config.image_size,
        say=say,
    )


def load_dataset_of(run: Run, options: EvaluationOptions, *, say: Say) -> Dataset:
    """The data set that a run was trained on, or the one that is named in its place.

    Raises:
      UserError: the images cannot be read.
    """
    config = run.record.config
    try:
        dataset = load_dataset(
            options.dataset or config.dataset,
            data_dir=options.data_dir,
            memory_limit=options.memory_limit,
            image_size=config.image_size,
            say=say,
        )
    except UserError as error:
        if options.dataset is not None:
            raise
        raise UserError(
            f"the run's images could not be read: {error}; if they are elsewhere now, "
            "name them with --dataset"
        ) from error
    if dataset.fingerprint(say=say) != run.record.dataset.get("fingerprint"):
        say("note: these are not the images that the run was trained on")
    return dataset


def write_arrays(path: Path | None, *, say: Say, **arrays: NDArray) -> None:
    """Write an .npz file.

    Raises:
      RunError: the disk is full or may not be written.
    """
    if path is None:
        raise ValueError("an .npz file needs a path")
    named: dict[str, Any] = arrays
    write_file(path, lambda file: np.savez_compressed(file, **named))
    shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in arrays.items())
    say(f"wrote {path}: {shapes}")
