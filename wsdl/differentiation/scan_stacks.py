"""Stacks: tensors with a slice for each step of a scan, which carry values from its forward to its backward steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wsdl.ir.graph import Node, Value
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import ScanParts


@dataclass(eq=False)
class Stack:
    """A tensor with a slice for each step along `axis`; `step` is that slice in the backward body."""

    step: Value
    whole: Value
    axis: int


class Stacks:
    """The stacks of a forward scan and of its backward scan, whose body holds `copies` of the values of a forward step.

    `kept` are stacks of the values carried into each step, `read` those of other sequences that the backward body may
    read, `emitted` those that it emits. `dropped` holds the copies that it doesn't compute, since the forward scan
    emits their originals, `numbers` that of the number of the step, if the scan has one.
    """

    def __init__(self, forward: Node, copies: Mapping[Value, Value], build: Build) -> None:
        assert forward.body is not None
        self._forward, self._body, self._build = forward, forward.body, build
        parts = ScanParts.of(forward)
        forward.attributes["emit_axes"] = list(parts.emit_axes)
        self._carried, self._emitted = parts.carried, parts.emitted
        self.steps = parts.steps
        self.dropped: dict[Value, Value] = {}
        carried, slices = self._body.inputs[: parts.carried], self._body.inputs[parts.slices :]
        self.kept = [Stack(copies.get(v, v), self._kept_whole(v), 0) for v in carried]
        sequences = zip(slices, forward.inputs[parts.carried :], parts.axes, strict=False)
        self.read = [Stack(copies.get(v, v), whole, axis) for v, whole, axis in sequences]
        self.emitted: list[Stack] = []
        self.numbers = [copies.get(v, v) for v in self._body.inputs[parts.carried : parts.slices]]

    def of(self, step: Value) -> Stack:
        """The stack of a value of the backward body, which emits it if there is none yet."""
        emitted = (stack for stack in self.emitted if stack.step is step)
        return self.known(step) or next(emitted, None) or self.emit(step, 0)

    def known(self, step: Value) -> Stack | None:
        """The stack of a value that the forward scan emits or may emit; `None` for other values."""
        stack = next((s for s in [*self.kept, *self.read] if s.step is step), None)
        if stack is None and step in self.numbers:
            self.read.append(Stack(step, self._build("arange", start=self.steps), 0))
            return self.read[-1]
        if stack is None:
            return self._emit_forward(step) if step in self.dropped else None
        self.keep(stack)
        return stack

    def keep(self, stack: Stack) -> None:
        """If the stack is of values carried into each step, have the forward scan emit these."""
        if stack in self.kept and stack.whole not in self._forward.results:
            self._add_emission(self._body.inputs[self.kept.index(stack)], stack.whole)

    def emit(self, step: Value, axis: int) -> Stack:
        """Have the backward scan emit a value of its body."""
        self.emitted.append(Stack(step, self._whole(step, axis), axis))
        return self.emitted[-1]

    def _emit_forward(self, copy: Value) -> Stack:
        """Have the forward scan emit the original of a copy."""
        original = self.dropped[copy]
        stack = next((Stack(copy, whole, axis) for step, whole, axis in self._emissions() if step is original), None)
        if stack is None:
            stack = Stack(copy, self._whole(original, 0), 0)
            self._add_emission(original, stack.whole)
        self.read.append(stack)
        return stack

    def _kept_whole(self, carried: Value) -> Value:
        """The stack of a value carried into each step: an existing or a new result of the forward scan."""
        emitted = (whole for step, whole, axis in self._emissions() if step is carried and axis == 0)
        return next(emitted, None) or self._whole(carried, 0)

    def _whole(self, step: Value, axis: int) -> Value:
        return Value(step.type.with_shape((*step.type.shape[:axis], self.steps, *step.type.shape[axis:])))

    def _emissions(self) -> Iterator[tuple[Value, Value, int]]:
        """The emissions of the forward scan: the value of a step, the stacked result, and the axis of the steps."""
        axes = ScanParts.of(self._forward).emit_axes
        return zip(self._body.outputs[self._emitted :], self._forward.results[self._carried :], axes, strict=True)

    def _add_emission(self, step: Value, whole: Value) -> None:
        self._forward.attributes["emit_axes"] = [*ScanParts.of(self._forward).emit_axes, 0]
        self._body.outputs.append(step)
        self._forward.results.append(whole)
