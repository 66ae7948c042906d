"""Computes the nodes of a scan that only depend on its sequences for all steps at once, in front of it.

    stored m.w: f32[3, 4]

    model m(%xs: f32[t, n, 3], %h: f32[n, 4]) -> (last: %0) {
        %w = parameter {stored="m.w"}: f32[3, 4]
        %0 = scan([%h], [%xs]) {axes=[0], reverse=false}: f32[n, 4] do (%1: f32[n, 4], %x: f32[n, 3]) {
            %2 = matmul(%x, %w): f32[n, 4]
            %3 = add(%1, %2): f32[n, 4]
            yield %3
        }
    }

becomes

    stored m.w: f32[3, 4]

    model m(%xs: f32[t, n, 3], %h: f32[n, 4]) -> (last: %1) {
        %w = parameter {stored="m.w"}: f32[3, 4]
        %0 = matmul(%xs, %w): f32[t, n, 4]
        %1 = scan([%h], [%0]) {axes=[0], reverse=false, emit_axes=[]}: f32[n, 4] do (%1: f32[n, 4], %2: f32[n, 4]) {
            %3 = add(%1, %2): f32[n, 4]
            yield %3
        }
    }

One large product is much faster than many small ones, and a step with fewer nodes costs less. This applies to the input
projections of recurrent networks and, in the backward scan, to everything that is recomputed and to the factors of
gradients (`differentiate_scan`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Lowered, Node, Operand, Value
from wsdl.ir.types import same_shape
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import ScanParts, arguments
from wsdl.rewrite.prune import prune_graph

Find = Callable[[Value], "Value | None"]  # the stack of a value


def batch_steps(program: Lowered) -> Lowered:
    """Move nodes out of every scan of every model, where possible."""
    for model in program.models.values():
        batch_graph(model.graph)
    return program


def batch_graph(graph: Graph) -> None:
    """Move nodes out of the scans of one graph and of its bodies, where possible."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.body is not None:
            batch_graph(node.body)
        if node.op == "scan" and not node.measured and not node.attributes.get("rolled"):
            nodes += _in_front(node)
        nodes.append(node)
    graph.nodes = nodes


def _in_front(node: Node) -> list[Node]:
    """Move nodes out of the body of a scan; the body then reads their stacked results."""
    body, parts = node.body, ScanParts.of(node)
    assert body is not None
    slices, sequences = body.inputs[parts.slices :], node.inputs[parts.carried :]
    numbers = body.inputs[parts.carried : parts.slices]
    build = Build(Graph(), node.path, node.span, node.steps)
    stacked = {v: (whole, axis) for v, whole, axis in zip(slices, sequences, parts.axes, strict=True)}

    def find(value: Value) -> Value | None:
        if value in numbers:
            return build("arange", start=parts.steps)
        return steps_first(build, *stacked[value]) if value in stacked else None

    batch = Batch(build, parts.steps, find, set(body.inputs[: parts.carried]), body.measured())
    before = len(body.nodes)
    body.nodes = batch.take(body.nodes)
    if len(body.nodes) == before:
        return []
    prune_graph(body)
    read = {*body.outputs, *(v for n in body.nodes for v in n.reads())}
    kept = [(v, *stacked[v]) for v in slices if v in read]
    kept += [(v, whole, 0) for v, whole in batch.batched if v in read]
    if not kept and not numbers:
        kept = [(slices[0], sequences[0], parts.axes[0])]
    body.inputs = [*body.inputs[: parts.slices], *(v for v, _, _ in kept)]
    node.operands = [list(node.inputs[: parts.carried]), [whole for _, whole, _ in kept]]
    node.attributes = {**node.attributes, "axes": [axis for *_, axis in kept], "emit_axes": list(parts.emit_axes)}
    return build.graph.nodes


def steps_first(build: Build, whole: Value, axis: int) -> Value:
    """A stack with the axis of its steps in front."""
    if axis == 0:
        return whole
    axes = list(range(whole.type.rank))
    axes.insert(0, axes.pop(axis))
    return build("permute", whole, axes=axes)


class Batch:
    """Converts nodes of a body to nodes in front of it, which `build` appends.

    `find` returns the stack of the values of all steps, with the steps as first axis; `changing` are the values that
    only the loop computes, `measured` the sizes that only the loop knows. All others are the same in all steps.
    """

    def __init__(
        self, build: Build, steps: Dim, find: Find, changing: set[Value], measured: set[str] | None = None
    ) -> None:
        self.build, self.steps, self.changing = build, steps, changing
        self.batched: list[tuple[Value, Value]] = []  # values of the body, and their stacks
        self.measured = measured or set()
        self._find = find
        self._stacks: dict[Value, Value] = {}

    def take(self, nodes: Sequence[Node]) -> list[Node]:
        """Convert nodes; returns those that must stay in the body."""
        kept = []
        for node in nodes:
            if not self.takes(node):
                self.changing.update(node.results)
                kept.append(node)
        return kept

    def takes(self, node: Node) -> bool:
        """Append a node that computes all steps; `False` if that is impossible."""
        if node.body is not None or not self.changing.isdisjoint(node.inputs) or node.names(self.measured):
            return False
        if not any(self.stack(v) for v in node.inputs):  # the same in all steps
            self.build.graph.nodes.append(node)
            return True
        operation = OPERATIONS.get(node.op)
        if operation is None:
            return False
        wholes = operation.batched(self, **arguments(operation, node, lambda value: value))
        if wholes is None:
            return False
        for value, whole in zip(node.results, wholes, strict=True):
            assert same_shape(whole.type.shape, (self.steps, *value.type.shape)), f"{node.op}: {whole.type}"
            self._stacks[value] = whole
            self.batched.append((value, whole))
        return True

    def stack(self, value: Value) -> Value | None:
        """The stack of a value, or `None`."""
        if value not in self._stacks and (stack := self._find(value)) is not None:
            self._stacks[value] = stack
        return self._stacks.get(value)

    def aligned(self, value: Value, rank: int) -> Value:
        """The stack of a value (or itself), so that it broadcasts to one of values of this rank."""
        whole, missing = self.stack(value), rank - value.type.rank
        if whole is None:
            return value
        return self.build("unsqueeze", whole, axis=list(range(1, 1 + missing))) if missing else whole


class ScalingBatch(Batch):
    """Besides, what is a changing value times factors that aren't becomes one product: factors are multiplied, and
    their sums and signs taken, in front of the loop. `wanted` are the values that the body has to have.

    A gradient is such a chain from what comes in to what goes out. Only values of one shape are taken together.
    """

    def __init__(self, *of_batch: Any, wanted: set[Value]) -> None:
        super().__init__(*of_batch)
        self._wanted = wanted
        self._chains: dict[Value, tuple[Value, Value]] = {}  # what a value is a multiple of, and the factor
        self._kept: list[Node] = []
        self._there: set[Value] = set()  # those with a factor that the body computes

    def take(self, nodes: Sequence[Node]) -> list[Node]:
        for node in nodes:
            if self.takes(node):
                continue
            self.changing.update(node.results)
            chain = self._chain(node)
            if chain is not None:
                self._chains[node.result] = chain
            else:
                for value in node.reads():
                    self._compute_multiple(value, node)
                self._kept.append(node)
            for value in node.results:
                if value in self._wanted:
                    self._compute_multiple(value, node)
        return self._kept

    def _compute_multiple(self, value: Value, node: Node) -> None:
        """Compute a multiple in the body, where it is needed as it is."""
        if value in self._chains and value not in self._there:
            self._there.add(value)
            operands: list[Operand] = [*self._chains[value]]
            self._kept.append(Node("mul", operands, {}, [value], node.path, node.span, node.steps))

    def _chain(self, node: Node) -> tuple[Value, Value] | None:
        moving = [v for v in node.inputs if v in self.changing]
        if not moving or len(node.results) > 1:
            return None
        shape = node.result.type.shape
        if not all(same_shape(v.type.shape, shape) for v in moving):
            return None
        roots = [self._chains.get(v, (v, None)) for v in moving]
        (root, factor), (other, second) = roots[0], roots[-1]
        if node.op == "mul" and len(moving) == 1:
            (by,) = (v for v in node.inputs if v not in self.changing)
            return root, by if factor is None else self._factor("mul", factor, by)
        if node.op == "neg" and factor is not None:
            return root, self._factor("neg", factor)
        if node.op in ("add", "sub") and len(moving) == 2 and root is other and factor is not None:
            return root, self._factor(node.op, factor, 1.0 if second is None else second)
        return None

    def _factor(self, op: str, *factors: Value | float) -> Value:
        """A factor made of others, in front of the loop."""
        inside = Build(Graph(), around=self.build)
        result = inside(op, *factors)
        for node in inside.graph.nodes:
            assert self.takes(node)
        return result
