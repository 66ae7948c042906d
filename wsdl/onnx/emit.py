"""From a model of the IR to an ONNX model.

`structure` returns a model whose initializers have names, types and shapes but no values; `emit` adds the values. The
same program, model and values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import ONNX, dtype_of
from wsdl.ir.graph import Graph, Lowered, Model, Node, Value
from wsdl.ir.types import RANGE, TensorType
from wsdl.onnx.builder import Builder, rename, value_info
from wsdl.onnx.fuse_bias import fuse_bias
from wsdl.onnx.guards import guard_sharing
from wsdl.onnx.part_transposes import part_transposes
from wsdl.ops._define import OPERATIONS
from wsdl.ops._interfaces import Ref
from wsdl.ops._lowering import size_of
from wsdl.ops.blocked import DOMAIN as BLOCKED
from wsdl.ops.node_arguments import ScanParts, arguments
from wsdl.weights.metadata import UNKNOWN, Provenance, describe


def emit(program: Lowered, model: Model, values: Mapping[str, NDArray[Any]], **options: Any) -> ModelProto:
    """An ONNX model with its weights. `options` are those of `structure`."""
    proto = structure(program, model, **options)
    fill(proto, values)
    return proto


def structure(
    program: Lowered,
    model: Model,
    *,
    fed: Sequence[str] = (),
    opset: int = 21,
    ir_version: int = 10,
    provenance: Provenance = UNKNOWN,
    block: int = 0,
) -> ModelProto:
    """An ONNX model whose stored tensors have no values; those in `fed` are inputs. `provenance` goes into its
    metadata.

    With `block`, the model is for this machine only: convolutions may use the CPU's blocked layout
    (`wsdl.ops.blocked`).
    """
    emission = _Emission(program, opset, block)
    graph = emission.model_graph(model, fed)
    domains = [helper.make_opsetid("", opset), *([helper.make_opsetid(BLOCKED, 1)] if block else [])]
    proto = helper.make_model(graph, opset_imports=domains, ir_version=ir_version)
    fuse_bias(proto)
    part_transposes(proto, fed)
    guard_sharing(proto, emission.builder.stored, emission.refs.values(), emission.in_formulas)
    describe(proto, emission.builder.stored.values(), model.reads, doc=model.doc, provenance=provenance)
    return proto


def fill(proto: ModelProto, values: Mapping[str, NDArray[Any]]) -> None:
    """Put the values of the stored tensors into the model itself."""
    for tensor in proto.graph.initializer:
        if tensor.name in values and not tensor.HasField("raw_data"):
            tensor.raw_data = little_endian(values[tensor.name], tensor).tobytes()


def little_endian(array: NDArray[Any], tensor: TensorProto) -> NDArray[Any]:
    """The array in little-endian bytes, as in the file; it must have the shape and the dtype of the initializer."""
    assert list(array.shape) == list(tensor.dims), f"{tensor.name}: {array.shape} for {list(tensor.dims)}"
    assert ONNX[dtype_of(array)] == tensor.data_type, f"{tensor.name}: {array.dtype}"
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


class _Emission:
    """The emission of one model: the builder, and the `Ref` of each value."""

    def __init__(self, program: Lowered, opset: int, block: int) -> None:
        self.program = program
        self.builder = Builder(opset, block)
        self.refs: dict[Value, Ref] = {}
        self.in_formulas: set[str] = set()  # the names of what is computed in formulas

    def model_graph(self, model: Model, fed: Sequence[str]) -> GraphProto:
        e, graph = self.builder, model.graph
        for name in self.program.stored:
            e.unique(name)
        inputs = [self._bind(value, e.unique(value.name)) for value in graph.inputs]
        outputs = [e.unique(name) for name in model.output_names]
        e.sizes.bind(inputs)
        self._append(graph)
        self._finish([self.refs[v] for v in graph.outputs], outputs)
        return helper.make_graph(
            e.nodes_of_model,
            model.name,
            [value_info(ref.name, ref.type) for ref in inputs]
            + [value_info(name, self.program.stored[name].type) for name in fed],
            [value_info(name, type) for name, type in zip(outputs, model.output_types.values(), strict=True)],
            [*(self._initializer(n) for n in e.stored if n not in fed), *e.constants.values()],
        )

    def _bind(self, value: Value, name: str) -> Ref:
        ref = self.refs[value] = Ref(name, value.type)
        return ref

    def _initializer(self, name: str) -> TensorProto:
        stored = self.program.stored[name]
        return TensorProto(name=name, dims=stored.sizes, data_type=ONNX[stored.type.dtype])

    def _finish(self, refs: Sequence[Ref], names: Sequence[str]) -> None:
        """Name the results of the innermost scope as its outputs."""
        e = self.builder
        own = {name for node in e.scope for name in node.output} - e.captured
        renamed: dict[str, str] = {}
        for ref, name in zip(refs, names, strict=True):
            tensor = e.tensor(ref).name
            if tensor in own and tensor not in renamed:
                renamed[tensor] = name
            else:  # an input, a captured or stored tensor, or one that is already an output
                e.node("Identity", ref)
                e.scope[-1].output[0] = name
        rename(e.scope, renamed)

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _append(self, graph: Graph) -> None:
        for node in graph.nodes:
            start = len(self.builder.scope)
            with self.builder.at(node):
                refs = self.builder.name_results(self._lower(node), node.results, start)
            for value, ref in zip(node.results, refs, strict=True):
                self.refs[value] = ref
            if node.in_f32:
                self.in_formulas.update(name for emitted in self.builder.scope[start:] for name in emitted.output)

    def _lower(self, node: Node) -> Sequence[Ref]:
        e = self.builder
        special: dict[str, Callable[[Node], Sequence[Ref]]] = {
            "parameter": self._parameter, "scan": self._scan, "loop": self._loop, "assume": self._assume,
        }  # fmt: skip
        if node.op in special:
            return special[node.op](node)
        operation = OPERATIONS[node.op]
        e.results = [v.type for v in node.results]
        return operation.lower(e, **arguments(operation, node, lambda value: self.refs[value]))

    def _parameter(self, node: Node) -> Sequence[Ref]:
        stored = self.program.stored[str(node.attributes["stored"])]
        return [self.builder.read_stored(stored, node.view, node.result.type.dtype)]

    def _assume(self, node: Node) -> Sequence[Ref]:
        left, right = (Dim.of(node.attributes[side]) for side in ("left", "right"))  # type: ignore[arg-type] # two Dims
        relation: Any = node.attributes.get("relation", "equal")
        message = str(node.attributes.get("message", ""))
        return [self.builder.checked(self.refs[node.inputs[0]], relation, left, right, message)]

    # -- subgraphs -----------------------------------------------------------------------------------------------------

    def _scan(self, node: Node) -> Sequence[Ref]:
        """ONNX Scan over leading axes. (ONNX Runtime 1.32 crashes with a division by zero on an empty tensor of which
        Scan moves the axes, and on a Scan without steps.)"""
        e, parts = self.builder, ScanParts.of(node)
        assert node.body is not None
        if parts.numbered:
            return self._numbered_scan(node, node.body, parts)
        refs = [self.refs[v] for v in node.inputs]
        carried, sequences = refs[: parts.carried], refs[parts.carried :]
        if parts.steps.constant is None:
            sequences[0] = e.checked(sequences[0], "different", parts.steps, Dim.of(0))
        leading = [_moved(e, s, axis, 0) for s, axis in zip(sequences, parts.axes, strict=True)]
        results = e.nodes(
            "Scan",
            *carried,
            *leading,
            outputs=len(node.results),
            body=self._body(node.body),
            num_scan_inputs=len(parts.axes),
            scan_input_directions=[int(parts.reverse)] * len(parts.axes),
            scan_output_directions=[int(parts.reverse)] * len(parts.emit_axes),
        )
        typed = [ref.typed(value.type) for ref, value in zip(results, node.results, strict=True)]
        stacked = zip(typed[parts.carried :], parts.emit_axes, strict=True)
        return [*typed[: parts.carried], *(_moved(e, ref, 0, axis) for ref, axis in stacked)]

    def _loop(self, node: Node) -> Sequence[Ref]:
        e = self.builder
        assert node.body is not None
        count = e.constant(node.attributes["count"], "i64")
        carried = [self.refs[v] for v in node.inputs]
        return e.nodes("Loop", count, None, *carried, outputs=len(node.results), body=self._body(node.body, loop=True))

    def _numbered_scan(self, node: Node, graph: Graph, parts: ScanParts) -> Sequence[Ref]:
        """ONNX Loop. What it emits is stacked along the first axis, in the order of the steps; of no steps ONNX Runtime
        makes a stack whose other dynamic sizes are 0 too."""
        e = self.builder
        limit = size_of(e, parts.steps) if parts.limit is None else self.refs[parts.limit]
        starts = [self.refs[v] for v in node.inputs[: parts.carried]]
        starts += [e.constant(0, "i64")] if parts.until else []
        body = self._numbered_body(node, graph, parts, limit)
        condition = None if starts else e.constant(True, "bool")  # the last input can't be left out
        results = e.nodes("Loop", limit, condition, *starts, outputs=len(node.results) + parts.until, body=body)
        if node.measured:
            [name] = node.measured
            count = results.pop(parts.carried) if parts.until else None
            e.sizes.measure(
                name,
                lambda: e.node("Reshape", count or e.node("Max", limit, e.constant(0, "i64")), e.constant([1], "i64")),
            )
        typed = [ref.typed(value.type) for ref, value in zip(results, node.results, strict=True)]
        for at, axis in enumerate(parts.emit_axes, parts.carried):
            step = graph.outputs[at + parts.until].type
            stack = results[at].typed(step.with_shape([parts.steps, *step.shape]))
            if not parts.steps.constant and step.sizes is None:
                stack = e.node("Reshape", stack, e.dims(stack.type.shape), allowzero=1).typed(stack.type)
            if parts.reverse:
                cut = (e.constant([number], "i64") for number in (-1, RANGE["i64"][0], 0, -1))
                stack = e.node("Slice", stack, *cut).typed(stack.type)
            typed[at] = _moved(e, stack, 0, axis)
        return typed

    def _numbered_body(self, node: Node, graph: Graph, parts: ScanParts, limit: Ref) -> GraphProto:
        """The body for a Loop; with `until`, how many steps there were is carried too."""
        e, number = self.builder, TensorType.of("i64")
        with e.body() as nodes:
            inputs = [Ref(e.name_here("i"), number), Ref(e.name_here("condition"), TensorType.of("bool"))]
            inputs += [self._bind(v, e.name_here(v.name or "carried")) for v in graph.inputs[: parts.carried]]
            step, go_on = inputs[:2]
            if parts.reverse:
                step = e.node("Sub", e.node("Sub", limit, e.constant(1, "i64")), step).typed(number)
            self.refs[graph.inputs[parts.carried]] = step
            sequences = zip(graph.inputs[parts.slices :], node.inputs[parts.carried :], parts.axes, strict=False)
            for inner, sequence, axis in sequences:
                self.refs[inner] = e.node("Gather", self.refs[sequence], step, axis=axis).typed(inner.type)
            outputs = [e.name_here(name) for name in ("go_on", *(f"{v.name or 'step'}.next" for v in graph.outputs))]
            self._append(graph)
            refs = [self.refs[v] for v in graph.outputs]
            if parts.until:
                go_on = e.node("Not", refs[parts.carried])
                refs[parts.carried] = e.node("Add", step, e.constant(1, "i64")).typed(number)
                inputs.append(Ref(e.name_here("count"), number))
            self._finish([go_on, *refs], outputs)
        types = [TensorType.of("bool"), *(v.type for v in graph.outputs)]
        if parts.until:
            types[1 + parts.carried] = number
        return self._subgraph(nodes, inputs, outputs, types)

    def _body(self, graph: Graph, *, loop: bool = False) -> GraphProto:
        """A body as a subgraph; the body of a loop also has the step and the condition as first inputs."""
        e = self.builder
        step, go_on, still = (TensorType.of("i64"), TensorType.of("bool"), TensorType.of("bool"))
        with e.body() as nodes:
            inputs = [self._bind(value, e.name_here(value.name or "carried")) for value in graph.inputs]
            outputs = [e.name_here(f"{value.name or 'step'}.next") for value in graph.outputs]
            self._append(graph)
            refs = [self.refs[v] for v in graph.outputs]
            types = [v.type for v in graph.outputs]
            if loop:
                inputs = [Ref(e.name_here("i"), step), Ref(e.name_here("condition"), go_on), *inputs]
                outputs, refs, types = [e.name_here("go_on"), *outputs], [inputs[1], *refs], [still, *types]
            self._finish(refs, outputs)
        return self._subgraph(nodes, inputs, outputs, types)

    def _subgraph(
        self, nodes: list[NodeProto], inputs: Sequence[Ref], outputs: Sequence[str], types: Sequence[TensorType]
    ) -> GraphProto:
        return helper.make_graph(
            nodes,
            self.builder.name_here("body"),
            [value_info(ref.name, ref.type) for ref in inputs],
            [value_info(name, type) for name, type in zip(outputs, types, strict=True)],
        )


def _moved(e: Builder, x: Ref, start: int, end: int) -> Ref:
    """The permutation that moves one axis to another position."""
    if start == end:
        return x
    axes = list(range(x.type.rank))
    axes.insert(end, axes.pop(start))
    return e.node("Transpose", x, perm=axes)
