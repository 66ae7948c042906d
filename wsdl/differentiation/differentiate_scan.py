"""The gradient of a scan: a second scan, in the other direction.

The forward scan also emits the values carried into each step. From these each step of the backward scan recomputes its
forward step and differentiates it; it carries the gradients of the carried values. So the size of the graph doesn't
depend on the number of steps:

    forward:   h, x[i]                    -> next h, y[i], h
    backward:  dh, x[i], h[i], dy[i]      -> dh before, dx[i], factors of the gradients of weights

The gradient of a value from outside, such as a weight, is computed after the scan where possible (`_Sum`): matrix
products as one product over all steps, sums as one sum; the backward scan then only emits their factors. The rest is
accumulated in the scan. Except for the steps of a `for`, whatever doesn't depend on the incoming gradients is computed
for all steps at once, before the scan (`_batch`).

A loop is a scan over the indices of its steps. The number of steps of a scan over numbers is known when the backward
scan starts, so that has neither a limit nor an `until`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wsdl.differentiation.pull_back import Cotangents, Gradients, dependents, pull_back
from wsdl.differentiation.scan_stacks import Stack, Stacks
from wsdl.ir.dims import product
from wsdl.ir.graph import Attribute, Graph, Node, Operand, Value
from wsdl.ir.types import TensorType
from wsdl.ops._rules import axes_of
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import ScanParts, scan_inputs
from wsdl.rewrite.batch_steps import ScalingBatch, steps_first
from wsdl.rewrite.prune import prune_graph


def differentiate_scan(node: Node, dys: Sequence[Value | None], active: set[Value], build: Build) -> Gradients:
    """Append the backward scan of `node`, whose results have the gradients `dys`; returns the gradients of the values
    that it reads."""
    is_rolled = node.op == "loop" or bool(node.attributes.get("rolled"))
    if node.op == "loop":
        _make_scan(node, build)
    return _BackwardScan(node, build, batched=not is_rolled).run(dys, active)


def _make_scan(node: Node, build: Build) -> None:
    """Turn a `loop` into a scan over a sequence that its body doesn't read."""
    count = node.attributes["count"]
    assert isinstance(count, int)
    assert node.body is not None
    steps = build("arange", start=count)
    build.graph.nodes.insert(build.graph.nodes.index(node), build.graph.nodes.pop())
    node.op, node.attributes = "scan", {"axes": [0], "reverse": False}
    node.operands = [[*node.inputs], [steps]]
    node.body.inputs.append(Value(TensorType.of("i64"), "step"))


class _BackwardScan:
    """The backward scan of `node`. `back` is its body, which begins with a copy of the forward step, `copies`."""

    def __init__(self, node: Node, build: Build, *, batched: bool) -> None:
        assert node.body is not None
        self.batched = batched
        self.node, self.body, self.build = node, node.body, build
        self.parts = ScanParts.of(node)

        self.back = Graph()
        self.inside = Build(self.back, node.path, node.span, (), build)
        self.copies: dict[Value, Value] = {}
        self.back.nodes = self.body.copy(self.copies).nodes
        computed = [v for inner in self.body.nodes for v in inner.results]
        self.originals = {self.copies[v]: v for v in computed}
        self.stacks = Stacks(node, self.copies, build)

    def run(self, dys: Sequence[Value | None], active: set[Value]) -> Gradients:
        captured, kept = self.body.captured(), self.stacks.kept
        sources, moving = self._sources(captured, active)
        sequences = self.stacks.read[:]
        incoming = [Value(kept[k].step.type) for k in moving]
        cotangents = self._pull_back(dys, dict(zip(moving, incoming, strict=True)), sources, captured)
        outgoing = [cotangents.gradient(kept[k].step) or self.inside.zeros(kept[k].step.type) for k in moving]
        of_slices = [(s, cotangents.gradient(s.step)) for s in sequences]
        if self.batched:
            of_captured = (part for v in captured for part in cotangents.parts.get(v, ()))
            self._batch(incoming, [*outgoing, *(g for _, g in of_slices if g), *of_captured])
        of_sequences: Gradients = [(s.whole, g and self.stacks.emit(g, s.axis).whole) for s, g in of_slices]
        sums = [_Sum(self, v, cotangents.parts[v]) for v in captured if v in cotangents.parts]

        starts = [dys[k] or self.build.zeros(kept[k].step.type) for k in moving]
        in_loop = [s for s in sums if s.rest]
        results = [Value(v.type) for v in [*incoming, *(s.value for s in in_loop)]]
        self._append(
            [*incoming, *(s.so_far for s in in_loop)],
            [*starts, *(self.build.zeros(s.value.type) for s in in_loop)],
            [*outgoing, *(self.inside.add([s.so_far, *s.rest]) for s in in_loop)],
            results,
        )
        totals = dict(zip(in_loop, results[len(moving) :], strict=True))
        of_starts: Gradients = [(self.node.inputs[k], g) for k, g in zip(moving, results, strict=False)]
        return [*of_starts, *of_sequences, *((s.value, s.finished(totals.get(s))) for s in sums)]

    def _copy(self, value: Value) -> Value:
        return self.copies.get(value, value)

    def _sources(self, captured: Sequence[Value], active: set[Value]) -> tuple[set[Value], list[int]]:
        """The values that the body reads and that have a gradient, and the indices of the carried values among them."""
        pairs = scan_inputs(self.node)
        sources = {inner for outer, inner in pairs if outer in active} | active.intersection(captured)
        before, after = self.body.inputs[: self.parts.carried], self.body.outputs[: self.parts.carried]
        while True:
            reached = dependents(self.body.nodes, sources)
            more = {b for b, a in zip(before, after, strict=True) if a in reached} - sources
            if not more:
                return sources, [k for k, value in enumerate(before) if value in sources]
            sources |= more

    def _pull_back(
        self, dys: Sequence[Value | None], incoming: dict[int, Value], sources: set[Value], captured: Sequence[Value]
    ) -> Cotangents:
        """Backward through the step, from the gradients of the values that it carries on and emits."""
        parts: dict[Value, list[Value]] = {}
        for k, gradient in incoming.items():
            parts.setdefault(self._copy(self.body.outputs[k]), []).append(gradient)
        forward = list(self.back.nodes)
        outputs, of_outputs = self.body.outputs[self.parts.emitted :], dys[self.parts.carried :]
        emitted = zip(outputs, of_outputs, self.parts.emit_axes, strict=True)
        for value, dy, axis in emitted:
            if dy is not None:
                self.stacks.read.append(Stack(Value(value.type), dy, axis))
                parts.setdefault(self._copy(value), []).append(self.stacks.read[-1].step)
        seeds = {key: self.inside.add(values) for key, values in parts.items()}
        wanted = [self._copy(v) for v in [*self.body.inputs, *captured] if v in sources]
        return pull_back(self.back, forward, seeds, wanted, differentiate_scan, self.build)

    def _batch(self, incoming: Sequence[Value], wanted: list[Value]) -> None:
        """Compute for all steps at once whatever doesn't depend on the incoming gradients. Values of the forward step
        aren't recomputed: the forward scan emits them, unless their sizes differ between steps."""
        self.back.outputs = wanted
        prune_graph(self.back)
        if not any(node.body or node.measured for node in self.body.nodes):
            self.stacks.dropped = self.originals
            self.back.nodes = [n for n in self.back.nodes if n.result not in self.originals]

        def find(value: Value) -> Value | None:
            stack = self.stacks.known(value)
            return None if stack is None else steps_first(self.build, stack.whole, stack.axis)

        moving = set(incoming)
        batch = ScalingBatch(self.build, self.stacks.steps, find, moving, self.back.measured(), wanted=set(wanted))
        self.back.nodes = batch.take(self.back.nodes)
        self.stacks.read += [Stack(value, whole, 0) for value, whole in batch.batched]

    def _append(self, inputs: list[Value], starts: list[Value], outputs: list[Value], results: list[Value]) -> None:
        """Append the node, with its carried values and the sequences that the body reads."""
        stacks = self.stacks
        self.back.outputs = [*outputs, *(s.step for s in stacks.emitted)]
        prune_graph(self.back)
        captured = self.back.captured()
        for value in captured:
            if value in stacks.dropped:
                stacks.of(value)
        read = set(captured)
        sequences = [s for s in [*stacks.kept, *stacks.read] if s.step in read and s.step not in stacks.numbers]
        sequences = sequences or stacks.read[: not stacks.numbers]
        for stack in sequences:
            stacks.keep(stack)
        self.back.inputs = [*inputs, *stacks.numbers, *(s.step for s in sequences)]
        attributes: dict[str, Attribute] = {
            "axes": [s.axis for s in sequences],
            "emit_axes": [s.axis for s in stacks.emitted],
            "reverse": not self.parts.reverse,
        }
        if stacks.numbers:
            attributes["steps"] = stacks.steps
        operands: list[Operand] = [starts, [s.whole for s in sequences]]
        node = Node("scan", operands, attributes, [*results, *(s.whole for s in stacks.emitted)], self.node.path)
        node.span, node.steps, node.body = self.node.span, self.node.steps, self.back
        if node.results:
            self.build.graph.nodes.append(node)


# -- sums over all steps -----------------------------------------------------------------------------------------------


class _Sum:
    """The gradient of a value from outside: the sum of the contributions of all steps, added after the loop or (`rest`)
    in it."""

    def __init__(self, scan: _BackwardScan, value: Value, parts: Sequence[Value]) -> None:
        self.scan, self.value, self.build = scan, value, scan.build
        self.so_far = Value(value.type)
        self.producers = {v: node for node in scan.back.nodes for v in node.results}
        self.measured = scan.back.measured()
        behind = [(part, self._behind(part)) for part in parts]
        self.rest = [part for part, compute in behind if compute is None]
        self._computed = [compute for _, compute in behind if compute is not None]

    def finished(self, total: Value | None) -> Value:
        """The whole gradient, given the total that the loop has accumulated."""
        parts = [compute() for compute in self._computed]
        return self.build.add(parts if total is None else [*parts, total])

    def _behind(self, part: Value) -> Callable[[], Value] | None:
        """Computes the sum of `part` over all steps after the loop; `None` where that is impossible."""
        node, build = self.producers.get(part), self.build
        if self.measured and any(_has(v, self.measured) for v in [part, *(node.inputs if node is not None else ())]):
            return None  # another size in each step, so there is no stack
        if node is None:
            stack = self.scan.stacks.of(part)
            return lambda: build("sum", stack.whole, axis=stack.axis)
        if node.op == "reshape":
            inner = self._behind(node.inputs[0])
            return inner and (lambda: build.like(inner(), part.type))
        if node.op == "sum":
            summed = self.scan.stacks.of(node.inputs[0])
            axis: Any = node.attributes["axis"]
            axes = [a + (a >= summed.axis) for a in axes_of(axis, node.inputs[0].type.rank)]
            return lambda: build.like(build("sum", summed.whole, axis=sorted([*axes, summed.axis])), part.type)
        if node.op == "gemm" and node.attributes["trans_a"] and not node.attributes["trans_b"]:
            factors = [self.scan.stacks.of(v) for v in node.inputs]
            return lambda: build("gemm", *map(self._rows, factors), trans_a=True)
        return None

    def _rows(self, stack: Stack) -> Value:
        """The rows of the matrices of all steps, in one matrix."""
        whole, order = stack.whole, [0, 1, 2]
        order.insert(0, order.pop(stack.axis))
        if stack.axis > 0:
            whole = self.build("permute", whole, axes=order)
        rows = product(whole.type.shape[:2])
        return self.build.like(whole, whole.type.with_shape((rows, whole.type.shape[2])))


def _has(value: Value, sizes: set[str]) -> bool:
    return any(not sizes.isdisjoint(dim.names()) for dim in value.type.shape)
