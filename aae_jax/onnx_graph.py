"""Networks as ONNX: a graph of plain layers; the only importer of onnx."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from aae_jax.export_about import About, Shapes
from aae_jax.layers import Dense, Layer, PlainNetworks, Relu, Sigmoid
from aae_jax.maps import Convolution, Padding, Shape, Transposed

# Of 2022: runtimes of years read them, and nothing newer is needed.
_OPSET, _IR_VERSION = 17, 8


def onnx_encoder(networks: PlainNetworks, about: About) -> bytes:
    """Images x -> codes z, cluster heads included, and, where inferred, shares y."""
    graph = _Graph()
    outputs = graph.layers(networks.encoder, graph.node("Flatten", "x", axis=1))
    if not networks.n_logits:
        graph.name_output(outputs, "z")
        return graph.file("encoder", about.images, about.code, about.metadata)
    widths = graph.constant(np.array([networks.n_logits, about.z_dim], np.int64))
    y_logits, z = graph.nodes("Split", outputs, widths, outputs=2, axis=1)
    y = graph.node("Softmax", y_logits, axis=1)
    if networks.heads is not None:
        head = graph.node("MatMul", y, graph.constant(networks.heads))
        z = graph.node("Add", z, head)
    graph.name_output(z, "z")
    graph.name_output(y, "y")
    return graph.file("encoder", about.images, about.code, about.metadata)


def onnx_decoder(networks: PlainNetworks, about: About) -> bytes:
    """Codes z and, where the decoder reads them, shares y -> images x_hat."""
    graph = _Graph()
    read = "z"
    if about.decodes_y:
        read = graph.node("Concat", "z", "y", axis=1)
    pixels = graph.layers(networks.decoder, read)
    graph.name_output(graph.reshaped(pixels, about.image_shape), "x_hat")
    inputs = about.decoder_inputs
    return graph.file("decoder", inputs, about.decoded, about.metadata)


class _Graph:
    """Nodes and constants as they are added; each value has a name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def nodes(
        self, operator: str, *inputs: str, outputs: int, **attributes: Any
    ) -> list[str]:
        """Add a node; the names of its outputs."""
        index = len(self._nodes)
        names = [f"{operator.lower()}_{index}_{which}" for which in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; its name."""
        (output,) = self.nodes(operator, *inputs, outputs=1, **attributes)
        return output

    def name_output(self, value: str, name: str) -> None:
        """Give a value the name that users of the graph see."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def constant(self, array: NDArray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def layers(self, layers: Sequence[Layer], value: str) -> str:
        """Add what `apply_layers` does to rows."""
        for layer in layers:
            match layer:
                case Dense(kernel, bias):
                    kernel, bias = self.constant(kernel), self.constant(bias)
                    value = self.node("Gemm", value, kernel, bias)
                case Relu():
                    value = self.node("Relu", value)
                case Sigmoid():
                    value = self.node("Sigmoid", value)
                case Convolution(kernel, _, padding=beyond):
                    value = self._on_maps(
                        "Conv", value, layer, kernel.transpose(3, 2, 0, 1), beyond
                    )
                case Transposed(kernel, _, cropping=beyond):
                    value = self._on_maps(
                        "ConvTranspose",
                        value,
                        layer,
                        kernel.transpose(2, 3, 0, 1),
                        beyond,
                    )
        return value

    def _on_maps(
        self,
        operator: str,
        rows: str,
        layer: Convolution | Transposed,
        kernel: NDArray[np.float32],
        beyond: Padding,
    ) -> str:
        """Add an operator on maps, whose channels come first in ONNX, to rows."""
        maps = self.reshaped(rows, layer.in_shape)
        maps = self.node("Transpose", maps, perm=(0, 3, 1, 2))
        (top, bottom), (left, right) = beyond
        maps = self.node(
            operator,
            maps,
            self.constant(np.ascontiguousarray(kernel)),
            self.constant(layer.bias),
            kernel_shape=kernel.shape[2:],
            strides=(2, 2),
            pads=(top, left, bottom, right),
        )
        maps = self.node("Transpose", maps, perm=(0, 2, 3, 1))
        return self.reshaped(maps, (math.prod(layer.out_shape),))

    def reshaped(self, value: str, shape: Shape | tuple[int]) -> str:
        """Add what gives each row a shape."""
        return self.node(
            "Reshape", value, self.constant(np.array([-1, *shape], np.int64))
        )

    def file(
        self,
        name: str,
        inputs: Shapes,
        outputs: Shapes,
        metadata: Mapping[str, str],
    ) -> bytes:
        """The graph as a file holds it, checked by onnx."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [_value(*each) for each in inputs.items()],
            [_value(*each) for each in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="aae_jax",
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    """Float32 `[n, *shape]`, n free."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
