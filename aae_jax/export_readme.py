"""The README.md of an export."""

import json

from aae_jax.export_about import About, Shapes
from aae_jax.messages import printable

_README = """\
# {title}

The encoder and the decoder of an adversarial autoencoder that aae_jax trained, as ONNX
and as StableHLO. Both compute the same; neither needs aae_jax.

| file | reads | gives |
|---|---|---|
| `encoder.onnx`, `encoder.stablehlo` | {images} | {code} |
| `decoder.onnx`, `decoder.stablehlo` | {decoder_inputs} | {decoded} |

All numbers are float32; n is any number of rows from 1. `x` and `x_hat` are images,
`[n, height, width, channels]`, with pixels from 0 to 1: divide bytes by 255. `z` are
codes.
{about_y}
## ONNX

`pip install onnxruntime numpy`, or any other program that reads ONNX.

```python
{onnx}
```

## StableHLO

`pip install jax flatbuffers`; for a CPU, an NVIDIA GPU or a TPU.

```python
{stablehlo}
```

jax {jax_version} wrote these two files. A release of jax reads what releases of the six
months before it wrote; to keep networks for longer, take ONNX.

## Where they are from

```json
{{
{facts}
}}
```

The ONNX files hold the same as their metadata.
"""

_PLURALS = {"class": "classes", "cluster": "clusters"}


def readme(about: About, *, jax_version: str) -> str:
    """A page that shows how to use exported networks, each in five lines of Python."""
    # As JSON no text out of a run's files can leave its line.
    facts = [
        f"  {json.dumps(name)}: {json.dumps(fact)}"
        for name, fact in about.facts.items()
    ]
    return _README.format(
        title=printable(about.title),
        images=_described(about.images),
        code=_described(about.code),
        decoder_inputs=_described(about.decoder_inputs),
        decoded=_described(about.decoded),
        about_y=_about_y(about),
        onnx=_onnx_example(about),
        stablehlo=_stablehlo_example(about),
        jax_version=jax_version,
        facts=",\n".join(facts),
    )


def _described(shapes: Shapes) -> str:
    return ", ".join(
        f"`{name}` `[n, {', '.join(map(str, shape))}]`"
        for name, shape in shapes.items()
    )


def _about_y(about: About) -> str:
    """A paragraph on y for each network that has one."""
    each = f"each of the {about.n_categories} {_PLURALS[about.category]}"
    sentences = []
    if about.infers_y:
        sentences += [f"The encoder's `y` is the probability of {each}."]
    if about.decodes_y:
        other = "what the encoder gives" if about.infers_y else "0 for all: no label"
        share = f"The decoder's `y` is the share of {each}"
        sentences += [f"{share}: 1 for one and 0 for the others, or {other}."]
    return "".join(f"\n{sentence}\n" for sentence in sentences)


def _onnx_example(about: About) -> str:
    names = list(about.code)
    code = ", ".join(names) if len(names) > 1 else "(z,)"
    given = [f'"{name}": {_given(about, name)}' for name in about.decoder_inputs]
    return f"""\
import numpy as np
import onnxruntime

encoder = onnxruntime.InferenceSession("encoder.onnx")
decoder = onnxruntime.InferenceSession("decoder.onnx")
{_example_images(about)}
{code} = encoder.run({json.dumps(names)}, {{"x": x}})
(x_hat,) = decoder.run(["x_hat"], {{{", ".join(given)}}})"""


def _stablehlo_example(about: About) -> str:
    given = [
        f"{name}={_given(about, name, of_code=True)}" for name in about.decoder_inputs
    ]
    return f"""\
from pathlib import Path

import numpy as np
from jax import export

encoder = export.deserialize(bytearray(Path("encoder.stablehlo").read_bytes()))
decoder = export.deserialize(bytearray(Path("decoder.stablehlo").read_bytes()))
{_example_images(about)}
code = encoder.call(x=x)
x_hat = decoder.call({", ".join(given)})["x_hat"]"""


def _example_images(about: About) -> str:
    shape = (3, *about.image_shape)
    return f"x = np.random.default_rng(0).random({shape}, np.float32)  # your images"


def _given(about: About, name: str, *, of_code: bool = False) -> str:
    """What the encoder gave, else the first category for each of three images."""
    if name not in about.code:
        return f"np.eye({about.n_categories}, dtype=np.float32)[[0, 0, 0]]"
    return f'code["{name}"]' if of_code else name
