"""Whether exported files compute what the run does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
from jax import export
from jaxtyping import Float
from numpy.typing import NDArray

from aae_jax.run import Run

Arrays = Mapping[str, NDArray[np.float32]]
Differences = dict[str, dict[str, float]]
"""`{"ONNX": {"z": 4e-7, "x_hat": 2e-7}, "StableHLO": ...}`"""


def differences(
    run: Run,
    folder: Path,
    *,
    x: Float[np.ndarray, "images height width channels"],
    z: Float[np.ndarray, "codes z_dim"],
) -> Differences:
    """How far what the files in a folder compute is from what the run does.

    Of each output the largest absolute difference, divided by the largest number where
    that is over 1: codes are numbers of 5 to 20. The run computes with all digits of
    float32, as the files do; on some devices it takes fewer by default.

    Args:
      x: float32 images for the encoder.
      z: float32 codes for the decoder; if it reads categories, of one after another.
    """
    networks = run.model.networks
    wiring, n_categories = networks.wiring, networks.n_categories
    y, code = None, {"z": z}
    if wiring.decodes_y:
        y = np.arange(len(z), dtype=np.int32) % n_categories
        code["y"] = np.eye(n_categories, dtype=np.float32)[y]
    with jax.default_matmul_precision("highest"):
        wanted = {"z": run.encode(x), "x_hat": run.decode(z, y)}
        if wiring.infers_y:
            wanted["y"] = run.probabilities(x)
    found = {}
    for form, apply in (("ONNX", _apply_onnx), ("StableHLO", _apply_stablehlo)):
        outputs = {
            **apply(folder / "encoder", {"x": x}),
            **apply(folder / "decoder", code),
        }
        found[form] = {
            name: _difference(outputs[name], array) for name, array in wanted.items()
        }
    return found


def _difference(got: NDArray, wanted: NDArray) -> float:
    scale = max(1.0, float(abs(wanted).max(initial=0)))
    return float(abs(got - wanted).max(initial=0)) / scale


def _apply_onnx(network: Path, inputs: Arrays) -> Arrays:
    stored = network.with_suffix(".onnx").read_bytes()
    session = onnxruntime.InferenceSession(stored, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs: Any = session.run(names, inputs)
    return dict(zip(names, outputs, strict=True))


def _apply_stablehlo(network: Path, inputs: Arrays) -> Arrays:
    stored = network.with_suffix(".stablehlo").read_bytes()
    outputs: Any = export.deserialize(bytearray(stored)).call(**inputs)
    return {name: np.asarray(output) for name, output in outputs.items()}
