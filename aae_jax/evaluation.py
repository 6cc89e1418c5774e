"""What evaluate.py does with a run: pictures, metrics, codes and images as files."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aae_jax.data import Dataset, load_codes, load_dataset, load_images
from aae_jax.errors import RunError
from aae_jax.holdout import hold_out
from aae_jax.options import EvaluationOptions
from aae_jax.pictures import draw_pictures
from aae_jax.run import Run

Images = tuple[NDArray[np.uint8], NDArray[np.int32] | None]
Say = Callable[[str], None]


def evaluate(run: Run, options: EvaluationOptions, *, say: Say) -> None:
    """Do what was asked of a run. Only its figures folder is ever written to.

    Raises:
      UserError: the data or an input file are not what they should be.
      RunError: the output cannot be written.
    """
    limit = options.memory_limit and int(options.memory_limit * 2**30)
    if options.decode is not None:
        x_hat = run.decode(load_codes(options.decode, memory_limit=limit))
        write_arrays(options.out, x_hat=x_hat, say=say)
    elif options.sample is not None:
        z = run.sample_codes(options.sample, seed=options.seed)
        write_arrays(options.out, z=z, x_hat=run.decode(z), say=say)
    elif options.encode is not None:
        x, y = named_images(run, options.encode, options, say=say)
        labels = {} if y is None else {"y": y}
        write_arrays(options.out, z=run.encode(x), **labels, say=say)
    else:
        _look(run, options, say=say)


def _look(run: Run, options: EvaluationOptions, *, say: Say) -> None:
    """Pictures into a folder, metrics as JSON to stdout; both if none is named."""
    everything = not (options.pictures or options.metrics)
    x, y = named_images(run, options.split, options, say=say)
    if options.pictures or everything:
        out = options.out or run.folder.figures
        for path in draw_pictures(run, x, y, out=out, names=options.pictures):
            say(f"wrote {path}")
    if options.metrics or everything:
        header = {"split": options.split, "images": len(x), "steps": run.step}
        print(json.dumps({**header, **run.metrics(x, y)}, indent=2))


def named_images(
    run: Run, name: str, options: EvaluationOptions, *, say: Say
) -> Images:
    """Images, and labels or None: a split of the run's data, or a path, in its order.

    Args:
      name: test, validation, train, or a path.
    """
    limit = options.memory_limit and int(options.memory_limit * 2**30)
    config = run.record.config
    if name not in ("test", "validation", "train"):
        return load_images(name, memory_limit=limit, image_size=config.image_size)
    dataset = load_dataset(
        options.dataset or config.dataset,
        data_dir=options.data_dir,
        memory_limit=limit,
        image_size=config.image_size,
        say=say,
    )
    if dataset.fingerprint() != run.record.dataset.get("fingerprint"):
        say("note: these are not the images that the run was trained on")
    return _split(dataset, name, seed=config.seed)


def _split(dataset: Dataset, name: str, *, seed: int) -> Images:
    if name == "test":
        return dataset.x_test, dataset.y_test
    train_rows, held_out_rows = hold_out(seed, len(dataset.x_train))
    rows = train_rows if name == "train" else held_out_rows
    y = dataset.y_train
    return dataset.x_train[rows], None if y is None else y[rows]


def write_arrays(path: Path | None, *, say: Say, **arrays: NDArray) -> None:
    """Write an .npz file in one move: it is there whole or not at all.

    Raises:
      RunError: the disk is full or may not be written.
    """
    if path is None:
        raise ValueError("an .npz file needs a path")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise RunError(f"{path} could not be written: {error.strerror}") from error
    shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in arrays.items())
    say(f"wrote {path}: {shapes}")
