"""Avoids a crash of ONNX Runtime 1.32 in a matrix product in f16.

It has no f16 kernel of `MatMul` on the CPU, so it inserts casts, converts a constant operand to f32, and fuses a
`Transpose` that moves the first axis next to the last into the product:

    Transpose(x, perm=[1, 0, 2]) -> MatMul(w: f16)

The last two together leave a graph whose loading ends in a segmentation fault. A `Concat` of one tensor, a copy,
between the two nodes prevents the fusion; no optimization of the runtime removes it.
"""

from __future__ import annotations

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from wsdl.onnx.walk import subgraphs


def part_transposes(proto: ModelProto) -> None:
    """Put a `Concat` between each such pair."""
    constant = {t.name for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT16}
    if constant:
        _part(proto.graph, constant, {})


def _part(graph: GraphProto, constant: set[str], turned: dict[str, NodeProto]) -> None:
    """`constant` are f16 tensors known before the run, `turned` the results of such a `Transpose`; both include those
    of enclosing graphs."""
    constant, turned, kept = set(constant), dict(turned), list[NodeProto]()
    for node in graph.node:
        if node.input and constant.issuperset(node.input[:1]) and not any(subgraphs(node)):
            constant.update(node.output)
        if node.op_type == "Transpose" and _turns_batch(node):
            turned[node.output[0]] = node
        for body in subgraphs(node):
            _part(body, constant, turned)
        if node.op_type == "MatMul":
            for i, other in (0, 1), (1, 0):
                if node.input[i] in turned and node.input[other] in constant:
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
