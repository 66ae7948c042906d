"""Origins of values: the node that computes each, and the input or the layer that it is a result of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Node, Value
from wsdl.ir.types import same_shape


@dataclass(frozen=True, eq=False)
class Origin:
    """An input, or an application of a layer, with its name in messages and its location."""

    name: str
    span: Span


@dataclass(eq=False)
class Origins:
    """Of the values of all graphs of a program. `producers` has no inputs of graphs, `named` the inputs of models, and
    the results of layers that the user's own files apply, `handed_over` those of layers of these files that the library
    applies."""

    producers: dict[Value, Node] = field(default_factory=dict)
    named: dict[Value, Origin] = field(default_factory=dict)

    handed_over: dict[Value, Span] = field(default_factory=dict)

    def result_of_layer(self, value: Value) -> Value | None:
        """The result of a layer handed to the library that a value inside of it comes from, by way of operands with the
        same last axis."""
        at: Value | None = value
        while at is not None and at not in self.named:
            if at in self.handed_over:
                return at
            node = self.producers.get(at)
            at = next(
                (v for v in (node.inputs if node else ()) if same_shape(v.type.shape[-1:], value.type.shape[-1:])), None
            )
        return None

    def of(self, value: Value, follows: Callable[[Value], bool] = lambda value: True) -> Origin | None:
        """The nearest input or layer that a value comes from, by way of the first operand that `follows` accepts."""
        at: Value | None = value
        while at is not None and at not in self.named:
            node = self.producers.get(at)
            at = next(filter(follows, node.inputs if node else []), None)
        return None if at is None else self.named[at]
