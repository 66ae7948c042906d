"""Checks that a program is well formed; tests run it after every pass.

Values are read after the node that computes them, stored tensors are read through valid views, and every result has the
type that the shape rule of its operation infers, as far as that is known when compiling: two sizes contradict each
other only if they differ for all values of the dynamic dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wsdl.ir.dims import compare
from wsdl.ir.graph import Graph, Lowered, Node, Stored, Value
from wsdl.ir.stages import Checked
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS, OpError
from wsdl.ops.node_arguments import ScanParts, arguments


class InvalidProgram(Exception):
    """The program is not well formed: a bug in a pass."""


def verify(program: Lowered | Checked) -> None:
    """Raises `InvalidProgram` where a value is read before it is computed, is computed twice or never, or has a wrong
    type."""
    if isinstance(program, Checked):
        for graph in program.graphs():
            _verify(None, graph, set(), "over slots")
        return
    for model in program.models.values():
        _verify(program.stored, model.graph, set(), model.name)
    for stored in program.stored.values():
        if stored.derived is not None:
            _verify(program.stored, stored.derived, set(), f"derived {stored.name}")
            if stored.derived.outputs[0].type.sizes != stored.sizes:
                raise InvalidProgram(f"derived {stored.name} {stored.type} is {stored.derived.outputs[0].type}")


def _verify(stored: Mapping[str, Stored] | None, graph: Graph, around: set[Value], where: str) -> None:
    known = around | {*graph.inputs}
    later = graph.measured()
    for node in graph.nodes:
        location = f"{where}: `{node.op}` in `{node.path}`"
        for value in node.inputs:
            if value not in known:
                raise InvalidProgram(f"{location} reads `{value.name}` ({value.type}) before the node that computes it")
        if (node.body is not None) != (node.op in ("scan", "loop")):
            raise InvalidProgram(f"{location} {'has' if node.body else 'lacks'} a body")
        later.difference_update(node.measured)
        if node.names(later):
            raise InvalidProgram(f"{location} has a size that a later node measures")
        if node.op == "parameter":
            _verify_parameter(stored, node, location)
        for what, type, expected in _types(node, location):
            if not fits(type, expected):
                raise InvalidProgram(f"{location}: {what} is {type}, but should be {expected}")
        if node.body is not None:
            _verify(stored, node.body, known, f"{where} > {node.op}")
        for value in node.results:
            if value in known:
                raise InvalidProgram(f"{location} has a result that another node computes already")
            known.add(value)
    for value in graph.outputs:
        if value not in known:
            raise InvalidProgram(f"{where}: the output `{value.name}` ({value.type}) is computed by no node")


def _verify_parameter(tensors: Mapping[str, Stored] | None, node: Node, location: str) -> None:
    if tensors is None:
        if "slot" not in node.attributes:
            raise InvalidProgram(f"{location} names no slot")
        return
    stored = tensors.get(str(node.attributes.get("stored")))
    if stored is None or node.view is None:
        raise InvalidProgram(f"{location} reads no stored tensor: {node.attributes}")
    is_cast = stored.type.is_float and node.result.type.is_float
    same_dtype = is_cast or stored.type.dtype == node.result.type.dtype
    if node.view.source != stored.sizes or node.view.shape != node.result.type.sizes or not same_dtype:
        raise InvalidProgram(f"{location} reads {stored.name} {stored.type} through {node.view} as {node.result.type}")


# -- types -------------------------------------------------------------------------------------------------------------


def fits(type: TensorType, expected: TensorType) -> bool:
    """Can they be the same type, for some dynamic dimensions?"""
    sizes = zip(type.shape, expected.shape, strict=False)
    return (type.dtype, type.rank) == (expected.dtype, expected.rank) and all(
        compare(own, other) != "different" for own, other in sizes
    )


Types = Iterator[tuple[str, TensorType, TensorType]]
"""A description of a value in a node, its type and the type that it should have."""


def _types(node: Node, location: str) -> Types:
    if node.op in OPERATIONS:
        operation = OPERATIONS[node.op]
        try:
            expected = operation.result_types(**arguments(operation, node, lambda value: value.type))
        except OpError as error:
            raise InvalidProgram(f"{location}: {error}") from error
        yield from _pairs("result", node.results, expected)
    elif node.op == "assume":
        yield from _pairs("result", node.results, [node.inputs[0].type])
    elif node.op == "loop" and node.body is not None:
        starts = [v.type for v in node.inputs]
        yield from _pairs("carried value", node.body.inputs, starts)
        yield from _pairs("next value", node.body.outputs, starts)
        yield from _pairs("result", node.results, starts)
    elif node.op == "scan" and node.body is not None:
        yield from _types_of_scan(node, node.body)


def _types_of_scan(node: Node, body: Graph) -> Types:
    parts = ScanParts.of(node)
    starts = [v.type for v in node.inputs[: parts.carried]]
    sequences = [(v.type, axis) for v, axis in zip(node.inputs[parts.carried :], parts.axes, strict=False)]
    slices = [t.with_shape([*t.shape[:axis], *t.shape[axis + 1 :]]) for t, axis in sequences]
    emitted = [(v.type, axis) for v, axis in zip(body.outputs[parts.emitted :], parts.emit_axes, strict=True)]
    stacks = [t.with_shape([*t.shape[:axis], parts.steps, *t.shape[axis:]]) for t, axis in emitted]
    number = [TensorType.of("i64")] * parts.numbered
    yield from (("sequence", t, t.with_dim(axis, parts.steps)) for t, axis in sequences)
    if parts.limit is not None:
        yield "limit", parts.limit.type, TensorType.of("i64")
    yield from _pairs("carried value, number or slice", body.inputs, [*starts, *number, *slices])
    yield from _pairs("next value", body.outputs[: parts.emitted], [*starts, *[TensorType.of("bool")] * parts.until])
    yield from _pairs("result", node.results, [*starts, *stacks])


def _pairs(what: str, values: Sequence[Value], expected: Sequence[TensorType]) -> Types:
    if len(values) != len(expected):
        raise InvalidProgram(f"{len(values)} times a {what}, but should be {len(expected)} times")
    for i, (value, type) in enumerate(zip(values, expected, strict=True)):
        yield f"{what} {i} (`{value.name}`)", value.type, type
