"""Lets `Gemm` add the bias of a linear layer, for which it has a third input, or another product of the same rows.

    Gemm(x, W) -> Reshape -> Add(b)                     becomes      Gemm(x, W, b) -> Reshape
    Add(Gemm(Gemm(x, V), U), Gemm(x, W)) -> Add(b)      becomes      Gemm(Gemm(x, V), U, Gemm(x, W, b))

Only if the bias has the length of the columns of the product, and nothing else reads the results between them. The
runtime does this only for `MatMul`. It saves a pass over the result, and a node for every layer.
"""

from __future__ import annotations

from collections import Counter

from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from wsdl.onnx.walk import subgraphs, walk


def fuse_bias(proto: ModelProto) -> None:
    """Fuse each bias into its product."""
    reads = Counter(name for node in walk(proto.graph) for name in node.input)
    for graph in _graphs(proto.graph):
        reads.update(output.name for output in graph.output)
    _fuse(proto.graph, _KnownTensors(proto.graph), reads)


class _KnownTensors:
    """The shapes of stored and fed tensors, and the values of stored ones."""

    def __init__(self, graph: GraphProto) -> None:
        self.tensors = {t.name: t for t in graph.initializer}
        self.sizes = {name: list(t.dims) for name, t in self.tensors.items()}
        bodies = (body for node in walk(graph) for body in subgraphs(node))
        for fed in (
            value for each in (graph, *bodies) for value in each.input
        ):  # weights in training, parts of a stack
            shape = fed.type.tensor_type.shape.dim
            if all(d.HasField("dim_value") for d in shape):
                self.sizes[fed.name] = [d.dim_value for d in shape]


def _graphs(graph: GraphProto) -> list[GraphProto]:
    return [graph, *(inner for node in graph.node for body in subgraphs(node) for inner in _graphs(body))]


def _fuse(graph: GraphProto, known: _KnownTensors, reads: Counter[str]) -> None:
    producers = {name: node for node in graph.node for name in node.output}
    places = {name: at for at, node in enumerate(graph.node) for name in node.output}
    kept: list[NodeProto] = []
    for node in graph.node:
        for body in subgraphs(node):
            _fuse(body, known, reads)
        match = _product(node, producers, known, reads) or _second_product(node, producers, places, known, reads)
        if match is None:
            kept.append(node)
            continue
        product, last, bias = match
        product.input.append(bias)
        last_output, last.output[0] = last.output[0], node.output[0]
        producers[node.output[0]], places[node.output[0]] = last, places[last_output]
    del graph.node[:]
    graph.node.extend(kept)


def _product(
    node: NodeProto, producers: dict[str, NodeProto], known: _KnownTensors, reads: Counter[str]
) -> tuple[NodeProto, NodeProto, str] | None:
    """For the addition of a bias: the product, the node before the addition, and the name of the bias."""
    if node.op_type != "Add":
        return None
    for x, bias in (node.input, reversed(node.input)):
        last = producers.get(x)
        product = last
        if last is not None and last.op_type == "Reshape":
            product = producers.get(last.input[0])
        nodes = [last, product]
        while product is not None and product.op_type == "Gemm" and len(product.input) > 2:
            product = producers.get(product.input[2])  # the bias is added to what this one adds
            nodes.append(product)
        if last is None or product is None or product.op_type != "Gemm":
            continue
        columns = _columns(product, known)
        along = columns is not None and known.sizes.get(bias) == [columns]
        shaped = last.op_type == "Gemm" or _last_size(last.input[1], producers, known) == columns
        if along and shaped and all(n is not None and reads[n.output[0]] == 1 for n in nodes):
            return product, last, bias
    return None


def _second_product(
    node: NodeProto,
    producers: dict[str, NodeProto],
    places: dict[str, int],
    known: _KnownTensors,
    reads: Counter[str],
) -> tuple[NodeProto, NodeProto, str] | None:
    """For the sum of two products: the later one, twice, and the name of the earlier one."""
    if node.op_type != "Add" or any(name not in places for name in node.input):
        return None
    first, second = sorted(node.input, key=lambda name: places[name])
    last, before = producers[second], producers[first]
    if {last.op_type, before.op_type} != {"Gemm"} or len(last.input) > 2 or reads[second] > 1 or first == second:
        return None
    columns = _columns(last, known)
    alike = columns is not None and columns == _columns(before, known)
    return (last, last, first) if alike and _rows(last, producers) == _rows(before, producers) else None


def _rows(product: NodeProto, producers: dict[str, NodeProto]) -> str:
    """The tensor that a product has its rows from; its own name where it is transposed."""
    while not any(a.name == "transA" and helper.get_attribute_value(a) for a in product.attribute):
        producer = producers.get(product.input[0])
        if producer is None or producer.op_type != "Gemm":
            return str(product.input[0])
        product = producer
    return str(product.output[0])


def _columns(product: NodeProto, known: _KnownTensors) -> int | None:
    """The number of columns of a product, if its right operand is directly a stored or fed tensor."""
    weight = known.sizes.get(product.input[1])
    transposed = any(a.name == "transB" and helper.get_attribute_value(a) for a in product.attribute)
    return None if weight is None else weight[0 if transposed else 1]


def _last_size(shape: str, producers: dict[str, NodeProto], known: _KnownTensors) -> int | None:
    """The last size of a shape, if it is known."""
    producer = producers.get(shape)
    if producer is not None and producer.op_type == "Concat":
        shape = producer.input[-1]
    tensor = known.tensors.get(shape)
    return int(numpy_helper.to_array(tensor).ravel()[-1]) if tensor is not None and tensor.dims != [0] else None
