"""Fuses a `scan` over a standard cell into one operation: ONNX's `RNN`, `GRU` or `LSTM`.

    stored m.cell.weight_ih: f32[3, 4]
    stored m.cell.weight_hh: f32[3, 3]
    stored m.cell.bias_ih: f32[3]
    stored m.cell.bias_hh: f32[3]

    model m(%x: f32[t, 1, 4], %s: f32[1, 3]) -> (y: %y) {
        %z, %y = scan([%s], [%x]) {axes=[0], reverse=false}: f32[1, 3], f32[t, 1, 3] do (%h: f32[1, 3], %v: f32[1, 4]) {
            %0 = parameter {stored="m.cell.weight_ih", view=".T"}: f32[4, 3]
            %1 = matmul(%v, %0): f32[1, 3]
            %2 = parameter {stored="m.cell.bias_ih"}: f32[3]
            %3 = add(%1, %2): f32[1, 3]
            %4 = parameter {stored="m.cell.weight_hh", view=".T"}: f32[3, 3]
            %5 = matmul(%h, %4): f32[1, 3]
            %6 = add(%3, %5): f32[1, 3]
            %7 = parameter {stored="m.cell.bias_hh"}: f32[3]
            %8 = add(%6, %7): f32[1, 3]
            %9 = tanh(%8): f32[1, 3]
            yield %9, %9
        }
    }

becomes (after pruning)

    stored m.cell.weight_ih: f32[3, 4]
    stored m.cell.weight_hh: f32[3, 3]
    stored m.cell.bias_ih: f32[3]
    stored m.cell.bias_hh: f32[3]

    model m(%x: f32[t, 1, 4], %s: f32[1, 3]) -> (y: %y) {
        %0 = unsqueeze(%s) {axis=0}: f32[1, 1, 3]
        %1 = parameter {stored="m.cell.weight_ih"}: f32[3, 4]
        %2 = parameter {stored="m.cell.weight_hh"}: f32[3, 3]
        %3 = parameter {stored="m.cell.bias_ih"}: f32[3]
        %4 = parameter {stored="m.cell.bias_hh"}: f32[3]
        %5 = unsqueeze(%1) {axis=0}: f32[1, 3, 4]
        %6 = unsqueeze(%2) {axis=0}: f32[1, 3, 3]
        %7 = concat([%3, %4]) {axis=0}: f32[6]
        %8 = unsqueeze(%7) {axis=0}: f32[1, 6]
        %9, %10 = rnn(%x, %5, %6, %8, %0, _) {reverse=false}: f32[t, 1, 1, 3], f32[1, 1, 3]
        %y = squeeze(%9) {axis=1}: f32[t, 1, 3]
    }

The body is matched, value by value, with that of the cell in the standard library. A body that keeps the states where
a second sequence is false, and emits 0 there, is matched too if that sequence is `arange(t) < lengths`: `lengths` are
then an operand. ONNX has the gates in another order: nodes of the graph reorder the weights, once however often a layer
is applied; the runtime computes them when it loads the model, and keeps the result in place of the weights. Training
differentiates the `scan` and doesn't fuse it.
Measurements: docs/decisions/0027-recurrent-layers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.elaborate import elaborate
from wsdl.elaborate.resolve import resolve
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Lowered, Node, Stored, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.types import DType
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import ScanParts
from wsdl.ops.recurrent import GATES, OF_CELL
from wsdl.rewrite.dedupe import frozen_attributes
from wsdl.sharing.fold_views import fold_views
from wsdl.sharing.read_stored import read_stored
from wsdl.sharing.share import share

DTYPE: DType = "f32"  # the one that ONNX Runtime's kernels have
FLOATS: set[DType] = {DTYPE, "f16", "bf16"}  # of weights, which are converted once in each run
Producer: TypeAlias = "Callable[[Value], Node | None]"
SLOW = {"RNNCell"}  # for more than one sequence at a time the kernel takes up to four times as long as the scan


def fuse_recurrent(program: Lowered) -> Lowered:
    """Replace every `scan` over one sequence with the body of a standard cell by one operation."""
    for model in program.models.values():
        with Rewriter(model.graph) as rewriter:
            for node in model.graph.walk():
                cell = _cell_of(node, program.stored, rewriter.producer) if node.op == "scan" else None
                if cell is not None:
                    build = Build.at(node)
                    results = _operation(build, node, cell, program.stored, rewriter.producer)
                    rewriter.replace_node(node, build.nodes, results)
    return program


# -- what a cell is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """A standard cell: the operation that steps it, the nodes that read its weights, the lengths of the sequences."""

    op: str
    weights: dict[str, Node]  # weight_ih, weight_hh, bias_ih, bias_hh
    lengths: Value | None  # i64[n]; without them all sequences have all steps


def _cell_of(node: Node, stored: Mapping[str, Stored], producer: Producer) -> _Cell | None:
    """The cell that a scan steps; `None` where its body is anything else."""
    parts, step = ScanParts.of(node), _Step.of(node, producer)
    if step is None or parts.axes[0] > 1 or max(parts.emit_axes, default=0) > 1:
        return None
    *states, x = step.inputs
    if not states or x.type.rank != 2 or any(state.type.dtype != DTYPE for state in states):
        return None
    sizes = x.type.shape[1].constant, states[0].type.shape[-1].constant if states[0].type.rank == 2 else None
    if sizes[0] is None or sizes[1] is None:
        return None
    batch = x.type.shape[0].constant
    for kind, operation in OF_CELL.items():
        if kind in SLOW and batch != 1:
            continue
        standard = _standard(kind, sizes[0], sizes[1])
        if len(standard.inputs) == len(step.inputs):
            weights = standard.parameters_in(step, producer)
            if weights and all(
                stored[str(weight.attributes["stored"])].type.dtype in FLOATS for weight in weights.values()
            ):
                return _Cell(operation.name, weights, step.lengths)
    return None


@dataclass(frozen=True)
class _Step:
    """The body of a scan that emits its first state and nothing else, without what keeps states behind a length."""

    inputs: list[Value]  # the states, then the slice of the sequence
    states: list[Value]  # after the step
    lengths: Value | None

    @staticmethod
    def of(node: Node, producer: Producer) -> _Step | None:
        parts, body = ScanParts.of(node), node.body
        assert body is not None
        states, emitted = body.outputs[: parts.carried], body.outputs[parts.carried :]
        if not states:
            return None
        if len(parts.axes) == 1 and all(value is states[0] for value in emitted):
            return _Step(body.inputs, states, None)
        if len(parts.axes) != 2:
            return None
        *inputs, on = body.inputs
        lengths = _lengths(node.inputs[-1], parts.axes[1], producer)
        nexts = [_chosen(value, on, inputs[i], producer) for i, value in enumerate(states)]
        results = [_chosen(value, on, None, producer) for value in emitted]
        if lengths is None or None in nexts or any(result is not nexts[0] for result in results):
            return None
        return _Step(inputs, [value for value in nexts if value is not None], lengths)


def _lengths(sequence: Value, axis: int, producer: Producer) -> Value | None:
    """`lengths` if a sequence [n, t, 1] is `(arange(t) < lengths.reshape(n, 1)).reshape(n, t, 1)`."""
    if sequence.type.rank != 3 or axis != 1 or sequence.type.shape[2].constant != 1:
        return None
    batch, steps, _ = sequence.type.shape
    reshaped = producer(sequence)
    less = producer(reshaped.inputs[0]) if reshaped is not None and reshaped.op == "reshape" else None
    if less is None or less.op != "less":
        return None
    places, column = map(producer, less.inputs)
    if places is None or places.op != "arange" or places.attributes != {"start": steps, "stop": None}:
        return None
    if column is None or column.op != "reshape" or column.result.type.shape != (batch, Dim.of(1)):
        return None
    lengths = column.inputs[0]
    return lengths if lengths.type.shape == (batch,) and lengths.type.dtype == "i64" else None


def _chosen(value: Value, on: Value, otherwise: Value | None, producer: Producer) -> Value | None:
    """`x` if a value is `where(on, x, otherwise)`; `None` stands for 0."""
    node = producer(value)
    if node is None or node.op != "where" or node.inputs[0] is not on:
        return None
    _, chosen, other = node.inputs
    if otherwise is None:
        made_by = producer(other)
        return chosen if made_by is not None and made_by.op == "constant" and made_by.attributes["value"] == 0 else None
    return chosen if other is otherwise else None


@cache
def _standard(kind: str, d: int, units: int) -> _Standard:
    """One step of a cell of the standard library, as a graph."""
    states = ["h", "c"] if kind == "LSTMCell" else ["h"]
    inputs = ", ".join(f"{name}: f32[n, {size}]" for name, size in [*((s, units) for s in states), ("x", d)])
    text = f"model step({inputs}) {{\n    return {kind}({units})(x, {', '.join(states)})\n}}\n"
    problems = Problems()
    scope = resolve(Source("step.wsd", text), problems, lambda path: None)
    storage = share(elaborate(scope, problems), problems)
    assert storage is not None
    program = fold_views(read_stored(storage))
    graph = program.only.graph
    return _Standard(graph.inputs, graph.outputs, graph.producers())


@dataclass(frozen=True)
class _Standard:
    """A graph to compare with, whose parameters stand for any."""

    inputs: list[Value]
    outputs: list[Value]
    producers: dict[Value, Node]

    def parameters_in(self, step: _Step, producer: Producer) -> dict[str, Node] | None:
        """What its parameters are in a step that computes the same of its inputs; `None` if it doesn't."""
        match = _Match(self.producers, producer, dict(zip(self.inputs, step.inputs, strict=True)))
        pairs = zip(self.outputs, step.states, strict=True)
        return match.parameters if all(match.same(own, other) for own, other in pairs) else None


@dataclass
class _Match:
    """One graph held against another, from the results up."""

    of_standard: dict[Value, Node]
    of_other: Producer
    known: dict[Value, Value]  # what stands for a value of the standard
    parameters: dict[str, Node] = field(default_factory=dict)

    def same(self, own: Value, other: Value) -> bool:
        other = self._before_casts(other)
        if own not in self.known:
            self.known[own] = other
            return self._made_the_same(own, other)
        return self.known[own] is other

    def _before_casts(self, value: Value) -> Value:
        """The value that a program in 16 bits converts on the way: the operation computes all in f32."""
        node = self.of_other(value)
        while node is not None and node.op == "cast" and {node.result.type.dtype, node.inputs[0].type.dtype} <= FLOATS:
            value = node.inputs[0]
            node = self.of_other(value)
        return value

    def _made_the_same(self, own: Value, other: Value) -> bool:
        mine, theirs = self.of_standard[own], self.of_other(other)
        if theirs is None or mine.op != theirs.op or mine.results.index(own) != theirs.results.index(other):
            return False
        if mine.op == "parameter":
            self.parameters[str(mine.attributes["stored"]).rpartition(".")[2]] = theirs
            return own.type.sizes == other.type.sizes
        inputs = list(mine.inputs), list(theirs.inputs)
        alike = len(inputs[0]) == len(inputs[1]) and frozen_attributes(mine) == frozen_attributes(theirs)
        return alike and all(self.same(a, b) for a, b in zip(*inputs, strict=True))


# -- the fused operation -----------------------------------------------------------------------------------------------


def _operation(build: Build, node: Node, cell: _Cell, stored: Mapping[str, Stored], producer: Producer) -> list[Value]:
    """Append the operation, between nodes that lead to its layouts and back; what the results of the scan are then.
    Without a sequence in the batch ONNX Runtime 1.32 ends the process: there is one of zeros then."""
    parts = ScanParts.of(node)
    states, x = node.inputs[: parts.carried], node.inputs[parts.carried]
    batch = node.results[0].type.shape[0]
    more = Dim.of(0) if batch.constant else 1 // (batch + 1)

    def padded(value: Value) -> Value:
        along = max(value.type.rank - 2, 0)
        widths = [[Dim.of(0), more if axis == along else Dim.of(0)] for axis in range(value.type.rank)]
        return value if more.constant == 0 else build("pad", value, widths=widths)

    def cut(value: Value, axis: int) -> Value:
        return value if more.constant == 0 else build("slice", value, starts=[0], stops=[batch], axes=[axis])

    def start(state: Value) -> Value | None:
        made_by = producer(state)
        is_zeros = made_by is not None and made_by.op == "zeros"
        return None if is_zeros else padded(build("unsqueeze", state, axis=0))

    starts = [start(state) for state in states]
    sequence = x if x.type.dtype == DTYPE else build("cast", x, dtype=DTYPE)
    steps_first = padded(_exchanged(build, sequence, parts.axes[0]))
    weights = _weights(build, cell, stored)
    lengths = None
    if cell.lengths is not None:
        steps = build.size(x.type.shape[parts.axes[0]], cell.lengths.type)
        lengths = build("minimum", build("maximum", cell.lengths, 0), steps)
        lengths = padded(build("cast", lengths, dtype="i32"))
    emitted, *last = build.all(cell.op, steps_first, *weights, *starts, lengths, reverse=parts.reverse)
    results = [cut(build("squeeze", state, axis=0), 0) for state in last]
    if cell.lengths is not None:  # a sequence without steps keeps its state
        some = build("greater", build("reshape", cell.lengths, shape=[batch, Dim.of(1)]), 0)
        results = [build("where", some, result, state) for result, state in zip(results, states, strict=True)]
    return results + [_exchanged(build, cut(build("squeeze", emitted, axis=1), 1), axis) for axis in parts.emit_axes]


def _exchanged(build: Build, x: Value, steps: int) -> Value:
    """With the axes of the batch and of the steps, which is at `steps`, as the operation has them; or back."""
    return x if steps == 0 else build("permute", x, axes=[1, 0, 2])


def _weights(build: Build, cell: _Cell, stored: Mapping[str, Stored]) -> list[Value]:
    """The weights as the operation wants them: gates in its order, and an axis for its direction in front."""

    def gates(name: str) -> list[Value]:
        parameter, order = cell.weights[name], GATES[cell.op]
        assert parameter.view is not None
        view = parameter.view.transposed if name.startswith("weight") else parameter.view
        weight = build.parameter(stored[str(parameter.attributes["stored"])], view, DTYPE)
        pieces = build.all("split", weight, parts=len(order)) if len(order) > 1 else [weight]
        return [pieces[gate] for gate in order]

    joined = [gates("weight_ih"), gates("weight_hh"), gates("bias_ih") + gates("bias_hh")]
    return [
        build("unsqueeze", build("concat", pieces, axis=0) if len(pieces) > 1 else pieces[0], axis=0)
        for pieces in joined
    ]
