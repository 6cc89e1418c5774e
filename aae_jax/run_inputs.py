"""What a run takes from Python: images, codes and categories, checked."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aae_jax.checks import check_number
from aae_jax.config import Config
from aae_jax.data.conversion import as_images, refuse_zeros_and_ones
from aae_jax.data.stored import StoredImages
from aae_jax.errors import UserError


def images_for_run(
    x: ArrayLike | StoredImages, shape: tuple[int, int, int]
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Images of the run's shape: uint8, or float32 in [0, 1].

    Raises:
      UserError: another shape, values that are no pixels, or images on disk.
    """
    if isinstance(x, StoredImages):
        raise UserError("these images lie on disk; give some of them, such as x[:1000]")
    images = np.asarray(x)
    if images.shape[1:] == shape[:2] and shape[2] == 1:
        images = images[..., None]
    check_image_shape(images.shape, shape)
    if images.dtype.kind != "f":
        refuse_zeros_and_ones(images, "x")
        return as_images(images, "x")
    if np.isnan(images).any():
        raise UserError("got images with NaN; give numbers from 0 to 1")
    if not ((images >= 0) & (images <= 1)).all():
        raise UserError("got images with values that are not in [0, 1]; divide by 255")
    return images.astype(np.float32)


def check_image_shape(got: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    """Refuse images of another shape than the run's.

    Raises:
      UserError: both named.
    """
    if got[1:] != shape or len(got) != 4:
        one = "; give x[None] for a single image" if got == shape else ""
        raise UserError(
            f"got an array of shape {got}, and this run was trained on images of "
            f"{shape}: [n, height, width, channels]{one}"
        )


def codes_for_run(z: ArrayLike, z_dim: int) -> NDArray[np.float32]:
    """Codes `[n, z_dim]`.

    Raises:
      UserError: another shape or type, or numbers that are not finite in float32.
    """
    codes = np.asarray(z)
    if codes.shape[1:] != (z_dim,) or codes.dtype.kind not in "iuf":
        raise UserError(
            f"got codes of shape {codes.shape} and type {codes.dtype}; this run's "
            f"are numbers of shape [n, {z_dim}]"
        )
    with np.errstate(over="ignore"):
        codes = codes.astype(np.float32)
    if not np.isfinite(codes).all():
        raise UserError(
            "got codes that are NaN or infinite in float32; give finite numbers"
        )
    return codes


def categories_for_run(
    y: ArrayLike | None, n: int, *, n_categories: int, model: str, lowest: int = 0
) -> NDArray[np.int32]:
    """`[n]` classes, or clusters, from as many or from one; -1 is none, if `lowest`.

    Raises:
      UserError: there is none, or another number of them, or one that does not exist.
    """
    allowed = f"give y, {n} whole numbers from {lowest} to {n_categories - 1}, or one"
    if y is None:
        raise UserError(
            f"the decoder of model={model!r} reads a class beside the code; {allowed}"
        )
    categories = np.asarray(y)
    if categories.dtype.kind not in "iu" or categories.shape not in ((), (n,)):
        raise UserError(
            f"got y of shape {categories.shape} and type {categories.dtype}; {allowed}"
        )
    if not ((categories >= lowest) & (categories < n_categories)).all():
        raise UserError(
            f"got y from {categories.min()} to {categories.max()}; {allowed}"
        )
    return np.broadcast_to(categories.astype(np.int32), (n,))


def cluster_classes_for_run(classes: ArrayLike, config: Config) -> NDArray[np.int32]:
    """The class of each cluster, `[clusters]`.

    Raises:
      UserError: another shape or type; or the model finds no clusters.
    """
    if not config.finds_clusters:
        raise UserError(
            f"a run of model={config.model!r} finds no clusters; leave cluster_classes "
            "out"
        )
    found = np.asarray(classes)
    if found.shape != (config.n_categories,) or found.dtype.kind not in "iu":
        raise UserError(
            f"got cluster_classes of shape {found.shape} and type {found.dtype}; give "
            f"one whole number for each cluster, of shape ({config.n_categories},)"
        )
    return found.astype(np.int32)


def between(
    a: NDArray[np.float32], b: NDArray[np.float32], n: int
) -> NDArray[np.float32]:
    """`[n, z_dim]`, codes evenly spaced on the straight way from a to b.

    Raises:
      UserError: n is below 2, or too large.
    """
    check_number("n", n, 2, 100_000, whole=True)
    return np.linspace(a, b, n, dtype=np.float32)
