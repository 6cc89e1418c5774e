"""The arrays of a checkpoint as Orbax stores them."""

import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aae_jax.checkpoint_folder import DamagedError

_STATE = "state"


def type_of(leaf: Any) -> str:
    """`float32[784, 1000]`; of a key its implementation too: `key<fry>[]`."""
    return f"{leaf.dtype}{list(leaf.shape)}"


@contextmanager
def _orbax() -> Iterator[Any]:
    """Orbax with our options, its log muted: what its threads log is raised as well."""
    from orbax.checkpoint import v1 as ocp  # takes seconds, so not before it is needed

    context = ocp.Context()
    # Weights look random: compressing them saves 8% of the size for twice the time.
    context.array_options.saving.use_compression = False
    context.async_options.create_directories_asynchronously = False
    context.memory_options.deepcopy_host_arrays = False
    logger = logging.getLogger("absl")
    logger.addFilter(_is_not_orbax)
    # For good: it tells of what failed when that is thrown away, which may be later.
    logging.getLogger("asyncio").addFilter(_is_not_tensorstore)
    try:
        with context:
            yield ocp
    finally:
        logger.removeFilter(_is_not_orbax)


def _is_not_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in Path(record.pathname).parts


def _is_not_tensorstore(record: logging.LogRecord) -> bool:
    return "tensorstore" not in record.getMessage()


def write_leaves(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name; of several processes all call this.

    Raises:
      OSError: the disk is full, or may not be written.
    """
    # Orbax refuses arrays without elements; the manifest says all there is to say.
    filled = {name: array for name, array in arrays.items() if array.size}
    try:
        with _orbax() as ocp:
            ocp.save(folder, filled, checkpointable_name=_STATE)
    except ValueError as error:
        # Tensorstore tells what the system said inside the text of its own errors.
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def read_leaves(
    folder: Path, templates: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of those names, dtypes and shapes.

    Raises:
      DamagedError: another dtype or shape is stored, or Orbax cannot read it.
    """
    filled = {name: array for name, array in templates.items() if array.size}
    try:
        with _orbax() as ocp:
            # Orbax casts in silence and allocates what the files claim, so look first.
            stored = ocp.metadata(folder, checkpointable_name=_STATE).metadata
            for name, array in filled.items():
                chunk_size = math.prod(stored[name].storage_metadata.chunk_shape)
                if type_of(stored[name]) != type_of(array) or chunk_size > array.size:
                    raise DamagedError(f"{name} is stored as {type_of(stored[name])}")
            loaded = ocp.load(folder, filled, checkpointable_name=_STATE)
    except DamagedError:
        raise
    except Exception as error:
        # The files are as they were saved, so this is rare; the types are too many.
        raise DamagedError(f"Orbax cannot read it ({type(error).__name__})") from error
    return {**templates, **loaded}
