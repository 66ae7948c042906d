"""Lets every step of a `for` start in one dtype, so that they can be one body after `lower_precision`.

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %b) {
        %w = parameter {stored="m.w"}: f32[4, 4]
        %h = matmul(%x, %w): f32[n, 4]
        %0 = matmul(%h, %w) {at=["0:0/2"]}: f32[n, 4]
        %a = tanh(%0) {at=["0:0/2"]}: f32[n, 4]
        %1 = matmul(%a, %w) {at=["0:1/2"]}: f32[n, 4]
        %b = tanh(%1) {at=["0:1/2"]}: f32[n, 4]
    }

becomes, as `tanh` will give f32 where `%h` is f16,

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %b) {
        %w = parameter {stored="m.w"}: f32[4, 4]
        %h = matmul(%x, %w): f32[n, 4]
        %0 = cast(%h) {dtype="f32"}: f32[n, 4]
        %1 = matmul(%0, %w) {at=["0:0/2"]}: f32[n, 4]
        %a = tanh(%1) {at=["0:0/2"]}: f32[n, 4]
        %2 = matmul(%a, %w) {at=["0:1/2"]}: f32[n, 4]
        %b = tanh(%2) {at=["0:1/2"]}: f32[n, 4]
    }
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ops.build import Build
from wsdl.rewrite.roll_loops import StepsDiffer, match_steps


@dataclass(frozen=True)
class FirstRead:
    """Input `operand` of a node in the first step of a `for`, which in later steps is a value of the step before."""

    reader: Node
    operand: int
    depth: int
    next: Value  # the value of the first step that the second one reads

    @property
    def value(self) -> Value:
        return self.reader.inputs[self.operand]


def even_steps(graph: Graph, lower: Callable[[Graph], object]) -> None:
    """Cast what a `for` starts from to the dtype that `lower` will give to what its steps hand on, where that is
    another one. `lower` is tried on a copy."""
    starts = list(_first_reads(graph))
    if not starts:
        return
    copies: dict[Value, Value] = {}
    lower(graph.copy(copies))
    casts: dict[tuple[Value, int], Value] = {}
    with Rewriter(graph) as rewriter:
        for start in starts:
            reader, value, dtype = start.reader, start.value, copies[start.next].type.dtype
            if copies[value].type.dtype == dtype:
                continue
            loop = reader.steps[start.depth].loop
            if (value, loop) not in casts:
                build = Build(Graph(), reader.path, reader.span, reader.steps[: start.depth])
                casts[value, loop] = build("cast", value, dtype=dtype)
                first = next(n for n in graph.nodes if any(step.loop == loop for step in n.steps))
                rewriter.insert(build.nodes, before=first)
            inputs = list(reader.inputs)
            inputs[start.operand] = casts[value, loop]
            rewriter.set_inputs(reader, inputs)


def _first_reads(graph: Graph) -> Iterator[FirstRead]:
    """Those of the outermost `for`s whose steps do the same; where they don't, of those inside."""
    done: set[int] = set()
    for depth in count():
        loops = {n.steps[depth].loop for n in graph.nodes if len(n.steps) > depth}
        if not loops:
            return
        for loop in loops:
            nodes = [n for n in graph.nodes if len(n.steps) > depth and n.steps[depth].loop == loop]
            repetition = nodes[0].steps[depth]
            if repetition.count < 2 or any(step.loop in done for step in nodes[0].steps):
                continue
            try:
                match = match_steps(graph, repetition, depth)
            except StepsDiffer:
                continue
            done.add(loop)
            first = [n for n in nodes if n.steps[depth].index == 0]
            for (at, operand), source in match.uses.items():
                if source is not None and source.type.is_float:
                    yield FirstRead(first[at], operand, depth, source)
