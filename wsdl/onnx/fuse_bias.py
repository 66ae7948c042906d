"""Lets `Gemm` add the bias of a linear layer, for which it has a third input.

    Gemm(x, W) -> Reshape -> Add(b)      becomes      Gemm(x, W, b) -> Reshape

Only where the bias runs along the columns of the product, and nothing else reads what lies between. The runtime does
this for `MatMul` alone. It saves a pass over the result, and a node with its names for every layer.
"""

from __future__ import annotations

from collections import Counter

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from wsdl.onnx.guards import bodies, walk


def fuse_bias(proto: ModelProto) -> None:
    """Move each bias into its product."""
    reads = Counter(name for node in walk(proto.graph) for name in node.input)
    for graph in _graphs(proto.graph):
        reads.update(output.name for output in graph.output)
    _fuse(proto.graph, {t.name: t for t in proto.graph.initializer}, reads)


def _graphs(graph: GraphProto) -> list[GraphProto]:
    return [graph, *(inner for node in graph.node for body in bodies(node) for inner in _graphs(body))]


def _fuse(graph: GraphProto, constants: dict[str, TensorProto], reads: Counter[str]) -> None:
    producers = {name: node for node in graph.node for name in node.output}
    kept: list[NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _fuse(body, constants, reads)
        found = _product(node, producers, constants, reads)
        if found is None:
            kept.append(node)
            continue
        product, last, bias = found
        product.input.append(bias)
        last.output[0] = node.output[0]
        producers[node.output[0]] = last
    del graph.node[:]
    graph.node.extend(kept)


def _product(
    node: NodeProto, producers: dict[str, NodeProto], constants: dict[str, TensorProto], reads: Counter[str]
) -> tuple[NodeProto, NodeProto, str] | None:
    """For the addition of a bias: the product, the node before the addition, and the name of the bias."""
    if node.op_type != "Add":
        return None
    for x, bias in (node.input, reversed(node.input)):
        last = producers.get(x)
        product = last
        if last is not None and last.op_type == "Reshape":
            product = producers.get(last.input[0])
        if last is None or product is None or product.op_type != "Gemm" or len(product.input) > 2:
            continue
        columns = _columns(product, constants)
        along = bias in constants and list(constants[bias].dims) == [columns]
        shaped = product is last or _last_size(last.input[1], producers, constants) == columns
        if along and shaped and all(reads[n.output[0]] == 1 for n in {id(n): n for n in (product, last)}.values()):
            return product, last, bias
    return None


def _columns(product: NodeProto, constants: dict[str, TensorProto]) -> int | None:
    """How many columns a product has, where its right side is stored as it is."""
    weight = constants.get(product.input[1])
    transposed = any(a.name == "transB" and helper.get_attribute_value(a) for a in product.attribute)
    return None if weight is None else weight.dims[0 if transposed else 1]


def _last_size(shape: str, producers: dict[str, NodeProto], constants: dict[str, TensorProto]) -> int | None:
    """The last number of a shape, where that is known."""
    made = producers.get(shape)
    if made is not None and made.op_type == "Concat":
        shape = made.input[-1]
    tensor = constants.get(shape)
    return int(numpy_helper.to_array(tensor).ravel()[-1]) if tensor is not None and tensor.dims != [0] else None
