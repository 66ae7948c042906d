"""Applications of layers that can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from wsdl.diagnostics.span import Span
from wsdl.elaborate.alike import Key, configured_inside, is_lasting
from wsdl.elaborate.items import Item, Layer
from wsdl.elaborate.journal import Event, Read, Used
from wsdl.elaborate.where import Use, Where
from wsdl.ir.graph import Application, Graph, Node, Repetition, Value

MOST = 2_000  # applications in a `Memory`: some 20 MB


class Place(NamedTuple):
    """Where a layer is applied, as far as its body can tell."""

    path: str  # of the layer in whose body it is applied
    application: Application | None  # of that layer
    steps: tuple[Repetition, ...]
    way: tuple[Span, ...]
    spans: tuple[Span, ...]  # those that nodes and slots get from it
    around: tuple[str, ...]  # the blocks whose bodies run around it

    @staticmethod
    def of(use: Use, where: Where) -> Place:
        layers = [use.layer, *(outer.layer for outer in reversed(where.uses))]
        by_user = next((layer.call_span for layer in layers if not layer.call_span.source.is_standard), use.span)
        calls = (layer.call_span for layer in configured_inside(use.layer))
        spans = (use.span, where.place(use.span), use.layer.call_span, by_user, *calls)
        around = tuple(outer.layer.name for outer in where.uses)
        return Place(where.path, where.application, tuple(where.steps), where.way(), spans, around)


class Outcome(NamedTuple):
    """What an application gives, and the tensors in it."""

    item: Item
    values: list[Value]


@dataclass(frozen=True, eq=False)
class Record:
    """One application: its layer and its inputs, the nodes that it appended, and what else happened.

    Where the graph is the body of a `scan`, the nodes of parameters are in the graph around it: `read`.
    """

    layer: Layer
    place: Place
    inputs: list[Value]
    called: list[str]  # the names that it gave to inputs without a name
    names: list[str]  # of the results that it made, once it was done
    graph: Graph | None  # where what it captures is known
    random: Mapping[Value, str]  # the inputs of this graph that random numbers come from, by their values
    read: list[Node]
    nodes: list[Node]
    events: list[Event]
    expanded: set[Node]  # the nodes of what operations consist of, which are no origins
    outcome: Outcome
    is_first: bool  # did it create the layers inside?
    size: int  # of the tree of layers
    count: int  # against the limit of steps
    created: int  # of these, layers and parameters
    loops: tuple[int, int]  # the `for`s before, and in it
    depth: int
    depends: bool  # on whether it is for training

    @cached_property
    def captured(self) -> set[Value]:
        """The values of its graph, and of graphs around it, that it reads beside its inputs and parameters."""
        own = {value for node in (*self.read, *self.nodes) for value in node.results}
        own.update(self.inputs, (event.value for event in self.events if isinstance(event, Read)))
        return {value for node in self.nodes for value in node.reads()} - own

    @cached_property
    def applied(self) -> set[str]:
        """The blocks that run in it."""
        return {event.module.kind for event in self.events if isinstance(event, Used)}


@dataclass(eq=False)
class Memory:
    """Applications of standard blocks, kept from one version of a text to the next.

    They refer to nothing else of a program but the locations that their nodes have from it."""

    records: dict[Key, Record] = field(default_factory=dict)

    def keep(self, records: Mapping[Key, Record]) -> None:
        """Keep those of a finished elaboration that may occur in another one."""
        if len(self.records) > MOST:
            self.records.clear()
        for key, record in records.items():
            if is_lasting(record.layer) and not record.captured:
                self.records[key] = replace(record, graph=None)
