"""Networks as StableHLO, through `jax.export`: programs that jax runs without us."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array

from aae_jax.export_about import Shapes
from aae_jax.networks import Networks, Params

_PLATFORMS = ("cpu", "cuda", "tpu")

Program = Callable[..., Mapping[str, Array]]


def stablehlo_encoder(networks: Networks, params: Params) -> bytes:
    """x `[n, height, width, channels]` -> `{"z": ..., "y": ...}`; as `onnx_encoder`."""

    def encode(x: Array) -> Mapping[str, Array]:
        code = networks.encode(params, x)
        z = {"z": networks.represent(params, code)}
        return z | {"y": code.y} if networks.wiring.infers_y else z

    return _stored(encode, {"x": networks.image_shape})


def stablehlo_decoder(networks: Networks, params: Params, *, inputs: Shapes) -> bytes:
    """The inputs, z and perhaps y, each `[n, ...]` -> `{"x_hat": ...}`."""

    def decode(**read: Array) -> Mapping[str, Array]:
        return {"x_hat": networks.decode(params, **read)}

    return _stored(decode, inputs)


def _stored(program: Program, inputs: Shapes) -> bytes:
    """A program of rows, as many as one likes, with the weights that it closes over.

    Accelerators multiply with fewer digits by default; this one asks for all.
    """
    (n,) = export.symbolic_shape("n")
    kinds = {
        name: jax.ShapeDtypeStruct((n, *shape), jnp.float32)
        for name, shape in inputs.items()
    }
    with jax.default_matmul_precision("highest"), _no_source_locations():
        exported = export.export(jax.jit(program), platforms=_PLATFORMS)(**kinds)
    return bytes(exported.serialize())


@contextmanager
def _no_source_locations() -> Iterator[None]:
    """Keep paths of this machine out of what is stored."""
    limit = "jax_traceback_in_locations_limit"
    before = jax.config.values[limit]
    jax.config.update(limit, 0)
    try:
        yield
    finally:
        jax.config.update(limit, before)
