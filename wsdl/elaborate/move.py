"""From one application of a layer to another one that is alike: its nodes with other names, values and locations."""

from __future__ import annotations

from dataclasses import replace

from wsdl.diagnostics.span import Span
from wsdl.elaborate.alike import Key, is_new
from wsdl.elaborate.context import Context
from wsdl.elaborate.growth import Growth
from wsdl.elaborate.items import Item, Layer, Results
from wsdl.elaborate.journal import Placed, Read, Used
from wsdl.elaborate.randomness import number_of_place
from wsdl.elaborate.records import Outcome, Place, Record
from wsdl.ir.graph import Application, Graph, Module, Node, Operand, Repetition, Slot, Value
from wsdl.ir.training import SEED, STEP


class Move:
    """From the names and values of one application to those of another one."""

    def __init__(
        self,
        record: Record,
        key: Key,
        layer: Layer,
        inputs: list[Value],
        place: Place,
        spans: dict[Span, Span],
        context: Context,
    ) -> None:
        self.record, self.key, self.layer, self.place, self.context = record, key, layer, place, context
        self.inputs, self.is_first = inputs, record.is_first and is_new(layer)
        self._from, self._to = record.layer.module.path, layer.module.path
        self._paths = {record.place.path: place.path}
        self._values = dict(zip(record.inputs, self.inputs, strict=True))
        self._applications = {record.place.application: place.application}
        self._spans = spans
        self._loops = context.where.loops - record.loops[0]
        self._steps: dict[tuple[Repetition, ...], tuple[Repetition, ...]] = {record.place.steps: place.steps}
        self._modules: dict[str, Module] = {}
        self._numbers: dict[Value, int] = {}  # of the places where random numbers are drawn
        self._names = dict(zip(record.outcome.values, record.names, strict=True))

    # -- names and values ----------------------------------------------------------------------------------------------

    def is_inside(self, path: str) -> bool:
        rest = path[len(self._from) : len(self._from) + 1]
        return path.startswith(self._from) and rest in ("", ".", "[")

    def makes(self, slot: str) -> bool:
        """Whether a slot of the recorded application has to be made for this one."""
        return self.is_first and self.is_inside(slot)

    def path(self, path: str) -> str:
        moved = self._paths.get(path)
        if moved is None:
            moved = self._paths[path] = self._to + path[len(self._from) :] if self.is_inside(path) else path
        return moved

    def value(self, value: Value) -> Value:
        return self._values.get(value, value)

    def span(self, span: Span) -> Span:
        return self._spans.get(span, span) if self._spans else span

    def way(self, way: tuple[Span, ...]) -> tuple[Span, ...]:
        return (*self.place.way, *map(self.span, way[len(self.record.place.way) :]))

    def application(self, application: Application | None) -> Application | None:
        if application not in self._applications:
            assert application is not None
            inside = self.application(application.inside)
            moved = Application(self.path(application.path), inside, application.is_standard)
            self._applications[application] = moved
        return self._applications[application]

    def steps(self, steps: tuple[Repetition, ...]) -> tuple[Repetition, ...]:
        moved = self._steps.get(steps)
        if moved is None:
            own = (replace(s, loop=s.loop + self._loops) for s in steps[len(self.record.place.steps) :])
            moved = self._steps[steps] = (*self.place.steps, *own)
        return moved

    def module(self, module: Module) -> Module:
        return self._modules.get(self.path(module.path), module) if self.is_inside(module.path) else module

    def slot(self, slot: Slot) -> Slot:
        if not self.is_inside(slot.path):
            return slot
        owner, _, name = self.path(slot.path).rpartition(".")
        return self._modules[owner].slots[name]

    # -- what is done --------------------------------------------------------------------------------------------------

    def finds_the_same(self) -> bool:
        """Whether what the recorded application found in its graph, values and slots, is there for this one too; notes
        the values."""
        record, builder = self.record, self.context.builder
        if builder.graphs[-1] is not record.graph and record.captured:
            if not record.captured <= record.random.keys():
                return False
            inputs = {SEED: builder.seed, STEP: builder.step}
            self._values.update((value, inputs[record.random[value]]()) for value in record.captured)
        own = {value for node in (*record.read, *record.nodes) for value in node.results}
        for event in record.events:
            if isinstance(event, Read) and event.value not in own:
                path = self.path(event.slot.path)
                if path not in builder.parameters:
                    return False
                self._values[event.value] = builder.parameters[path]
        return True

    def run(self) -> Outcome:
        """Append the nodes, and let the events happen."""
        record, layer, builder, context = self.record, self.layer, self.context.builder, self.context
        context.budget.done += record.count if self.is_first else record.count - record.created
        context.where.loops += record.loops[1]
        context.where.deepest = max(context.where.deepest, len(self.place.around) + record.depth)
        context.mode.depends_on_training |= record.depends
        if self.is_first:
            applied = {event.module.path for event in record.events if isinstance(event, Used)}
            Growth(record.layer, layer, self.path, self.span, applied, self.is_inside)
            layer.alike = self.key.next(record.size).layer, record.size
        self._modules = {module.path: module for module in layer.module.modules()}
        for event in record.events:
            if isinstance(event, Placed):
                place = number_of_place(self.path(event.path), event.operation, self.context)
                self._numbers[event.value] = place
        for node in (*record.read, *record.nodes):
            if node.op == "parameter":
                self._parameter(node)
            else:
                builder.graphs[-1].nodes.append(self._node(node))
        for event in record.events:
            if (again := event.moved(self)) is not None:
                self.context.note(again)
        values = [self.value(value) for value in record.outcome.values]
        for value, name in zip((*self.inputs, *values), (*record.called, *record.names), strict=True):
            value.name = value.name or name
        return Outcome(self._item(record.outcome.item), values)

    def _item(self, item: Item) -> Item:
        if isinstance(item, Value):
            return self.value(item)
        if isinstance(item, Results):
            return Results.of(item.declared, map(self._item, item))
        if isinstance(item, tuple):
            return tuple(map(self._item, item))
        return [self._item(part) for part in item] if isinstance(item, list) else item

    def _parameter(self, node: Node) -> None:
        """Read a slot, if the graph doesn't yet."""
        path, builder = self.path(str(node.attributes["slot"])), self.context.builder
        if path in builder.parameters:
            self._values[node.result] = builder.parameters[path]
            return
        value = builder.parameters[path] = self._copied(node.result)
        span = node.span and self.span(node.span)
        builder.graphs[0].nodes.append(Node(node.op, [], {"slot": path}, [value], path.rpartition(".")[0], span))

    def _node(self, node: Node) -> Node:
        operands = [self._operand(operand) for operand in node.operands]
        attributes = dict(node.attributes)
        if node.result in self._numbers:
            attributes["value"] = self._numbers[node.result]
        body = None if node.body is None else self._graph(node.body)
        results = [self._copied(value) for value in node.results]
        span = node.span and self.span(node.span)
        moved = Node(node.op, operands, attributes, results, self.path(node.path), span, self.steps(node.steps), body)
        moved.application = self.application(node.application)
        if node not in self.record.expanded:
            self.context.builder.origins.producers.update(dict.fromkeys(results, moved))
        return moved

    def _operand(self, operand: Operand) -> Operand:
        if isinstance(operand, list):
            return [self.value(value) for value in operand]
        return operand and self.value(operand)

    def _graph(self, graph: Graph) -> Graph:
        inputs = [self._copied(value) for value in graph.inputs]
        return Graph(inputs, [self._node(node) for node in graph.nodes], [self.value(v) for v in graph.outputs])

    def _copied(self, value: Value) -> Value:
        moved = self._values[value] = Value(value.type, self._names.get(value, value.name))
        return moved
