"""The inputs of an ONNX model that are read as indices, into a table of weights or of classes, with their ranges.

Derived from the graph, so that data can be checked before a run with messages that name the input and the source line;
the runtime only reports that some index is out of bounds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto, numpy_helper

from wsdl.onnx.walk import subgraphs, walk

_MOVES = {"Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity"}
_ASSUMED = re.compile(r"assume (?:indices|labels) from 0 to (\d+)")


@dataclass(frozen=True)
class IndexRead:
    """All elements of the input `name` are indices from `low` to `high`, or `ignored`; `source` is the line of the
    program that reads them, if the file has it."""

    name: str
    low: int
    high: int
    ignored: int | None = None
    source: str = ""


def index_reads(proto: ModelProto) -> list[IndexRead]:
    """The inputs that are read as indices completely and unchanged, except for their shape and dtype."""
    graph = _Graph(proto)
    reads = (graph.read(node) for node in walk(proto.graph))
    return list(dict.fromkeys(read for read in reads if read is not None))


def reads_in_file(path: str) -> list[IndexRead]:
    """The index reads of the model in a file; none if there is no file."""
    return index_reads(onnx.load(path, load_external_data=False)) if os.path.isfile(path) else []


class _Graph:
    def __init__(self, proto: ModelProto) -> None:
        self._inputs = {value.name for value in proto.graph.input}
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        nodes = list(walk(proto.graph))
        self._producers = {name: node for node in nodes for name in node.output}
        self._outer = {inner: outer for node in nodes for inner, outer in _sequences(node)}

    def read(self, node: NodeProto) -> IndexRead | None:
        """The read of a node, if it reads an input as indices."""
        assumed = _ASSUMED.search(node.name)
        if assumed is not None:
            low, high = 0, int(assumed[1])
        elif node.op_type == "Gather" and node.input[0] in self._constants:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            high = self._constants[node.input[0]].dims[axis] - 1
            low = -high - 1
        else:
            return None
        name, ignored = self._origin(self._before_count(node.input[1]), has_guard=assumed is not None)
        return None if name is None else IndexRead(name, low, high, ignored, _source(node))

    def _before_count(self, name: str) -> str:
        """The indices of which the invalid ones are counted, for operators that don't check them."""
        for op_type in ("ReduceSum", "Cast", "Not", "Equal"):
            node = self._producers.get(name)
            if node is None or node.op_type != op_type:
                return name
            name = node.input[0]
        return name

    def _origin(self, name: str, has_guard: bool) -> tuple[str | None, int | None]:
        """The input from which a tensor comes, unchanged except for shape and dtype, and the index in it that was
        replaced by another. `has_guard`: on the way negative indices are replaced by one that is too large."""
        ignored = None
        while (name := self._outer.get(name, name)) not in self._inputs:
            node = self._producers.get(name)
            if node is None:
                return None, None
            if node.op_type in _MOVES:
                name = node.input[0]
            elif has_guard and self._is_guard(node):
                name, has_guard = node.input[2], False
            elif (number := self._replaced(node)) is not None:
                name, ignored = node.input[1], number
            else:
                return None, None
        return name, ignored

    def _is_guard(self, node: NodeProto) -> bool:
        test = self._producers.get(node.input[0])
        return (
            node.op_type == "Where" and test is not None and test.op_type == "Less" and test.input[0] == node.input[2]
        )

    def _replaced(self, node: NodeProto) -> int | None:
        """`c` if a node is `where(x != c, x, …)`."""
        differs = self._producers.get(node.input[0]) if node.op_type == "Where" else None
        equal = self._producers.get(differs.input[0]) if differs is not None and differs.op_type == "Not" else None
        if equal is None or equal.op_type != "Equal" or equal.input[1] not in self._constants:
            return None
        behind = self._producers.get(node.input[1])
        replacement = behind.input[2] if behind is not None and self._is_guard(behind) else node.input[1]
        return int(numpy_helper.to_array(self._constants[equal.input[1]])) if replacement == equal.input[0] else None


def _sequences(node: NodeProto) -> Iterator[tuple[str, str]]:
    """Each input of the body of a `Scan` that is a step of a sequence, with that sequence."""
    count = next((a.i for a in node.attribute if a.name == "num_scan_inputs"), 0)
    for body in subgraphs(node) if count else ():
        yield from zip([value.name for value in body.input][-count:], list(node.input)[-count:], strict=True)


def _source(node: NodeProto) -> str:
    return next((str(p.value) for p in node.metadata_props if p.key == "wsdl.source"), "")
