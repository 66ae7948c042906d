"""The ONNX graph under construction: names, scopes, constants, and the stored tensors that it reads.

Implements the `Emitter` that the lowerings of `wsdl.ops` write to. Constants, dynamic dimensions and views of stored
tensors are emitted once, in the model's graph, and subgraphs of `Scan` and `Loop` capture them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from wsdl.ir.dims import Dim, same
from wsdl.ir.dtypes import ONNX, numpy_dtype
from wsdl.ir.graph import Node, Stored, Value, file_path
from wsdl.ir.types import DType, TensorType
from wsdl.ir.views import View
from wsdl.onnx.sizes import Origin, RunTimeSizes, constant_shape
from wsdl.ops._interfaces import Ref, Relation


class Builder:
    """Appends nodes to the innermost scope; operands and results are `Ref`s."""

    def __init__(self, opset: int, block: int = 0) -> None:
        self.opset, self.block = opset, block
        self.results: list[TensorType] = []
        self.origin = Origin()
        self.nodes_of_model: list[NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
        self._numbers: dict[str, list[int | float | bool]] = {}  # values of constants, by name
        self.stored: dict[str, Stored] = {}  # those that the model reads
        self._scopes = [self.nodes_of_model]
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}  # the last suffix of a name
        self._views: dict[str, tuple[Ref, View]] = {}
        self._materialized: dict[tuple[str, object], Ref] = {}
        self._converted: dict[tuple[str, DType], Ref] = {}
        self.captured: set[str] = set()  # named results in the model's graph
        self.sizes = RunTimeSizes(self, Origin("sizes"))

    # -- names and scopes ----------------------------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """`name`, or `name_2`, `name_3`, … if it is taken."""
        candidate, count = name, self._counts.get(name, 1)
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        self._counts[name] = count
        return candidate

    def name_here(self, name: str) -> str:
        return self.unique(f"{self.origin.path}/{name}" if self.origin.path else name)

    @property
    def scope(self) -> list[NodeProto]:
        return self._scopes[-1]

    @contextmanager
    def at(self, node: Node) -> Iterator[None]:
        """Nodes appended in this context get the name and the source position of a node of the IR."""
        span = node.span
        outer = self.origin
        source = f"{os.path.basename(span.source.path)}:{span.line}" if span else outer.source  # without its folder
        self.origin = Origin(file_path(node.path) or outer.path, source)
        try:
            yield
        finally:
            self.origin = outer

    @contextmanager
    def body(self) -> Iterator[list[NodeProto]]:
        """Nodes appended in this context go into a new body."""
        self._scopes.append([])
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    @property
    def level(self) -> int:
        """How many bodies the innermost scope is in."""
        return len(self._scopes) - 1

    @contextmanager
    def in_model_graph(self, origin: Origin | None = None, level: int = 0) -> Iterator[None]:
        """Nodes appended in this context go into the model's graph, or the body at a `level` around the innermost one,
        where all subgraphs can capture their results."""
        outer = self.origin, self._scopes
        self.origin, self._scopes = origin or self.origin, self._scopes[: level + 1]
        start = len(self.scope)
        try:
            yield
        finally:
            self.captured.update(name for node in self.scope[start:] for name in node.output)
            self.origin, self._scopes = outer

    # -- the Emitter of the lowerings ----------------------------------------------------------------------------------

    def node(self, op_type: str, *inputs: Ref | None, domain: str = "", **attributes: Any) -> Ref:
        return self.nodes(op_type, *inputs, outputs=1, domain=domain, **attributes)[0]

    def nodes(self, op_type: str, *inputs: Ref | None, outputs: int, domain: str = "", **attributes: Any) -> list[Ref]:
        name = self.name_here(op_type.lower())
        names = [name] if outputs == 1 else [self.unique(f"{name}:{i}") for i in range(outputs)]
        read = ["" if ref is None else self.tensor(ref).name for ref in inputs]
        while read and not read[-1]:
            read.pop()
        node = helper.make_node(op_type, read, names, name=name, domain=domain or None)
        node.attribute.extend(_attribute(key, value) for key, value in sorted(attributes.items()) if value is not None)
        if self.origin.source:
            node.metadata_props.add(key="wsdl.source", value=self.origin.source)
        self.scope.append(node)
        return [Ref(name) for name in names]

    def constant(self, value: Any, dtype: DType) -> Ref:
        with np.errstate(over="ignore"):  # a limit outside the range of the dtype becomes infinity
            array = np.asarray(value, dtype=numpy_dtype(dtype))
        key = (dtype, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.unique(_constant_name(array, dtype)))
            self._numbers[self.constants[key].name] = array.ravel().tolist()
        return Ref(self.constants[key].name, TensorType.of(dtype, array.shape))

    def numbers(self, x: Ref) -> list[int | float | bool] | None:
        return self._numbers.get(x.name)

    def dims(self, dims: Sequence[Dim]) -> Ref:
        return self.sizes.vector(dims)

    def measured(self, dims: Sequence[Dim], sizes: Ref) -> None:
        self.sizes.measure_all(dims, sizes)

    def reshape(self, x: Ref, shape: Sequence[Dim]) -> Ref:
        before = x.type.shape
        if len(before) == len(shape) and all(map(same, before, shape)):
            return x
        type = TensorType(x.type.dtype, tuple(shape))
        values = constant_shape(before, shape)
        if values is not None:
            return self.node("Reshape", x, self.constant(values, "i64")).typed(type)
        return self.node("Reshape", x, self.dims(shape), allowzero=1).typed(type)

    def checked(self, x: Ref, relation: Relation, left: Dim, right: Dim, message: str = "") -> Ref:
        return self.sizes.checked(x, relation, left, right, message)

    def assume(self, what: str) -> None:
        self.scope[-1].name = self.name_here(f"assume {what}")

    def stopped(self, x: Ref, wrong: Ref, what: str) -> Ref:
        count = self.node("ReduceSum", self.node("Cast", wrong, to="i64"), keepdims=0)
        return self.node("Reshape", x, self.sizes_unless(count, what, x.type.rank)).typed(x.type)

    def sizes_unless(self, count: Ref, what: str, rank: int) -> Ref:
        """`rank` zeros, "copy each size", as the shape of a `Reshape`; the run fails if `count` is more than 0.

        A `Gather` beyond the end of its data raises, with its node name in the message; a `Reshape` to the same shape
        that reads the result costs nothing and keeps the check from being pruned.
        """
        zeros = self.node("Gather", self.constant([[0] * rank], "i64"), count)
        self.assume(what)
        return zeros

    def repeated(self, count: Ref, carried: Sequence[Ref], step: Callable[[Ref, list[Ref]], list[Ref]]) -> list[Ref]:
        with self.body() as nodes:
            i = Ref(self.name_here("i"), TensorType.of("i64"))
            go_on = Ref(self.name_here("condition"), TensorType.of("bool"))
            before = [Ref(self.name_here("carried"), x.type) for x in carried]
            after = [self.node("Identity", x) for x in (go_on, *step(i, before))]
        types = [go_on.type, *(x.type for x in carried)]
        body = helper.make_graph(
            nodes,
            self.name_here("body"),
            [value_info(x.name, x.type) for x in (i, go_on, *before)],
            [value_info(x.name, type) for x, type in zip(after, types, strict=True)],
        )
        results = self.nodes("Loop", count, None, *carried, outputs=len(carried), body=body)
        return [x.typed(old.type) for x, old in zip(results, carried, strict=True)]

    def either(self, condition: Ref, then: Callable[[], Ref], otherwise: Callable[[], Ref]) -> Ref:
        [type] = self.results
        branches = {}
        for name, branch in (("then_branch", then), ("else_branch", otherwise)):
            with self.body() as nodes:
                result = self.node("Identity", branch())
            branches[name] = helper.make_graph(nodes, self.name_here(name), [], [value_info(result.name, type)])
        return self.node("If", condition, **branches).typed(type)

    def parameter(self, x: Ref) -> tuple[Ref, View] | None:
        return self._views.get(x.name)

    # -- stored tensors ------------------------------------------------------------------------------------------------

    def read_stored(self, stored: Stored, view: View | None, dtype: DType | None = None) -> Ref:
        """A stored tensor through a view, converted to `dtype` if that is not `None`. The nodes are only appended when
        the view is read."""
        self.stored[stored.name] = stored
        tensor, view = Ref(stored.name, stored.type), view or View.identity(stored.sizes)
        if dtype is not None and dtype != stored.type.dtype:
            tensor = self._stored_as(tensor, dtype)
        name = tensor.name if view.is_identity else f"{tensor.name}{view} of {view.source}"  # `tensor` replaces it
        self._views[name] = (tensor, view)
        return Ref(name, TensorType.of(tensor.type.dtype, view.shape))

    def _stored_as(self, tensor: Ref, dtype: DType) -> Ref:
        """A stored tensor in another dtype: one node for all readers."""
        key = (tensor.name, dtype)
        if key not in self._converted:
            with self.in_model_graph(Origin(tensor.name)):
                self._converted[key] = self.node("Cast", tensor, to=dtype).typed(tensor.type.with_dtype(dtype))
        return self._converted[key]

    def tensor(self, ref: Ref) -> Ref:
        """The tensor of a `Ref`; appends the nodes that compute a view."""
        if ref.name not in self._views:
            return ref
        tensor, view = self._views[ref.name]
        key = (tensor.name, view.layout)
        if view.is_identity:
            return tensor
        if key not in self._materialized:
            with self.in_model_graph(Origin(tensor.name)):
                self._materialized[key] = self._computed(tensor, view)
        return self._materialized[key]

    def _computed(self, tensor: Ref, view: View) -> Ref:
        ref, shape = tensor, view.source
        for step in view.steps:
            if step.kind == "permute":
                ref = self.node("Transpose", ref, perm=list(step.numbers))
            elif step.kind == "reshape":
                ref = self.node("Reshape", ref, self.constant(step.numbers, "i64"))
            elif step.kind == "flip":
                ref = self._sliced(ref, [(a, -1, -(shape[a] + 1), -1) for a in step.numbers])
            else:
                cuts = [(a, *cut) for a, cut in enumerate(step.slices) if cut != (0, shape[a], 1)]
                ref = self._sliced(ref, cuts)
            shape = step.shape_after(shape)
        return ref.typed(TensorType.of(tensor.type.dtype, view.shape))

    def _sliced(self, x: Ref, cuts: Sequence[tuple[int, int, int, int]]) -> Ref:
        axes, starts, stops, steps = (self.constant(column, "i64") for column in zip(*cuts, strict=True))
        return self.node("Slice", x, starts, stops, axes, steps)

    # -- results -------------------------------------------------------------------------------------------------------

    def name_results(self, refs: Sequence[Ref], values: Sequence[Value], start: int) -> list[Ref]:
        """Rename the results of the nodes appended since `start` as in the source, and set their types."""
        produced = {name for node in self.scope[start:] for name in node.output} - self.captured
        renamed: dict[str, str] = {}
        named: list[Ref] = []
        for ref, value in zip(refs, values, strict=True):
            if value.name and ref.name in produced and ref.name not in renamed:
                renamed[ref.name] = self.name_here(value.name)
            named.append(Ref(renamed.get(ref.name, ref.name), value.type))
        rename(self.scope[start:], renamed)
        return named


def value_info(name: str, type: TensorType) -> ValueInfoProto:
    """A tensor with its type; a dynamic dimension has its text as name."""
    shape = [str(dim) if dim.constant is None else dim.constant for dim in type.shape]
    return helper.make_tensor_value_info(name, ONNX[type.dtype], shape)


def rename(nodes: Sequence[NodeProto], names: dict[str, str]) -> None:
    """Replace names of tensors in nodes and their subgraphs."""
    for node in nodes if names else ():
        for refs in (node.input, node.output):
            refs[:] = [names.get(name, name) for name in refs]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                rename(attribute.g.node, names)


def _attribute(key: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, Sequence) and not value:
        return helper.make_attribute(key, value, attr_type=onnx.AttributeProto.INTS)
    if key == "to" and value in ONNX:
        value = ONNX[value]
    return helper.make_attribute(key, value)


def _constant_name(array: np.ndarray[Any, Any], dtype: DType) -> str:
    """A name that shows the value: `i64[0, 2]`, `f32(0.5)`."""
    values = array.ravel()[:4].tolist()
    text = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
    if array.ndim == 0:
        return f"{dtype}({text})"
    return f"{dtype}[{text}{', …' if array.size > 4 else ''}]"
