"""A page in which the latent space of a run is moved through: one file, no server.

The networks are inside, as plain layers; web/*.js applies them.
"""

import html
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from aae_jax.explored_space import DRAWS, explored_space
from aae_jax.figures.classes import class_colour
from aae_jax.layers import (
    Dense,
    Layer,
    PlainNetworks,
    apply_layers,
    plain_networks,
)
from aae_jax.maps import Convolution, Transposed
from aae_jax.messages import Say
from aae_jax.packing import packed_floats, packed_matrix
from aae_jax.page_template import data_uri
from aae_jax.run import Run
from aae_jax.small_files import make_folder, write_text
from aae_jax.splits import Split

MOST_CODES = 2_500
_MOST_VALUES = 2_500 * 28 * 28  # of the images in a page
_ENCODER_BITS, _DECODER_BITS = 12, 16
_SCRIPTS = (
    "network.js",
    "model.js",
    "plane.js",
    "drawing.js",
    "explore.js",
    "controls.js",
)


@dataclass(frozen=True)
class ExplorePage:
    """A page, and how exact it is.

    Attributes:
      text: the HTML.
      image_error: largest difference of a pixel from what the run decodes, over draws
        from the prior and classes; pixels from 0 to 1.
      code_error: largest distance of a code from what the run encodes, over the images
        in the page, in deviations of the prior.
    """

    text: str
    image_error: float
    code_error: float


def explore_page(
    run: Run,
    x: NDArray[np.uint8],
    y: Int[np.ndarray, " n"] | None = None,
) -> ExplorePage:
    """A page to explore a run with.

    Args:
      run: what is explored.
      x: `[n, height, width, channels]`; of more than 2,500 images, or than as many as
        2 million values hold, as many, evenly spaced, are in the page.
      y: their labels, -1 where there is none.
    """
    n = min(len(x), MOST_CODES, max(1, _MOST_VALUES // math.prod(x.shape[1:])))
    rows = np.arange(n) * len(x) // n
    x, y = x[rows], None if y is None else y[rows]
    z = run.encode(x)
    plain = plain_networks(run.model.networks, run.params)
    encoder, seen_encoder = _packed(plain.encoder, bits=_ENCODER_BITS)
    decoder, seen_decoder = _packed(plain.decoder, bits=_DECODER_BITS)
    seen = plain._replace(encoder=seen_encoder, decoder=seen_decoder)
    data = {
        **_about(run),
        "space": explored_space(run, z),
        "codes": {
            "z": packed_floats(z),
            "y": None if y is None else y.tolist(),
            "category": _categories_of(run, x, y),
        },
        "images": _sprite(x),
        "encoder": encoder,
        "decoder": decoder,
        "heads": None if plain.heads is None else plain.heads.tolist(),
    }
    return ExplorePage(
        _filled(run.folder.title, data),
        _image_error(run, seen),
        float(np.abs((_codes_of(seen, x) - z) / run.code_prior.std).max()),
    )


def write_explore_page(
    run: Run, images: Callable[[], Split], *, out: Path, say: Say
) -> None:
    """Write `out`/explore.html, and say how large and how exact it is.

    Raises:
      UserError: the images cannot be read.
      RunError: `out` cannot be written.
    """
    page = explore_page(run, *images())
    path = make_folder(out) / "explore.html"
    write_text(path, page.text)
    say(
        f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB; its images are within "
        f"{255 * page.image_error:.2f}/255 of the model's, its codes within "
        f"{page.code_error:.2%} of the prior's deviation"
    )


def _filled(title: str, data: dict[str, Any]) -> str:
    """The template with its style, its scripts and its data."""
    web = files("aae_jax") / "web"
    # No tag can begin, or end, inside of the data.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    parts: dict[str, str] = {
        "title": html.escape(title),
        "style": (web / "explore.css").read_text("utf-8"),
        "script": "\n".join((web / name).read_text("utf-8") for name in _SCRIPTS),
        "data": text,
    }
    page = (web / "explore.html").read_text("utf-8")
    # In one pass: what is filled in may hold anything.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def _about(run: Run) -> dict[str, Any]:
    """What is explored, in words and sizes."""
    config, networks = run.record.config, run.model.networks
    names = run.record.dataset.get("class_names")
    infers, reads = networks.wiring.infers_y, networks.wiring.decodes_y
    return {
        "title": run.folder.title,
        "about": (
            f"model {config.model}, prior {run.model.prior.name}, "
            f"{config.z_dim} {'numbers' if config.z_dim > 1 else 'number'} a code, "
            f"step {run.step:,}"
        ),
        "image": list(run.record.image_shape),
        "zDim": config.z_dim,
        "categories": {
            "word": "cluster" if config.finds_clusters else "class",
            "count": networks.n_categories,
            "inferred": infers,
            "read": reads,
        },
        "classNames": names,
        "colours": [class_colour(label) for label in range(10)],
    }


def _categories_of(
    run: Run, x: NDArray[np.uint8], y: Int[np.ndarray, " n"] | None
) -> list[int] | None:
    """What the decoder would be told of images: the inferred category, or the label."""
    if not run.reads_category:
        return None
    if run.model.networks.wiring.infers_y:
        return run.classify(x).tolist()
    return None if y is None else y.tolist()


def _sprite(x: NDArray[np.uint8]) -> dict[str, Any]:
    """All images in one PNG, in rows of `columns`."""
    n, height, width, channels = x.shape
    columns = math.isqrt(n - 1) + 1
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:n] = x
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return {"columns": columns, "png": data_uri(buffer.getvalue())}


def _packed(
    layers: Sequence[Layer], *, bits: int
) -> tuple[list[dict[str, Any]], tuple[Layer, ...]]:
    """Layers for the page, and as the page will read them."""
    packed, seen = [], []
    for layer in layers:
        entry: dict[str, Any] = {"kind": type(layer).__name__.lower()}
        if isinstance(layer, Dense | Convolution | Transposed):
            kernel = layer.kernel
            matrix, read = packed_matrix(
                kernel.reshape(-1, kernel.shape[-1]), bits=bits
            )
            entry |= {"kernel": matrix, "bias": packed_floats(layer.bias)}
            layer = replace(layer, kernel=read.reshape(kernel.shape))
        if isinstance(layer, Convolution | Transposed):
            entry |= {"inShape": layer.in_shape, "outShape": layer.out_shape}
        packed.append(entry)
        seen.append(layer)
    return packed, tuple(seen)


def _codes_of(plain: PlainNetworks, x: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = x.reshape(len(x), -1).astype(np.float32) / 255
    outputs = apply_layers(plain.encoder, rows)
    logits, z = outputs[:, : plain.n_logits], outputs[:, plain.n_logits :]
    if plain.heads is None:
        return z
    return z + softmax(logits, axis=1) @ plain.heads


def _image_error(run: Run, seen: PlainNetworks) -> float:
    """How far images of the page are from the run's, at draws from the prior."""
    z, y = run.sample_codes(DRAWS), None
    inputs = z
    if run.reads_category:
        y = run.sample_categories(DRAWS)
        shares = np.eye(run.model.networks.n_categories, dtype=np.float32)[y]
        inputs = np.concatenate([z, shares], axis=1)
    x_hat = run.decode(z, y)
    return float(
        np.abs(apply_layers(seen.decoder, inputs) - x_hat.reshape(DRAWS, -1)).max()
    )
