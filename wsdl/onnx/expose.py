"""A model with all its tensors as outputs, for debugging."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto, ValueInfoProto


@dataclass(frozen=True)
class Computed:
    """A node: its operator and name, its position in the source, its inputs and outputs."""

    operator: str
    name: str
    source: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def exposed(proto: ModelProto) -> tuple[ModelProto, list[Computed]]:
    """A copy of a model whose outputs are all tensors of its graph, in the order of the nodes; and these nodes. Tensors
    in subgraphs are not exposed."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    there = {output.name for output in copy.graph.output}
    nodes: list[Computed] = []
    for node in copy.graph.node:
        source = next((p.value for p in node.metadata_props if p.key == "wsdl.source"), "")
        results = tuple(name for name in node.output if name)
        nodes.append(Computed(node.op_type, node.name, source, tuple(node.input), results))
        copy.graph.output.extend(ValueInfoProto(name=name) for name in results if name not in there)
    return copy, nodes
