"""Which nodes of an ONNX model read a stored tensor, and which elements of it.

A node reads a tensor where it meets data. What moves, converts or computes on the way from weights alone stands for
them: of a matrix that is cut into the gates of an LSTM, whose parts are joined in another order, the LSTM reads all
elements once.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any, TypeAlias

import numpy as np
from onnx import NodeProto, helper

from wsdl.diagnostics import limits
from wsdl.ir.graph import Reads
from wsdl.ir.views import View, ViewError
from wsdl.weights.onnx_moves import SAME, moved
from wsdl.weights.onnx_tensors import LABEL, FunctionKey, Graph, OnnxTensors, function_called, info_of, label_of
from wsdl.weights.source import WeightsError

Array: TypeAlias = np.ndarray[Any, Any]
_INVALID = (
    ViewError,
    ValueError,
    IndexError,
    TypeError,
    ArithmeticError,
)  # nodes that the operator's definition forbids
_KNOWN = 2**16  # elements of a list of indices that is looked at
_ELEMENTS = 2**27  # of a tensor of which each element is counted: a GB of memory
_INLINED = 50_000  # nodes of functions, counted at each call
_NUMBERS = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}  # of bounds that a file computes


@dataclass(frozen=True)
class Part:
    """What a value has of a stored tensor: a view of it; or the elements with the numbers in `picked`, as bytes."""

    tensor: str
    view: View
    picked: bytes | None = None

    @property
    def elements(self) -> int:
        return prod(self.view.shape) if self.picked is None else len(self.picked) // 8

    @property
    def is_whole(self) -> bool:
        return self.elements == prod(self.view.source)

    def numbers(self) -> Array:
        """Those of its elements, in their order."""
        if self.picked is not None:
            return np.frombuffer(self.picked, np.int64)
        numbers: Array = self.view.of(np.arange(prod(self.view.source)).reshape(self.view.source))
        return numbers


@dataclass(frozen=True)
class Value:
    """A value that doesn't depend on data: the `parts` of stored tensors of which it is computed, and its elements if
    they are `known` whole numbers. If it is a `copy`, its first part is the value itself, and the others are scales."""

    parts: tuple[Part, ...] = ()
    known: Array | None = None
    copy: bool = False


@dataclass(frozen=True)
class Read:
    """A node that reads parts of a tensor by one of its inputs, and the name of the tensor that is added to its result.
    The `label` is the name of the node, or its operator and outputs if it has none; `exact` says that the input is the
    first part itself."""

    node: NodeProto
    label: str
    input: int
    parts: tuple[Part, ...]
    exact: bool = True
    added: str = ""

    @property
    def view(self) -> str:
        """What it reads of the tensor, in the syntax of the language: a part, or the transposed; empty for all of it in
        any other order."""
        [part, *others] = self.parts
        told = self.exact and not others and part.picked is None and (part.view.is_transpose or not part.is_whole)
        return str(part.view) if told else ""


Names: TypeAlias = "ChainMap[str, Value | None]"  # `None` depends on data


def reads_in(found: OnnxTensors, read: Callable[[str], Array] | None = None) -> dict[str, list[Read]]:
    """The reads of each tensor, in the order of the nodes; `read` gives the values of those that are indices."""
    walk = _Walk(found, read)
    names = walk.own(found.graph, ChainMap())
    walk.through(found.graph, names, "")
    for name in found.graph.outputs:
        walk.read(NodeProto(op_type="Output", output=[name]), f"output {name}", 0, names.get(name))
    return walk.reads


def counted(reads: Sequence[Read], shape: Sequence[int]) -> Reads:
    """How often the most-read element of a tensor is read; and the number of elements if each is counted as often as it
    is read, at least once."""
    size = prod(shape)
    whole = sum(any(part.is_whole for part in read.parts) for read in reads)
    parts = Counter(read.parts for read in reads if not any(part.is_whole for part in read.parts))
    if not parts:
        return Reads(whole, max(1, whole) * size)
    if size > _ELEMENTS:
        together = whole * size + sum(sum(p.elements for p in key) * times for key, times in parts.items())
        return Reads(-(-together // size), max(size, together))
    times = np.full(size, whole, np.int32)
    for key, often in parts.items():
        taken = np.zeros(size, bool)
        for part in key:
            taken[part.numbers().reshape(-1)] = True
        times += taken * np.int32(often)
    return Reads(int(times.max()), int(np.maximum(times, 1).sum(dtype=np.int64)))


@dataclass
class _Walk:
    found: OnnxTensors
    values: Callable[[str], Array] | None
    reads: dict[str, list[Read]] = field(default_factory=dict)
    inlined: int = 0  # nodes of functions
    weights: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.weights = frozenset(self.found.weights())

    def own(self, graph: Graph, outer: Names) -> Names:
        """The names in a graph, with the tensors that it stores; its inputs are data."""
        names = outer.new_child(dict.fromkeys(graph.inputs))
        for local, name in graph.own.items():
            shape = info_of(self.found.tensors[name]).shape
            parts = (Part(name, View.identity(shape)),) if name in self.weights else ()
            names[local] = Value(parts, self._known(name), copy=bool(parts))
        return names

    def _known(self, name: str) -> Array | None:
        info = info_of(self.found.tensors[name])
        if self.values is None or info.dtype not in ("i64", "i32") or prod(info.shape) > _KNOWN:
            return None
        with suppress(WeightsError, ValueError):
            array = self.values(name)
            return array if array.shape == info.shape else None
        return None

    def through(self, graph: Graph, names: Names, prefix: str, inside: Sequence[FunctionKey] = ()) -> None:
        added = _added(graph, names)
        for node, bodies in zip(graph.nodes, graph.bodies, strict=True):
            if node.op_type == "Constant" and node.output and node.output[0] in graph.own:
                continue
            label = prefix + label_of(node)
            inputs = [names.get(name) if name else Value() for name in node.input]
            after = added.get(node.output[0], "") if node.output else ""
            for body in bodies:
                inner = self.own(body, names)
                self.through(body, inner, prefix, inside)
                for name in body.outputs:
                    self.read(node, label, -1, inner.get(name))
            results = self._results(node, inputs, label, bool(bodies), inside)
            if results is None:
                for number, value in enumerate(inputs):
                    self.read(node, label, number, value, after)
                results = [None] * len(node.output)
            names.update(zip(node.output, results, strict=False))

    def read(self, node: NodeProto, label: str, input: int, value: Value | None, added: str = "") -> None:
        """A read of each tensor behind a value that meets data."""
        tensors = dict.fromkeys(part.tensor for part in value.parts) if value is not None and _has_values(node) else {}
        for name in tensors:
            parts = tuple(part for part in value.parts if part.tensor == name) if value is not None else ()
            if any(part.elements for part in parts):
                exact = value is not None and value.copy and value.parts[0].tensor == name
                self.reads.setdefault(name, []).append(Read(node, label, input, parts, exact, added))

    def _results(
        self,
        node: NodeProto,
        inputs: Sequence[Value | None],
        label: str,
        has_bodies: bool,
        inside: Sequence[FunctionKey],
    ) -> Sequence[Value | None] | None:
        """The results of a node; `None` if they depend on data."""
        called = function_called(node)
        function = self.found.functions.get(called) if called not in inside and len(inside) < limits.NESTING else None
        if function is not None and self.inlined + function.size <= _INLINED:
            self.inlined += function.size
            names = self.own(function, ChainMap())
            names.update(zip(function.inputs, inputs, strict=False))
            self.through(function, names, f"{label[:LABEL]}/", (*inside, called))
            return [names.get(name) for name in function.outputs]
        if node.op_type == "Constant":
            number = next((a for a in node.attribute if a.name in ("value_int", "value_ints")), None)
            return [Value(known=None if number is None else np.array(helper.get_attribute_value(number)))]
        if node.op_type == "Reshape":  # data may choose a shape, but no elements
            inputs = [*inputs[:1], *(value or Value() for value in inputs[1:])]
        known = [value for value in inputs if value is not None]
        if has_bodies or not known or len(known) < len(inputs):
            return None
        return self._of_weights(node, known, label)

    def _of_weights(self, node: NodeProto, inputs: list[Value], label: str) -> Sequence[Value | None] | None:
        """The results of a node none of whose inputs depends on data."""
        first, others = inputs[0], [value.known for value in inputs[1:]]
        if not _has_values(node):
            shape = first.parts[0].view.shape if first.copy else None if first.known is None else first.known.shape
            return [Value(known=None if shape is None or node.op_type != "Shape" else np.array(shape, np.int64))]
        along = tuple(dict.fromkeys(chain.from_iterable(value.parts for value in inputs[1:])))
        if first.copy and first.parts[0].picked is None:
            with suppress(*_INVALID):
                views = moved(first.parts[0].view, node, others)
                arrays = _moved(first.known, node, others)
                parts = (Part(first.parts[0].tensor, view) for view in views)
                return [Value((part, *first.parts[1:], *along), a, True) for part, a in zip(parts, arrays, strict=True)]
            if node.op_type in ("Gather", "GatherElements") and (picked := _picked(first.parts[0], node, others)):
                part, once = picked
                value = Value((part, *first.parts[1:], *along), copy=once)
                if once:
                    return [value]
                self.read(node, label, 0, value)  # a lookup: its result is no weight
                return [None]
        elif first.copy and node.op_type in SAME:
            return [Value((*first.parts, *along), first.known, True)]
        parts_of_all = tuple(dict.fromkeys((*first.parts, *along)))
        return [Value(parts_of_all, known) for known in _computed(node, [first.known, *others])]


def _has_values(node: NodeProto) -> bool:
    """Whether a node reads more of its inputs than their shapes."""
    return node.op_type not in ("Shape", "Size")


def _added(graph: Graph, names: Names) -> dict[str, str]:
    """The tensors that are added to results of nodes, by the names of these."""
    added: dict[str, str] = {}
    same = {node.output[0]: node.input[0] for node in graph.nodes if node.op_type == "Identity" and node.output}
    for node in graph.nodes:
        if node.op_type == "Add" and len(node.input) == 2:
            for one, other in (node.input, node.input[::-1]):
                value = names.get(same.get(one, one))
                added |= {other: value.parts[0].tensor} if value is not None and value.copy else {}
    return added


def _moved(known: Array | None, node: NodeProto, others: Sequence[Array | None]) -> list[Array | None]:
    """Known numbers, moved."""
    if known is None:
        return [None] * len(node.output)
    return [view.of(known) for view in moved(View.identity(known.shape), node, others)]


def _picked(part: Part, node: NodeProto, others: Sequence[Array | None]) -> tuple[Part, bool] | None:
    """The part that is taken by known indices in any order, and whether each element is taken once."""
    indices = others[0] if others else None
    if indices is None or prod(part.view.source) > _ELEMENTS or not part.view.shape:
        return None
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    numbers = part.numbers()
    if prod(indices.shape) * numbers.size // max(1, part.view.shape[axis % numbers.ndim]) > _ELEMENTS:
        return None
    with suppress(*_INVALID):
        if node.op_type == "Gather":
            numbers = numbers.take(indices, axis)
        else:
            numbers = np.take_along_axis(numbers, indices.astype(np.int64), axis)
        taken = np.unique(numbers)
        return Part(part.tensor, part.view, taken.astype(np.int64).tobytes()), taken.size == numbers.size
    return None


def _computed(node: NodeProto, known: Sequence[Array | None]) -> list[Array | None]:
    """The results of a node if they are whole numbers that can be known."""
    arrays = [array for array in known if array is not None]
    if len(arrays) < len(known) or not 0 < sum(array.size for array in arrays) <= _KNOWN:
        return [None] * len(node.output)
    with suppress(*_INVALID):
        if node.op_type == "Concat":
            return [np.concatenate(arrays, next(a.i for a in node.attribute if a.name == "axis"))]
        if node.op_type == "Gather":
            return [arrays[0].take(arrays[1], next((a.i for a in node.attribute if a.name == "axis"), 0))]
        if node.op_type in _NUMBERS and len(arrays) == 2:
            return [_NUMBERS[node.op_type](*arrays)]
        return [*_moved(arrays[0], node, arrays[1:])]
    return [None] * len(node.output)
