"""Avoids a crash of ONNX Runtime 1.32 in a matrix product in f16.

It has no f16 kernel of `MatMul` on the CPU, so it inserts casts, converts a constant operand to f32, and fuses a
`Transpose` that moves the first axis next to the last into the product:

    Transpose(x, perm=[1, 0, 2]) -> MatMul(w: f16)

The last two together leave a graph whose loading ends in a segmentation fault. So may an operand that is an input, such
as a parameter of a training step, where scans are around. A `Concat` of one tensor, a copy, between the two nodes
prevents the fusion; no optimization of the runtime removes it.
"""

from __future__ import annotations

from collections.abc import Collection

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from wsdl.onnx.walk import subgraphs


def part_transposes(proto: ModelProto, fed: Collection[str] = ()) -> None:
    """Put a `Concat` between each such pair; `fed` are the parameters that are inputs."""
    weights = {t.name for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT16}
    inputs = {i.name for i in proto.graph.input if i.type.tensor_type.elem_type == TensorProto.FLOAT16}
    weights |= inputs.intersection(fed)
    if weights:
        _part(proto.graph, weights, {})


def _part(graph: GraphProto, weights: set[str], turned: dict[str, NodeProto]) -> None:
    """`weights` are f16 parameters, constants and what is computed of them, `turned` the results of such a `Transpose`;
    both include those of enclosing graphs."""
    weights, turned, kept = set(weights), dict(turned), list[NodeProto]()
    for node in graph.node:
        if node.input and weights.issuperset(node.input[:1]) and not any(subgraphs(node)):
            weights.update(node.output)
        if node.op_type == "Transpose" and _turns_batch(node):
            turned[node.output[0]] = node
        for body in subgraphs(node):
            _part(body, weights, turned)
        if node.op_type == "MatMul":
            for i, other in (0, 1), (1, 0):
                if node.input[i] in turned and node.input[other] in weights:
                    name = f"{node.output[0]}/operand"
                    kept.append(helper.make_node("Concat", [node.input[i]], [name], name=name, axis=0))
                    node.input[i] = name
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _turns_batch(node: NodeProto) -> bool:
    """Whether a `Transpose` moves the first axis to the last position or the one before."""
    perm = next(list(helper.get_attribute_value(a)) for a in node.attribute if a.name == "perm")
    last = len(perm) - 1
    return last > 1 and perm in ([*range(1, last), 0, last], [*range(1, last + 1), 0])
